//! The gRPC health protocol (grpc.health.v1) as one framed protobuf message each way.
//!
//! 1. A frame is one byte 0 (not compressed), the length as 32 bits big-endian, then the message.
//! 2. `HealthCheckRequest { string service = 1; }`, `HealthCheckResponse { ServingStatus status = 1; }`, and SERVING is 1.
//! 3. The status of the call is in the trailers; a trailers-only response has it in the headers.

use launchgate_sdk::Headers;

use crate::record::Outcome;

/// The one method that is asked.
pub(crate) const METHOD: &str = "/grpc.health.v1.Health/Check";
const SERVING: u64 = 1;

/// The framed request for `service`.
pub(crate) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    [&[0][..], &length, &message].concat()
}

/// What a response says.
pub(crate) fn read(status: u16, headers: &Headers, body: &[u8], trailers: &Headers) -> Outcome {
    if status != 200 {
        return Outcome::Failure(format!("status_{status}"));
    }
    let code = trailers
        .text("grpc-status")
        .or_else(|| headers.text("grpc-status"))
        .and_then(|code| code.parse::<u16>().ok());
    match (code, serving_status(body)) {
        (Some(0), Some(SERVING)) => Outcome::Success,
        (Some(0), Some(other)) => Outcome::Failure(format!("not_serving_{other}")),
        (Some(0), None) => Outcome::Failure("bad_message".to_owned()),
        (Some(code), _) => Outcome::Failure(format!("grpc_status_{code}")),
        (None, _) => Outcome::Failure("no_grpc_status".to_owned()),
    }
}

/// Field 1 of the framed message; 0 (UNKNOWN) where it is not there, as protobuf leaves defaults out.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (flag, rest) = body.split_first()?;
    let (length, rest) = rest.split_at_checked(4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    let mut message = Wire(rest.get(..length)?);
    let mut status = 0;
    while *flag == 0 && !message.0.is_empty() {
        let key = message.varint()?;
        match (key >> 3, key & 7) {
            (1, 0) => status = message.varint()?,
            (_, 0) => drop(message.varint()?),
            (_, 1) => message.skip(8)?,
            (_, 2) => {
                let length = message.varint()?;
                message.skip(usize::try_from(length).ok()?)?;
            }
            (_, 5) => message.skip(4)?,
            _ => return None,
        }
    }
    (*flag == 0).then_some(status)
}

struct Wire<'a>(&'a [u8]);

impl Wire<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(code: Option<&str>, body: &[u8]) -> Outcome {
        let trailers = Headers::from_pairs(code.map(|code| ("grpc-status", code)));
        read(200, &Headers::default(), body, &trailers)
    }

    #[test]
    fn the_request_names_the_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B"), [0, 0, 0, 0, 5, 10, 3, b'a', b'.', b'B']);
        assert_eq!(request(&"x".repeat(200))[5..8], [10, 0xc8, 1]);
    }

    #[test]
    fn only_serving_with_status_zero_is_a_success() {
        let frame = |message: &[u8]| [&[0, 0, 0, 0, message.len() as u8], message].concat();
        for (name, code, body, expected) in [
            ("serving", Some("0"), frame(&[8, 1]), None),
            (
                "an unknown field is skipped",
                Some("0"),
                frame(&[18, 2, 9, 9, 8, 1]),
                None,
            ),
            (
                "not serving",
                Some("0"),
                frame(&[8, 2]),
                Some("not_serving_2"),
            ),
            (
                "unknown is left out on the wire",
                Some("0"),
                frame(&[]),
                Some("not_serving_0"),
            ),
            ("no message", Some("0"), vec![], Some("bad_message")),
            (
                "cut message",
                Some("0"),
                vec![0, 0, 0, 0, 9, 8, 1],
                Some("bad_message"),
            ),
            (
                "compressed",
                Some("0"),
                vec![1, 0, 0, 0, 2, 8, 1],
                Some("bad_message"),
            ),
            ("unimplemented", Some("12"), vec![], Some("grpc_status_12")),
            (
                "unknown service",
                Some("5"),
                frame(&[8, 1]),
                Some("grpc_status_5"),
            ),
            ("no trailers", None, frame(&[8, 1]), Some("no_grpc_status")),
            (
                "nonsense",
                Some("zero"),
                frame(&[8, 1]),
                Some("no_grpc_status"),
            ),
        ] {
            let expected = expected.map_or(Outcome::Success, |reason| {
                Outcome::Failure(reason.to_owned())
            });
            assert_eq!(read_with(code, &body), expected, "{name}");
        }
    }

    #[test]
    fn a_trailers_only_response_has_its_status_in_the_headers() {
        let headers = Headers::from_pairs([("grpc-status", "14")]);
        assert_eq!(
            read(200, &headers, b"", &Headers::default()),
            Outcome::Failure("grpc_status_14".to_owned())
        );
        assert_eq!(
            read(503, &headers, b"", &Headers::default()),
            Outcome::Failure("status_503".to_owned())
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = serving_status(&bytes);
        }
    }
}
