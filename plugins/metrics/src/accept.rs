//! Which exposition format a scraper gets (RFC 9110 section 12.5.1; Prometheus, "Content negotiation").
//!
//! 1. OpenMetrics where `Accept` names `application/openmetrics-text` in version 1.0.0, 0.0.1 or none, with the highest weight
//!    of what can be given.
//! 2. Prometheus text 0.0.4 in every other case, as Prometheus itself falls back: a scrape is never refused.

/// An exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Reads all `accept` fields.
    pub(crate) fn negotiate<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut open, mut text) = (0, 0);
        for range in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
            let Some((media, version, weight)) = std::str::from_utf8(range).ok().and_then(read)
            else {
                continue;
            };
            match (media.as_str(), version) {
                ("application/openmetrics-text", "" | "1.0.0" | "0.0.1") => open = open.max(weight),
                ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _) => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// Media range, version, and weight in thousandths.
fn read(range: &str) -> Option<(String, &str, u32)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut version, mut weight) = ("", 1000);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => version = value,
            "q" => weight = thousandths(value)?,
            _ => {}
        }
    }
    Some((media, version, weight))
}

/// `0.75` as 750; `None` for what is no weight.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = format!("{fraction:0<3}")
        .parse::<u32>()
        .ok()
        .filter(|_| digits)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Text};

    #[test]
    fn the_format_follows_the_accept_header() {
        for (accept, expected) in [
            (&[][..], Text),
            (&["*/*"], Text),
            (&["text/plain"], Text),
            (&["application/json"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (
                &["application/openmetrics-text; version=1.0.0; charset=utf-8"],
                OpenMetrics,
            ),
            (
                &["Application/OpenMetrics-Text;VERSION=\"0.0.1\""],
                OpenMetrics,
            ),
            (&["application/openmetrics-text; version=2.0.0"], Text),
            (&["application/openmetrics-text;q=0"], Text),
            (
                &["application/openmetrics-text;q=0.4, text/plain;q=0.5"],
                Text,
            ),
            (
                &["application/openmetrics-text;q=0.5, */*;q=0.1"],
                OpenMetrics,
            ),
            (&["text/plain", "application/openmetrics-text"], OpenMetrics),
            (
                &["application/openmetrics-text;q=7, text/plain;q=0.1"],
                Text,
            ),
            (
                &[
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ],
                OpenMetrics,
            ),
            (
                &[
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
                ],
                Text,
            ),
            (&["\u{ff},;;=,q"], Text),
        ] {
            assert_eq!(
                Format::negotiate(accept.iter().map(|field| field.as_bytes())),
                expected,
                "{accept:?}"
            );
        }
        assert_eq!(Format::negotiate([&b"\xff\xfe"[..]].into_iter()), Text);
    }
}
