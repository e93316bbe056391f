//! A header map as bytes, with all values of a name, and edits that are written back once.
//!
//! 1. Values are bytes until proven text: nothing here fails on bytes that are not UTF-8.
//! 2. Names are compared without regard to case (RFC 9110 section 5.1); the host gives them in lower case.
//! 3. Edits change this map at once, so that a later policy sees what an earlier one changed. Fields that the host has and
//!    that are gone stay marked until [`Headers::write_edits`] has told the difference, which is empty where nothing changed.
//! 4. A value with CR, LF or NUL, and a name that is no token, are refused and counted: Envoy would write a CR LF of a
//!    response header to the wire as it is (response splitting).

use std::fmt;
use std::ops::Range;

/// An ordered multi-map of header fields.
#[derive(Clone, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    edited: bool,
    refused: u32,
}

#[derive(Debug, Clone)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
    state: State,
}

/// Where a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Here and on the host.
    Held,
    /// Here only.
    New,
    /// On the host only.
    Gone,
}

/// One write to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Replace all values by this one.
    Set(&'a [u8], &'a [u8]),
    /// Append a further value.
    Add(&'a [u8], &'a [u8]),
    /// Remove all values.
    Remove(&'a [u8]),
}

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The name is empty or holds a byte that no token has (RFC 9110 section 5.6.2).
    Name,
    /// The value holds CR, LF or NUL (RFC 9110 section 5.5).
    Value,
}

impl InvalidHeader {
    /// Checks a field before it goes to the host. A leading `:` of a pseudo-header is allowed.
    ///
    /// # Errors
    /// Says which part is invalid.
    pub fn check(name: &str, value: &[u8]) -> Result<(), Self> {
        let token = name.strip_prefix(':').unwrap_or(name);
        if token.is_empty() || !token.bytes().all(is_token_byte) {
            return Err(Self::Name);
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Self::Value);
        }
        Ok(())
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "invalid header name: expected a token (RFC 9110 section 5.6.2)",
            Self::Value => "invalid header value: expected no CR, LF or NUL",
        })
    }
}

impl std::error::Error for InvalidHeader {}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    // One bit for each ASCII character: every byte of every name that is written is asked for.
    const LOW: u64 = token_bits() as u64;
    const HIGH: u64 = (token_bits() >> 64) as u64;
    let bits = match byte {
        0..64 => LOW,
        64..128 => HIGH,
        _ => 0,
    };
    bits >> (byte & 63) & 1 == 1
}

const fn token_bits() -> u128 {
    let mut bits = 0;
    let mut byte = 0_u8;
    while byte < 128 {
        let is_token = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        bits |= (is_token as u128) << byte;
        byte += 1;
    }
    bits
}

impl Headers {
    /// Decodes a map as a proxy-wasm host serialises it: count, sizes, then names and values each closed by NUL, numbers
    /// as 32 bits little-endian. What is malformed ends the map; nothing is read beyond the buffer.
    pub fn decode(bytes: Vec<u8>) -> Self {
        let count = bytes.first_chunk().map_or(0, |count| size(*count));
        let mut position = count.saturating_mul(8).saturating_add(4);
        // A field takes eight bytes for its sizes and two that close name and value.
        let mut fields = Vec::with_capacity(count.min(bytes.len() / 10));
        let sizes = bytes.get(4..).unwrap_or_default().chunks_exact(8);
        for sizes in sizes.take(count) {
            let [a, b, c, d, e, f, g, h] = *sizes else {
                break;
            };
            let name = position..position.saturating_add(size([a, b, c, d]));
            let value_start = name.end.saturating_add(1);
            let value = value_start..value_start.saturating_add(size([e, f, g, h]));
            if value.end >= bytes.len() {
                break;
            }
            position = value.end + 1;
            fields.push(Field {
                name,
                value,
                state: State::Held,
            });
        }
        Self {
            bytes,
            fields,
            edited: false,
            refused: 0,
        }
    }

    /// From pairs, for tests and replies.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name.as_ref(), value.as_ref(), State::Held);
        }
        headers
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.here().count()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.here().next().is_none()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.here()
            .map(|field| (self.slice(&field.name), self.slice(&field.value)))
    }

    /// All values of a name, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.here()
            .filter(move |field| field.is_named(&self.bytes, name.as_bytes()))
            .map(|field| self.slice(&field.value))
    }

    /// The first value of a name. For a decision read [`Headers::all`] or [`Headers::only`]: a client can send several.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value of a name that is there exactly once.
    pub fn only(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The first value of a name as text, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.first(name)?).ok()
    }

    /// Whether a name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// `:method`, empty where absent.
    pub fn method(&self) -> &[u8] {
        self.first(":method").unwrap_or_default()
    }

    /// `:path` with query, empty where absent.
    pub fn path(&self) -> &[u8] {
        self.first(":path").unwrap_or_default()
    }

    /// `:authority` (the host), empty where absent.
    pub fn authority(&self) -> &[u8] {
        self.first(":authority").unwrap_or_default()
    }

    /// `:status` of a response.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.first(":status")?)
            .ok()?
            .parse()
            .ok()
    }

    /// Whether the content type is `application/grpc` or a subtype of it such as `application/grpc+proto`.
    pub fn is_grpc(&self) -> bool {
        self.first("content-type").is_some_and(|value| {
            value
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
        })
    }

    /// Replaces all values of a name by one.
    ///
    /// # Errors
    /// A value with CR, LF or NUL, or a bad name: nothing changes, and the refusal is counted.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.admit(name, value.as_ref())?;
        self.drop_fields(name);
        self.push(name.as_bytes(), value.as_ref(), State::New);
        self.edited = true;
        Ok(())
    }

    /// Appends a value.
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.admit(name, value.as_ref())?;
        self.push(name.as_bytes(), value.as_ref(), State::New);
        self.edited = true;
        Ok(())
    }

    /// Removes all values of a name.
    pub fn remove(&mut self, name: &str) {
        self.drop_fields(name);
    }

    /// Whether there may be edits to take, or refusals to count.
    pub fn is_edited(&self) -> bool {
        self.edited || self.refused > 0
    }

    /// Tells the writes that bring the host to this state, and from here on no difference any more. One write for a name with
    /// at most one value; none for a name whose values are what they were.
    pub fn write_edits(&mut self, mut write: impl FnMut(Edit<'_>)) {
        if !std::mem::take(&mut self.edited) {
            return;
        }
        let Self { bytes, fields, .. } = self;
        let is_changed = |field: &Field| field.state != State::Held;
        let slice = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let (mut now, mut then) = (Vec::new(), Vec::new());
        for (index, field) in fields.iter().enumerate().filter(|(_, own)| is_changed(own)) {
            let name = slice(&field.name);
            let is_named = |other: &&Field| other.is_named(bytes, name);
            // A name is written where its first change stands.
            if (fields.iter().take(index)).any(|other| is_changed(other) && is_named(&other)) {
                continue;
            }
            now.clear();
            then.clear();
            for other in fields.iter().filter(is_named) {
                let value = slice(&other.value);
                if other.state != State::Gone {
                    now.push(value);
                }
                if other.state != State::New {
                    then.push(value);
                }
            }
            write_name(name, &now, &then, &mut write);
        }
        fields.retain_mut(|field| {
            let stays = field.state != State::Gone;
            field.state = State::Held;
            stays
        });
    }

    /// How many edits were refused, and from here on none.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }

    /// Bytes that this map holds in memory.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn admit(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        InvalidHeader::check(name, value).inspect_err(|_| self.refused += 1)
    }

    /// Fields without those that only the host has.
    fn here(&self) -> impl DoubleEndedIterator<Item = &Field> {
        self.fields
            .iter()
            .filter(|field| field.state != State::Gone)
    }

    fn drop_fields(&mut self, name: &str) {
        let Self { bytes, fields, .. } = self;
        let mut changed = false;
        fields.retain_mut(|field| {
            if field.state == State::Gone || !field.is_named(bytes, name.as_bytes()) {
                return true;
            }
            changed = true;
            let stays = field.state == State::Held;
            field.state = State::Gone;
            stays
        });
        self.edited |= changed;
    }

    fn push(&mut self, name: &[u8], value: &[u8], state: State) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        // What the host has is as it is; what it gets is in lower case (RFC 9113 section 8.2).
        if state == State::New
            && let Some(name) = self.bytes.get_mut(start..)
        {
            name.make_ascii_lowercase();
        }
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push(Field {
            name: start..middle,
            value: middle..self.bytes.len(),
            state,
        });
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

impl Field {
    fn is_named(&self, bytes: &[u8], name: &[u8]) -> bool {
        if self.name.len() != name.len() {
            return false;
        }
        let own = bytes.get(self.name.clone()).unwrap_or_default();
        // Names of one length mostly end otherwise: nearly all are told apart by one byte, whatever its case.
        let ends = own.last().zip(name.last());
        ends.is_some_and(|(a, b)| (a ^ b) & !0x20 == 0)
            && (own == name || own.eq_ignore_ascii_case(name))
    }
}

/// The writes that make the values of a name what they are now.
fn write_name(name: &[u8], now: &[&[u8]], then: &[&[u8]], write: &mut impl FnMut(Edit<'_>)) {
    // Where all that the host has is still there, only the rest is written.
    let (kept, rest) = match now.strip_prefix(then) {
        Some(rest) => (then.len(), rest),
        None => (0, now),
    };
    if now.is_empty() && !then.is_empty() {
        write(Edit::Remove(name));
    }
    for (index, value) in rest.iter().enumerate() {
        write(match kept + index {
            0 => Edit::Set(name, value),
            _ => Edit::Add(name, value),
        });
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

/// Names only: values can be secret.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name)))
            .finish()
    }
}

/// A number as the host writes it; one that memory cannot hold is larger than every buffer.
fn size(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

/// Serialises pairs as the host reads them, the inverse of [`Headers::decode`].
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(
        4 + pairs
            .iter()
            .map(|(n, v)| n.as_ref().len() + v.as_ref().len() + 10)
            .sum::<usize>(),
    );
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    bytes.extend_from_slice(&size(pairs.len()));
    for (name, value) in pairs {
        bytes.extend_from_slice(&size(name.as_ref().len()));
        bytes.extend_from_slice(&size(value.as_ref().len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_ref());
        bytes.push(0);
        bytes.extend_from_slice(value.as_ref());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests;
