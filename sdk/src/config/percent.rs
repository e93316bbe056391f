//! A share in a configuration: a percent number, held as an integer so that comparisons are exact.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

/// A share from 0 to 100 percent with up to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u32);

const SCALE: f64 = 10_000.0;
const EXPECTED: &str = "expected a percent number from 0 to 100 with at most 4 decimals";

impl Percent {
    /// Everything.
    pub const ALL: Self = Self(1_000_000);

    /// From whole percents; above 100 counts as 100.
    pub const fn whole(percent: u32) -> Self {
        Self(if percent > 100 {
            1_000_000
        } else {
            percent * 10_000
        })
    }

    /// Parts of a million.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percent number from 0 to 100")
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
        let scaled = deserializer.deserialize_any(Number)? * SCALE;
        let exact = (scaled - scaled.round()).abs() < 1e-6;
        if exact && (0.0..=1_000_000.0).contains(&scaled) {
            return Ok(Self(scaled.round() as u32));
        }
        Err(D::Error::custom(EXPECTED))
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 100, "description": "A percent number with at most 4 decimals."})
    }
}

#[cfg(not(target_family = "wasm"))]
impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / SCALE)
    }
}
