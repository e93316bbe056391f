//! The note that a dying VM leaves for a reporter in another.
//!
//! 1. It stands under one key for all plugins that share the host's key space, the newest last; it has a version.
//! 2. Anything that is not such a note counts as absent.

use crate::time::Timestamp;

/// Key in shared data, without the prefix of a plugin.
pub const KEY: &str = "launchgate/last_words";

/// Who died where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWords {
    /// When.
    pub at: Timestamp,
    /// Name of the plugin.
    pub plugin: String,
    /// Version of the plugin.
    pub version: String,
    /// `file:line` in the source.
    pub place: String,
}

const VERSION: u8 = 1;

impl LastWords {
    /// As bytes: version, time, then three texts closed by NUL.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.at.nanos().to_le_bytes());
        for text in [&self.plugin, &self.version, &self.place] {
            bytes.extend(text.bytes().filter(|byte| *byte != 0));
            bytes.push(0);
        }
        bytes
    }

    /// From bytes; `None` where they are no such note.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (time, rest) = rest.split_at_checked(8)?;
        let at = Timestamp::from_nanos(u64::from_le_bytes(<[u8; 8]>::try_from(time).ok()?));
        let mut texts = rest
            .strip_suffix(&[0])?
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8(text.to_vec()).ok());
        let words = Self {
            at,
            plugin: texts.next()??,
            version: texts.next()??,
            place: texts.next()??,
        };
        (*version == VERSION && texts.next().is_none()).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_left_is_found() {
        let words = LastWords {
            at: Timestamp::from_seconds(7),
            plugin: "tls".into(),
            version: "0.1.0".into(),
            place: "a.rs:3".into(),
        };
        let bytes = words.encode();
        assert_eq!(LastWords::decode(&bytes), Some(words));
        for end in 0..bytes.len() {
            assert_eq!(LastWords::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(LastWords::decode(&[&[2], &bytes[1..]].concat()), None);
    }
}
