//! How the choice is told to Envoy: one header, written once, last.
//!
//! 1. The client's own header of that name goes, whatever happens: by being replaced or by being removed.
//! 2. A request that this plugin does not steer (out of scope, mode `report` or `off`) gets none of `header`; with
//!    `cluster_header` and `weight_header` it gets that of stable, since such a route cannot do without.
//! 3. Nothing is written where nothing changes: any write makes Envoy choose the route anew.

use launchgate_sdk::RequestView;
use launchgate_sdk::config::ConfigErrors;
use launchgate_sdk::headers::InvalidHeader;

use crate::config::{ClustersConfig, SteerConfig, SteerKind};
use crate::rule::is_plain_header;

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Variant {
    /// The old one.
    #[default]
    Stable,
    /// The new one.
    Canary,
}

impl Variant {
    /// As a label value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

/// The checked header.
#[derive(Debug, Clone)]
pub(crate) struct Steer {
    kind: SteerKind,
    header: String,
    canary: String,
    stable: String,
}

const RESERVED: [&str; 8] = [
    "host",
    "cookie",
    "authorization",
    "connection",
    "content-length",
    "transfer-encoding",
    "x-forwarded-for",
    "x-request-id",
];

impl Steer {
    /// Checks header and values. Notes every mistake.
    pub(crate) fn new(
        config: SteerConfig,
        clusters: &ClustersConfig,
        errors: &mut ConfigErrors,
    ) -> Self {
        let header = config.header.to_ascii_lowercase();
        let valid = is_plain_header(&header) && !RESERVED.contains(&header.as_str());
        errors.check(
            valid,
            "steer.header",
            "expected the name of a header that carries nothing else",
        );
        let (canary, stable) = match config.kind {
            SteerKind::Header => ("canary", "stable"),
            SteerKind::ClusterHeader => (clusters.canary.as_str(), clusters.stable.as_str()),
            SteerKind::WeightHeader => ("999999", "0"),
        };
        let value = |key: &str, own: Option<String>, default: &str, errors: &mut ConfigErrors| {
            let value = own.unwrap_or_else(|| default.to_owned());
            let valid = !value.is_empty()
                && value.trim() == value
                && InvalidHeader::check("x", value.as_bytes()).is_ok();
            errors.check(valid, format!("steer.{key}"), "expected a header value");
            let number =
                value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u64>().is_ok();
            let numeric = config.kind != SteerKind::WeightHeader || number || !valid;
            errors.check(
                numeric,
                format!("steer.{key}"),
                "expected a whole number, as weight_header needs",
            );
            value
        };
        let canary = value("canary", config.canary, canary, errors);
        let stable = value("stable", config.stable, stable, errors);
        errors.check(
            canary != stable,
            "steer.stable",
            "expected another value than that of canary",
        );
        Self {
            kind: config.kind,
            header,
            canary,
            stable,
        }
    }

    /// Writes the choice. Tells whether the client sent a header of its own.
    pub(crate) fn write(&self, variant: Variant, view: &mut RequestView<'_>) -> bool {
        let forged = self.is_forged(view);
        let value = match variant {
            Variant::Canary => &self.canary,
            Variant::Stable => &self.stable,
        };
        if view.headers().only(&self.header) != Some(value.as_bytes()) {
            // Checked at load: name and value are valid.
            let _ = view.set(&self.header, value);
        }
        forged
    }

    /// For a request that is not steered. Tells as [`Self::write`] does.
    pub(crate) fn clear(&self, view: &mut RequestView<'_>) -> bool {
        match self.kind {
            SteerKind::ClusterHeader | SteerKind::WeightHeader => self.write(Variant::Stable, view),
            // Most requests have none, and cost no more than that question.
            SteerKind::Header if view.peek(&self.header).is_none() => false,
            SteerKind::Header => {
                let forged = self.is_forged(view);
                view.remove(&self.header);
                forged
            }
        }
    }

    /// Whether the client sent a header of its own.
    fn is_forged(&self, view: &RequestView<'_>) -> bool {
        // The shipped bootstraps put stable's value there before the filters.
        let is_own = |value: &[u8]| value == self.stable.as_bytes();
        !view.headers().all(&self.header).all(is_own)
    }
}
