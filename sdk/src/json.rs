//! JSON with a stable key order, from any bytes.
//!
//! 1. The result is one line of valid UTF-8: control characters, DEL and the line separators U+2028 and U+2029 are
//!    escaped, and every maximal run of bytes that is no UTF-8 becomes U+FFFD (RFC 8259 sections 7 and 8.1).
//! 2. Keys stand in the order in which they were written. The caller writes no key twice.
//! 3. There is no null: what is absent is not written.

/// Writes an object.
///
/// ```
/// let line = launchgate_sdk::json::object(|o| {
///     o.text("path", b"/a\n\xff");
///     o.integer("status", 200);
///     o.object("labels", |o| o.flag("ok", true));
/// });
/// assert_eq!(line, r#"{"path":"/a\n�","status":200,"labels":{"ok":true}}"#);
/// ```
pub fn object(fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::with_capacity(1024);
    write_object(&mut out, fill);
    text(out)
}

/// What was written here as text: it is UTF-8.
pub fn text(written: Vec<u8>) -> String {
    String::from_utf8(written).unwrap_or_default()
}

/// Writes an object at the end of a text.
pub fn write_object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, empty: true });
    out.push(b'}');
}

/// Writes a string with its quotes at the end of a text.
pub fn write_text(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    write_inner(out, value);
    out.push(b'"');
}

fn write_inner(out: &mut Vec<u8>, value: &[u8]) {
    // Nearly every text is printable ASCII: it is copied as it is.
    if is_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            push(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    plain
};

/// Whether nothing must be escaped.
fn is_plain(value: &[u8]) -> bool {
    for byte in value {
        if PLAIN.get(usize::from(*byte)) != Some(&true) {
            return false;
        }
    }
    true
}

/// Writes a whole number at the end of a text.
pub fn write_integer(out: &mut Vec<u8>, value: u64) {
    let (mut digits, mut at, mut rest) = ([b'0'; 20], 19, value);
    while rest >= 10 {
        if let Some(digit) = digits.get_mut(at) {
            *digit += (rest % 10) as u8;
        }
        (rest, at) = (rest / 10, at - 1);
    }
    if let Some(digit) = digits.get_mut(at) {
        *digit += rest as u8;
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

fn push(out: &mut Vec<u8>, letter: char) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = u32::from(letter) >> shift & 15;
                    push(out, char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
            other => push(out, other),
        }
    }
}

/// An object being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl Object<'_> {
    /// A string of any bytes.
    pub fn text(&mut self, key: &str, value: impl AsRef<[u8]>) {
        write_text(self.key(key), value.as_ref());
    }

    /// A string, where there is one.
    pub fn text_if(&mut self, key: &str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A whole number.
    pub fn integer(&mut self, key: &str, value: u64) {
        write_integer(self.key(key), value);
    }

    /// A whole number, where there is one.
    pub fn integer_if(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.integer(key, value);
        }
    }

    /// A truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.key(key)
            .extend_from_slice(if value { &b"true"[..] } else { b"false" });
    }

    /// An object within.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        write_object(self.key(key), fill);
    }

    /// A list within.
    pub fn list(&mut self, key: &str, fill: impl FnOnce(&mut List<'_>)) {
        let out = self.key(key);
        out.push(b'[');
        fill(&mut List { out, empty: true });
        out.push(b']');
    }

    /// A value that is JSON already: the caller vouches for it.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let begin: &[u8] = match std::mem::take(&mut self.empty) {
            true => b"\"",
            false => b",\"",
        };
        self.out.extend_from_slice(begin);
        write_inner(self.out, key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

/// A list being written.
pub struct List<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl List<'_> {
    /// A string of any bytes.
    pub fn text(&mut self, value: impl AsRef<[u8]>) {
        write_text(self.next(), value.as_ref());
    }

    /// A whole number.
    pub fn integer(&mut self, value: u64) {
        write_integer(self.next(), value);
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        write_object(self.next(), fill);
    }

    /// A value that is JSON already: the caller vouches for it.
    pub fn raw(&mut self, json: &str) {
        self.next().extend_from_slice(json.as_bytes());
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn every_byte_gives_valid_json_on_one_line() {
        for byte in 0..=255_u8 {
            let line = object(|o| o.text("k", [b'a', byte, b'z']));
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(
                read["k"],
                String::from_utf8_lossy(&[b'a', byte, b'z']).as_ref(),
                "{byte}"
            );
            assert!(!line.chars().any(char::is_control), "{byte}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn keys_keep_their_order_and_types() {
        let line = object(|o| {
            o.text("z", "\u{2028}\"\\");
            o.integer("a", u64::MAX);
            o.text_if("none", None::<&str>);
            o.integer_if("one", Some(1));
            o.flag("f", false);
            o.object("o", |o| {
                o.list("l", |l| {
                    l.text("x");
                    l.integer(2);
                    l.object(|_| {});
                    l.raw("[]");
                })
            });
            o.raw("r", "{}");
        });
        assert_eq!(
            line,
            r#"{"z":"\u2028\"\\","a":18446744073709551615,"one":1,"f":false,"o":{"l":["x",2,{},[]]},"r":{}}"#
        );
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn any_key_and_value_are_read_back(key in ".*", value in proptest::collection::vec(0_u8..=255, 0..64)) {
            let line = object(|o| o.text(&key, &value));
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            let expected = String::from_utf8_lossy(&value).into_owned();
            proptest::prop_assert_eq!(&read[&key], &serde_json::Value::String(expected));
            let broken = line.contains(['\n', '\r', '\0', '\u{2028}']);
            proptest::prop_assert!(!broken, "{}", line);
        }
    }
}
