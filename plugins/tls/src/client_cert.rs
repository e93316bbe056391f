//! Paths that need a client certificate.
//!
//! 1. The certificate is the connection's own: what a header says of one never counts.
//! 2. A digest in `sha256` proves the certificate by itself, since the handshake proved its key.
//! 3. A name in `uri_san` is only what the certificate says; it is proven where the listener validates. Without
//!    `listener_validates` such a rule gives a warning at load.
//! 4. All conditions of a rule hold, and all rules whose path matches; an ambiguous path is inside every one.

use launchgate_sdk::path::{PathRule, RequestPath};
use launchgate_sdk::{Attribute, ConfigErrors, RequestView};

use crate::config::ClientCertConfig;

/// One rule.
#[derive(Debug)]
pub(crate) struct ClientCert {
    path: PathRule,
    sha256: Vec<String>,
    uri_san: Vec<String>,
    /// The operator's word that the listener validates.
    pub(crate) listener_validates: bool,
}

impl ClientCert {
    /// Checks the rules of a configuration.
    pub(crate) fn rules(
        configs: Vec<ClientCertConfig>,
        errors: &mut ConfigErrors,
        warnings: &mut Vec<String>,
    ) -> Vec<Self> {
        let rule = |(index, config)| Self::rule(index, config, errors, warnings);
        configs.into_iter().enumerate().map(rule).collect()
    }

    fn rule(
        index: usize,
        config: ClientCertConfig,
        errors: &mut ConfigErrors,
        warnings: &mut Vec<String>,
    ) -> Self {
        let ClientCertConfig {
            path,
            sha256,
            uri_san,
            listener_validates,
        } = config;
        let at = format!("client_cert[{index}]");
        if sha256.is_empty() && uri_san.is_empty() && !listener_validates {
            errors.push(
                &at,
                "expected sha256, uri_san or \"listener_validates\": true",
            );
        }
        if !uri_san.is_empty() && sha256.is_empty() && !listener_validates {
            warnings.push(format!("{at}: uri_san proves nothing unless the listener validates client certificates; say so with listener_validates"));
        }
        let digest = |(position, text): (usize, String)| {
            let hex: String = text
                .chars()
                .filter(|letter| *letter != ':')
                .collect::<String>()
                .to_ascii_lowercase();
            let valid = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            errors.check(
                valid,
                format!("{at}.sha256[{position}]"),
                "expected 64 hexadecimal digits",
            );
            hex
        };
        let sha256 = sha256.into_iter().enumerate().map(digest).collect();
        Self {
            path,
            sha256,
            uri_san,
            listener_validates,
        }
    }

    /// Whether the rule speaks of a path.
    pub(crate) fn protects(&self, path: RequestPath<'_>) -> bool {
        self.path.protects(path)
    }

    /// Whether the connection's certificate satisfies the rule.
    pub(crate) fn is_satisfied(&self, view: &RequestView<'_>) -> bool {
        let is_allowed = |attribute, allowed: &[String]| {
            allowed.is_empty()
                || view
                    .attribute(attribute)
                    .is_some_and(|value| allowed.iter().any(|own| own.as_bytes() == &*value))
        };
        view.flag(Attribute::Mtls)
            && self.has_digest(view)
            && is_allowed(Attribute::PeerUriSan, &self.uri_san)
    }

    /// Whether the connection's certificate is proven, by its digest or by the listener.
    pub(crate) fn proves(&self, view: &RequestView<'_>) -> bool {
        (self.listener_validates || !self.sha256.is_empty()) && self.has_digest(view)
    }

    fn has_digest(&self, view: &RequestView<'_>) -> bool {
        let is_own = |digest: &[u8]| {
            self.sha256
                .iter()
                .any(|own| own.as_bytes().eq_ignore_ascii_case(digest))
        };
        self.sha256.is_empty()
            || view
                .attribute(Attribute::PeerSha256)
                .is_some_and(|digest| is_own(&digest))
    }
}
