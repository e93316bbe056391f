//! A share in a configuration, held as an integer so that comparisons are exact: as a percent number, or as a part of one.

use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

/// A share whose whole is spelled `WHOLE`, in parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share<const WHOLE: u32>(u32);

/// A share from 0 to 100 percent with up to four decimals.
pub type Percent = Share<100>;
/// A share from 0 to 1 with up to six decimals, as Sentry spells it.
pub type Rate = Share<1>;

const MILLION: u32 = 1_000_000;

impl<const WHOLE: u32> Share<WHOLE> {
    /// Everything.
    pub const ALL: Self = Self(MILLION);

    /// Parts of a million.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Whether a throw of the dice is inside; `random` is any random number.
    pub fn admits(self, random: u64) -> bool {
        let share = (u128::from(random) * u128::from(MILLION)) >> 64;
        share < u128::from(self.0)
    }
}

impl Percent {
    /// From whole percents; above 100 counts as 100.
    pub const fn whole(percent: u32) -> Self {
        Self(if percent > 100 {
            MILLION
        } else {
            percent * 10_000
        })
    }
}

/// As it is spelled.
impl<const WHOLE: u32> fmt::Display for Share<WHOLE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = MILLION / WHOLE;
        let decimals = one.ilog10() as usize;
        let text = format!("{}.{:0decimals$}", self.0 / one, self.0 % one);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl<'de, const WHOLE: u32> Deserialize<'de> for Share<WHOLE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, WHOLE).map(Self)
    }
}

/// Not generic over the whole: one copy in a module.
fn read<'de, D: Deserializer<'de>>(deserializer: D, whole: u32) -> Result<u32, D::Error> {
    struct Number(u32);
    impl Visitor<'_> for Number {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if self.0 == 1 {
                "a number"
            } else {
                "a percent number"
            })?;
            write!(f, " from 0 to {}", self.0)
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
    let scaled = deserializer.deserialize_any(Number(whole))? * f64::from(MILLION / whole);
    let exact = (scaled - scaled.round()).abs() < 1e-6;
    if exact && (0.0..=f64::from(MILLION)).contains(&scaled) {
        return Ok(scaled.round() as u32);
    }
    Err(D::Error::custom(if whole == 1 {
        "expected a number from 0 to 1 with at most 6 decimals"
    } else {
        "expected a percent number from 0 to 100 with at most 4 decimals"
    }))
}

#[cfg(not(target_family = "wasm"))]
impl<const WHOLE: u32> schemars::JsonSchema for Share<WHOLE> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        if WHOLE == 1 { "Rate" } else { "Percent" }.into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description = match WHOLE {
            1 => "A share from 0 to 1.",
            _ => "A percent number with at most 4 decimals.",
        };
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": WHOLE, "description": description})
    }
}

#[cfg(not(target_family = "wasm"))]
impl<const WHOLE: u32> serde::Serialize for Share<WHOLE> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(MILLION / WHOLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn shares_are_read_exactly_and_nothing_else_is() {
        for (text, shown) in [
            ("0", "0"),
            ("1", "1"),
            ("1.0", "1"),
            ("0.2", "0.2"),
            ("0.000001", "0.000001"),
        ] {
            let rate: Rate = serde_json::from_str(text).unwrap();
            assert_eq!(rate.to_string(), shown);
        }
        for text in ["1.1", "-0.1", "2", "0.0000001", "\"1\"", "null", "true"] {
            assert!(serde_json::from_str::<Rate>(text).is_err(), "{text}");
        }
        let percent: Percent = serde_json::from_str("12.5").unwrap();
        assert_eq!(
            (percent.millionths(), percent.to_string()),
            (125_000, "12.5".to_owned())
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn nothing_and_everything_are_admitted_without_exception() {
        let none: Rate = serde_json::from_str("0").unwrap();
        let fifth: Rate = serde_json::from_str("0.2").unwrap();
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Rate::ALL.admits(random) && !none.admits(random), "{random}");
        }
        assert!(fifth.admits(u64::MAX / 6) && !fifth.admits(u64::MAX / 4));
    }
}
