//! Numbers of the configuration that are no whole numbers, held as integers.

use launchgate_sdk::config::{Decode, Json, Mistakes};

/// How sure a conviction must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confidence(u32);

const BILLION: f64 = 1e9;

impl Confidence {
    /// 0.999.
    pub const DEFAULT: Self = Self(1_000_000);
    /// Plain comparison of shares.
    pub const PLAIN: Self = Self(1_000_000_000);

    /// Reads a number; 0, or from 0.5 to less than 1.
    pub fn parse(value: f64) -> Option<Self> {
        if value == 0.0 {
            return Some(Self::PLAIN);
        }
        let risk = ((1.0 - value) * BILLION).round();
        (value >= 0.5 && risk >= 1.0).then_some(Self(risk as u32))
    }

    /// The risk of a wrong conviction that is taken, in billionths; `None` for the plain comparison.
    pub fn risk(self) -> Option<u32> {
        (self != Self::PLAIN).then_some(self.0)
    }
}

impl Decode for Confidence {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(
            json.as_f64().and_then(Self::parse),
            "expected 0 or a number from 0.5 to less than 1",
        )
    }
}

/// A multiple, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(u32);

const LARGEST: f64 = 1_000_000.0;

impl Factor {
    /// A whole multiple.
    pub const fn whole(factor: u32) -> Self {
        Self(factor.saturating_mul(1000))
    }

    /// In thousandths; `None` where it is 0.
    pub const fn thousandths(self) -> Option<u32> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

impl Decode for Factor {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        let valid = |value: &f64| *value == 0.0 || (1.0..=LARGEST).contains(value);
        mistakes
            .noted(
                json.as_f64().filter(valid),
                "expected 0 or a number from 1 to 1000000",
            )
            .map(|value| Self((value * 1000.0).round() as u32))
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Confidence {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Confidence".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "anyOf": [{"const": 0}, {"minimum": 0.5, "exclusiveMaximum": 1}]})
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Factor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "anyOf": [{"const": 0}, {"minimum": 1, "maximum": LARGEST}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_is_zero_or_at_least_a_half_and_never_certainty() {
        for (text, risk) in [
            ("0", Some(None)),
            ("0.5", Some(Some(500_000_000))),
            ("0.999", Some(Some(1_000_000))),
            ("0.999999999", Some(Some(1))),
            ("1", None),
            ("0.9999999999", None),
            ("0.4", None),
            ("-1", None),
            ("\"0.9\"", None),
        ] {
            assert_eq!(
                launchgate_sdk::config::read::<Confidence>(text)
                    .ok()
                    .map(Confidence::risk),
                risk,
                "{text}"
            );
        }
    }

    #[test]
    fn a_factor_is_zero_or_at_least_one() {
        for (text, thousandths) in [
            ("0", Some(None)),
            ("3", Some(Some(3000))),
            ("1.5", Some(Some(1500))),
            ("0.5", None),
            ("-3", None),
            ("1e9", None),
        ] {
            assert_eq!(
                launchgate_sdk::config::read::<Factor>(text)
                    .ok()
                    .map(Factor::thousandths),
                thousandths,
                "{text}"
            );
        }
    }
}
