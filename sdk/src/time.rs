//! Two clocks, and timestamps as text (RFC 3339).
//!
//! 1. `wall` is the time of day. It may step in both directions: use it for timestamps and schedules only.
//! 2. `mono` only grows. Use it for leases, windows, back-off and expiry.

use std::cell::OnceCell;
use std::fmt;
use std::time::Duration;

/// The moment of a callback, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Time of day.
    pub wall: Timestamp,
    /// Time since an arbitrary start that is the same for all workers of a process.
    pub mono: Duration,
}

/// The moment of an exchange's callback, read from the host when somebody first looks at it: a clock costs a host call, and
/// a request that is only let through needs none.
#[derive(Debug)]
pub struct Now {
    known: OnceCell<Time>,
    read: fn() -> Time,
}

impl Now {
    /// A moment that `read` tells.
    pub fn when_asked(read: fn() -> Time) -> Self {
        Self {
            known: OnceCell::new(),
            read,
        }
    }
}

impl From<Time> for Now {
    fn from(time: Time) -> Self {
        Self {
            known: OnceCell::from(time),
            // Never asked: the time is known.
            read: || Time {
                wall: Timestamp(0),
                mono: Duration::ZERO,
            },
        }
    }
}

impl std::ops::Deref for Now {
    type Target = Time;

    fn deref(&self) -> &Time {
        self.known.get_or_init(self.read)
    }
}

/// A time of day, in nanoseconds since 1970-01-01T00:00:00Z, without leap seconds (POSIX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

const NANOS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

impl Timestamp {
    /// From nanoseconds since the epoch, as the host gives it.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / NANOS
    }

    /// The time that passed since `earlier`; zero where the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`, saturating at the end of the range (year 2554).
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// Parses RFC 3339 section 5.6 `date-time`, with any offset. Returns `None` for anything else, for dates before 1970
    /// and for dates that do not exist. A leap second (`:60`) is read as the second before it.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let mut reader = Reader {
            rest: text.as_bytes(),
        };
        let (year, month, day) = (
            reader.number(4)?,
            reader.after(b'-')?.number(2)?,
            reader.after(b'-')?.number(2)?,
        );
        let separator = reader.byte()?;
        if !matches!(separator, b'T' | b't' | b' ') {
            return None;
        }
        let (hour, minute, second) = (
            reader.number(2)?,
            reader.after(b':')?.number(2)?,
            reader.after(b':')?.number(2)?,
        );
        let nanos = reader.fraction()?;
        let offset = reader.offset()?;
        if !reader.rest.is_empty()
            || hour > 23
            || minute > 59
            || second > 60
            || !date_exists(year, month, day)
        {
            return None;
        }
        let days = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
        let seconds = days * DAY_SECONDS as i64
            + i64::from(hour) * 3600
            + i64::from(minute) * 60
            + i64::from(second.min(59))
            - offset;
        let seconds = u64::try_from(seconds).ok()?;
        Some(Self(
            seconds.checked_mul(NANOS)?.checked_add(u64::from(nanos))?,
        ))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T12:00:00.000Z`.
impl Timestamp {
    /// As RFC 3339 has it: `2026-01-01T00:00:00.000Z`.
    pub fn rfc3339(self) -> [u8; 24] {
        let seconds = self.seconds();
        let (year, month, day) = civil_from_days((seconds / DAY_SECONDS) as i64);
        let rest = seconds % DAY_SECONDS;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let millis = self.millis() % 1000;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, number) in [
            (4, u64::try_from(year).unwrap_or(0)),
            (7, u64::try_from(month).unwrap_or(0)),
            (10, u64::try_from(day).unwrap_or(0)),
            (13, hour),
            (16, minute),
            (19, second),
            (23, millis),
        ] {
            let mut rest = number;
            for digit in text.iter_mut().take(end).rev() {
                if rest == 0 {
                    break;
                }
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.rfc3339()).unwrap_or_default())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn after(&mut self, separator: u8) -> Option<&mut Self> {
        (self.byte()? == separator).then_some(self)
    }

    fn number(&mut self, digits: usize) -> Option<u32> {
        let (text, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    fn fraction(&mut self) -> Option<u32> {
        if self.rest.first() != Some(&b'.') {
            return Some(0);
        }
        self.byte();
        let (mut nanos, mut weight, mut digits) = (0, 100_000_000, 0);
        while let Some(digit) = self.rest.first().filter(|byte| byte.is_ascii_digit()) {
            nanos += u32::from(digit - b'0') * weight;
            weight /= 10;
            digits += 1;
            self.byte();
        }
        (digits > 0).then_some(nanos)
    }

    fn offset(&mut self) -> Option<i64> {
        let sign = match self.byte()? {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, minutes) = (self.number(2)?, self.after(b':')?.number(2)?);
        (hours < 24 && minutes < 60)
            .then_some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
    }
}

fn date_exists(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Days since the epoch of a proleptic Gregorian date, counted in eras of 400 years that begin on March 1st.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day_of_year - (153 * shifted + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn timestamps_are_written_as_rfc_3339_with_milliseconds() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (1_795_348_800_999_999_999, "2026-11-22T12:00:00.999Z"),
            (4_102_444_799_000_000_000, "2099-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn rfc_3339_is_read_with_fraction_and_offset() {
        for (text, seconds, nanos) in [
            ("2026-11-22T12:00:00Z", 1_795_348_800, 0),
            ("2026-11-22t13:00:00.5+01:00", 1_795_348_800, 500_000_000),
            ("2026-11-22 11:30:00.000000001-00:30", 1_795_348_800, 1),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 0),
        ] {
            let expected = Timestamp::from_nanos(seconds * NANOS + nanos);
            assert_eq!(Timestamp::parse_rfc3339(text), Some(expected), "{text}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_no_date_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-02-30T12:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00Zx",
            "1969-12-31T23:59:59Z",
            "2026-11-22T12:00:00+1:00",
            "+026-11-22T12:00:00Z",
            "2026-11-22T12:00:00\u{661}",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..10_000_000_000_000) {
            let time = Timestamp::from_nanos(millis * 1_000_000);
            proptest::prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time));
        }

        #[test]
        fn no_text_stops_the_parser(text in "\\PC{0,40}") {
            let _ = Timestamp::parse_rfc3339(&text);
        }
    }
}
