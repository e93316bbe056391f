//! A Kubernetes manifest as it stands in a file, and how a list of paths becomes manifests.
//!
//! 1. A file gives every YAML document in it; `-` is standard input.
//! 2. A folder with a `kustomization.yaml` gives what `kubectl kustomize` prints for it.
//! 3. Any other folder gives all its `*.yaml` files, sorted, folders of kustomizations first resolved by rule 2.
//! 4. Documents without `kind`, kustomizations and resources marked `config.kubernetes.io/local-config` never reach a
//!    cluster, so they are left out.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::Value;

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The file or folder cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// What was asked for.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The text is no YAML.
    #[error("{path}: document {document} is not valid YAML: {source}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        document: usize,
        /// The parser's reason, with line and column.
        source: serde_norway::Error,
    },
    /// `kubectl kustomize` refused the folder.
    #[error("{path}: kubectl kustomize failed: {reason}")]
    Kustomize {
        /// The folder.
        path: PathBuf,
        /// Its last line of standard error.
        reason: String,
    },
}

/// One resource and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The file, or the kustomization's folder.
    pub(crate) origin: PathBuf,
    /// The whole document.
    pub(crate) value: Value,
}

impl Manifest {
    /// `kind`, or an empty text.
    pub(crate) fn kind(&self) -> &str {
        text(&self.value, "/kind")
    }

    /// `apiVersion`, or an empty text.
    pub(crate) fn api_version(&self) -> &str {
        text(&self.value, "/apiVersion")
    }

    /// `metadata.name`, or an empty text.
    pub(crate) fn name(&self) -> &str {
        text(&self.value, "/metadata/name")
    }

    /// `metadata.namespace`, or `default`, as Kubernetes would fill in.
    pub(crate) fn namespace(&self) -> &str {
        match text(&self.value, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        }
    }

    /// An annotation's value.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.value
            .pointer("/metadata/annotations")?
            .get(name)?
            .as_str()
    }

    /// What makes it one resource in a cluster.
    pub(crate) fn identity(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    fn is_applied(&self) -> bool {
        !self.kind().is_empty()
            && !self.api_version().starts_with("kustomize.config.k8s.io/")
            && self.annotation("config.kubernetes.io/local-config") != Some("true")
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin.display(), self.identity())
    }
}

/// All manifests of `paths`, in order.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Vec<Manifest>, LoadError> {
    let mut manifests = Vec::new();
    for path in paths {
        load_one(path, &mut manifests)?;
    }
    Ok(manifests)
}

/// Whether `folder` is one that `kubectl kustomize` takes.
pub(crate) fn is_kustomization(folder: &Path) -> bool {
    folder.join("kustomization.yaml").is_file()
}

fn load_one(path: &Path, into: &mut Vec<Manifest>) -> Result<(), LoadError> {
    if path == Path::new("-") {
        let mut input = String::new();
        std::io::stdin()
            .read_to_string(&mut input)
            .map_err(|source| read_error(path, source))?;
        return parse(path, &input, into);
    }
    if path.is_dir() {
        if is_kustomization(path) {
            return parse(path, &kustomize(path)?, into);
        }
        return load_folder(path, into);
    }
    let input = fs::read_to_string(path).map_err(|source| read_error(path, source))?;
    parse(path, &input, into)
}

fn load_folder(folder: &Path, into: &mut Vec<Manifest>) -> Result<(), LoadError> {
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|e| e.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|source| read_error(folder, source))?;
    entries.sort();
    for entry in entries {
        let yaml = entry.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if entry.is_dir() || yaml {
            load_one(&entry, into)?;
        }
    }
    Ok(())
}

fn kustomize(folder: &Path) -> Result<String, LoadError> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .output()
        .map_err(|source| read_error(Path::new("kubectl"), source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let reason = errors
        .lines()
        .last()
        .unwrap_or("no reason given")
        .to_owned();
    Err(LoadError::Kustomize {
        path: folder.to_owned(),
        reason,
    })
}

fn parse(path: &Path, input: &str, into: &mut Vec<Manifest>) -> Result<(), LoadError> {
    for (index, document) in serde_norway::Deserializer::from_str(input).enumerate() {
        let value = Value::deserialize(document).map_err(|source| LoadError::Yaml {
            path: path.to_owned(),
            document: index + 1,
            source,
        })?;
        let manifest = Manifest {
            origin: path.to_owned(),
            value,
        };
        if manifest.is_applied() {
            into.push(manifest);
        }
    }
    Ok(())
}

fn read_error(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Read {
        path: path.to_owned(),
        source,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_never_reach_a_cluster_are_left_out() {
        let input = "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\n---\nkey: value\n---\n\
                     kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\n  annotations: {config.kubernetes.io/local-config: \"true\"}\n---\n\
                     kind: Service\napiVersion: v1\nmetadata: {name: b}\n";
        let mut manifests = Vec::new();
        parse(Path::new("x.yaml"), input, &mut manifests).unwrap();
        let identities: Vec<_> = manifests.iter().map(Manifest::identity).collect();
        assert_eq!(identities, ["Service default/b"]);
    }

    #[test]
    fn an_error_names_file_and_document() {
        let error = parse(
            Path::new("x.yaml"),
            "kind: A\n---\nkind: [\n",
            &mut Vec::new(),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("x.yaml: document 2 is not valid YAML: "),
            "{error}"
        );
    }
}
