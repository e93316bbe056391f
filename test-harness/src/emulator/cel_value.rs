//! Values as the CEL library has them.
//!
//! 1. Text that is UTF-8 is a string, else bytes.
//! 2. Maps, headers and messages have strings as keys, in a fixed order. A name of a header is found whatever its case; a message has
//!    no keys to go through, so its size is 0; one of protobuf has no size.
//! 3. Equal is what reads as the same value, so a map can be compared with one that an expression writes.
//! 4. Null, types and the like have no bytes: reading them is a serialisation failure. A map is read in the order of its keys' bytes
//!    (Envoy's order differs from run to run). A time beyond 64 bits of nanoseconds is the last one.

use std::any::Any;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as Keys, Sizer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelString,
    CelTimestamp, CelUInt, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use chrono::{DateTime, TimeDelta};

use super::datum::Datum;
use super::status::Status;

/// A value for the library.
pub fn of(datum: Datum) -> Box<dyn Val> {
    match datum {
        Datum::Text(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Box::new(CelString::from(text)),
            Err(other) => Box::new(CelBytes::from(other.into_bytes())),
        },
        Datum::Bytes(bytes) => Box::new(CelBytes::from(bytes)),
        Datum::Int(number) => Box::new(CelInt::from(number)),
        Datum::Uint(number) => Box::new(CelUInt::from(number)),
        Datum::Double(number) => Box::new(CelDouble::from(number)),
        Datum::Bool(flag) => Box::new(CelBool::from(flag)),
        Datum::Time(nanoseconds) => {
            let time = DateTime::from_timestamp_nanos(nanoseconds);
            Box::new(CelTimestamp::from(time.fixed_offset()))
        }
        Datum::Duration(nanoseconds) => {
            Box::new(CelDuration::from(TimeDelta::nanoseconds(nanoseconds)))
        }
        Datum::List(items) => {
            Box::new(CelList::from(items.into_iter().map(of).collect::<Vec<_>>()))
        }
        Datum::Map(_) | Datum::Headers(_) | Datum::Message { .. } => Box::new(Fields::new(datum)),
    }
}

/// A value of the library, or a serialisation failure.
pub fn read(value: &dyn Val) -> Result<Datum, Status> {
    let found = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        Some(Datum::Text(text.inner().as_bytes().to_vec()))
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        Some(Datum::Bytes(bytes.inner().to_vec()))
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let items = list.inner().iter().map(|item| read(item.as_ref()));
        Some(Datum::List(items.collect::<Result<_, _>>()?))
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let entries = map.inner().iter();
        let entries = entries.map(|(key, value)| Ok((key_of(key), read(value.as_ref())?)));
        let mut entries = entries.collect::<Result<Vec<_>, Status>>()?;
        entries.sort_by_cached_key(|(key, _)| key.encode().unwrap_or_default());
        Some(Datum::Map(entries))
    } else {
        read_plain(value)
    };
    found.ok_or(Status::SerializationFailure)
}

fn read_plain(value: &dyn Val) -> Option<Datum> {
    if let Some(number) = value.downcast_ref::<CelInt>() {
        Some(Datum::Int(*number.inner()))
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        Some(Datum::Uint(*number.inner()))
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        Some(Datum::Double(*number.inner()))
    } else if let Some(flag) = value.downcast_ref::<CelBool>() {
        Some(Datum::Bool(*flag.inner()))
    } else if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        let edge = time.inner().timestamp().saturating_mul(1_000_000_000);
        Some(Datum::Time(
            time.inner().timestamp_nanos_opt().unwrap_or(edge),
        ))
    } else if let Some(duration) = value.downcast_ref::<CelDuration>() {
        let edge = duration.inner().num_seconds().saturating_mul(1_000_000_000);
        Some(Datum::Duration(
            duration.inner().num_nanoseconds().unwrap_or(edge),
        ))
    } else {
        value
            .downcast_ref::<Fields>()
            .map(|fields| fields.datum.clone())
    }
}

fn key_of(key: &CelMapKey<'_>) -> Datum {
    match key {
        CelMapKey::Bool(flag) => Datum::Bool(*flag.inner()),
        CelMapKey::Int(number) => Datum::Int(*number.inner()),
        CelMapKey::String(text) => Datum::Text(text.inner().as_bytes().to_vec()),
        CelMapKey::UInt(number) => Datum::Uint(*number.inner()),
    }
}

fn text(datum: &Datum) -> Option<&[u8]> {
    match datum {
        Datum::Text(text) => Some(text),
        _ => None,
    }
}

/// A map of a scenario, headers or a message.
#[derive(Debug, Clone)]
struct Fields {
    datum: Datum,
    keys: Vec<CelString<'static>>,
}

impl Fields {
    fn new(datum: Datum) -> Self {
        let names: Vec<&[u8]> = match &datum {
            Datum::Headers(pairs) => pairs.iter().map(|(name, _)| name.as_slice()).collect(),
            Datum::Map(entries) => entries.iter().filter_map(|(key, _)| text(key)).collect(),
            _ => Vec::new(),
        };
        let key = |name: &&[u8]| CelString::from(String::from_utf8_lossy(name).into_owned());
        let keys = names.iter().map(key).collect();
        Fields { datum, keys }
    }

    fn find(&self, key: &dyn Val) -> Option<Datum> {
        let key = key.downcast_ref::<CelString<'_>>()?.inner();
        match &self.datum {
            Datum::Headers(pairs) => pairs
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes()))
                .map(|(_, value)| Datum::Text(value.clone())),
            Datum::Map(entries) => entries
                .iter()
                .find(|(name, _)| text(name) == Some(key.as_bytes()))
                .map(|(_, value)| value.clone()),
            Datum::Message { fields, .. } => fields
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.clone()),
            _ => None,
        }
    }
}

impl Val for Fields {
    fn get_type(&self) -> &Type {
        Self::cel_type()
    }

    fn cel_type() -> &'static Type {
        CelMap::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        match self.datum {
            Datum::Message { bytes: Some(_), .. } => None,
            _ => Some(self),
        }
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Val) -> bool {
        read(other).is_ok_and(|other| other == self.datum)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Fields {}

impl Container for Fields {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(key).is_some())
    }
}

impl Indexer for Fields {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let found = self.find(key);
        found
            .map(|datum| CowVal::Owned(of(datum)))
            .ok_or_else(|| ExecutionError::no_such_key("field"))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Iterable for Fields {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Keys<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(KeysOf(self.keys.iter()))
    }
}

struct KeysOf<'b>(std::slice::Iter<'b, CelString<'static>>);

impl<'b, 'v> Keys<'b, 'v> for KeysOf<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|key| key as &(dyn Val + 'v))
    }
}

impl Sizer for Fields {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.keys.len()).unwrap_or(i64::MAX))
    }
}
