//! Overlays change values, never structure: what was tried in one environment is what runs in the next.
//!
//! A folder with `base/` and `overlays/*/` is built by kustomize; every overlay must have exactly the base's resources,
//! every mapping the base's keys, every list the base's length, every value the base's type.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::finding::Finding;
use crate::manifest::{self, LoadError, Manifest};

/// The kustomizations of a folder with overlays: base first. `None` when the folder is no such folder.
pub(crate) fn family(folder: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    let base = folder.join("base");
    if !manifest::is_kustomization(&base) {
        return None;
    }
    let entries = fs::read_dir(folder.join("overlays")).ok()?;
    let mut overlays: Vec<_> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| manifest::is_kustomization(p))
        .collect();
    overlays.sort();
    Some((base, overlays))
}

/// Every difference in structure between `base` and its overlays.
pub(crate) fn check(base: &Path, overlays: &[PathBuf]) -> Result<Vec<Finding>, LoadError> {
    let expected = manifest::load(&[base.to_owned()])?;
    let mut found = Vec::new();
    for overlay in overlays {
        let actual = manifest::load(std::slice::from_ref(overlay))?;
        compare_all(&expected, &actual, &mut found);
    }
    Ok(found)
}

fn compare_all(expected: &[Manifest], actual: &[Manifest], found: &mut Vec<Finding>) {
    let twin = |m: &Manifest, among: &[Manifest]| {
        among.iter().find(|o| o.identity() == m.identity()).cloned()
    };
    for manifest in actual {
        match twin(manifest, expected) {
            Some(base) => compare(&base.value, &manifest.value, "", &mut |path, message| {
                found.push(Finding::new(manifest, "overlay-structure", path, message));
            }),
            None => found.push(Finding::new(
                manifest,
                "overlay-structure",
                "kind",
                "the base has no such resource",
            )),
        }
    }
    for manifest in expected.iter().filter(|m| twin(m, actual).is_none()) {
        found.push(Finding::new(
            manifest,
            "overlay-structure",
            "kind",
            "an overlay drops this resource",
        ));
    }
}

fn compare(base: &Value, overlay: &Value, path: &str, note: &mut dyn FnMut(String, String)) {
    match (base, overlay) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().filter(|k| !b.contains_key(*k)) {
                note(
                    format!("{path}.{key}"),
                    "the base has this field, the overlay drops it".to_owned(),
                );
            }
            for (key, value) in b {
                match a.get(key) {
                    Some(base) => compare(base, value, &format!("{path}.{key}"), note),
                    None => note(
                        format!("{path}.{key}"),
                        "the overlay adds a field that the base does not have".to_owned(),
                    ),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(i, (a, b))| compare(a, b, &format!("{path}[{i}]"), note));
        }
        (Value::Array(a), Value::Array(b)) => note(
            path.to_owned(),
            format!("{} items, the base has {}", b.len(), a.len()),
        ),
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => {}
        (a, b) => note(
            path.to_owned(),
            format!("{b} is of another type than the base's {a}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_may_differ() {
        let rows = [
            ("{a: 1}", "{a: 2}", vec![]),
            (
                "{a: 1}",
                "{a: x}",
                vec![".a: \"x\" is of another type than the base's 1"],
            ),
            (
                "{a: 1}",
                "{a: 1, b: 2}",
                vec![".b: the overlay adds a field that the base does not have"],
            ),
            (
                "{a: {b: 1}}",
                "{a: {}}",
                vec![".a.b: the base has this field, the overlay drops it"],
            ),
            (
                "{a: [1, 2]}",
                "{a: [1]}",
                vec![".a: 1 items, the base has 2"],
            ),
            ("{a: [{b: 1}]}", "{a: [{b: 2}]}", vec![]),
        ];
        for (base, overlay, expected) in rows {
            let parse = |text| serde_norway::from_str::<Value>(text).unwrap();
            let mut found = Vec::new();
            compare(&parse(base), &parse(overlay), "", &mut |path, message| {
                found.push(format!("{path}: {message}"))
            });
            assert_eq!(found, expected, "{base} -> {overlay}");
        }
    }
}
