//! As much of the protobuf wire format as the arguments of foreign functions need.

/// The fields of a message that have a length: number and bytes. `None` if it is no message.
pub fn fields(mut rest: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (tag, after) = varint(rest)?;
        let (value, after) = match tag & 7 {
            0 => (None, varint(after)?.1),
            1 => (None, after.get(8..)?),
            2 => {
                let (size, after) = varint(after)?;
                let (value, after) = after.split_at_checked(usize::try_from(size).ok()?)?;
                (Some(value), after)
            }
            5 => (None, after.get(4..)?),
            _ => return None,
        };
        found.extend(value.map(|value| (tag >> 3, value)));
        rest = after;
    }
    Some(found)
}

/// The last field of this number, empty where there is none.
pub fn field<'a>(fields: &[(u64, &'a [u8])], number: u64) -> &'a [u8] {
    let of_number = fields.iter().rev().find(|(known, _)| *known == number);
    of_number.map_or(&[], |(_, value)| value)
}

/// Appends bytes as a field; nothing where there are none, as is the rule of proto3.
pub fn put_bytes(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    out.push(number << 3 | 2);
    let mut size = value.len();
    while size >= 0x80 {
        out.push(u8::try_from(size & 0x7f).unwrap_or(0) | 0x80);
        size >>= 7;
    }
    out.push(u8::try_from(size).unwrap_or(0));
    out.extend_from_slice(value);
}

/// Appends a flag as a field, if it is true.
pub fn put_flag(out: &mut Vec<u8>, number: u8, value: bool) {
    if value {
        out.extend([number << 3, 1]);
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_kinds_are_passed_over_or_found() {
        let mut message = vec![0x08, 0x96, 0x01, 0x25, 1, 2, 3, 4];
        put_bytes(&mut message, 3, &[7; 300]);
        put_flag(&mut message, 1, true);
        let found = fields(&message).unwrap();
        assert_eq!(field(&found, 3), [7; 300]);
        assert!(field(&found, 4).is_empty());
    }

    #[test]
    fn what_ends_early_is_no_message() {
        for bytes in [&[0x0a, 5, 1][..], &[0x80], &[0x25, 1], &[0x0b]] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
    }
}
