//! What is kept of a request until its end: its headers as the client sent them. Of a large request only those that a record
//! needs, since an exchange may last for hours.

use std::rc::Rc;

use launchgate_sdk::map::Set;

use launchgate_sdk::Headers;
use launchgate_sdk::trace::TraceFormat;

use crate::config::Config;
use crate::field::{Field, Source};

const B3: [&str; 5] = [
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// Names of the headers that a record needs.
#[derive(Debug)]
pub(crate) struct Capture(Set<Vec<u8>>);

/// Largest snapshot that is kept whole, in bytes.
const SNAPSHOT_LIMIT: usize = 8 * 1024;

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
        // Inserted one by one: `collect` would bring a sort into the module.
        let mut names = Set::new();
        let mut insert = |name: &str| {
            names.insert(name.to_ascii_lowercase().into_bytes());
        };
        ALWAYS.into_iter().for_each(&mut insert);
        for format in &config.trace {
            let read: &[&str] = match format {
                TraceFormat::Traceparent => &["traceparent"],
                TraceFormat::B3 => &B3,
                TraceFormat::SentryTrace => &["sentry-trace"],
            };
            read.iter().copied().for_each(&mut insert);
        }
        if let Some(claim) = &config.user_id.jwt {
            insert(&claim.header);
        }
        insert(&config.user_id.header);
        for field in fields {
            if let Source::Header(name) = &field.source {
                insert(name);
            }
        }
        Self(names)
    }

    /// What is kept of a snapshot: all of it where it is small, since another policy may hold it anyway.
    pub(crate) fn keep(&self, snapshot: Rc<Headers>) -> Rc<Headers> {
        if snapshot.size() <= SNAPSHOT_LIMIT {
            snapshot
        } else {
            Rc::new(self.take(&snapshot))
        }
    }

    /// The part of a header map that a record needs.
    pub(crate) fn take(&self, headers: &Headers) -> Headers {
        Headers::from_pairs(headers.iter().filter(|(name, _)| self.0.contains(*name)))
    }
}
