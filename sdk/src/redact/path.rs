//! Secrets in path segments, such as `/reset/<token>`.
//!
//! 1. A pattern is matched segment by segment from the start, after percent-decoding, without regard to case, empty
//!    segments left out; the segments under `*` are redacted. A longer path is covered too.
//! 2. Another server may read an ambiguous path (see [`crate::path`]) in another way: there, from the first segment that
//!    is also the pattern's first, every later segment is redacted.

use std::ops::Range;

use crate::path::RequestPath;
use crate::percent_encoding::decode_fully;

/// A pattern with at least one `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern(Vec<Option<Vec<u8>>>);

impl PathPattern {
    /// Parses a pattern.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let segments: Vec<_> = rest
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                (segment != "*").then(|| decode_fully(segment.as_bytes()).to_ascii_lowercase())
            })
            .collect();
        let valid = segments.contains(&None) && !text.contains(['?', '#']);
        valid.then_some(Self(segments))
    }

    /// Ranges of the segments of `path` to redact.
    pub(super) fn secrets(&self, path: &[u8]) -> Vec<Range<usize>> {
        let segments = segments(path);
        let literal = |range: &Range<usize>| {
            decode_fully(path.get(range.clone()).unwrap_or_default()).to_ascii_lowercase()
        };
        if RequestPath::read(path).is_ambiguous() {
            let first = self.0.first().cloned().flatten();
            let from = match first {
                Some(first) => segments
                    .iter()
                    .position(|range| literal(range) == first)
                    .map(|at| at + 1),
                None => Some(0),
            };
            return segments
                .into_iter()
                .skip(from.unwrap_or(usize::MAX))
                .collect();
        }
        let fits = self
            .0
            .iter()
            .zip(&segments)
            .all(|(own, range)| own.as_ref().is_none_or(|own| *own == literal(range)));
        let open = self.0.iter().zip(segments).filter(|(own, _)| own.is_none());
        if fits {
            open.map(|(_, range)| range).collect()
        } else {
            Vec::new()
        }
    }
}

/// Ranges of the segments, empty ones left out. `\` and encoded separators separate too.
pub(super) fn segments(path: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at <= path.len() {
        let rest = path.get(at..).unwrap_or_default();
        let width = separator(rest);
        if width > 0 || rest.is_empty() {
            if at > start {
                found.push(start..at);
            }
            at += width.max(1);
            start = at;
        } else {
            at += 1;
        }
    }
    found
}

fn separator(rest: &[u8]) -> usize {
    match rest {
        [b'/' | b'\\', ..] => 1,
        [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn segments_under_a_star_are_found() {
        let pattern = PathPattern::parse("/reset/*/confirm").unwrap();
        for (path, secrets) in [
            ("/reset/abc/confirm", vec!["abc"]),
            ("/reset/abc", vec!["abc"]),
            ("/reset/abc/confirm/more", vec!["abc"]),
            ("/Reset/abc/", vec!["abc"]),
            ("/%72eset/abc", vec!["abc"]),
            ("/reset", vec![]),
            ("/other/abc", vec![]),
            ("/reset/abc/other", vec![]),
            // Ambiguous: everything after the first segment.
            ("/x/../reset/abc/other", vec!["abc", "other"]),
            ("//reset//abc", vec!["abc"]),
            ("/reset%2fabc", vec!["abc"]),
            ("/reset\\abc", vec!["abc"]),
            ("/reset/x/../abc", vec!["x", "..", "abc"]),
            ("", vec![]),
        ] {
            let found: Vec<_> = pattern
                .secrets(path.as_bytes())
                .into_iter()
                .map(|range| path.get(range).unwrap())
                .collect();
            assert_eq!(found, secrets, "{path}");
        }
        for text in ["", "reset/*", "/reset", "/", "/a?*"] {
            assert_eq!(PathPattern::parse(text), None, "{text}");
        }
    }
}
