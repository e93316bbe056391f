//! The format `ecs`: Elastic Common Schema, valid by the specification of ecs-logging.
//!
//! 1. `@timestamp`, `log.level` and `message` come first; `log.level` and `ecs.version` are keys with a dot, everything
//!    else is nested.
//! 2. `event.duration` is in nanoseconds. Labels are strings, whatever their type elsewhere, and their keys hold no `.`,
//!    `*` or `\`: so no index ever meets two mappings for a key.

use launchgate_sdk::json::{self, Object};

use super::{Resource, some, write};
use crate::record::{Key, Record, Value, percent};

/// Version of the schema that the fields are of.
const ECS_VERSION: &str = "8.11.0";

pub(super) fn line(resource: &Resource, record: &Record) -> String {
    let tree = tree(resource, record);
    json::object(|line| {
        line.text("@timestamp", record.time.rfc3339());
        line.text("log.level", record.severity.as_str());
        line.text("message", &record.message);
        line.text("ecs.version", ECS_VERSION);
        tree.write(line);
    })
}

/// Objects within objects, in the order in which their keys came.
#[derive(Debug, Default)]
struct Tree(Vec<(String, Node)>);

#[derive(Debug)]
enum Node {
    Branch(Tree),
    Leaf(Value),
    List(&'static str),
}

impl Tree {
    fn put(&mut self, path: &[&str], node: Node) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        if rest.is_empty() {
            if !self.0.iter().any(|(key, _)| key == first) {
                self.0.push(((*first).to_owned(), node));
            }
            return;
        }
        let at = self
            .0
            .iter()
            .position(|(key, _)| key == first)
            .unwrap_or_else(|| {
                self.0
                    .push(((*first).to_owned(), Node::Branch(Self::default())));
                self.0.len() - 1
            });
        if let Some((_, Node::Branch(branch))) = self.0.get_mut(at) {
            branch.put(rest, node);
        }
    }

    fn text(&mut self, path: &[&str], text: impl Into<Vec<u8>>) {
        self.put(path, Node::Leaf(Value::Text(text.into())));
    }

    fn write(&self, object: &mut Object<'_>) {
        for (key, node) in &self.0 {
            match node {
                Node::Branch(branch) => object.object(key, |inner| branch.write(inner)),
                Node::Leaf(Value::Duration(duration)) => {
                    object.integer(key, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
                }
                Node::Leaf(value) => write(object, key, value),
                Node::List(word) => object.list(key, |list| list.text(word)),
            }
        }
    }
}

fn tree(resource: &Resource, record: &Record) -> Tree {
    let mut tree = Tree::default();
    tree.text(&["service", "name"], resource.service.as_str());
    if let Some(version) = some(&resource.version) {
        tree.text(&["service", "version"], version);
    }
    if let Some(environment) = some(&resource.environment) {
        tree.text(&["service", "environment"], environment);
    }
    tree.text(&["event", "kind"], "event");
    tree.put(&["event", "category"], Node::List("web"));
    tree.put(&["event", "type"], Node::List("access"));
    tree.text(
        &["event", "dataset"],
        format!("{}.access", resource.service),
    );
    if let Some(id) = record.trace_id {
        tree.text(&["trace", "id"], id.to_string());
    }
    if let Some(id) = record.span_id {
        tree.text(&["span", "id"], id.to_string());
    }
    for (key, value) in &record.fields {
        match key {
            Key::Known(name) => match name.ecs() {
                ["labels", label] => tree.put(&["labels", label], Node::Leaf(label_value(value))),
                path => tree.put(path, Node::Leaf(value.clone())),
            },
            Key::Custom(name) => tree.put(
                &["labels", &label_key(name)],
                Node::Leaf(label_value(value)),
            ),
        }
    }
    if !record.truncated.is_empty() {
        tree.text(&["labels", "truncated"], record.truncated.join(","));
    }
    tree
}

/// A key that Elasticsearch cannot take for a path (ecs-logging, sanitization of `labels`).
pub(crate) fn label_key(name: &str) -> String {
    name.replace(['.', '*', '\\'], "_")
}

fn label_value(value: &Value) -> Value {
    Value::Text(match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Flag(flag) => flag.to_string().into_bytes(),
        Value::Duration(duration) => duration.as_millis().to_string().into_bytes(),
        Value::Percent(share) => percent(*share).into_bytes(),
    })
}
