//! Request methods that have a name of their own in labels and attributes; all others are [`OTHER`].
//!
//! Source: OpenTelemetry's semantic conventions, `http.request.method` (RFC 9110, PATCH of RFC 5789, and QUERY).

/// Known methods.
pub const KNOWN: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];

/// What stands for a method that is not known.
pub const OTHER: &str = "_OTHER";

/// Position among the known ones. Methods are case-sensitive (RFC 9110 section 9.1).
pub fn position(method: &[u8]) -> Option<usize> {
    KNOWN.iter().position(|name| name.as_bytes() == method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn methods_are_known_by_their_exact_name() {
        for (method, expected) in [
            ("GET", Some(0)),
            ("QUERY", Some(9)),
            ("get", None),
            ("BREW", None),
            ("", None),
            ("GETS", None),
        ] {
            assert_eq!(position(method.as_bytes()), expected, "{method}");
        }
    }
}
