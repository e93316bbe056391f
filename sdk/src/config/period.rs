//! A duration in a configuration: `"250ms"`, `"2.5s"`, `"15m"`, `"1h30m"`, `"30d"`.

use std::fmt;
use std::time::Duration;

use super::{Decode, Json, Mistakes};

/// A duration, written as a string with units `us`, `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Period(pub Duration);

const UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const DECIMALS: usize = 9;

impl Period {
    /// From whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// From whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Parses a text; at least one number with a unit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
            let unit_end = after
                .find(|letter: char| !letter.is_ascii_lowercase())
                .unwrap_or(after.len());
            let (unit, after_unit) = after.split_at_checked(unit_end)?;
            let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
            if whole.is_empty()
                || fraction.len() > DECIMALS
                || (fraction.is_empty() && after.len() < rest.len() - whole.len())
            {
                return None;
            }
            total = total
                .checked_add(whole.parse::<u64>().ok()?.checked_mul(*nanos)?)?
                .checked_add(part(fraction, *nanos)?)?;
            rest = after_unit;
        }
        (!text.is_empty()).then_some(Self(Duration::from_nanos(total)))
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Nanoseconds of a decimal fraction of a unit.
fn part(fraction: &str, unit: u64) -> Option<u64> {
    if fraction.is_empty() {
        return Some(0);
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(fraction.parse::<u128>().ok()? * u128::from(unit) / scale).ok()
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

/// The largest unit that divides it; less than a microsecond is a decimal of seconds.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if !nanos.is_multiple_of(1000) {
            return write!(f, "{}.{:09}s", self.0.as_secs(), self.0.subsec_nanos());
        }
        let (name, unit) = UNITS
            .iter()
            .rev()
            .find(|(_, unit)| nanos > 0 && nanos.is_multiple_of(u128::from(*unit)))
            .unwrap_or(&("s", 1_000_000_000));
        write!(f, "{}{name}", nanos / u128::from(*unit))
    }
}

impl Decode for Period {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(
            json.as_str().and_then(Self::parse),
            "expected a duration such as \"250ms\", \"15m\" or \"1h30m\"",
        )
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A duration such as `250ms`, `2.5s`, `15m`, `1h30m`, `30d`.",
            "pattern": r"^(\$\{.*|([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+)$"
        })
    }
}

#[cfg(not(target_family = "wasm"))]
impl serde::Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
