//! Request headers that speak of a client certificate: a client must not write them itself.
//!
//! 1. All names of the list are stripped; a trailing `*` means all names that begin so.
//! 2. `_` counts as `-`: CGI and its heirs (WSGI, Rack, PHP) read both as the same variable.
//! 3. Envoy's own `x-forwarded-client-cert` stays where it can be Envoy's: on a connection with a certificate that is proven by
//!    the listener or by its digest. Whether Envoy then writes it anew is its `forward_client_cert_details` (`SANITIZE_SET`).

use launchgate_sdk::{ConfigErrors, Headers};

/// Envoy's own header.
pub(crate) const ENVOYS: &str = "x-forwarded-client-cert";

/// Names in use: Envoy, RFC 9440, nginx and Apache, Traefik, AWS, Google Cloud, Azure, F5.
pub(crate) const KNOWN: &[&str] = &[
    "x-forwarded-client-cert*",
    "client-cert",
    "client-cert-chain",
    "ssl-client-*",
    "ssl-cert",
    "x-ssl-client-*",
    "x-ssl-cert",
    "x-client-cert*",
    "x-client-dn",
    "x-client-verify",
    "x-client-ssl-*",
    "x-forwarded-tls-client-cert*",
    "x-forwarded-ssl-client-*",
    "x-amzn-mtls-*",
    "x-arr-clientcert",
];

/// Names to strip.
#[derive(Debug)]
pub(crate) struct CertificateHeaders {
    patterns: Vec<Pattern>,
    /// Their first bytes, each once; `None` where a pattern is too short to have them.
    begins: Option<Vec<u32>>,
}

/// A name, or the begin of names, in lower case with `_` written as `-`.
#[derive(Debug)]
struct Pattern {
    name: Vec<u8>,
    is_begin: bool,
}

impl CertificateHeaders {
    /// Checks the patterns.
    pub(crate) fn new(patterns: &[String], errors: &mut ConfigErrors) -> Self {
        for (index, pattern) in patterns.iter().enumerate() {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            let valid = !name.is_empty()
                && name.bytes().all(launchgate_sdk::headers::is_token_byte)
                && !name.contains('*');
            errors.check(
                valid,
                format!("certificate_headers.strip[{index}]"),
                "expected a header name, or the begin of one and \"*\"",
            );
        }
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::read(text)).collect();
        let mut begins = Some(Vec::new());
        for pattern in &patterns {
            begins = begins.zip(begin(&pattern.name)).map(|(mut all, own)| {
                if !all.contains(&own) {
                    all.push(own);
                }
                all
            });
        }
        Self { patterns, begins }
    }

    /// The names of a request that are to go, each once.
    pub(crate) fn found(&self, request: &Headers) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in request.iter() {
            if !self.may_match(name) || !self.patterns.iter().any(|known| known.is_match(name)) {
                continue;
            }
            let name = String::from_utf8_lossy(name);
            if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                names.push(name.into_owned());
            }
        }
        names
    }

    /// Most headers begin like no pattern: one number tells, and nothing is compared.
    fn may_match(&self, name: &[u8]) -> bool {
        match &self.begins {
            Some(begins) => begin(name).is_some_and(|own| begins.contains(&own)),
            None => true,
        }
    }
}

/// The first three bytes of a name as a number: `x-f` tells `x-forwarded-client-cert` from `x-request-id`.
fn begin(name: &[u8]) -> Option<u32> {
    let [a, b, c] = name.first_chunk()?;
    Some(u32::from_be_bytes([0, fold(a), fold(b), fold(c)]))
}

impl Pattern {
    fn read(text: &str) -> Self {
        let name = text.strip_suffix('*');
        Self {
            is_begin: name.is_some(),
            name: name
                .unwrap_or(text)
                .bytes()
                .map(|byte| fold(&byte))
                .collect(),
        }
    }

    fn is_match(&self, name: &[u8]) -> bool {
        let own = name.get(..self.name.len());
        (self.is_begin || name.len() == self.name.len())
            && own.is_some_and(|own| own.iter().map(fold).eq(self.name.iter().copied()))
    }
}

fn fold(byte: &u8) -> u8 {
    match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_headers_are_found_in_every_spelling() {
        let known: Vec<String> = KNOWN.iter().map(|name| (*name).to_owned()).collect();
        let headers = CertificateHeaders::new(&known, &mut ConfigErrors::default());
        for (name, found) in [
            ("x-forwarded-client-cert", true),
            ("X-Forwarded-Client-Cert", true),
            ("x_forwarded_client_cert", true),
            ("x-forwarded-client-cert-chain", true),
            ("client-cert", true),
            ("Client-Cert-Chain", true),
            ("client_cert", true),
            ("ssl-client-verify", true),
            ("SSL_CLIENT_CERT", true),
            ("x-ssl-client-s-dn", true),
            ("x-amzn-mtls-clientcert-subject", true),
            ("x-forwarded-tls-client-cert-info", true),
            ("x-arr-clientcert", true),
            ("client-certificate", false),
            ("x-forwarded-for", false),
            ("x-client", false),
            ("my-client-cert", false),
            (":path", false),
        ] {
            let request = Headers::from_pairs([(name, "x"), (name, "y")]);
            assert_eq!(headers.found(&request).len(), usize::from(found), "{name}");
        }
    }
}
