//! A number as it is written.

use super::{Number, Value};

/// Beyond it a double is zero or infinite.
pub(super) const FARTHEST: i32 = 5000;

/// `digits` times ten to the `exponent`. Digits that no longer fit are dropped: they are beyond a double's precision.
#[derive(Default)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    pub(super) digits: u64,
    pub(super) exponent: i32,
    cut: bool,
}

impl Decimal {
    pub(super) fn push(&mut self, digit: u8, fraction: bool) {
        let more = self
            .digits
            .checked_mul(10)
            .and_then(|digits| digits.checked_add(u64::from(digit)));
        match more.filter(|_| !self.cut) {
            Some(digits) => {
                self.digits = digits;
                self.exponent -= i32::from(fraction);
            }
            None => {
                self.cut = true;
                self.exponent = self.exponent.saturating_add(i32::from(!fraction));
            }
        }
    }

    /// `None` where a double cannot hold it.
    pub(super) fn value(&self) -> Option<Value> {
        if self.exponent == 0 && !self.cut {
            if !self.negative {
                return Some(self.digits.into());
            }
            if let Some(whole) = 0_i64.checked_sub_unsigned(self.digits) {
                return Some(whole.into());
            }
        }
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let size = self.size();
        let number = if self.negative { -size } else { size };
        if number.abs() < EXACT && number == (number as i64) as f64 {
            return Some((number as i64).into());
        }
        number
            .is_finite()
            .then_some(Value::Number(Number::Double(number)))
    }

    /// Exact for up to 15 digits and exponents up to 22, as most numbers have; beyond that within a few units in the last place.
    fn size(&self) -> f64 {
        let mut value = self.digits as f64;
        let mut left = self.exponent.unsigned_abs();
        while left > 0 && value != 0.0 && value.is_finite() {
            // The largest power of ten that a double holds exactly is the 22nd.
            let step = left.min(22);
            let power = (0..step).fold(1.0, |power, _| power * 10.0);
            value = if self.exponent < 0 {
                value / power
            } else {
                value * power
            };
            left -= step;
        }
        value
    }
}
