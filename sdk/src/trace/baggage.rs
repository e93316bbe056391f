//! W3C Baggage, of which Sentry uses the members `sentry-…` (trace id, sampling, org id).
//!
//! 1. All headers of the name are one list; `key=value;properties`, values percent-encoded.
//! 2. A malformed member is left out; the others count. Of a key that stands twice the first member counts.
//! 3. At most 64 members and 8192 bytes (W3C Baggage section 3.3.2); what is beyond is left out.

use super::trim;
use crate::headers::{Headers, is_token_byte};
use crate::percent_encoding::decode;

/// Members of the baggage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baggage(Vec<(String, String)>);

const MEMBERS: usize = 64;
const BYTES: usize = 8192;

impl Baggage {
    /// Reads the headers; empty where there are none.
    pub fn read(headers: &Headers) -> Self {
        let mut members: Vec<(String, String)> = Vec::new();
        let mut bytes = 0;
        for member in headers
            .all("baggage")
            .flat_map(|value| value.split(|byte| *byte == b','))
        {
            bytes += member.len() + 1;
            if bytes > BYTES || members.len() >= MEMBERS {
                break;
            }
            if let Some((key, value)) = parse_member(member)
                && !members.iter().any(|(known, _)| *known == key)
            {
                members.push((key, value));
            }
        }
        Self(members)
    }

    /// The decoded value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// All members, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn parse_member(member: &[u8]) -> Option<(String, String)> {
    let without_properties = member.split(|byte| *byte == b';').next()?;
    let at = without_properties.iter().position(|byte| *byte == b'=')?;
    let (key, value) = without_properties.split_at_checked(at)?;
    let (key, value) = (trim(key), trim(value.get(1..)?));
    if key.is_empty() || !key.iter().all(|byte| is_token_byte(*byte)) {
        return None;
    }
    Some((
        String::from_utf8(key.to_vec()).ok()?,
        String::from_utf8(decode(value).into_owned()).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn members_are_decoded_and_malformed_ones_left_out() {
        let headers = Headers::from_pairs([
            ("baggage", &b"sentry-trace_id=771a43a4192642f0b136d5159a501700, other = a%20b ;p=1,,bad key=1,=x"[..]),
            ("baggage", b"sentry-sample_rand=0.25,other=second,utf=%ff"),
        ]);
        let baggage = Baggage::read(&headers);
        let members: Vec<_> = baggage.members().collect();
        assert_eq!(
            members,
            [
                ("sentry-trace_id", "771a43a4192642f0b136d5159a501700"),
                ("other", "a b"),
                ("sentry-sample_rand", "0.25")
            ]
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn it_is_bounded() {
        let many = (0..200)
            .map(|number| format!("k{number}=v"))
            .collect::<Vec<_>>()
            .join(",");
        assert_eq!(
            Baggage::read(&Headers::from_pairs([("baggage", &many)]))
                .members()
                .count(),
            64
        );
        let long = format!("a={},b=1", "x".repeat(9000));
        assert_eq!(
            Baggage::read(&Headers::from_pairs([("baggage", &long)]))
                .members()
                .count(),
            0
        );
    }
}
