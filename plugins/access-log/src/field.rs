//! Fields of the configuration: from a header, a response header, an attribute, or constant.

use std::rc::Rc;

use launchgate_sdk::headers::InvalidHeader;
use launchgate_sdk::redact::Redactor;
use launchgate_sdk::{ConfigErrors, EndView, Headers};

use crate::config::{FieldConfig, FieldType};
use crate::name::{Name, RESERVED};
use crate::record::Value;

/// A checked field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: Rc<str>,
    /// Where it comes from.
    pub(crate) source: Source,
    kind: FieldType,
}

/// Where a field comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Request header.
    Header(String),
    /// Response header.
    ResponseHeader(String),
    /// Path of an attribute.
    Attribute(Vec<String>),
    /// Constant.
    Constant(String),
}

const NAME_LIMIT: usize = 64;

impl Field {
    /// Checks a field at `at`. Notes every mistake.
    pub(crate) fn read(
        name: &str,
        config: &FieldConfig,
        at: &str,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let before = errors.iter().count();
        let fits = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
            && name.len() <= NAME_LIMIT
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        errors.check(fits, at, "expected a name of at most 64 letters, digits, \"_\", \".\" and \"-\", not first a digit");
        let taken = RESERVED.contains(&name) || Name::parse(name).is_some();
        errors.check(!taken, at, "expected a name that no field of the model has");
        let sources = [
            &config.header,
            &config.response_header,
            &config.attribute,
            &config.value,
        ];
        let set = sources.iter().filter(|text| !text.is_empty()).count();
        errors.check(
            set == 1,
            at,
            "expected exactly one of header, response_header, attribute, value",
        );
        for (key, header) in [
            ("header", &config.header),
            ("response_header", &config.response_header),
        ] {
            errors.check(
                header.is_empty() || InvalidHeader::check(header, b"").is_ok(),
                format!("{at}.{key}"),
                "expected a header name",
            );
        }
        let path = parse_path(&config.attribute);
        errors.check(
            path.is_some() || config.attribute.is_empty(),
            format!("{at}.attribute"),
            "expected an attribute such as \"xds.route_name\"",
        );
        let constant = config.value.is_empty()
            || typed(config.value.as_bytes(), config.r#type, false).is_some();
        errors.check(
            constant,
            format!("{at}.value"),
            "expected a value of the field's type",
        );
        let source = match (
            config.header.as_str(),
            config.response_header.as_str(),
            path,
        ) {
            ("", "", None) => Source::Constant(config.value.clone()),
            ("", "", Some(path)) => Source::Attribute(path),
            ("", header, _) => Source::ResponseHeader(header.to_ascii_lowercase()),
            (header, _, _) => Source::Header(header.to_ascii_lowercase()),
        };
        (errors.iter().count() == before).then(|| Self {
            name: name.into(),
            source,
            kind: config.r#type,
        })
    }

    /// Its value for an exchange, redacted; `None` where there is none, or none of its type.
    pub(crate) fn value(
        &self,
        request: &Headers,
        view: &EndView<'_>,
        redactor: &Redactor,
    ) -> Option<Value> {
        let (bytes, native) = match &self.source {
            Source::Header(name) => (header(request, name, redactor)?, false),
            Source::ResponseHeader(name) => (header(view.response(), name, redactor)?, false),
            Source::Attribute(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let value = view.property(&path).filter(|value| !value.is_empty())?;
                let text = self.kind == FieldType::Text;
                (
                    if text {
                        redactor.header(path.last()?, &value)?
                    } else {
                        value
                    },
                    true,
                )
            }
            Source::Constant(text) => (text.clone().into_bytes(), false),
        };
        typed(&bytes, self.kind, native)
    }
}

fn header(headers: &Headers, name: &str, redactor: &Redactor) -> Option<Vec<u8>> {
    let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
    let values: Vec<&[u8]> = headers.all(name).collect();
    if values.is_empty() {
        return None;
    }
    redactor.header(name, &values.join(separator))
}

/// A value of a type; `native` is the host's binary form.
fn typed(bytes: &[u8], kind: FieldType, native: bool) -> Option<Value> {
    match kind {
        FieldType::Text => Some(Value::Text(bytes.to_vec())),
        FieldType::Integer => {
            let number = <[u8; 8]>::try_from(bytes)
                .ok()
                .filter(|_| native)
                .map(u64::from_le_bytes);
            number
                .or_else(|| std::str::from_utf8(bytes).ok()?.trim().parse().ok())
                .map(Value::Integer)
        }
        FieldType::Flag => match bytes {
            [0] | b"0" | b"false" => Some(Value::Flag(false)),
            [1] | b"1" | b"true" => Some(Value::Flag(true)),
            _ => None,
        },
    }
}

/// Parts between dots; a part in brackets may hold dots.
fn parse_path(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, tail) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => rest.split_at_checked(rest.find('.').unwrap_or(rest.len()))?,
        };
        if part.is_empty() || part.contains(['[', ']', '\0']) {
            return None;
        }
        parts.push(part.to_owned());
        match tail.strip_prefix('.') {
            Some(after) => rest = after,
            None => return tail.is_empty().then_some(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_paths_are_split_at_dots_outside_brackets() {
        for (text, parts) in [
            ("xds.route_name", Some(vec!["xds", "route_name"])),
            (
                "metadata.filter_metadata.[envoy.lb].zone",
                Some(vec!["metadata", "filter_metadata", "envoy.lb", "zone"]),
            ),
            ("plugin_name", Some(vec!["plugin_name"])),
            ("", None),
            ("a..b", None),
            ("a.", None),
            ("[a", None),
            ("[a]b", None),
            ("a[b]", None),
        ] {
            assert_eq!(
                parse_path(text),
                parts.map(|parts| parts.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_that_is_not_of_the_type_is_left_out() {
        for (bytes, kind, native, value) in [
            (
                &b"42"[..],
                FieldType::Integer,
                false,
                Some(Value::Integer(42)),
            ),
            (b" 42 ", FieldType::Integer, false, Some(Value::Integer(42))),
            (
                b"12345678",
                FieldType::Integer,
                false,
                Some(Value::Integer(12_345_678)),
            ),
            (
                &[1, 0, 0, 0, 0, 0, 0, 0],
                FieldType::Integer,
                true,
                Some(Value::Integer(1)),
            ),
            (b"x", FieldType::Integer, false, None),
            (b"-1", FieldType::Integer, false, None),
            (b"true", FieldType::Flag, false, Some(Value::Flag(true))),
            (&[0], FieldType::Flag, true, Some(Value::Flag(false))),
            (b"yes", FieldType::Flag, false, None),
            (
                b"\xff",
                FieldType::Text,
                false,
                Some(Value::Text(vec![0xff])),
            ),
        ] {
            assert_eq!(typed(bytes, kind, native), value, "{bytes:?} {kind:?}");
        }
    }
}
