//! Protobuf text format, as far as a schema-less reader can know it: a tree of fields.
//!
//! 1. `name: scalar`, `name { … }`, `name: { … }`, `name: < … >`, `name: [ … ]`; `,` and `;` between fields; `#` begins a comment.
//! 2. Strings stand in `"` or `'`, with C escapes; adjacent ones are one. Bytes that are not UTF-8 become `{"hex": …}`.
//! 3. A field that occurs several times becomes a list. Other bare words (enums) are text.

use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Map, Value};

/// Reads a message; an error names its line.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader {
        text,
        rest: text.char_indices().peekable(),
    };
    let message = reader.message(None);
    message.map_err(|problem| format!("line {}: {problem}", reader.line()))
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn line(&mut self) -> usize {
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text
            .get(..end)
            .map_or(1, |read| read.matches('\n').count() + 1)
    }

    /// The next character that is neither space nor comment; it is not consumed.
    fn peek(&mut self) -> Option<char> {
        while let Some((_, next)) = self.rest.peek().copied() {
            if next == '#' {
                while self.rest.next_if(|(_, c)| *c != '\n').is_some() {}
            } else if next.is_whitespace() {
                self.rest.next();
            } else {
                return Some(next);
            }
        }
        None
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.rest.next();
        }
        there
    }

    /// Fields up to `close`, or to the end.
    fn message(&mut self, close: Option<char>) -> Result<Value, String> {
        let mut fields = Map::new();
        loop {
            while self.take(',') || self.take(';') {}
            match (self.peek(), close) {
                (None, None) => return Ok(Value::Object(fields)),
                (None, Some(close)) => return Err(format!("expected `{close}`")),
                (next, Some(_)) if next == close => {
                    self.rest.next();
                    return Ok(Value::Object(fields));
                }
                _ => {}
            }
            let name = self.word();
            if name.is_empty() {
                return Err("expected a field's name".into());
            }
            let colon = self.take(':');
            match self.peek() {
                Some('{' | '<') => {}
                _ if colon => {}
                _ => return Err(format!("{name}: expected `:` or `{{`")),
            }
            if self.take('[') {
                while !self.take(']') {
                    let item = self.value()?;
                    insert(&mut fields, &name, item, true);
                    self.take(',');
                }
            } else {
                let value = self.value()?;
                insert(&mut fields, &name, value, false);
            }
        }
    }

    fn word(&mut self) -> String {
        self.peek();
        let mut word = String::new();
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
        while let Some((_, next)) = self.rest.next_if(|(_, c)| part(*c)) {
            word.push(next);
        }
        word
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.peek() {
            Some('{') => {
                self.rest.next();
                self.message(Some('}'))
            }
            Some('<') => {
                self.rest.next();
                self.message(Some('>'))
            }
            Some('"' | '\'') => {
                let mut bytes = Vec::new();
                while let Some(quote @ ('"' | '\'')) = self.peek() {
                    self.rest.next();
                    self.string(quote, &mut bytes)?;
                }
                Ok(text_or_hex(bytes))
            }
            _ => match self.word() {
                word if word.is_empty() => Err("expected a value".into()),
                word if word == "true" => Ok(Value::Bool(true)),
                word if word == "false" => Ok(Value::Bool(false)),
                word => Ok(word
                    .parse::<i64>()
                    .map_or_else(|_| Value::String(word), Value::from)),
            },
        }
    }

    fn string(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<(), String> {
        loop {
            match self.rest.next().map(|(_, next)| next) {
                None | Some('\n') => return Err(format!("expected {quote} before the line's end")),
                Some('\\') => self.escape(bytes)?,
                Some(next) if next == quote => return Ok(()),
                Some(next) => bytes.extend(next.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let Some((_, kind)) = self.rest.next() else {
            return Err("expected a character after `\\`".into());
        };
        let byte = match kind {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '\'' | '"' | '?' => kind as u8,
            'x' | 'X' => return self.code(16, 2, String::new(), bytes),
            '0'..='7' => return self.code(8, 3, kind.to_string(), bytes),
            'u' => return self.unicode(4, bytes),
            'U' => return self.unicode(8, bytes),
            other => return Err(format!("`\\{other}` is no escape")),
        };
        bytes.push(byte);
        Ok(())
    }

    fn code(
        &mut self,
        radix: u32,
        most: usize,
        mut digits: String,
        bytes: &mut Vec<u8>,
    ) -> Result<(), String> {
        while digits.len() < most
            && let Some((_, digit)) = self.rest.next_if(|(_, c)| c.is_digit(radix))
        {
            digits.push(digit);
        }
        let byte =
            u8::from_str_radix(&digits, radix).map_err(|_| format!("`\\{digits}` is no byte"))?;
        bytes.push(byte);
        Ok(())
    }

    fn unicode(&mut self, length: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
        let digits: String = self.rest.by_ref().take(length).map(|(_, c)| c).collect();
        let point = u32::from_str_radix(&digits, 16)
            .ok()
            .and_then(char::from_u32);
        let point = point.ok_or_else(|| format!("`{digits}` is no code point"))?;
        bytes.extend(point.encode_utf8(&mut [0; 4]).bytes());
        Ok(())
    }
}

fn insert(fields: &mut Map<String, Value>, name: &str, value: Value, listed: bool) {
    match fields.get_mut(name) {
        Some(Value::Array(items)) => items.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
        None if listed => {
            fields.insert(name.to_owned(), Value::Array(vec![value]));
        }
        None => {
            fields.insert(name.to_owned(), value);
        }
    }
}

fn text_or_hex(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(
        |error| {
            let digits = error.as_bytes().iter().map(|byte| format!("{byte:02x}"));
            serde_json::json!({ "hex": digits.collect::<String>() })
        },
        Value::String,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_repeat_nest_and_join_their_strings() {
        let text = "# a suite\nenv { log_level: DEBUG, time_secs: 7 }\ntest { name: 'a' header: [{key: \"k\"}] }\n\
                    test: < name: \"b\" 'c'\n \"\\x41\\102\\n\" benchmark: false >";
        let tree = parse(text).unwrap();
        assert_eq!(
            tree,
            json!({
                "env": {"log_level": "DEBUG", "time_secs": 7},
                "test": [{"name": "a", "header": [{"key": "k"}]}, {"name": "bcAB\n", "benchmark": false}],
            })
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay_what_they_are() {
        assert_eq!(
            parse(r#"value: "\xff\376""#).unwrap(),
            json!({"value": {"hex": "fffe"}})
        );
    }

    #[test]
    fn an_error_names_its_line() {
        assert_eq!(
            parse("test {\n  name \"a\"\n}").unwrap_err(),
            "line 2: name: expected `:` or `{`"
        );
        assert_eq!(parse("test {\n").unwrap_err(), "line 2: expected `}`");
    }
}
