//! What is wrong with a configuration.
//!
//! 1. Each error has the path of the value, the value as it was written, and what was expected.
//! 2. A value whose key sounds secret is never shown, nor an object or list, which may hold a secret.
//! 3. All errors print on one line, so that `envoy --mode validate` shows them together.

use std::fmt;

use crate::json_tree::Value;

use super::Parsed;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Path such as `dependencies[0].interval`; empty for the whole.
    pub path: String,
    /// The value as written, or `[redacted]`; absent where there is none.
    pub found: Option<String>,
    /// What was expected.
    pub expected: String,
    hidden: bool,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// A single mistake.
    pub fn one(path: impl Into<String>, expected: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.push(path, expected);
        errors
    }

    /// Notes a mistake. `expected` says what was expected, with a verb: `expected at least 1`.
    pub fn push(&mut self, path: impl Into<String>, expected: impl Into<String>) {
        self.0.push(ConfigError {
            path: path.into(),
            found: None,
            expected: expected.into(),
            hidden: false,
        });
    }

    /// Notes a mistake whose value is never shown: a secret, or a misspelt key that may hold one.
    pub fn push_hidden(&mut self, path: impl Into<String>, expected: impl Into<String>) {
        self.0.push(ConfigError {
            path: path.into(),
            found: None,
            expected: expected.into(),
            hidden: true,
        });
    }

    /// Notes a mistake unless `valid`.
    pub fn check(&mut self, valid: bool, path: impl Into<String>, expected: impl Into<String>) {
        if !valid {
            self.push(path, expected);
        }
    }

    /// The value, or its mistakes noted.
    pub fn keep<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|errors| self.extend(errors)).ok()
    }

    /// `value` where nothing is wrong.
    ///
    /// # Errors
    /// All mistakes, where there are some.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Takes over all mistakes of another part.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes over mistakes of a later check, except those that only follow from one already known.
    pub fn extend_unknown(&mut self, other: Self) {
        let follows = |error: &ConfigError| {
            self.0.iter().any(|known| {
                known.path.starts_with(&error.path) || error.path.starts_with(&known.path)
            })
        };
        let fresh: Vec<_> = other
            .0
            .into_iter()
            .filter(|error| !follows(error))
            .collect();
        self.0.extend(fresh);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// Adds to each mistake the value as written, and the path of the part.
    pub fn resolve(mut self, parsed: &Parsed) -> Self {
        for error in &mut self.0 {
            if error.found.is_none() && !error.hidden {
                error.found = lookup(parsed.written(), &error.path)
                    .and_then(|value| shown(&error.path, value));
            }
            let separator =
                if parsed.at().is_empty() || error.path.is_empty() || error.path.starts_with('[') {
                    ""
                } else {
                    "."
                };
            error.path = format!("{}{separator}{}", parsed.at(), error.path);
        }
        self
    }
}

/// Finds a value by a path such as `a.b[2].c`. Keys may hold dots: the longest key that fits wins.
fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if path.is_empty() {
        return Some(value);
    }
    if let Some((index, rest)) = path.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return lookup(value.as_array()?.get(index.parse::<usize>().ok()?)?, rest);
    }
    let (rest, value) = value
        .as_object()?
        .iter()
        .filter_map(|(key, value)| Some((path.strip_prefix(key.as_str())?, value)))
        .filter(|(rest, _)| rest.is_empty() || rest.starts_with(['.', '[']))
        .min_by_key(|(rest, _)| rest.len())?;
    lookup(value, rest)
}

const SECRETIVE: [&str; 9] = [
    "secret",
    "token",
    "key",
    "password",
    "dsn",
    "auth",
    "cookie",
    "url",
    "credential",
];
const SHOWN_LIMIT: usize = 64;

fn shown(path: &str, value: &Value) -> Option<String> {
    let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    let text = match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        // The reference itself is no secret, only what it stands for.
        Value::String(text)
            if text.starts_with("${") && text.ends_with('}') && !text.contains(":-") =>
        {
            format!("{text:?}")
        }
        _ if SECRETIVE.iter().any(|word| name.contains(word)) => "[redacted]".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let cut = text.char_indices().nth(SHOWN_LIMIT).map(|(at, _)| at);
    match cut.and_then(|at| text.get(..at)) {
        Some(short) => Some(format!("{short}…")),
        None => Some(text),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.is_empty(), &self.found) {
            (true, _) => write!(f, "{}", self.expected),
            (false, None) => write!(f, "{}: {}", self.path, self.expected),
            (false, Some(found)) => write!(f, "{}: {found}: {}", self.path, self.expected),
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
