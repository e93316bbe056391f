//! Security headers of a response, each at most once.
//!
//! 1. `set` replaces what an upstream sent; `add_if_absent` and the preset add what is missing (see `presets.rs`). A name
//!    stands in one of them: `set` before `add_if_absent` before the preset; a name in `remove` in none.
//! 2. Identical copies of such a header become one.
//! 3. `remove` and, with a preset, OWASP's list of leaking headers are removed.
//! 4. Refused at load: names and values that are no header field, framing fields, `set-cookie` (it would replace all cookies)
//!    and `strict-transport-security` (the section `hsts` knows when it may be sent).

use std::borrow::Cow;

use launchgate_sdk::headers::InvalidHeader;
use launchgate_sdk::{ConfigErrors, Headers};

use crate::config::{HeadersConfig, Preset};
use crate::leaks::is_leaking;
use crate::presets::Keep;

/// What responses get and lose.
#[derive(Debug)]
pub(crate) struct SecurityHeaders {
    fields: Vec<Field>,
    removed: Vec<String>,
    kept: Vec<String>,
    removes_leaks: bool,
}

#[derive(Debug)]
struct Field {
    name: String,
    value: String,
    keep: Keep,
}

const FRAMING: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl SecurityHeaders {
    /// Checks and merges the configuration.
    pub(crate) fn new(
        config: &HeadersConfig,
        errors: &mut ConfigErrors,
        warnings: &mut Vec<String>,
    ) -> Self {
        let lower = |names: &[String]| {
            names
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect::<Vec<_>>()
        };
        let (removed, kept) = (lower(&config.remove), lower(&config.keep));
        check_removed(config, errors);
        let own = [
            ("set", &config.set, Keep::Never),
            ("add_if_absent", &config.add_if_absent, Keep::Any),
        ];
        let mut fields: Vec<Field> = Vec::new();
        for (section, map, keep) in own {
            for (name, value) in map {
                let path = format!("headers.{section}.{name}");
                let name = name.to_ascii_lowercase();
                check_field(&path, &name, value, errors);
                errors.check(
                    !removed.contains(&name),
                    &path,
                    "expected a header that is not in headers.remove",
                );
                errors.check(
                    !fields.iter().any(|field| field.name == name),
                    &path,
                    "expected each header once, whatever its case",
                );
                fields.push(Field {
                    name,
                    value: value.clone(),
                    keep,
                });
            }
        }
        for (name, value, keep) in config.preset.fields() {
            if !removed.iter().any(|own| own == name)
                && !fields.iter().any(|field| field.name == *name)
            {
                fields.push(Field {
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                    keep: *keep,
                });
            }
        }
        let removes_leaks = config.preset != Preset::None;
        let headers = Self {
            fields,
            removed,
            kept,
            removes_leaks,
        };
        if headers.removes(b"server") && !config.server_pass_through {
            warnings.push(
                "headers: server can be removed only where the connection manager has server_header_transformation PASS_THROUGH; \
                 set headers.server_pass_through when it has"
                    .to_owned(),
            );
        }
        headers
    }

    /// Names of a response that are to go, each once.
    pub(crate) fn leaking(&self, response: &Headers) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in response.iter() {
            if self.removes(name) && !names.iter().any(|known| known.as_bytes() == name) {
                names.extend(std::str::from_utf8(name).ok().map(str::to_owned));
            }
        }
        names
    }

    /// Names and values of the headers of a response that are not yet as they should be.
    pub(crate) fn missing<'a>(&'a self, response: &Headers) -> Vec<(&'a str, Cow<'a, [u8]>)> {
        let wanted = |field: &'a Field| Some((field.name.as_str(), field.wanted(response)?));
        self.fields.iter().filter_map(wanted).collect()
    }

    fn removes(&self, name: &[u8]) -> bool {
        let is_in = |names: &[String]| names.iter().any(|own| own.as_bytes() == name);
        is_in(&self.removed)
            || (self.removes_leaks
                && is_leaking(name)
                && !is_in(&self.kept)
                && !self
                    .fields
                    .iter()
                    .any(|field| field.name.as_bytes() == name))
    }
}

impl Field {
    /// The value that the response should have, or `None` where it has it.
    fn wanted(&self, response: &Headers) -> Option<Cow<'_, [u8]>> {
        let own = || Some(Cow::Borrowed(self.value.as_bytes()));
        let mut values = response.all(&self.name);
        let Some(first) = values.next() else {
            return own();
        };
        let mut rest = values.peekable();
        let single = rest.peek().is_none();
        let identical = rest.all(|value| value == first);
        match self.keep {
            Keep::Never if single && first == self.value.as_bytes() => None,
            Keep::Never => own(),
            Keep::OneOf(known)
                if !identical || !known.iter().any(|token| is_token(first, token)) =>
            {
                own()
            }
            Keep::OneOf(_) | Keep::Any => {
                (identical && !single).then(|| Cow::Owned(first.to_vec()))
            }
        }
    }
}

/// Whether a value is this token, parameters left aside.
fn is_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(token.as_bytes())
}

fn check_field(path: &str, name: &str, value: &str, errors: &mut ConfigErrors) {
    match InvalidHeader::check(name, value.as_bytes()) {
        Err(InvalidHeader::Name) => errors.push(path, "expected a header name"),
        Err(InvalidHeader::Value) => errors.push(path, "expected no CR, LF or NUL"),
        Ok(()) => check_name(path, name, errors),
    }
}

fn check_name(path: &str, name: &str, errors: &mut ConfigErrors) {
    errors.check(
        !name.starts_with(':') && !FRAMING.contains(&name),
        path,
        "expected no pseudo-header and no header that frames the message",
    );
    errors.check(
        name != "set-cookie",
        path,
        "expected another header: the section cookies changes cookies",
    );
    errors.check(
        name != "strict-transport-security",
        path,
        "expected another header: the section hsts sets this one, over secure transport only",
    );
}

fn check_removed(config: &HeadersConfig, errors: &mut ConfigErrors) {
    for (section, names) in [("remove", &config.remove), ("keep", &config.keep)] {
        for (index, name) in names.iter().enumerate() {
            let path = format!("headers.{section}[{index}]");
            let name = name.to_ascii_lowercase();
            let valid = InvalidHeader::check(&name, b"").is_ok()
                && !name.starts_with(':')
                && !FRAMING.contains(&name.as_str());
            errors.check(
                valid,
                path,
                "expected a header name, no pseudo-header and none that frames the message",
            );
        }
    }
}
