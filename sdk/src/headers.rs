//! A header map as bytes, with all values of a name, and edits that are written back once.
//!
//! 1. Values are bytes until proven text: nothing here fails on bytes that are not UTF-8.
//! 2. Names are compared without regard to case (RFC 9110 section 5.1); the host gives them in lower case.
//! 3. Edits change this map at once, so that a later policy sees what an earlier one changed, and are remembered by name;
//!    [`Headers::take_edits`] gives the difference to what the host has, which is empty where nothing changed.
//! 4. A value with CR, LF or NUL, and a name that is no token, are refused and counted: Envoy would write a CR LF of a
//!    response header to the wire as it is (response splitting).

use std::fmt;
use std::ops::Range;

/// An ordered multi-map of header fields.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    touched: Vec<Touched>,
    refused: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// A name that was edited, with the values that the host has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Touched {
    name: String,
    original: Vec<Vec<u8>>,
}

/// One write to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Replace all values by this one.
    Set(String, Vec<u8>),
    /// Append a further value.
    Add(String, Vec<u8>),
    /// Remove all values.
    Remove(String),
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
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

impl Headers {
    /// Decodes a map as a proxy-wasm host serialises it: count, sizes, then names and values each closed by NUL, numbers
    /// as 32 bits little-endian. What is malformed ends the map; nothing is read beyond the buffer.
    pub fn decode(bytes: Vec<u8>) -> Self {
        let mut fields = Vec::new();
        let count = read_u32(&bytes, 0).unwrap_or(0);
        let mut position = count.saturating_mul(8).saturating_add(4);
        for index in 0..count {
            let sizes = index * 8 + 4;
            let (Some(name_size), Some(value_size)) =
                (read_u32(&bytes, sizes), read_u32(&bytes, sizes + 4))
            else {
                break;
            };
            let name = position..position.saturating_add(name_size);
            let value_start = name.end.saturating_add(1);
            let value = value_start..value_start.saturating_add(value_size);
            if value.end >= bytes.len() {
                break;
            }
            position = value.end + 1;
            fields.push(Field { name, value });
        }
        Self {
            bytes,
            fields,
            touched: Vec::new(),
            refused: 0,
        }
    }

    /// From pairs, for tests and replies.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name.as_ref(), value.as_ref());
        }
        headers
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (self.slice(&field.name), self.slice(&field.value)))
    }

    /// All values of a name, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.is_named(&self.bytes, name))
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
        self.touch(name);
        self.drop_fields(name);
        self.push(name.as_bytes(), value.as_ref());
        Ok(())
    }

    /// Appends a value.
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.admit(name, value.as_ref())?;
        self.touch(name);
        self.push(name.as_bytes(), value.as_ref());
        Ok(())
    }

    /// Removes all values of a name.
    pub fn remove(&mut self, name: &str) {
        if self.contains(name) {
            self.touch(name);
            self.drop_fields(name);
        }
    }

    /// The writes that bring the host to this state, and from here on no difference any more. One write for a name with
    /// at most one value; none for a name whose values are what they were.
    pub fn take_edits(&mut self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for Touched { name, original } in std::mem::take(&mut self.touched) {
            let was = original.iter().map(Vec::as_slice);
            let alike = self
                .all(&name)
                .zip(was)
                .take_while(|(new, old)| new == old)
                .count();
            let now = self.all(&name).count();
            if alike == now && alike == original.len() {
                continue;
            }
            if now == 0 {
                edits.push(Edit::Remove(name));
                continue;
            }
            // Where all that the host has is still there, only the rest is written.
            let kept = if alike == original.len() { alike } else { 0 };
            for (index, value) in self.all(&name).enumerate().skip(kept) {
                let value = value.to_vec();
                edits.push(match index {
                    0 => Edit::Set(name.clone(), value),
                    _ => Edit::Add(name.clone(), value),
                });
            }
        }
        edits
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

    fn touch(&mut self, name: &str) {
        if !self
            .touched
            .iter()
            .any(|touched| touched.name.eq_ignore_ascii_case(name))
        {
            let original = self.all(name).map(<[u8]>::to_vec).collect();
            self.touched.push(Touched {
                name: name.to_ascii_lowercase(),
                original,
            });
        }
    }

    fn drop_fields(&mut self, name: &str) {
        let Self { bytes, fields, .. } = self;
        fields.retain(|field| !field.is_named(bytes, name));
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push(Field {
            name: start..middle,
            value: middle..self.bytes.len(),
        });
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

impl Field {
    /// Names come in lower case mostly, so equal bytes are looked for first.
    fn is_named(&self, bytes: &[u8], name: &str) -> bool {
        let name = name.as_bytes();
        self.name.len() == name.len()
            && bytes
                .get(self.name.clone())
                .is_some_and(|own| own == name || own.eq_ignore_ascii_case(name))
    }
}

/// Names only: values can be secret.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name)))
            .finish()
    }
}

fn read_u32(bytes: &[u8], position: usize) -> Option<usize> {
    let end = position.checked_add(4)?;
    let number = <[u8; 4]>::try_from(bytes.get(position..end)?).ok()?;
    usize::try_from(u32::from_le_bytes(number)).ok()
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
