//! The shape of a resource: which fields it has, of which type. A small notation in YAML, strict by itself: a field that
//! no shape names is unknown.
//!
//! | notation | means |
//! | --- | --- |
//! | `string`, `string(1..253)` | text, its length in bytes |
//! | `int`, `int(1..65535)`, `number(0..100)`, `bool` | what they say |
//! | `duration` | Go's `300ms`, `1m30s`; at least 1 ms |
//! | `A\|B` | one of these words |
//! | `/^x+$/` | text that matches |
//! | `free` | anything; `object` is any mapping |
//! | `[T]` | a list of `T` |
//! | `=Name` | the shape `Name` under `types` |
//! | `{field: T, field!: T}` | a mapping; `!` is required; `"*": T` takes any other key; `?one: [a, b]` allows one of them |

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// A mismatch: rule, path, message.
pub(crate) type Mismatch = (&'static str, String, String);

/// A compiled shape.
#[derive(Debug)]
pub(crate) enum Shape {
    Text { min: usize, max: usize },
    Integer { min: i64, max: i64 },
    Number { min: f64, max: f64 },
    Bool,
    Duration,
    OneOf(Vec<String>),
    Pattern(Regex),
    Free,
    Object,
    List(Box<Shape>),
    Named(String),
    Mapping(Mapping),
}

/// The fields of a mapping.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    fields: BTreeMap<String, (bool, Shape)>,
    others: Option<Box<Shape>>,
    exclusive: Vec<String>,
}

/// All shapes of a file.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    kinds: BTreeMap<String, (Vec<String>, Shape)>,
    types: BTreeMap<String, Shape>,
}

impl Shapes {
    /// Compiles a file of shapes.
    ///
    /// # Errors
    /// Names what is wrong in the notation.
    pub(crate) fn parse(yaml: &str) -> Result<Self, String> {
        let file: Value = serde_norway::from_str(yaml).map_err(|e| e.to_string())?;
        let mut shapes = Self::default();
        for (name, notation) in entries(&file["types"]) {
            shapes.types.insert(
                name.clone(),
                compile(notation).map_err(|e| format!("types.{name}: {e}"))?,
            );
        }
        for (name, notation) in entries(&file["kinds"]) {
            let versions = notation["apiVersions"].as_array().into_iter().flatten();
            let versions = versions
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            let spec = compile(&notation["spec"]).map_err(|e| format!("kinds.{name}: {e}"))?;
            shapes
                .kinds
                .insert(name.clone(), (versions, document(spec)?));
        }
        Ok(shapes)
    }

    /// Every mismatch of `document`; `None` when no shape is known for it.
    pub(crate) fn check(
        &self,
        api_version: &str,
        kind: &str,
        document: &Value,
    ) -> Option<Vec<Mismatch>> {
        let (versions, body) = self.kinds.get(kind)?;
        let group = |version: &str| version.split('/').next().unwrap_or_default().to_owned();
        if !versions.iter().any(|v| group(v) == group(api_version)) {
            return None;
        }
        let mut found = Vec::new();
        if !versions.iter().any(|v| v == api_version) {
            let message = format!(
                "{api_version:?} is not served, expected {}",
                versions.join(" or ")
            );
            found.push(("api-version", "apiVersion".to_owned(), message));
        }
        self.visit(body, document, "", &mut found);
        Some(found)
    }

    fn visit(&self, shape: &Shape, value: &Value, path: &str, found: &mut Vec<Mismatch>) {
        let mut refuse = |rule, message: String| found.push((rule, path.to_owned(), message));
        match shape {
            Shape::Free => {}
            Shape::Named(name) => match self.types.get(name) {
                Some(shape) => self.visit(shape, value, path, found),
                None => refuse("shape", format!("no type named {name}")),
            },
            Shape::List(item) => match value.as_array() {
                Some(items) => {
                    for (index, value) in items.iter().enumerate() {
                        self.visit(item, value, &format!("{path}[{index}]"), found);
                    }
                }
                None => refuse("type", format!("{} where a list was expected", show(value))),
            },
            Shape::Mapping(mapping) => match value.as_object() {
                Some(_) => self.visit_mapping(mapping, value, path, found),
                None => refuse(
                    "type",
                    format!("{} where a mapping was expected", show(value)),
                ),
            },
            scalar => {
                if let Err((rule, message)) = check_scalar(scalar, value) {
                    refuse(rule, message);
                }
            }
        }
    }

    fn visit_mapping(
        &self,
        mapping: &Mapping,
        value: &Value,
        path: &str,
        found: &mut Vec<Mismatch>,
    ) {
        let at = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        for (key, value) in entries(value) {
            match (mapping.fields.get(key), &mapping.others) {
                (Some((_, shape)), _) => self.visit(shape, value, &at(key), found),
                (None, Some(shape)) => self.visit(shape, value, &at(key), found),
                (None, None) => {
                    let known: Vec<_> = mapping.fields.keys().map(String::as_str).collect();
                    found.push((
                        "unknown-field",
                        at(key),
                        format!("unknown field, expected one of {}", known.join(", ")),
                    ));
                }
            }
        }
        for (key, (required, _)) in &mapping.fields {
            if *required && value.get(key).is_none() {
                found.push((
                    "required-field",
                    at(key),
                    "missing, it is required".to_owned(),
                ));
            }
        }
        let given: Vec<_> = mapping
            .exclusive
            .iter()
            .filter(|k| value.get(k.as_str()).is_some())
            .cloned()
            .collect();
        if given.len() > 1 {
            let at = if path.is_empty() {
                "document".to_owned()
            } else {
                path.to_owned()
            };
            found.push((
                "exclusive-fields",
                at,
                format!("{} exclude each other", given.join(" and ")),
            ));
        }
    }
}

fn check_scalar(shape: &Shape, value: &Value) -> Result<(), (&'static str, String)> {
    let wrong_type = |expected: &str| {
        Err((
            "type",
            format!("{} where {expected} was expected", show(value)),
        ))
    };
    match shape {
        Shape::Text { min, max } => match value.as_str() {
            Some(text) if (*min..=*max).contains(&text.len()) => Ok(()),
            Some(text) => Err((
                "range",
                format!("{} bytes, expected {min} to {max}", text.len()),
            )),
            None => wrong_type("text"),
        },
        Shape::Integer { min, max } => match value.as_i64() {
            Some(number) if (*min..=*max).contains(&number) => Ok(()),
            Some(number) => Err(("range", format!("{number}, expected {min} to {max}"))),
            None => wrong_type("a whole number"),
        },
        Shape::Number { min, max } => match value.as_f64() {
            Some(number) if (*min..=*max).contains(&number) => Ok(()),
            Some(number) => Err(("range", format!("{number}, expected {min} to {max}"))),
            None => wrong_type("a number"),
        },
        Shape::Bool if value.is_boolean() => Ok(()),
        Shape::Bool => wrong_type("true or false"),
        Shape::Object if value.is_object() => Ok(()),
        Shape::Object => wrong_type("a mapping"),
        Shape::Duration => match value.as_str().and_then(micros) {
            Some(micros) if micros >= 1000 => Ok(()),
            Some(_) => Err(("duration", format!("{} is below 1ms", show(value)))),
            None => Err((
                "duration",
                format!("{} is no duration such as 300ms or 1m30s", show(value)),
            )),
        },
        Shape::OneOf(words) => match value.as_str() {
            Some(text) if words.iter().any(|w| w == text) => Ok(()),
            _ => Err((
                "enum",
                format!("{}, expected {}", show(value), words.join(" or ")),
            )),
        },
        Shape::Pattern(pattern) => match value.as_str() {
            Some(text) if pattern.is_match(text) => Ok(()),
            Some(_) => Err((
                "pattern",
                format!("{} does not match {pattern}", show(value)),
            )),
            None => wrong_type("text"),
        },
        Shape::Free | Shape::Named(_) | Shape::List(_) | Shape::Mapping(_) => Ok(()),
    }
}

/// Go's duration text in whole microseconds; `None` when it is none.
pub(crate) fn micros(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = ["ns", "us", "ms", "s", "m", "h"]
            .into_iter()
            .filter(|u| rest.starts_with(u))
            .max_by_key(|u| u.len())?;
        total += number
            * match unit {
                "ns" => 0.001,
                "us" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                "m" => 6e7,
                _ => 3.6e9,
            };
        rest = &rest[unit.len()..];
    }
    Some(total as u64)
}

/// What every document has around its `spec`.
fn document(spec: Shape) -> Result<Shape, String> {
    let mut mapping = Mapping::default();
    for (field, required, notation) in [
        ("apiVersion", true, "string"),
        ("kind", true, "string"),
        ("metadata", true, "object"),
        ("status", false, "object"),
    ] {
        mapping
            .fields
            .insert(field.to_owned(), (required, compile_scalar(notation)?));
    }
    mapping.fields.insert("spec".to_owned(), (true, spec));
    Ok(Shape::Mapping(mapping))
}

fn compile(notation: &Value) -> Result<Shape, String> {
    match notation {
        Value::String(text) => compile_scalar(text),
        Value::Array(items) => match items.as_slice() {
            [item] => Ok(Shape::List(Box::new(compile(item)?))),
            _ => Err("a list notation has one item".to_owned()),
        },
        Value::Object(_) => compile_mapping(notation).map(Shape::Mapping),
        other => Err(format!("{other} is no notation")),
    }
}

fn compile_mapping(notation: &Value) -> Result<Mapping, String> {
    let mut mapping = Mapping::default();
    for (key, value) in entries(notation) {
        match key.as_str() {
            "*" => mapping.others = Some(Box::new(compile(value)?)),
            "?one" => {
                mapping.exclusive = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect()
            }
            _ => {
                let shape = compile(value).map_err(|e| format!("{key}: {e}"))?;
                let (name, required) = key
                    .strip_suffix('!')
                    .map_or((key.as_str(), false), |name| (name, true));
                mapping.fields.insert(name.to_owned(), (required, shape));
            }
        }
    }
    Ok(mapping)
}

fn compile_scalar(text: &str) -> Result<Shape, String> {
    if let Some(name) = text.strip_prefix('=') {
        return Ok(Shape::Named(name.to_owned()));
    }
    if let Some(pattern) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
        return Regex::new(pattern)
            .map(Shape::Pattern)
            .map_err(|e| e.to_string());
    }
    let (word, range) = match text.split_once('(') {
        Some((word, range)) => (word, range.trim_end_matches(')').split_once("..")),
        None => (text, None),
    };
    let bound = |pick: fn((&str, &str)) -> f64, default: f64| range.map_or(default, pick);
    let low = |default| bound(|(low, _)| low.parse().unwrap_or(f64::NAN), default);
    let high = |default| bound(|(_, high)| high.parse().unwrap_or(f64::NAN), default);
    Ok(match word {
        "string" => Shape::Text {
            min: low(0.0) as usize,
            max: high(1_048_576.0) as usize,
        },
        "int" => Shape::Integer {
            min: low(f64::from(i32::MIN)) as i64,
            max: high(f64::from(u32::MAX)) as i64,
        },
        "number" => Shape::Number {
            min: low(f64::MIN),
            max: high(f64::MAX),
        },
        "bool" => Shape::Bool,
        "duration" => Shape::Duration,
        "free" => Shape::Free,
        "object" => Shape::Object,
        _ if text.contains('|') => Shape::OneOf(text.split('|').map(str::to_owned).collect()),
        _ => return Err(format!("{text:?} is no notation")),
    })
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: &str = "
types: {Port: 'int(1..65535)'}
kinds:
  Thing:
    apiVersions: [example.org/v1, example.org/v2]
    spec: {port!: =Port, mode: A|B, tags: {'*': 'string(1..3)'}, wait: duration, hex: '/^[a-f0-9]*$/', '?one': [mode, wait], list: [{on: bool}]}
";

    #[test]
    fn a_mismatch_names_rule_path_value_and_expectation() {
        let rows = [
            ("spec: {port: 1}", vec![]),
            (
                "spec: {port: 0}",
                vec!["range spec.port: 0, expected 1 to 65535"],
            ),
            (
                "spec: {port: '1'}",
                vec!["type spec.port: \"1\" where a whole number was expected"],
            ),
            (
                "spec: {port: 1, prot: 2}",
                vec![
                    "unknown-field spec.prot: unknown field, expected one of hex, list, mode, port, tags, wait",
                ],
            ),
            (
                "spec: {mode: C}",
                vec![
                    "enum spec.mode: \"C\", expected A or B",
                    "required-field spec.port: missing, it is required",
                ],
            ),
            (
                "spec: {port: 1, tags: {a: long}}",
                vec!["range spec.tags.a: 4 bytes, expected 1 to 3"],
            ),
            (
                "spec: {port: 1, wait: 0s}",
                vec!["duration spec.wait: \"0s\" is below 1ms"],
            ),
            (
                "spec: {port: 1, wait: soon}",
                vec!["duration spec.wait: \"soon\" is no duration such as 300ms or 1m30s"],
            ),
            (
                "spec: {port: 1, hex: XY}",
                vec!["pattern spec.hex: \"XY\" does not match ^[a-f0-9]*$"],
            ),
            (
                "spec: {port: 1, mode: A, wait: 1s}",
                vec!["exclusive-fields spec: mode and wait exclude each other"],
            ),
            (
                "spec: {port: 1, list: [{on: true}, {on: 1}]}",
                vec!["type spec.list[1].on: 1 where true or false was expected"],
            ),
            (
                "spec: []",
                vec!["type spec: [] where a mapping was expected"],
            ),
        ];
        let shapes = Shapes::parse(SHAPES).unwrap();
        for (body, expected) in rows {
            let document: Value = serde_norway::from_str(&format!(
                "apiVersion: example.org/v1\nkind: Thing\nmetadata: {{}}\n{body}"
            ))
            .unwrap();
            let found = shapes.check("example.org/v1", "Thing", &document).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|(rule, path, message)| format!("{rule} {path}: {message}"))
                .collect();
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn another_group_is_not_ours_and_another_version_is_refused() {
        let shapes = Shapes::parse(SHAPES).unwrap();
        assert!(
            shapes
                .check("other.org/v1", "Thing", &Value::Null)
                .is_none()
        );
        let document: Value = serde_norway::from_str(
            "apiVersion: example.org/v3\nkind: Thing\nmetadata: {}\nspec: {port: 1}",
        )
        .unwrap();
        let found = shapes.check("example.org/v3", "Thing", &document).unwrap();
        assert_eq!(
            found,
            [(
                "api-version",
                "apiVersion".to_owned(),
                "\"example.org/v3\" is not served, expected example.org/v1 or example.org/v2"
                    .to_owned()
            )]
        );
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in [
            ("1s", Some(1_000_000)),
            ("1m30s", Some(90_000_000)),
            ("1.5ms", Some(1500)),
            ("10us", Some(10)),
            ("", None),
            ("5", None),
            ("1d", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }
}
