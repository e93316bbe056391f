//! Statuses in a configuration: `500`, `"500"` or `"500-599"`.

use launchgate_sdk::config::{Decode, Json, Mistakes};

/// A range of HTTP statuses, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// Reads a range.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (parse_status(first)?, parse_status(last)?);
        (first <= last).then_some(Self { first, last })
    }

    /// Whether a status is inside.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

fn parse_status(text: &str) -> Option<u16> {
    let status = text
        .parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    (100..=599).contains(&status).then_some(status)
}

impl Decode for StatusRange {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        let range = match json {
            Json::String(text) => Self::parse(text),
            Json::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        };
        mistakes.noted(
            range,
            "expected a status such as 503 or a range such as \"500-599\", from 100 to 599",
        )
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for StatusRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StatusRange".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "oneOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^(\\$\\{.*|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$"}],
            "description": "A status such as `503` or a range such as `500-599`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_ranges_are_read_strictly() {
        for (text, inside, outside) in [
            ("500", 500, 501),
            ("\"500-599\"", 599, 499),
            ("\"404\"", 404, 405),
        ] {
            let range: StatusRange = launchgate_sdk::config::read(text).unwrap();
            assert!(range.contains(inside) && !range.contains(outside), "{text}");
        }
        for text in [
            "\"\"",
            "99",
            "600",
            "\"599-500\"",
            "\"5xx\"",
            "\"+500\"",
            "\"500-\"",
            "-500",
            "null",
            "[500]",
        ] {
            assert!(
                launchgate_sdk::config::read::<StatusRange>(text).is_err(),
                "{text}"
            );
        }
    }
}
