//! `Location: http://` to the request's own host, on a secure request.
//!
//! 1. Only the host of the request counts, without regard to case and to a dot at its end.
//! 2. No port, port 80 and the request's own port lead to where the client is now: the request's own port. Any other port is
//!    another service and stays.
//! 3. All behind the authority stays byte for byte.

use crate::authority::Authority;

const SCHEME: &[u8] = b"http://";

/// The URL with `https`, or `None` where it is none of the request's own host over http.
pub(crate) fn upgrade(location: &[u8], own: Authority<'_>) -> Option<Vec<u8>> {
    let (scheme, rest) = location.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let target = Authority::parse(authority)?;
    let is_own = target.name().eq_ignore_ascii_case(own.name())
        && (matches!(target.port(), None | Some(80)) || target.port() == own.port());
    if !is_own {
        return None;
    }
    let mut url = format!("https://{}", target.host()).into_bytes();
    if let Some(port) = own.port().filter(|port| *port != 443) {
        url.extend_from_slice(format!(":{port}").as_bytes());
    }
    url.extend_from_slice(path);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_is_upgraded() {
        for (own, location, expected) in [
            (
                "example.org",
                "http://example.org/a?b#c",
                Some("https://example.org/a?b#c"),
            ),
            (
                "example.org",
                "HTTP://EXAMPLE.ORG",
                Some("https://EXAMPLE.ORG"),
            ),
            (
                "example.org",
                "http://example.org:80/a",
                Some("https://example.org/a"),
            ),
            (
                "example.org",
                "http://example.org?x=//y",
                Some("https://example.org?x=//y"),
            ),
            (
                "example.org:443",
                "http://example.org/a",
                Some("https://example.org/a"),
            ),
            (
                "example.org:10443",
                "http://example.org/a",
                Some("https://example.org:10443/a"),
            ),
            (
                "example.org:10443",
                "http://example.org:10443/a",
                Some("https://example.org:10443/a"),
            ),
            (
                "[::1]:10443",
                "http://[::1]/a",
                Some("https://[::1]:10443/a"),
            ),
            ("example.org", "http://example.org:8080/a", None),
            ("example.org", "http://other.example.org/", None),
            ("example.org", "http://example.org.evil.example/", None),
            ("example.org", "http://example.org@evil.example/", None),
            ("example.org", "https://example.org/", None),
            ("example.org", "/relative", None),
            ("example.org", "//example.org/", None),
            ("example.org", "http:/example.org", None),
            ("example.org", "", None),
        ] {
            let own = Authority::parse(own.as_bytes()).unwrap();
            let upgraded =
                upgrade(location.as_bytes(), own).map(|url| String::from_utf8(url).unwrap());
            assert_eq!(upgraded.as_deref(), expected, "{location}");
        }
        let own = Authority::parse(b"example.org").unwrap();
        assert_eq!(
            upgrade(b"http://example.org/\xff", own),
            Some(b"https://example.org/\xff".to_vec())
        );
    }
}
