//! From bytes to a tree.

use std::fmt;

use super::decimal::{Decimal, FARTHEST};
use super::{Object, Value};

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
        let mut fields = Vec::new();
        let start = self.at;
        if self.next_token() == Some(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.missing("a key"));
            }
            let key = self.string()?;
            if self.next_token() != Some(b':') {
                return Err(self.missing("\":\""));
            }
            self.at += 1;
            let value = self.value()?;
            fields.push((key, value));
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    return match Object::from_entries(fields) {
                        Ok(object) => Ok(Value::Object(object)),
                        Err(key) => Err(self.second(start, &key)),
                    };
                }
                _ => return Err(self.missing("\",\" or \"}\"")),
            }
        }
    }

    /// Goes back to the second of two equal keys of the object that begins behind `start`.
    fn second(&mut self, start: usize, key: &str) -> String {
        self.at = start;
        let mut times = 0;
        while self.next_token() == Some(b'"') && times < 2 {
            times += usize::from(self.string().is_ok_and(|name| name == key));
            if times < 2 {
                self.next_token();
                self.at += 1;
                let _ = self.value();
                self.next_token();
                self.at += 1;
            }
        }
        format!("duplicate key {key:?}")
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
