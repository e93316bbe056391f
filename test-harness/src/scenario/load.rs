//! From a YAML file to cases that a host can run.
//!
//! 1. YAML (with anchors and merge keys) becomes a tree; mapping keys become text.
//! 2. Tables are expanded on that tree, so `<column>` works in every place.
//! 3. The tree becomes the strict types of `schema`; an error names its path.
//! 4. Cases are grouped: one group shares its VMs, each fresh case is a group of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use serde_norway::{Mapping, Value as Yaml};
use thiserror::Error;

use super::expect::Expect;
use super::schema::{
    Allow, Budget, Case, Cluster, Level, Listener, Load, Plugin, Reply, Route, Scenario,
};
use super::step::Step;

/// Why a scenario file could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file itself.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not YAML.
    #[error("{path}: {source}")]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_norway::Error,
    },
    /// Not a scenario.
    #[error("{path}: {place}: {problem}")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// A scenario file, ready to run.
#[derive(Debug, Clone)]
pub struct ScenarioFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it shows.
    pub about: String,
    /// Worker counts to run with.
    pub workers: Vec<u32>,
    /// Groups of cases; each group has VMs of its own.
    pub groups: Vec<Group>,
}

/// Cases that share their VMs.
#[derive(Debug, Clone)]
pub struct Group {
    /// The gateway.
    pub setup: Setup,
    /// The cases, in order.
    pub cases: Vec<ResolvedCase>,
}

/// A gateway to start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Folder of the scenario file; paths of plugins are relative to it.
    pub folder: PathBuf,
    /// Plugins in request order.
    pub plugins: Vec<Plugin>,
    /// Clusters; never empty.
    pub clusters: BTreeMap<String, Cluster>,
    /// Routes; never empty.
    pub routes: Vec<Route>,
    /// The listener.
    pub listener: Listener,
    /// Wall clock at the start.
    pub clock: Option<String>,
    /// Log level.
    pub log_level: Level,
    /// Label names to extract from stat names.
    pub labels: Vec<String>,
    /// Names of stats that emulator and Envoy are not compared in.
    pub unsteady: Vec<String>,
    /// Whether a configuration is expected to be refused.
    pub refused: bool,
}

/// One case, one row of its table.
#[derive(Debug, Clone)]
pub struct ResolvedCase {
    /// Name, with the row's values.
    pub name: String,
    /// Place in the file, for reports in order.
    pub index: usize,
    /// Expectations on loading.
    pub load: Option<Load>,
    /// Cluster behaviour of this case.
    pub clusters: BTreeMap<String, Cluster>,
    /// The steps.
    pub steps: Vec<Step>,
    /// Expectations on everything since the case began.
    pub total: Expect,
    /// What may happen unexpected: the file's and the case's.
    pub allow: Allow,
    /// Limits.
    pub budget: Budget,
    /// Why no real Envoy can run it; `None` if one can.
    pub emulator_only: Option<String>,
}

impl ScenarioFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
            path: path.into(),
            source,
        })?;
        ScenarioFile::parse(path, &text)
    }

    /// Parses the text of a file; `path` is for messages and relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LoadError> {
        let yaml = |source| LoadError::Yaml {
            path: path.into(),
            source,
        };
        let mut value: Yaml = serde_norway::from_str(text).map_err(yaml)?;
        value.apply_merge().map_err(yaml)?;
        let mut tree = normalize(value);
        expand_tables(&mut tree);
        let scenario: Scenario =
            serde_path_to_error::deserialize(tree).map_err(|e| LoadError::Shape {
                path: path.into(),
                place: e.path().to_string(),
                problem: e.inner().to_string(),
            })?;
        resolve(path, scenario).map_err(|(place, problem)| LoadError::Shape {
            path: path.into(),
            place,
            problem,
        })
    }

    /// How many cases there are.
    pub fn case_count(&self) -> usize {
        self.groups.iter().map(|group| group.cases.len()).sum()
    }
}

/// Mapping keys become text, tags are dropped; the order of mappings stays.
fn normalize(value: Yaml) -> Yaml {
    match value {
        Yaml::Mapping(map) => Yaml::Mapping(
            map.into_iter()
                .map(|(key, value)| (Yaml::String(plain(&normalize(key))), normalize(value)))
                .collect(),
        ),
        Yaml::Sequence(list) => Yaml::Sequence(list.into_iter().map(normalize).collect()),
        Yaml::Tagged(tagged) => normalize(tagged.value),
        scalar => scalar,
    }
}

/// Replaces each case that has a `table` by one case a row.
fn expand_tables(tree: &mut Yaml) {
    let Some(Yaml::Sequence(cases)) = tree.get_mut("cases") else {
        return;
    };
    let mut expanded = Vec::new();
    for mut case in std::mem::take(cases) {
        let rows = case.as_mapping_mut().and_then(|map| map.remove("table"));
        match rows {
            Some(Yaml::Sequence(rows)) => expanded.extend(rows.iter().map(|row| match row {
                Yaml::Mapping(row) => fill(&case, row),
                _ => case.clone(),
            })),
            _ => expanded.push(case),
        }
    }
    *cases = expanded;
}

fn fill(value: &Yaml, row: &Mapping) -> Yaml {
    match value {
        Yaml::String(text) => fill_text(text, row),
        Yaml::Sequence(list) => Yaml::Sequence(list.iter().map(|item| fill(item, row)).collect()),
        Yaml::Mapping(map) => Yaml::Mapping(
            map.iter()
                .map(|(key, item)| (Yaml::String(plain(&fill(key, row))), fill(item, row)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn fill_text(text: &str, row: &Mapping) -> Yaml {
    let mut filled = text.to_owned();
    for (column, value) in row {
        let placeholder = format!("<{}>", plain(column));
        if text == placeholder {
            return value.clone();
        }
        if filled.contains(&placeholder) {
            filled = filled.replace(&placeholder, &plain(value));
        }
    }
    Yaml::String(filled)
}

/// A scalar's text; anything else as JSON.
fn plain(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

type Problem = (String, String);

fn resolve(path: &Path, scenario: Scenario) -> Result<ScenarioFile, Problem> {
    if scenario.plugins.is_empty() {
        return Err(("plugins".into(), "expected at least one plugin".into()));
    }
    check_reason("envoy", scenario.envoy, scenario.reason.as_ref())?;
    let setup = base_setup(path, &scenario)?;
    let mut shared = Group {
        setup: setup.clone(),
        cases: Vec::new(),
    };
    let mut fresh = Vec::new();
    for (index, case) in scenario.cases.iter().enumerate() {
        let place = format!("cases[{index}] ({})", case.name);
        let resolved =
            resolve_case(&scenario, case, index).map_err(|problem| (place.clone(), problem))?;
        let own = case.config.is_some() || case.config_patch.is_some() || case.env.is_some();
        let refused = case.load.as_ref().is_some_and(|load| load.refused);
        if case.fresh || own || refused {
            let setup = own_setup(&setup, case).map_err(|problem| (place, problem))?;
            fresh.push(Group {
                setup,
                cases: vec![resolved],
            });
        } else {
            shared.cases.push(resolved);
        }
    }
    let mut groups = Vec::new();
    if !shared.cases.is_empty() {
        groups.push(shared);
    }
    groups.extend(fresh);
    Ok(ScenarioFile {
        path: path.into(),
        about: scenario.about,
        workers: scenario.workers,
        groups,
    })
}

fn check_reason(place: &str, envoy: bool, reason: Option<&String>) -> Result<(), Problem> {
    match (envoy, reason) {
        (false, None) => Err((place.into(), "`envoy: false` needs a `reason`".into())),
        (true, Some(_)) => Err((place.into(), "`reason` needs `envoy: false`".into())),
        _ => Ok(()),
    }
}

fn base_setup(path: &Path, scenario: &Scenario) -> Result<Setup, Problem> {
    let mut clusters = scenario.clusters.clone();
    if clusters.is_empty() {
        clusters.insert(
            "app".into(),
            Cluster {
                reply: Reply::default(),
                hosts: Some(true),
                ..Cluster::default()
            },
        );
    }
    let mut routes = scenario.routes.clone();
    if routes.is_empty() {
        let first = clusters
            .keys()
            .find(|name| *name == "app")
            .or_else(|| clusters.keys().next());
        routes.push(Route {
            name: "default".into(),
            cluster: first.cloned(),
            ..Route::default()
        });
    }
    for (index, route) in routes.iter().enumerate() {
        let targets = [
            route.cluster.is_some(),
            route.cluster_header.is_some(),
            route.weighted.is_some(),
            route.direct_response.is_some(),
        ];
        if targets.iter().filter(|set| **set).count() != 1 {
            let problem = "expected exactly one of `cluster`, `cluster_header`, `weighted`, `direct_response`";
            return Err((format!("routes[{index}]"), problem.into()));
        }
    }
    Ok(Setup {
        folder: path.parent().unwrap_or(Path::new(".")).to_path_buf(),
        plugins: scenario.plugins.clone(),
        clusters,
        routes,
        listener: scenario.listener.clone(),
        clock: scenario.clock.clone(),
        log_level: scenario.log_level,
        labels: scenario.labels.clone(),
        unsteady: scenario
            .unsteady
            .iter()
            .map(|unsteady| unsteady.stat.clone())
            .collect(),
        refused: false,
    })
}

fn own_setup(base: &Setup, case: &Case) -> Result<Setup, String> {
    let mut setup = base.clone();
    setup.refused = case.load.as_ref().is_some_and(|load| load.refused);
    let first = setup.plugins.first_mut().ok_or("no plugin")?;
    if let Some(config) = &case.config {
        first.config = Some(config.clone());
    }
    if let Some(patch) = &case.config_patch {
        let mut config = first.config.take().unwrap_or(Value::Object(Map::new()));
        merge_patch(&mut config, patch);
        first.config = Some(config);
    }
    first.env.extend(case.env.clone().unwrap_or_default());
    Ok(setup)
}

/// RFC 7396.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(fields) = target {
        for (key, change) in changes {
            if change.is_null() {
                fields.remove(key);
            } else {
                merge_patch(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

fn resolve_case(scenario: &Scenario, case: &Case, index: usize) -> Result<ResolvedCase, String> {
    check_reason("envoy", case.envoy, case.reason.as_ref()).map_err(|(_, problem)| problem)?;
    let (steps, total) = match (&case.request, case.steps.is_empty()) {
        (Some(_), false) => return Err("has both `request` and `steps`".into()),
        (Some(request), true) => {
            let step = Step {
                request: Some(request.clone()),
                expect: case.expect.clone(),
                ..Step::default()
            };
            (vec![step], Expect::default())
        }
        (None, _) => (case.steps.clone(), case.expect.clone()),
    };
    for (number, step) in steps.iter().enumerate() {
        let tcp = scenario.listener.tcp.is_some();
        if step.request.is_some() && tcp || step.connection.is_some() && !tcp {
            let problem = "`connection` belongs to a listener with `tcp`, `request` to one without";
            return Err(format!("steps[{number}]: {problem}"));
        }
        check_step(step).map_err(|problem| format!("steps[{number}]: {problem}"))?;
    }
    let mut allow = scenario.allow.clone();
    allow.callouts.extend(case.allow.callouts.iter().cloned());
    allow.logs.extend(case.allow.logs.iter().cloned());
    allow.hang |= case.allow.hang;
    allow.trap |= case.allow.trap;
    allow.phase |= case.allow.phase;
    Ok(ResolvedCase {
        name: case.name.clone(),
        index,
        load: case.load.clone(),
        clusters: case.clusters.clone(),
        emulator_only: emulator_only(scenario, case, &steps),
        steps,
        total,
        allow,
        budget: case.budget.clone(),
    })
}

fn check_step(step: &Step) -> Result<(), String> {
    let actions = [
        step.request.is_some(),
        step.connection.is_some(),
        step.advance.is_some(),
        step.clock.is_some(),
        step.finish.is_some(),
        step.abort.is_some(),
        step.clusters.is_some(),
        step.shared_data.is_some(),
        step.reload.is_some(),
        step.faults.is_some(),
        step.log_level.is_some(),
    ];
    if actions.iter().filter(|set| **set).count() > 1 {
        return Err("has more than one action; use a step for each".into());
    }
    match &step.request {
        Some(request) if request.background && request.id.is_none() => {
            Err("a background request needs an `id`".into())
        }
        _ => Ok(()),
    }
}

fn emulator_only(scenario: &Scenario, case: &Case, steps: &[Step]) -> Option<String> {
    let written = case.reason.clone().or_else(|| scenario.reason.clone());
    let because = |what: &str| Some(format!("uses {what}, which only the emulator has"));
    if written.is_some() {
        return written;
    }
    for step in steps {
        if step.shared_data.is_some() {
            return because("`shared_data` set-up");
        }
        if step.clock.is_some() {
            return because("`clock`");
        }
        if step.faults.is_some() {
            return because("`faults`");
        }
        if step
            .request
            .as_ref()
            .is_some_and(|r| !r.attributes.is_empty())
        {
            return because("`attributes`");
        }
        if step.request.as_ref().is_some_and(|r| r.worker.is_some()) {
            return because("`worker`");
        }
    }
    None
}
