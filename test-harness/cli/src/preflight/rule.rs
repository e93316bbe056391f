//! A rule of the checklist: what must hold, how it is judged, how it is mended.

use super::facts::Facts;

/// The six checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Area {
    Build,
    Configuration,
    Tls,
    Health,
    Observability,
    Release,
}

impl Area {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Configuration => "configuration",
            Self::Tls => "tls",
            Self::Health => "health",
            Self::Observability => "observability",
            Self::Release => "release",
        }
    }
}

/// How much a finding matters. Neither is green.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Do not launch.
    Error,
    /// Launch with open eyes.
    Warning,
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One line of the checklist.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `tls.expiry`: stable, for scripts.
    pub(crate) id: &'static str,
    pub(crate) area: Area,
    pub(crate) severity: Severity,
    /// What holds when it is green.
    pub(crate) title: &'static str,
    /// What to do when it does not.
    pub(crate) mend: &'static str,
    /// Where the documentation says more, from the repository's root.
    pub(crate) link: &'static str,
    pub(crate) check: fn(&Facts) -> Judged,
}

impl Rule {
    /// A line of an area's checklist: what holds, what to do when it does not, where to read on, and who judges.
    pub(crate) const fn new(
        area: Area,
        id: &'static str,
        severity: Severity,
        title: &'static str,
        mend: &'static str,
        link: &'static str,
        check: fn(&Facts) -> Judged,
    ) -> Self {
        Self {
            id,
            area,
            severity,
            title,
            mend,
            link,
            check,
        }
    }
}

/// What came of a rule.
pub(crate) type Judged = Result<Outcome, NotChecked>;

/// A rule that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It holds; what shows it.
    Holds(String),
    /// It does not: one line of evidence each.
    Broken(Vec<String>),
}

/// Why a rule could not be judged: `needs --admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotChecked(pub(crate) String);

/// It holds.
pub(crate) fn holds(evidence: impl Into<String>) -> Judged {
    Ok(Outcome::Holds(evidence.into()))
}

/// It does not hold.
pub(crate) fn broken(evidence: impl Into<String>) -> Judged {
    Ok(Outcome::Broken(vec![evidence.into()]))
}

/// Broken where there is evidence, else it holds.
pub(crate) fn unless(broken: Vec<String>, holds: impl Into<String>) -> Judged {
    Ok(match broken.is_empty() {
        true => Outcome::Holds(holds.into()),
        false => Outcome::Broken(broken),
    })
}

/// It could not be judged.
pub(crate) fn not_checked(why: impl Into<String>) -> Judged {
    Err(NotChecked(why.into()))
}
