//! Numbers and texts as bytes, for shared state.
//!
//! 1. A value is a format version, the length of the rest, and the rest (so that half a value is none).
//! 2. Numbers are LEB128: seven bits a byte, least significant first.
//! 3. What does not read back exactly counts as absent.

const VERSION: u8 = 1;

/// Writes a value.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// With room for a value of about this size.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends a number.
    pub(crate) fn number(&mut self, number: impl Into<u128>) {
        let mut rest = number.into();
        while rest > 0x7f {
            self.0.push((rest as u8 & 0x7f) | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// Appends a length.
    pub(crate) fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    /// Appends bytes with their length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The value as it goes to shared state.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.0.len() + 5);
        value.push(VERSION);
        value.extend_from_slice(
            &u32::try_from(self.0.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        value.extend_from_slice(&self.0);
        value
    }
}

/// Reads a value.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The rest of a value of this version and of the length it claims.
    pub(crate) fn open(value: &'a [u8]) -> Option<Self> {
        let (version, rest) = value.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (*version == VERSION && u32::from_le_bytes(*length) as usize == rest.len())
            .then_some(Self(rest))
    }

    /// The next number.
    pub(crate) fn wide(&mut self) -> Option<u128> {
        let mut number: u128 = 0;
        for shift in (0..126).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next number, of 64 bits.
    pub(crate) fn number(&mut self) -> Option<u64> {
        u64::try_from(self.wide()?).ok()
    }

    /// The next length; never more than what is left, since each item has at least one byte.
    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|length| *length <= self.0.len())
    }

    /// The next bytes.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Whether all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
