//! From a tree to a typed raw config, with all mistakes of shape at once.
//!
//! 1. serde stops at the first mistake. What it refused is noted and taken out of the tree, and serde runs again.
//! 2. So every raw config has a default for each field (`#[serde(default, deny_unknown_fields)]`), or says what is missing.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ConfigErrors;
use super::tree::{Step, read};

const ROUNDS: usize = 64;

/// Decodes a tree. With mistakes, the value is what the rest of the tree gives, for further checks; it may be missing.
pub fn decode<T: DeserializeOwned>(tree: &Value) -> (Option<T>, ConfigErrors) {
    let mut errors = ConfigErrors::default();
    let mut pruned = Pruned {
        tree: tree.clone(),
        removed: Vec::new(),
    };
    for _ in 0..ROUNDS {
        let refused = match read::<T>(&pruned.tree) {
            Ok(value) => return (Some(value), errors),
            Err(refused) => refused,
        };
        let mut path = refused.path();
        let mistake = Mistake::read(&refused.message);
        let hidden = matches!(mistake, Mistake::Unknown(_));
        let (expected, remove) = match mistake {
            Mistake::Unknown(expected) => (expected, path.clone()),
            Mistake::Missing(name) => {
                let remove = path.clone();
                path.push(Step::Key(name));
                ("is required".to_owned(), remove)
            }
            Mistake::Value(expected) => (expected, path.clone()),
        };
        if hidden {
            errors.push_hidden(pruned.original(&path), expected);
        } else {
            errors.push(pruned.original(&path), expected);
        }
        if !pruned.remove(&remove) {
            return (None, errors);
        }
    }
    (None, errors)
}

enum Mistake {
    Unknown(String),
    Missing(String),
    Value(String),
}

impl Mistake {
    /// Reads serde's message. Of the bad value, which may be secret, nothing is kept: only what was expected.
    fn read(message: &str) -> Self {
        if message.starts_with("unknown field `") {
            return Self::Unknown(format!(
                "unknown field, expected {}",
                names(message).unwrap_or("no fields").replace('`', "")
            ));
        }
        if let Some(name) = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'))
        {
            return Self::Missing(name.to_owned());
        }
        let expected = message
            .rfind("expected ")
            .and_then(|at| message.get(at..))
            .unwrap_or("expected another value");
        Self::Value(expected.replace('`', ""))
    }
}

/// The list of names at the end of serde's message on an unknown field.
fn names(message: &str) -> Option<&str> {
    message
        .rfind(", expected ")
        .and_then(|at| message.get(at + 11..))
}

/// A tree with parts taken out, which remembers the places that list items had.
struct Pruned {
    tree: Value,
    removed: Vec<(Vec<Step>, usize)>,
}

impl Pruned {
    fn remove(&mut self, path: &[Step]) -> bool {
        let Some((last, parents)) = path.split_last() else {
            return false;
        };
        let Some(parent) = parents
            .iter()
            .try_fold(&mut self.tree, |value, step| match step {
                Step::Key(key) => value.get_mut(key),
                Step::Index(index) => value.get_mut(index),
            })
        else {
            return false;
        };
        match (last, parent) {
            (Step::Key(key), Value::Object(object)) => object.remove(key).is_some(),
            (Step::Index(index), Value::Array(values)) if *index < values.len() => {
                values.remove(*index);
                self.removed.push((parents.to_vec(), *index));
                true
            }
            _ => false,
        }
    }

    /// The path as it was before anything was taken out.
    fn original(&self, path: &[Step]) -> String {
        let mut text = String::new();
        for (position, step) in path.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                Step::Index(index) => {
                    let parents = path.get(..position).unwrap_or_default();
                    let mut index = *index;
                    for (list, removed) in self.removed.iter().rev() {
                        if list == parents && *removed <= index {
                            index += 1;
                        }
                    }
                    text.push_str(&format!("[{index}]"));
                }
            }
        }
        text
    }
}
