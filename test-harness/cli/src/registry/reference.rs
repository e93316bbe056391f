//! Names of images: `registry.example.org:5000/launchgate/plugins/health:1.0.0@sha256:…`.

use std::{fmt, str::FromStr};

/// What cannot be an image's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidReference {
    /// There is no registry in it.
    #[error("{0:?}: no registry host, expected host/path such as registry.example.org/launchgate")]
    NoHost(String),
    /// A digest of another form.
    #[error("{0:?}: expected a digest such as sha256: and 64 hexadecimal digits")]
    Digest(String),
    /// A character that no registry takes.
    #[error("{0:?}: expected lower-case letters, digits and . _ - / in the path")]
    Path(String),
}

/// A registry and the path under which its plugins are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    /// Host and port.
    pub(crate) host: String,
    /// Without slashes at the ends; may be empty.
    pub(crate) prefix: String,
}

impl Registry {
    /// The reference of a plugin.
    pub(crate) fn plugin(&self, name: &str, version: &str) -> Reference {
        self.reference(&format!("plugins/{name}"), version)
    }

    /// The reference of the registry's index.
    pub(crate) fn index(&self) -> Reference {
        self.reference("index", "v1")
    }

    fn reference(&self, path: &str, tag: &str) -> Reference {
        let repository = if self.prefix.is_empty() {
            path.to_owned()
        } else {
            format!("{}/{path}", self.prefix)
        };
        Reference {
            host: self.host.clone(),
            repository,
            tag: Some(tag.to_owned()),
            digest: None,
        }
    }
}

impl FromStr for Registry {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (host, prefix) =
            split_host(text).ok_or_else(|| InvalidReference::NoHost(text.to_owned()))?;
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() && !is_path(prefix) {
            return Err(InvalidReference::Path(text.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) host: String,
    pub(crate) repository: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// What a manifest is asked by: the digest, else the tag.
    pub(crate) fn selector(&self) -> &str {
        self.digest
            .as_deref()
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }

    /// Another tag in the same repository.
    pub(crate) fn with_tag(&self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        }
    }

    /// Host and repository, as a signature names them.
    pub(crate) fn repository(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let rest = text.strip_prefix("oci://").unwrap_or(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (rest, None),
        };
        if digest.as_ref().is_some_and(|d| !is_digest(d)) {
            return Err(InvalidReference::Digest(text.to_owned()));
        }
        let (host, path) =
            split_host(rest).ok_or_else(|| InvalidReference::NoHost(text.to_owned()))?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        if !is_path(repository) {
            return Err(InvalidReference::Path(text.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag
            .as_ref()
            .map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// The first segment, when it can be a host: it has a dot or a port, or is `localhost`.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    (host.contains('.') || host.contains(':') || host == "localhost").then_some((host, path))
}

fn is_path(path: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    path.split('/')
        .all(|segment| !segment.is_empty() && segment.bytes().all(allowed))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_prints_as_it_was_written() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for text in [
            "registry.example.org/launchgate/plugins/health:1.0.0".to_owned(),
            "127.0.0.1:5000/health".to_owned(),
            format!("localhost/health@{digest}"),
            format!("r.io/health:1@{digest}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for (text, expected) in [
            (
                "health:1.0.0x/",
                InvalidReference::Path("health:1.0.0x/".to_owned()),
            ),
            ("health", InvalidReference::NoHost("health".to_owned())),
            (
                "r.io/Health:1",
                InvalidReference::Path("r.io/Health:1".to_owned()),
            ),
            (
                "r.io/a@sha256:12",
                InvalidReference::Digest("r.io/a@sha256:12".to_owned()),
            ),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_registry_may_have_a_path() {
        let registry: Registry = "r.io/team/launchgate/".parse().unwrap();
        assert_eq!(
            registry.plugin("tls", "1.2.0").to_string(),
            "r.io/team/launchgate/plugins/tls:1.2.0"
        );
        assert_eq!(
            "127.0.0.1:5000"
                .parse::<Registry>()
                .unwrap()
                .index()
                .to_string(),
            "127.0.0.1:5000/index:v1"
        );
    }
}
