//! Where events go: `https://<public key>[:<secret>]@<host>[/<path prefix>]/<project id>`.
//!
//! 1. The endpoint is `<path prefix>/api/<project id>/envelope/` (Sentry, "Envelopes"). The project id is a text.
//! 2. The secret is optional and deprecated; it is sent where it is given.
//! 3. The organisation is `o<digits>` as the first label of the host, where it is so.

use launchgate_sdk::Secret;
use launchgate_sdk::call_config::Url;

/// A checked DSN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dsn {
    /// Public key. Not shown, although Sentry counts it as public.
    pub public_key: Secret,
    /// Secret key.
    pub secret_key: Option<Secret>,
    /// Host and port.
    pub authority: String,
    /// Path of the envelope endpoint.
    pub path: String,
    /// Organisation.
    pub org_id: Option<String>,
}

impl Dsn {
    /// Reads a DSN.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim())?;
        let user = url.user?;
        let (public, secret) = match user.expose().split_once(':') {
            Some((public, secret)) => (public, Some(secret).filter(|secret| !secret.is_empty())),
            None => (user.expose(), None),
        };
        let (prefix, project) = url.path.trim_end_matches('/').rsplit_once('/')?;
        let is_key = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let is_project = !project.is_empty()
            && project
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_key(public) || !secret.is_none_or(is_key) || !is_project || prefix.contains('?') {
            return None;
        }
        let org_id = url
            .authority
            .split('.')
            .next()
            .and_then(|label| label.strip_prefix('o'));
        let org_id = org_id
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .map(str::to_owned);
        Some(Self {
            public_key: Secret::new(public),
            secret_key: secret.map(Secret::new),
            path: format!("{prefix}/api/{project}/envelope/"),
            authority: url.authority,
            org_id,
        })
    }

    /// The value of `x-sentry-auth` (Sentry, "Authentication").
    pub(crate) fn auth(&self, client: &str) -> String {
        let mut text = format!(
            "Sentry sentry_version=7, sentry_client={client}, sentry_key={}",
            self.public_key.expose()
        );
        if let Some(secret) = &self.secret_key {
            text.push_str(", sentry_secret=");
            text.push_str(secret.expose());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_gives_endpoint_and_authentication() {
        for (text, authority, path, org, auth) in [
            (
                "https://abc@o42.ingest.sentry.io/7",
                "o42.ingest.sentry.io",
                "/api/7/envelope/",
                Some("42"),
                "sentry_key=abc",
            ),
            (
                "http://abc:def@127.0.0.1:8000/7",
                "127.0.0.1:8000",
                "/api/7/envelope/",
                None,
                "sentry_key=abc, sentry_secret=def",
            ),
            (
                "https://abc@sentry.example.org/a/b/proj-1/",
                "sentry.example.org",
                "/a/b/api/proj-1/envelope/",
                None,
                "sentry_key=abc",
            ),
            (
                "https://abc:@[::1]:9000/7",
                "[::1]:9000",
                "/api/7/envelope/",
                None,
                "sentry_key=abc",
            ),
            (
                " https://abc@other.example/7 ",
                "other.example",
                "/api/7/envelope/",
                None,
                "sentry_key=abc",
            ),
        ] {
            let dsn = Dsn::parse(text).unwrap();
            assert_eq!(
                (
                    dsn.authority.as_str(),
                    dsn.path.as_str(),
                    dsn.org_id.as_deref()
                ),
                (authority, path, org),
                "{text}"
            );
            assert_eq!(
                dsn.auth("c/1"),
                format!("Sentry sentry_version=7, sentry_client=c/1, {auth}"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_dsn_is_refused() {
        for text in [
            "",
            "https://sentry.example.org/7",
            "https://@h/7",
            "https://k@h",
            "https://k@h/",
            "https://k@/7",
            "ftp://k@h/7",
            "k@h/7",
            "https://k k@h/7",
            "https://k,sentry_key=x@h/7",
            "https://k@h/7?x",
            "https://k@h/7#x",
            "https://k@h/a b",
            "https://k\r\nx@h/7",
        ] {
            assert!(Dsn::parse(text).is_none(), "{text:?}");
        }
        assert!(!format!("{:?}", Dsn::parse("https://hunter2:s3cret@h/7")).contains("hunter2"));
    }
}
