//! Trees from values: `json!` and `From`.

use super::{Number, Value};
use crate::map::Map;

/// A tree, as it is written: `json!({"a": [1, true], "b": text})`.
#[macro_export]
macro_rules! json_value {
    (@fields $object:ident) => {};
    (@fields $object:ident $key:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $object.insert($key.to_owned(), $crate::json_value!({ $($inner)* }));
        $crate::json_value!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $key:literal : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $object.insert($key.to_owned(), $crate::json_value!([ $($inner)* ]));
        $crate::json_value!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $key:literal : $value:expr $(, $($rest:tt)*)?) => {
        $object.insert($key.to_owned(), $crate::json_tree::Value::from($value));
        $crate::json_value!(@fields $object $($($rest)*)?);
    };
    ({}) => { $crate::json_tree::Value::Object($crate::json_tree::Object::new()) };
    ({ $($fields:tt)+ }) => {{
        let mut object = $crate::json_tree::Object::new();
        $crate::json_value!(@fields object $($fields)+);
        $crate::json_tree::Value::Object(object)
    }};
    ([ $($item:tt),* $(,)? ]) => { $crate::json_tree::Value::Array(vec![$($crate::json_value!($item)),*]) };
    (null) => { $crate::json_tree::Value::Null };
    ($value:expr) => { $crate::json_tree::Value::from($value) };
}

macro_rules! whole {
    ($($number:ty),+) => { $(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(Number::Whole(number as u64))
            }
        }
    )+ };
}

whole!(u8, u16, u32, u64, usize);

macro_rules! signed {
    ($($number:ty),+) => { $(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                let number = i64::from(number);
                Self::Number(match u64::try_from(number) {
                    Ok(whole) => Number::Whole(whole),
                    Err(_) => Number::Negative(number),
                })
            }
        }
    )+ };
}

signed!(i32, i64);

impl From<f64> for Value {
    /// What is not finite is `null`.
    fn from(number: f64) -> Self {
        if number.is_finite() {
            Self::Number(Number::Double(number))
        } else {
            Self::Null
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::String(text.clone())
    }
}

impl<T: Into<Value>> From<Map<String, T>> for Value {
    fn from(fields: Map<String, T>) -> Self {
        let fields = fields.into_iter();
        Self::Object(fields.map(|(key, value)| (key, value.into())).collect())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
