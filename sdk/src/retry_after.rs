//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
//!
//! 1. Seconds are whole digits. A date is any of the three forms of section 5.6.7; one that has passed means "now".
//! 2. The longest of several values counts. What is neither is ignored.
//! 3. No server makes this proxy wait longer than [`LONGEST`].

use std::time::Duration;

use crate::headers::Headers;
use crate::time::Timestamp;

/// Longest wait that a server can ask for: one day.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// How long the server asks to wait, at most [`LONGEST`].
pub fn read(headers: &Headers, now: Timestamp) -> Option<Duration> {
    headers
        .all("retry-after")
        .filter_map(|value| parse(std::str::from_utf8(value).ok()?.trim(), now))
        .max()
}

/// One value: seconds, or a date after `now`.
pub fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)).min(LONGEST));
    }
    parse_http_date(text).map(|date| date.since(now).min(LONGEST))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// An `HTTP-date`: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`. A
/// year of two digits is one from 1970 to 2069.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let parts: Vec<&str> = text
        .split([' ', '-', ','])
        .filter(|part| !part.is_empty())
        .collect();
    let (day, month, year, time) = match parts.as_slice() {
        [_, day, month, year, time, "GMT"] => (*day, *month, *year, *time),
        [_, month, day, time, year] => (*day, *month, *year, *time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let short = year.len() == 2;
    let year: u32 = year.parse().ok()?;
    let year = if !short {
        year
    } else {
        year + if year < 70 { 2000 } else { 1900 }
    };
    let day: u32 = day.parse().ok()?;
    Timestamp::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn seconds_and_all_three_date_forms_are_read() {
        let now = Timestamp::parse_rfc3339("1994-11-06T08:48:37Z").unwrap();
        for (text, seconds) in [
            ("60", Some(60)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:00:00 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            assert_eq!(
                parse(text, now),
                seconds.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_longest_of_several_counts() {
        let headers = Headers::from_pairs([
            ("retry-after", &b"5"[..]),
            ("retry-after", b"70"),
            ("retry-after", b"\xff"),
        ]);
        assert_eq!(
            read(&headers, Timestamp::default()),
            Some(Duration::from_secs(70))
        );
        assert_eq!(read(&Headers::default(), Timestamp::default()), None);
    }
}
