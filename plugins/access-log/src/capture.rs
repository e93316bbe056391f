//! What is kept of a request until its end: only the headers that a record needs, as the client sent them.

use std::collections::BTreeSet;

use launchgate_sdk::Headers;
use launchgate_sdk::trace::TraceFormat;

use crate::config::Config;
use crate::field::{Field, Source};

/// Names of the headers that a record needs.
#[derive(Debug)]
pub(crate) struct Capture(BTreeSet<Vec<u8>>);

const ALWAYS: [&str; 8] = [
    ":method",
    ":path",
    ":authority",
    ":scheme",
    "user-agent",
    "referer",
    "x-request-id",
    "content-type",
];

impl Capture {
    /// What this configuration needs.
    pub(crate) fn new(config: &Config, fields: &[Field]) -> Self {
        let mut names: BTreeSet<&str> = ALWAYS.into();
        for format in &config.trace {
            names.extend(match format {
                TraceFormat::Traceparent => &["traceparent"][..],
                TraceFormat::B3 => &[
                    "b3",
                    "x-b3-traceid",
                    "x-b3-spanid",
                    "x-b3-sampled",
                    "x-b3-flags",
                ],
                TraceFormat::SentryTrace => &["sentry-trace"],
            });
        }
        names.extend(
            config
                .user_id
                .jwt
                .as_ref()
                .map(|claim| claim.header.as_str()),
        );
        names.insert(&config.user_id.header);
        for field in fields {
            if let Source::Header(name) = &field.source {
                names.insert(name);
            }
        }
        Self(
            names
                .into_iter()
                .map(|name| name.to_ascii_lowercase().into_bytes())
                .collect(),
        )
    }

    /// The part of a header map that a record needs.
    pub(crate) fn take(&self, headers: &Headers) -> Headers {
        Headers::from_pairs(headers.iter().filter(|(name, _)| self.0.contains(*name)))
    }
}
