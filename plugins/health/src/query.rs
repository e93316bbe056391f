//! The query of a readiness request: `verbose` and `exclude`, as Kubernetes' API server reads them.

use launchgate_sdk::path;

use crate::dependency::Dependency;

/// A client may name so many; more are not looked at.
const MOST_EXCLUDED: usize = 64;
/// What is shown of a name that is not known, characters.
const SHOWN: usize = 64;

/// What a query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Whether it asks for the text form.
    pub(crate) text: bool,
    /// Positions of the dependencies that are left out.
    pub(crate) excluded: Vec<usize>,
    /// Names that no dependency has, made safe to show.
    pub(crate) unknown: Vec<String>,
}

impl Query {
    /// Reads the query of `:path`.
    pub(crate) fn read(path_and_query: &[u8], dependencies: &[Dependency]) -> Self {
        let mut query = Self::default();
        for pair in path::query(path_and_query)
            .split(|byte| *byte == b'&')
            .take(MOST_EXCLUDED)
        {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (key, value) = (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
            match key {
                b"verbose" => query.text = true,
                b"exclude" => query.exclude(value, dependencies),
                _ => {}
            }
        }
        query
    }

    fn exclude(&mut self, name: &[u8], dependencies: &[Dependency]) {
        self.text = true;
        match dependencies
            .iter()
            .position(|dependency| dependency.name.as_bytes() == name)
        {
            Some(position) => self.excluded.push(position),
            None => self.unknown.push(show(name)),
        }
    }
}

/// Printable ASCII only, so that nothing a client sends is more than text.
fn show(name: &[u8]) -> String {
    let plain = |byte: &u8| {
        if byte.is_ascii_graphic() && !b"\"\\<>&".contains(byte) {
            char::from(*byte)
        } else {
            '?'
        }
    };
    name.iter().take(SHOWN).map(plain).collect()
}
