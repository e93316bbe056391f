//! JSON text (RFC 8259) as a tree. Small: modules carry it, and no other reader.
//!
//! 1. A key that stands twice in an object is refused: which of the two counts, others may see differently.
//! 2. Whole numbers are integers however they are written: protobuf's `Struct`, through which Istio passes a configuration, has
//!    doubles only.
//! 3. Text is UTF-8, nesting has a limit, and nothing follows the value but white space.

use std::fmt;

use serde_json::{Map, Number, Value};

/// Why a text is no JSON. Of the text itself it holds the name of a duplicate key only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    what: String,
    line: usize,
    column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at line {} column {}",
            self.what, self.line, self.column
        )
    }
}

impl std::error::Error for Malformed {}

/// Reads a text.
///
/// # Errors
/// What is no JSON, and where.
pub fn read(bytes: &[u8]) -> Result<Value, Malformed> {
    let mut reader = Reader {
        bytes,
        at: 0,
        depth: 0,
    };
    let result = reader.value().and_then(|value| match reader.next_token() {
        None => Ok(value),
        Some(_) => Err("expected the end".to_owned()),
    });
    result.map_err(|what| {
        let before = bytes.get(..reader.at).unwrap_or(bytes);
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let column = before
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
        Malformed {
            what,
            line: line + 1,
            column,
        }
    })
}

/// Reads a text that is one number, as servers put into strings and headers; neither NaN nor infinite. (`str::parse` brings
/// 15 kB of tables.)
pub fn number(text: &str) -> Option<f64> {
    read(text.as_bytes()).ok()?.as_f64()
}

const DEEPEST: usize = 128;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, String>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn value(&mut self) -> Read<Value> {
        match self.next_token() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err("expected value".to_owned()),
            None => Err("EOF while reading a value".to_owned()),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("expected at most {DEEPEST} levels"));
        }
        self.at += 1;
        let value = read(self)?;
        self.at += 1;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(format!("expected {word}"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// From behind `{` up to `}`.
    fn object(&mut self) -> Read<Value> {
        let mut object = Map::new();
        if self.next_token() == Some(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.missing("a key"));
            }
            let key = self.string()?;
            if object.contains_key(&key) {
                return Err(format!("duplicate key {key:?}"));
            }
            if self.next_token() != Some(b':') {
                return Err(self.missing("\":\""));
            }
            self.at += 1;
            let value = self.value()?;
            object.insert(key, value);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => return Ok(Value::Object(object)),
                _ => return Err(self.missing("\",\" or \"}\"")),
            }
        }
    }

    /// From behind `[` up to `]`.
    fn list(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        if self.next_token() == Some(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => return Ok(Value::Array(items)),
                _ => return Err(self.missing("\",\" or \"]\"")),
            }
        }
    }

    fn missing(&self, what: &str) -> String {
        match self.peek() {
            None => format!("EOF where {what} was expected"),
            Some(_) => format!("expected {what}"),
        }
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return Err("EOF while reading a string".to_owned()),
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                Some(0..=0x1f) => {
                    return Err("expected no control character in a string".to_owned());
                }
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        String::from_utf8(text).map_err(|_| "expected UTF-8".to_owned())
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Read<()> {
        self.at += 1;
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let letter = self.code_point()?;
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err("expected an escape".to_owned()),
        };
        self.at += 1;
        text.push(byte);
        Ok(())
    }

    /// `\uXXXX`, or two of them that are a surrogate pair; stands at the `u`.
    fn code_point(&mut self) -> Read<char> {
        let first = self.unit()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first)
            && self
                .bytes
                .get(self.at..)
                .is_some_and(|rest| rest.starts_with(b"\\u"))
        {
            self.at += 1;
            let second = self.unit()?;
            if (0xdc00..0xe000).contains(&second) {
                code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            }
        }
        char::from_u32(code).ok_or_else(|| "expected no lone surrogate".to_owned())
    }

    fn unit(&mut self) -> Read<u32> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit =
                unit * 16 + digit.ok_or_else(|| "expected four hexadecimal digits".to_owned())?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Read<Value> {
        let mut decimal = Decimal::default();
        if self.peek() == Some(b'-') {
            decimal.negative = true;
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        if self.digits(&mut decimal, false)? > 1 && leading_zero {
            return Err("expected no leading zero".to_owned());
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits(&mut decimal, true)?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            let sign = self.peek();
            if let Some(b'+' | b'-') = sign {
                self.at += 1;
            }
            let mut power = Decimal::default();
            self.digits(&mut power, false)?;
            let power = i32::try_from(power.digits)
                .unwrap_or(i32::MAX)
                .min(FARTHEST);
            decimal.exponent += if sign == Some(b'-') { -power } else { power };
        }
        decimal
            .value()
            .ok_or_else(|| "expected a smaller number".to_owned())
    }

    /// Reads digits, at least one; how many.
    fn digits(&mut self, decimal: &mut Decimal, fraction: bool) -> Read<usize> {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            decimal.push(digit - b'0', fraction);
            self.at += 1;
        }
        if self.at == start {
            return Err(self.missing("a digit"));
        }
        Ok(self.at - start)
    }
}

/// Beyond it a double is zero or infinite.
const FARTHEST: i32 = 5000;

/// `digits` times ten to the `exponent`. Digits that no longer fit are dropped: they are beyond a double's precision.
#[derive(Default)]
struct Decimal {
    negative: bool,
    digits: u64,
    exponent: i32,
    cut: bool,
}

impl Decimal {
    fn push(&mut self, digit: u8, fraction: bool) {
        let more = self
            .digits
            .checked_mul(10)
            .and_then(|digits| digits.checked_add(u64::from(digit)));
        match more.filter(|_| !self.cut) {
            Some(digits) => {
                self.digits = digits;
                self.exponent -= i32::from(fraction);
            }
            None => {
                self.cut = true;
                self.exponent = self.exponent.saturating_add(i32::from(!fraction));
            }
        }
    }

    /// `None` where a double cannot hold it.
    fn value(&self) -> Option<Value> {
        if self.exponent == 0 && !self.cut {
            if !self.negative {
                return Some(self.digits.into());
            }
            if let Some(whole) = 0_i64.checked_sub_unsigned(self.digits) {
                return Some(whole.into());
            }
        }
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let size = self.size();
        let number = if self.negative { -size } else { size };
        if number.abs() < EXACT && number == (number as i64) as f64 {
            return Some((number as i64).into());
        }
        Number::from_f64(number).map(Value::Number)
    }

    /// Exact for up to 15 digits and exponents up to 22, as most numbers have; beyond that within a few units in the last place.
    fn size(&self) -> f64 {
        let mut value = self.digits as f64;
        let mut left = self.exponent.unsigned_abs();
        while left > 0 && value != 0.0 && value.is_finite() {
            // The largest power of ten that a double holds exactly is the 22nd.
            let step = left.min(22);
            let power = (0..step).fold(1.0, |power, _| power * 10.0);
            value = if self.exponent < 0 {
                value / power
            } else {
                value * power
            };
            left -= step;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn refused(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn whole_numbers_are_integers_however_they_are_written() {
        for (text, number) in [
            ("5.0", 5),
            ("5e0", 5),
            ("0.5e1", 5),
            ("-1200E-2", -12),
            ("-0", 0),
            ("1e3", 1000),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(number.into()), "{text}");
        }
        assert_eq!(read(b"18446744073709551615"), Ok(u64::MAX.into()));
        assert_eq!(read(b"-9223372036854775808"), Ok(i64::MIN.into()));
        for (text, number) in [
            ("0.1", 0.1),
            ("-2.5e-3", -0.0025),
            ("1.5e22", 1.5e22),
            ("99.9", 99.9),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(number.into()), "{text}");
        }
        let far = number("1e300").unwrap();
        assert!((far / 1e300 - 1.0).abs() < 1e-15, "{far:e}");
        assert_eq!(read(b"1e-4999"), Ok(0.into()));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn escapes_are_resolved() {
        let text = r#""a\"\\\/\b\f\n\r\té\u20ac\ud83d\ude00""#;
        assert_eq!(
            read(text.as_bytes()),
            Ok("a\"\\/\u{8}\u{c}\n\r\té€😀".into())
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, message) in [
            (
                "{\"a\": 1,\n \"a\": 2}",
                "duplicate key \"a\" at line 2 column 4",
            ),
            ("", "EOF while reading a value at line 1 column 0"),
            ("{", "EOF where a key was expected at line 1 column 1"),
            ("[1 2]", "expected \",\" or \"]\" at line 1 column 3"),
            ("[1,]", "expected value at line 1 column 3"),
            ("{\"a\" 1}", "expected \":\" at line 1 column 5"),
            ("01", "expected no leading zero at line 1 column 2"),
            ("1.", "EOF where a digit was expected at line 1 column 2"),
            ("1e999", "expected a smaller number at line 1 column 5"),
            (
                "\"\\ud800\"",
                "expected no lone surrogate at line 1 column 7",
            ),
            (
                "\"\\ud800\\u0041\"",
                "expected no lone surrogate at line 1 column 13",
            ),
            (
                "\"a\nb\"",
                "expected no control character in a string at line 1 column 2",
            ),
            ("truth", "expected true at line 1 column 0"),
            ("1 x", "expected the end at line 1 column 2"),
        ] {
            assert_eq!(refused(text), message, "{text:?}");
        }
        assert_eq!(
            read(b"\"\xff\"").unwrap_err().to_string(),
            "expected UTF-8 at line 1 column 3"
        );
        assert!(
            read("[".repeat(128).as_bytes())
                .unwrap_err()
                .to_string()
                .starts_with("EOF")
        );
        assert!(refused(&"[".repeat(129)).starts_with("expected at most 128 levels"));
    }

    #[cfg(not(target_family = "wasm"))]
    mod random {
        use super::super::read;
        use proptest::prelude::*;
        use serde_json::Value;

        fn tree() -> impl Strategy<Value = Value> {
            let leaf = prop_oneof![
                Just(Value::Null),
                any::<bool>().prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<u64>().prop_map(Value::from),
                (-1_000_000_i64..1_000_000, 1_u32..6).prop_map(|(digits, places)| format!(
                    "{digits}e-{places}"
                )
                .parse::<f64>()
                .map_or(Value::Null, whole_or_not)),
                any::<String>().prop_map(Value::from),
            ];
            leaf.prop_recursive(5, 60, 8, |inner| {
                prop_oneof![
                    proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                    proptest::collection::btree_map(any::<String>(), inner, 0..6)
                        .prop_map(|fields| Value::Object(fields.into_iter().collect())),
                ]
            })
        }

        fn whole_or_not(number: f64) -> Value {
            if number.fract() == 0.0 {
                (number as i64).into()
            } else {
                number.into()
            }
        }

        proptest! {
            #[test]
            fn it_reads_what_serde_json_writes(tree in tree()) {
                prop_assert_eq!(read(tree.to_string().as_bytes()), Ok(tree.clone()));
                let pretty = serde_json::to_string_pretty(&tree).unwrap_or_default();
                prop_assert_eq!(read(pretty.as_bytes()), Ok(tree));
            }

            #[test]
            fn it_refuses_what_serde_json_refuses(text in "[\\[\\]{}:,\" \\\\u0-9a-fA-F.eE+\\-tn]{0,12}") {
                let theirs = serde_json::from_str::<Value>(&text);
                // Two things are ours: duplicate keys are refused, and a number out of range is.
                match read(text.as_bytes()) {
                    Ok(_) => prop_assert!(theirs.is_ok(), "{:?}", text),
                    Err(error) => prop_assert!(theirs.is_err() || error.to_string().starts_with("duplicate key"), "{:?}: {}", text, error),
                }
            }

            #[test]
            fn no_bytes_stop_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
                let _ = read(&bytes);
            }
        }
    }
}
