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
    let mut out = String::with_capacity(512);
    write_object(&mut out, fill);
    out
}

/// Writes an object at the end of a text.
pub fn write_object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object { out, empty: true });
    out.push('}');
}

/// Writes a string with its quotes at the end of a text.
pub fn write_text(out: &mut String, value: &[u8]) {
    out.push('"');
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    // Nearly every text is printable ASCII: it is copied as it is.
    match std::str::from_utf8(value) {
        Ok(text) if value.iter().all(plain) => out.push_str(text),
        _ => write_chunks(out, value),
    }
    out.push('"');
}

fn write_chunks(out: &mut String, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(must_escape) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut letters = tail.chars();
        if let Some(letter) = letters.next() {
            push_escaped(out, letter);
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
}

fn must_escape(letter: char) -> bool {
    matches!(letter, '"' | '\\' | '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

fn push_escaped(out: &mut String, letter: char) {
    match letter {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        other => {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from_digit((u32::from(other) >> shift) & 15, 16).unwrap_or('0'));
            }
        }
    }
}

/// An object being written.
pub struct Object<'a> {
    out: &'a mut String,
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
        let digits = value.to_string();
        self.key(key).push_str(&digits);
    }

    /// A whole number, where there is one.
    pub fn integer_if(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.integer(key, value);
        }
    }

    /// A truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.key(key).push_str(if value { "true" } else { "false" });
    }

    /// An object within.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        write_object(self.key(key), fill);
    }

    /// A list within.
    pub fn list(&mut self, key: &str, fill: impl FnOnce(&mut List<'_>)) {
        let out = self.key(key);
        out.push('[');
        fill(&mut List { out, empty: true });
        out.push(']');
    }

    /// A value that is JSON already: the caller vouches for it.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key).push_str(json);
    }

    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        write_text(self.out, key.as_bytes());
        self.out.push(':');
        self.out
    }
}

/// A list being written.
pub struct List<'a> {
    out: &'a mut String,
    empty: bool,
}

impl List<'_> {
    /// A string of any bytes.
    pub fn text(&mut self, value: impl AsRef<[u8]>) {
        write_text(self.next(), value.as_ref());
    }

    /// A whole number.
    pub fn integer(&mut self, value: u64) {
        let digits = value.to_string();
        self.next().push_str(&digits);
    }

    /// An object.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        write_object(self.next(), fill);
    }

    /// A value that is JSON already: the caller vouches for it.
    pub fn raw(&mut self, json: &str) {
        self.next().push_str(json);
    }

    fn next(&mut self) -> &mut String {
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
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
