//! Header maps with Envoy's semantics, and the ABI's serialisation of pairs.
//!
//! 1. Names are lower-cased on write; pseudo-headers stand first, all others in order of arrival.
//! 2. `get` answers the first value. `replace` removes all and appends at the end.
//! 3. Adding to one of Envoy's inline headers joins the values with a comma (`:path` too); others get a second entry.
//! 4. In request headers `host` is `:authority`.
//! 5. A serialised buffer over 1 MiB, over 1024 entries, or malformed, reads as empty.

/// Envoy's O(1) headers: adding a second value joins.
const INLINE: &[&str] = &[
    ":authority",
    ":method",
    ":path",
    ":protocol",
    ":scheme",
    ":status",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "grpc-accept-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "keep-alive",
    "proxy-connection",
    "proxy-status",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-envoy-upstream-service-time",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Which message a map belongs to: the `host` alias exists in requests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// Request headers.
    #[default]
    Request,
    /// Response headers, and all trailers.
    Other,
}

/// A header map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderMap {
    side: Side,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HeaderMap {
    /// An empty map.
    pub fn new(side: Side) -> Self {
        HeaderMap {
            side,
            pairs: Vec::new(),
        }
    }

    /// A map of these pairs, added one by one.
    pub fn of<'a>(side: Side, pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut map = HeaderMap::new(side);
        for (name, value) in pairs {
            map.add(name, value);
        }
        map
    }

    fn name(&self, name: &[u8]) -> Vec<u8> {
        let lower = name.to_ascii_lowercase();
        if self.side == Side::Request && lower == b"host" {
            b":authority".to_vec()
        } else {
            lower
        }
    }

    /// The first value.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let name = self.name(name);
        self.pairs
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The first value as text, `""` if absent or not UTF-8.
    pub fn text(&self, name: &str) -> &str {
        self.get(name.as_bytes())
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or("")
    }

    /// Adds a value.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = self.name(name);
        let inline = INLINE.iter().any(|known| known.as_bytes() == name);
        if inline && let Some((_, present)) = self.pairs.iter_mut().find(|(key, _)| *key == name) {
            present.push(b',');
            present.extend_from_slice(value);
            return;
        }
        if name.first() == Some(&b':') {
            let place = self
                .pairs
                .iter()
                .take_while(|(key, _)| key.first() == Some(&b':'))
                .count();
            self.pairs.insert(place, (name, value.to_vec()));
        } else {
            self.pairs.push((name, value.to_vec()));
        }
    }

    /// Removes all values and adds this one.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Sets the value where the header stands, or adds it.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let key = self.name(name);
        match self.pairs.iter_mut().find(|(present, _)| *present == key) {
            Some((_, present)) => *present = value.to_vec(),
            None => self.add(name, value),
        }
    }

    /// Removes all values.
    pub fn remove(&mut self, name: &[u8]) {
        let name = self.name(name);
        self.pairs.retain(|(key, _)| *key != name);
    }

    /// All pairs in order.
    pub fn pairs(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.pairs
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Bytes of all names and values.
    pub fn byte_size(&self) -> usize {
        self.pairs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// Without pseudo-headers, as an upstream or a client sees them.
    pub fn regular(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.pairs
            .iter()
            .filter(|(name, _)| name.first() != Some(&b':'))
            .cloned()
            .collect()
    }
}

/// Writes pairs as the ABI has them: count, sizes, then names and values each with a zero byte.
pub fn serialize(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(
        4 + pairs
            .iter()
            .map(|(k, v)| k.len() + v.len() + 10)
            .sum::<usize>(),
    );
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(word(pairs.len()));
    for (name, value) in pairs {
        out.extend(word(name.len()));
        out.extend(word(value.len()));
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

/// Reads pairs; anything malformed or too large is empty, as in Envoy.
pub fn deserialize(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    read_pairs(bytes).unwrap_or_default()
}

fn read_pairs(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if bytes.len() > 1 << 20 {
        return None;
    }
    let word = |at: usize| -> Option<usize> {
        let four = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
    };
    let count = word(0)?;
    if count > 1024 {
        return None;
    }
    let mut at = 4 + 8 * count;
    let mut text = |size: usize| -> Option<Vec<u8>> {
        let value = bytes.get(at..at.checked_add(size)?)?.to_vec();
        at = at.checked_add(size + 1)?;
        Some(value)
    };
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        let name = text(word(4 + 8 * index)?)?;
        let value = text(word(8 + 8 * index)?)?;
        pairs.push((name, value));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_joins_inline_headers_and_appends_others() {
        let mut map = HeaderMap::new(Side::Request);
        map.add(b":path", b"/p?q=1");
        map.add(b"X-Dup", b"a");
        map.add(b"x-dup", b"b");
        map.add(b"content-type", b"a/b");
        map.add(b"content-type", b"c/d");
        map.add(b":path", b"/x");
        assert_eq!(map.get(b":path"), Some(&b"/p?q=1,/x"[..]));
        assert_eq!(map.get(b"content-type"), Some(&b"a/b,c/d"[..]));
        assert_eq!(map.pairs().iter().filter(|(k, _)| k == b"x-dup").count(), 2);
    }

    #[test]
    fn replacing_removes_duplicates_and_moves_to_the_end() {
        let mut map = HeaderMap::of(
            Side::Request,
            [
                (&b"x-dup"[..], &b"a"[..]),
                (b"x-dup", b"b"),
                (b"accept", b"*/*"),
            ],
        );
        map.replace(b"X-DUP", b"one");
        assert_eq!(
            map.pairs().last(),
            Some(&(b"x-dup".to_vec(), b"one".to_vec()))
        );
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn host_is_the_authority_in_requests_only() {
        let mut request = HeaderMap::new(Side::Request);
        request.replace(b"host", b"newhost");
        assert_eq!(request.get(b":authority"), Some(&b"newhost"[..]));
        let mut response = HeaderMap::new(Side::Other);
        response.add(b"host", b"h");
        assert_eq!(response.get(b":authority"), None);
    }

    #[test]
    fn pairs_survive_the_round_trip_and_malformed_ones_are_empty() {
        let pairs = vec![
            (b"a".to_vec(), b"1".to_vec()),
            (Vec::new(), vec![0xff, 0xfe]),
        ];
        let mut bytes = serialize(&pairs);
        assert_eq!(deserialize(&bytes), pairs);
        bytes.truncate(bytes.len() - 3);
        assert_eq!(deserialize(&bytes), Vec::new());
        assert_eq!(
            deserialize(&serialize(&vec![(vec![b'x'], vec![b'v']); 1025])),
            Vec::new()
        );
    }
}
