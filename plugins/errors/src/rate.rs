//! A share as Sentry spells it: a number from 0 to 1, held as an integer so that comparisons are exact.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

/// A share from 0 to 1 with up to six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

const WHOLE: u32 = 1_000_000;
const EXPECTED: &str = "expected a number from 0 to 1 with at most 6 decimals";

impl Rate {
    /// Everything.
    pub const ALL: Self = Self(WHOLE);

    /// Whether a throw of the dice is inside; `random` is any random number.
    pub fn admits(self, random: u64) -> bool {
        self.admits_share(
            u32::try_from((u128::from(random) * u128::from(WHOLE)) >> 64).unwrap_or(0),
        )
    }

    /// Whether a throw in parts of a million (below a million) is inside.
    pub fn admits_share(self, share: u32) -> bool {
        share < self.0
    }

    /// Reads a `sample_rand`: at least 0, below 1. In parts of a million, cut.
    pub fn share(text: &str) -> Option<u32> {
        let value: f64 = text.parse().ok()?;
        (0.0..1.0)
            .contains(&value)
            .then_some((value * f64::from(WHOLE)) as u32)
    }
}

/// As a decimal fraction.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / WHOLE, self.0 % WHOLE);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 1")
            }

            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }
        }
        let scaled = deserializer.deserialize_any(Number)? * f64::from(WHOLE);
        let exact = (scaled - scaled.round()).abs() < 1e-6;
        if exact && (0.0..=f64::from(WHOLE)).contains(&scaled) {
            return Ok(Self(scaled.round() as u32));
        }
        Err(D::Error::custom(EXPECTED))
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 1, "description": "A share from 0 to 1."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly_and_nothing_else_is() {
        for (text, shown) in [
            ("0", "0"),
            ("1", "1"),
            ("1.0", "1"),
            ("0.2", "0.2"),
            ("0.000001", "0.000001"),
        ] {
            assert_eq!(
                serde_json::from_str::<Rate>(text).unwrap().to_string(),
                shown
            );
        }
        for text in ["1.1", "-0.1", "2", "0.0000001", "\"1\"", "null", "true"] {
            assert!(serde_json::from_str::<Rate>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_and_everything_are_admitted_without_exception() {
        let none: Rate = serde_json::from_str("0").unwrap();
        let fifth: Rate = serde_json::from_str("0.2").unwrap();
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Rate::ALL.admits(random) && !none.admits(random), "{random}");
        }
        assert!(fifth.admits(u64::MAX / 6) && !fifth.admits(u64::MAX / 4));
        for (text, share) in [
            ("0.25", Some(250_000)),
            ("0", Some(0)),
            ("1", None),
            ("-0.1", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(Rate::share(text), share, "{text}");
        }
    }
}
