//! From a JSON tree to a typed value, with all mistakes at once.
//!
//! 1. `#[derive(Decode)]` makes of a struct a table of names and places; [`Mistakes::object`] fills them. What is wrong is noted
//!    with its path, and its place keeps its default, so that everything else is read and checked too.
//! 2. Of the bad value, which may be secret, nothing is kept: only what was expected.
//! 3. The code that is made anew for each type is a few instructions; all the rest is here once. (serde's derive was half of
//!    a module.)

use crate::map::Map;
use std::fmt::Display;

use crate::json_tree::Value as Json;

use super::ConfigErrors;

/// What can be read from JSON.
pub trait Decode: Sized {
    /// Reads the value. Mistakes are noted; `None` where no value comes of it.
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self>;
}

/// Decodes a tree. With mistakes, the value is what the rest of the tree gives, for further checks; it may be missing.
pub fn decode<T: Decode>(tree: &Json) -> (Option<T>, ConfigErrors) {
    let mut mistakes = Mistakes::default();
    let value = T::decode(tree, &mut mistakes);
    (value, mistakes.errors)
}

/// A place that a value is read into.
pub trait Slot {
    /// Reads the value; with a mistake the place keeps what it holds.
    fn fill(&mut self, json: &Json, mistakes: &mut Mistakes);
}

impl<T: Decode> Slot for T {
    fn fill(&mut self, json: &Json, mistakes: &mut Mistakes) {
        if let Some(value) = T::decode(json, mistakes) {
            *self = value;
        }
    }
}

/// The place of a required field.
#[derive(Debug)]
pub struct Wanted<T> {
    value: Option<T>,
    given: bool,
}

impl<T> Default for Wanted<T> {
    fn default() -> Self {
        Self {
            value: None,
            given: false,
        }
    }
}

impl<T: Decode> Slot for Wanted<T> {
    fn fill(&mut self, json: &Json, mistakes: &mut Mistakes) {
        self.given = true;
        self.value = T::decode(json, mistakes);
    }
}

impl<T> Wanted<T> {
    /// The value; where it was not given, that is noted.
    pub fn take(self, key: &str, mistakes: &mut Mistakes) -> Option<T> {
        if !self.given {
            let whole = mistakes.enter(key);
            mistakes.refuse("is required");
            mistakes.path.truncate(whole);
        }
        self.value
    }
}

/// What is wrong so far, and where the reading is.
#[derive(Debug, Default)]
pub struct Mistakes {
    path: String,
    errors: ConfigErrors,
}

impl Mistakes {
    /// Notes that the value at hand is not what was expected: `expected …`.
    pub fn refuse(&mut self, expected: &str) {
        self.errors.push(self.path.as_str(), expected);
    }

    /// Fills places with the fields of an object. Where `strict`, an unknown field is a mistake. `false` if it is no object.
    pub fn object(
        &mut self,
        json: &Json,
        strict: bool,
        slots: &mut [(&str, &mut dyn Slot)],
    ) -> bool {
        let Some(object) = json.as_object() else {
            self.refuse("expected an object");
            return false;
        };
        for (key, value) in object {
            let slot = slots.iter_mut().find(|(name, _)| name == key);
            if slot.is_none() && !strict {
                continue;
            }
            let whole = self.enter(key);
            match slot {
                Some((_, slot)) => slot.fill(value, self),
                None => self.unknown(slots),
            }
            self.path.truncate(whole);
        }
        true
    }

    /// The value is not shown: a misspelt key may hold a secret.
    fn unknown(&mut self, slots: &[(&str, &mut dyn Slot)]) {
        let mut expected = "unknown field, expected ".to_owned();
        list(&mut expected, slots.iter().map(|(name, _)| *name));
        self.errors.push_hidden(self.path.as_str(), expected);
    }

    /// The position of a text in a list of names.
    pub fn choice(&mut self, json: &Json, names: &[&str]) -> Option<usize> {
        let text = json.as_str();
        let found = names.iter().position(|name| text == Some(name));
        if found.is_none() {
            let mut expected = "expected ".to_owned();
            list(&mut expected, names.iter().copied());
            self.refuse(&expected);
        }
        found
    }

    /// A text, parsed. The error says what was expected.
    pub fn parsed<T, E: Display>(
        &mut self,
        json: &Json,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.text(json)?) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.refuse(&expected.to_string());
                None
            }
        }
    }

    /// A text.
    pub fn text<'a>(&mut self, json: &'a Json) -> Option<&'a str> {
        self.noted(json.as_str(), "expected a string")
    }

    /// The value that was found, or a note of what was expected.
    pub fn noted<T>(&mut self, found: Option<T>, expected: &str) -> Option<T> {
        if found.is_none() {
            self.refuse(expected);
        }
        found
    }

    /// Begins the reading of a field; the length of the path before it.
    fn enter(&mut self, key: &str) -> usize {
        let whole = self.path.len();
        if whole > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        whole
    }

    /// Begins the reading of an item of a list; the length of the path before it.
    fn enter_item(&mut self, index: usize) -> usize {
        let whole = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        whole
    }
}

/// `a`, `a or b`, `one of a, b, c`.
fn list<'a>(text: &mut String, names: impl ExactSizeIterator<Item = &'a str>) {
    let (count, separator) = match names.len() {
        0 => return text.push_str("no fields"),
        2 => (2, " or "),
        count => (count, ", "),
    };
    if count > 2 {
        text.push_str("one of ");
    }
    for (position, name) in names.enumerate() {
        if position > 0 {
            text.push_str(separator);
        }
        text.push_str(name);
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        if json.is_null() {
            return Some(None);
        }
        T::decode(json, mistakes).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        let items = mistakes.noted(json.as_array(), "expected a list")?;
        let mut values = Self::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let whole = mistakes.enter_item(index);
            values.extend(T::decode(item, mistakes));
            mistakes.path.truncate(whole);
        }
        Some(values)
    }
}

impl<T: Decode> Decode for Map<String, T> {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        let fields = mistakes.noted(json.as_object(), "expected an object")?;
        let mut values = Self::new();
        for (key, field) in fields {
            let whole = mistakes.enter(key);
            if let Some(value) = T::decode(field, mistakes) {
                values.insert(key.clone(), value);
            }
            mistakes.path.truncate(whole);
        }
        Some(values)
    }
}

impl Decode for Json {
    fn decode(json: &Json, _: &mut Mistakes) -> Option<Self> {
        Some(json.clone())
    }
}

impl Decode for String {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.text(json).map(str::to_owned)
    }
}

impl Decode for bool {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(json.as_bool(), "expected a boolean")
    }
}

impl Decode for f64 {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(json.as_f64(), "expected a number")
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => { $(
        impl Decode for $number {
            fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
                let number = json.as_u64().and_then(|number| Self::try_from(number).ok());
                if number.is_none() {
                    mistakes.refuse(&format!("expected a whole number from 0 to {}", Self::MAX));
                }
                number
            }
        }
    )+ };
}

whole_numbers!(u8, u16, u32, u64, usize);

impl Decode for i64 {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(json.as_i64(), "expected a whole number")
    }
}
