//! A share in a configuration, held as an integer so that comparisons are exact: as a percent number, or as a part of one.

use std::fmt;

use super::{Decode, Json, Mistakes};

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

impl<const WHOLE: u32> Decode for Share<WHOLE> {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        millionths(json, WHOLE, mistakes).map(Self)
    }
}

/// Not generic over the whole: one copy in a module.
fn millionths(json: &Json, whole: u32, mistakes: &mut Mistakes) -> Option<u32> {
    let valid = |scaled: &f64| {
        (scaled - scaled.round()).abs() < 1e-6 && (0.0..=f64::from(MILLION)).contains(scaled)
    };
    let scaled = json
        .as_f64()
        .map(|number| number * f64::from(MILLION / whole));
    let expected = if whole == 1 {
        "expected a number from 0 to 1 with at most 6 decimals"
    } else {
        "expected a percent number from 0 to 100 with at most 4 decimals"
    };
    mistakes
        .noted(scaled.filter(valid), expected)
        .map(|scaled| scaled.round() as u32)
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
            let rate: Rate = crate::config::read(text).unwrap();
            assert_eq!(rate.to_string(), shown);
        }
        for text in ["1.1", "-0.1", "2", "0.0000001", "\"1\"", "null", "true"] {
            assert!(crate::config::read::<Rate>(text).is_err(), "{text}");
        }
        let percent: Percent = crate::config::read("12.5").unwrap();
        assert_eq!(
            (percent.millionths(), percent.to_string()),
            (125_000, "12.5".to_owned())
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn nothing_and_everything_are_admitted_without_exception() {
        let none: Rate = crate::config::read("0").unwrap();
        let fifth: Rate = crate::config::read("0.2").unwrap();
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Rate::ALL.admits(random) && !none.admits(random), "{random}");
        }
        assert!(fifth.admits(u64::MAX / 6) && !fifth.admits(u64::MAX / 4));
    }
}
