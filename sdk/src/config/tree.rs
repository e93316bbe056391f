//! serde over a JSON tree, with the path of what was refused.
//!
//! 1. The path is put together on the way back from a mistake: each list and object adds its step. Nothing is spent where
//!    nothing is wrong.
//! 2. `serde_path_to_error` does the same by wrapping another deserializer. This one needs no wrapper, so each derived type
//!    is compiled for one deserializer only; the modules did not get smaller by it.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map, map::Map};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into an object.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// What serde refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) message: String,
    backwards: Vec<Step>,
}

impl Refused {
    /// The way from the root to the value.
    pub(super) fn path(&self) -> Vec<Step> {
        self.backwards.iter().rev().cloned().collect()
    }

    fn within(mut self, step: Step) -> Self {
        self.backwards.push(step);
        self
    }
}

impl Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            backwards: Vec::new(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

/// Reads a typed value from a tree.
pub(super) fn read<'de, T: Deserialize<'de>>(tree: &'de Value) -> Result<T, Refused> {
    T::deserialize(Node(tree))
}

#[derive(Clone, Copy)]
struct Node<'de>(&'de Value);

impl<'de> Node<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(_) => Unexpected::Other("string"),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter(),
                next: 0,
            }),
            Value::Object(fields) => visitor.visit_map(Fields {
                fields: fields.iter(),
                current: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0 {
            Value::String(name) => {
                let name: StrDeserializer<'_, Refused> = name.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            Value::Object(fields) => match Chosen::of(fields) {
                Some(chosen) => visitor.visit_enum(chosen),
                None => Err(Refused::custom("expected an object with one key")),
            },
            _ => Err(Refused::invalid_type(self.unexpected(), &"a string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Node(value))
            .map(Some)
            .map_err(|refused| refused.within(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'de> {
    fields: map::Iter<'de>,
    current: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        self.current = self.fields.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let name = BorrowedStrDeserializer::<Refused>::new(key);
        seed.deserialize(name)
            .map(Some)
            .map_err(|refused| refused.within(Step::Key(key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        let Some((key, value)) = self.current.take() else {
            return Err(Refused::custom("expected a key before a value"));
        };
        seed.deserialize(Node(value))
            .map_err(|refused| refused.within(Step::Key(key.clone())))
    }
}

/// `{"variant": content}`.
struct Chosen<'de> {
    name: &'de String,
    content: &'de Value,
}

impl<'de> Chosen<'de> {
    fn of(fields: &'de Map<String, Value>) -> Option<Self> {
        let mut fields = fields.iter();
        let (name, content) = fields.next()?;
        fields.next().is_none().then_some(Self { name, content })
    }

    fn step(&self, refused: Refused) -> Refused {
        refused.within(Step::Key(self.name.clone()))
    }
}

impl<'de> EnumAccess<'de> for Chosen<'de> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refused> {
        let name = BorrowedStrDeserializer::<Refused>::new(self.name);
        let variant = seed
            .deserialize(name)
            .map_err(|refused| self.step(refused))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'de> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        if self.content.is_null() {
            Ok(())
        } else {
            Err(self.step(Refused::custom("expected no content")))
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(Node(self.content))
            .map_err(|refused| self.step(refused))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refused> {
        Node(self.content)
            .deserialize_any(visitor)
            .map_err(|refused| self.step(refused))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        Node(self.content)
            .deserialize_any(visitor)
            .map_err(|refused| self.step(refused))
    }
}
