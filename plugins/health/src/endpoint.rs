//! Which endpoint a request path names.

use launchgate_sdk::path::RequestPath;

use crate::dependency::Dependency;
use crate::settings::Settings;

/// An endpoint of this plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Liveness.
    Live,
    /// Readiness of the service.
    Ready,
    /// Startup.
    Startup,
    /// One dependency, by position; `None` for a name that no dependency has.
    Dependency(Option<usize>),
    /// Drain.
    Drain,
}

impl Endpoint {
    /// The endpoint that a path names, if it is one of ours.
    pub(crate) fn find(path: RequestPath<'_>, settings: &Settings) -> Option<Self> {
        let is_in = |paths: &[String]| paths.iter().any(|own| own.as_bytes() == path.bytes());
        if is_in(&settings.paths.live) {
            Some(Self::Live)
        } else if is_in(&settings.paths.ready) {
            Some(Self::Ready)
        } else if is_in(&settings.paths.startup) {
            Some(Self::Startup)
        } else if settings.drain_path.as_bytes() == path.bytes() {
            Some(Self::Drain)
        } else {
            one_dependency(path, settings)
        }
    }

    /// As a label value and in the text form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Startup => "startup",
            Self::Dependency(_) => "dependency",
            Self::Drain => "drain",
        }
    }
}

/// `<ready path>/<name>`, one segment; a path that another server may read differently is left to the upstream.
fn one_dependency(path: RequestPath<'_>, settings: &Settings) -> Option<Endpoint> {
    let below = |own: &String| {
        path.bytes()
            .strip_prefix(own.as_bytes())?
            .strip_prefix(b"/")
    };
    let name = settings.paths.ready.iter().find_map(below)?;
    if name.is_empty() || name.contains(&b'/') || path.is_ambiguous() {
        return None;
    }
    let is_named = |dependency: &Dependency| dependency.name.as_bytes() == name;
    Some(Endpoint::Dependency(
        settings.dependencies.iter().position(is_named),
    ))
}
