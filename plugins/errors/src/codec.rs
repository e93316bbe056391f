//! Values in shared state: a format version and a length, then fields. Anything else counts as absent.

/// Writes a value.
pub(crate) struct Writer(Vec<u8>);

const HEAD: usize = 5;

impl Writer {
    /// Begins a value of this format version.
    pub(crate) fn new(version: u8) -> Self {
        Self(vec![version, 0, 0, 0, 0])
    }

    /// 32 bits.
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// 64 bits.
    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text of at most 65,535 bytes; a longer one is written empty.
    pub(crate) fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(0);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(
            text.as_bytes()
                .get(..usize::from(length))
                .unwrap_or_default(),
        );
    }

    /// Many raw bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The whole value.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - HEAD)
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        self.0
            .iter_mut()
            .skip(1)
            .zip(length)
            .for_each(|(slot, byte)| *slot = byte);
        self.0
    }
}

/// Reads a value.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A value of this version whose length is right.
    pub(crate) fn new(bytes: &'a [u8], version: u8) -> Option<Self> {
        let (own, rest) = bytes.split_first()?;
        let mut reader = Self(rest);
        let length = reader.u32()?;
        (*own == version && reader.0.len() == usize::try_from(length).ok()?).then_some(reader)
    }

    /// 32 bits.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// 64 bits.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Option<String> {
        let length = u16::from_le_bytes(self.bytes(2)?.try_into().ok()?);
        String::from_utf8(self.bytes(usize::from(length))?.to_vec()).ok()
    }

    /// So many raw bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Whether all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_back_and_a_cut_one_is_absent() {
        let mut writer = Writer::new(3);
        writer.u32(7);
        writer.text("ä");
        writer.u64(9);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, 3).unwrap();
        assert_eq!(
            (
                reader.u32(),
                reader.text().as_deref(),
                reader.u64(),
                reader.is_empty()
            ),
            (Some(7), Some("ä"), Some(9), true)
        );
        assert!(
            Reader::new(&bytes, 2).is_none()
                && Reader::new(&bytes[..bytes.len() - 1], 3).is_none()
                && Reader::new(b"", 3).is_none()
        );
    }
}
