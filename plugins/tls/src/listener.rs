//! Requests that came on a connection made for another listener.
//!
//! 1. The model is Gateway API's (GEP-3567): several listeners share a port, and a name belongs to the most specific one that
//!    matches it: an exact name, else the longest wildcard, else `*`.
//! 2. The name of the TLS handshake and the host of the request must belong to the same listener. So browsers may go on
//!    sharing one connection between the names of one listener.
//! 3. A host that belongs to no listener is not misdirected: no other connection would serve it, the router answers.
//! 4. Where the name of the handshake is not known (no `tls_inspector`, or none sent) nothing is misdirected.

use launchgate_sdk::scope::HostRule;

/// The listeners of a port.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<HostRule>);

impl Listeners {
    /// The most specific rules first.
    pub(crate) fn new(mut rules: Vec<HostRule>) -> Self {
        rules.sort_by_key(|rule| {
            let exact = !rule.as_str().starts_with('*');
            std::cmp::Reverse((exact, rule.as_str().len()))
        });
        Self(rules)
    }

    /// Whether a request for `host` on a connection made for `server_name` should have come on another one.
    pub(crate) fn is_misdirected(&self, server_name: &str, host: &str) -> bool {
        let server_name = server_name.strip_suffix('.').unwrap_or(server_name);
        let own = self.of(host);
        own.is_some() && own != self.of(server_name)
    }

    fn of(&self, name: &str) -> Option<usize> {
        self.0
            .iter()
            .position(|rule| rule.is_match(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(names: &[&str]) -> Listeners {
        Listeners::new(
            names
                .iter()
                .map(|name| HostRule::try_from((*name).to_owned()).unwrap())
                .collect(),
        )
    }

    /// The facts of Gateway API's conformance test for misdirected requests: what is no 421 there is left to the router here.
    #[test]
    fn the_gateway_api_table_holds() {
        let listeners = listeners(&[
            "*",
            "*.wildcard.org",
            "second-example.org",
            "fourth-example.wildcard.org",
        ]);
        for (server_name, host, misdirected) in [
            ("example.org", "example.org", false),
            ("example.org", "second-example.org", true),
            ("example.org", "unknown-example.org", false),
            ("second-example.org", "second-example.org", false),
            ("second-example.org", "example.org", true),
            ("second-example.org", "unknown-example.org", true),
            (
                "third-example.wildcard.org",
                "third-example.wildcard.org",
                false,
            ),
            (
                "third-example.wildcard.org",
                "fith-example.wildcard.org",
                false,
            ),
            (
                "third-example.wildcard.org",
                "fourth-example.wildcard.org",
                true,
            ),
            ("third-example.wildcard.org", "second-example.org", true),
            ("third-example.wildcard.org", "unknown-example.org", true),
            (
                "fourth-example.wildcard.org",
                "fourth-example.wildcard.org",
                false,
            ),
            (
                "fourth-example.wildcard.org",
                "fith-example.wildcard.org",
                true,
            ),
            ("unknown-example.org", "example.org", false),
            ("unknown-example.org", "unknown-example.org", false),
        ] {
            assert_eq!(
                listeners.is_misdirected(server_name, host),
                misdirected,
                "{server_name} {host}"
            );
        }
    }

    #[test]
    fn case_dots_depth_and_missing_catch_alls_are_understood() {
        let listeners = listeners(&["*.b.example", "*.a.b.example", "x.a.b.example"]);
        for (server_name, host, misdirected) in [
            ("Y.B.example", "z.b.EXAMPLE", false),
            ("y.b.example.", "z.b.example", false),
            ("y.b.example", "y.a.b.example", true),
            ("y.a.b.example", "deep.y.a.b.example", false),
            ("y.a.b.example", "x.a.b.example", true),
            ("b.example", "b.example", false),
            ("y.b.example", "other.example", false),
            ("other.example", "y.b.example", true),
        ] {
            assert_eq!(
                listeners.is_misdirected(server_name, host),
                misdirected,
                "{server_name} {host}"
            );
        }
    }
}
