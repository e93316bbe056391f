//! The body of a batch as a template.

use launchgate_sdk::json;

use crate::record::Record;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Record,
    RecordString,
    TimeNanos,
    TimeMillis,
    Level,
    Service,
}

/// A text with operators such as `%RECORD%`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads a template. `%` and capital letters between two `%` must be an operator; any other `%` is itself.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            plain.push_str(before);
            let operator = after.split_once('%').filter(|(name, _)| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            });
            let Some((name, tail)) = operator else {
                plain.push('%');
                rest = after;
                continue;
            };
            let part = match name {
                "RECORD" => Part::Record,
                "RECORD_STRING" => Part::RecordString,
                "TIME_NS" => Part::TimeNanos,
                "TIME_MS" => Part::TimeMillis,
                "LEVEL" => Part::Level,
                "SERVICE" => Part::Service,
                _ => {
                    return Err(
                        "expected an operator among RECORD, RECORD_STRING, TIME_NS, TIME_MS, LEVEL, SERVICE",
                    );
                }
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
            rest = tail;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// Whether it needs a record: only `line` may.
    pub(crate) fn needs_record(&self) -> bool {
        self.0
            .iter()
            .any(|part| !matches!(part, Part::Text(_) | Part::Service))
    }

    /// The text for a record that is rendered already.
    pub(crate) fn fill(&self, service: &str, record: &Record, line: &str) -> String {
        let mut out = String::with_capacity(line.len() + 64);
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Record => out.push_str(line),
                Part::RecordString => {
                    let mut text = Vec::with_capacity(line.len() + 64);
                    json::write_text(&mut text, line.as_bytes());
                    out.push_str(&json::text(text));
                }
                Part::TimeNanos => out.push_str(&record.time.nanos().to_string()),
                Part::TimeMillis => out.push_str(&record.time.millis().to_string()),
                Part::Level => out.push_str(record.severity.as_str()),
                Part::Service => out.push_str(service),
            }
        }
        out
    }

    /// The text where there is no record.
    pub(crate) fn fixed(&self, service: &str) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Service => service,
            _ => "",
        });
        texts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Severity;
    use launchgate_sdk::Timestamp;

    fn record() -> Record {
        Record {
            time: Timestamp::from_nanos(1_795_348_800_000_000_001),
            observed: Timestamp::default(),
            severity: Severity::Error,
            message: Vec::new(),
            trace_id: None,
            span_id: None,
            sampled: None,
            fields: Vec::new(),
            truncated: Vec::new(),
        }
    }

    #[test]
    fn operators_are_filled() {
        for (template, filled) in [
            ("%RECORD%", r#"{"a":"b"}"#),
            (
                "{\"create\":{}}\n%RECORD%",
                "{\"create\":{}}\n{\"a\":\"b\"}",
            ),
            (
                r#"["%TIME_NS%",%RECORD_STRING%]"#,
                r#"["1795348800000000001","{\"a\":\"b\"}"]"#,
            ),
            ("%TIME_MS% %LEVEL% %SERVICE%", "1795348800000 error svc"),
            ("100% %a% %% %", "100% %a% %% %"),
            ("", ""),
        ] {
            let parsed = Template::parse(template).unwrap();
            assert_eq!(
                parsed.fill("svc", &record(), r#"{"a":"b"}"#),
                filled,
                "{template}"
            );
        }
        assert!(Template::parse("%RECORDS%").is_err());
        let fixed = Template::parse("{%SERVICE%}").unwrap();
        assert_eq!(
            (fixed.fixed("svc").as_str(), fixed.needs_record()),
            ("{svc}", false)
        );
        assert!(Template::parse("%LEVEL%").unwrap().needs_record());
    }
}
