//! `launchgate check`: refuses a manifest before a cluster does, and what a cluster would take but should not.
//!
//! 1. **Shape**: unknown and missing fields, types, enums, patterns ([`shape`], `shapes/*.yaml`).
//! 2. **Rules** between fields, by name ([`rules`], [`secrets`], [`clusters`]).
//! 3. **Configuration**: against the plugin's JSON Schema and by the module itself ([`module`]).
//! 4. **Overlays** change values, never structure ([`overlay`]).

mod clusters;
mod finding;
mod module;
mod overlay;
mod rules;
mod secrets;
pub(crate) mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use self::{finding::Finding, module::Modules, shape::Shapes};
use crate::{
    extension,
    index::Index,
    manifest::{self, Manifest},
};

const SHAPES: [&str; 2] = [
    include_str!("shapes/istio.yaml"),
    include_str!("shapes/gateway-api.yaml"),
];

/// Check manifests for Istio and Envoy Gateway: shape, rules, every plugin's configuration, and overlays.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders, kustomizations, folders with `base` and `overlays`, or `-` for standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Folder with `<plugin>.wasm`, `<plugin>.schema.json` and `index.json`.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Leave the plugins' configurations unchecked: no schemas and modules are at hand.
    #[arg(long)]
    without_modules: bool,
    /// Every image must be pinned by its digest.
    #[arg(long)]
    pinned: bool,
    /// A value for a variable of the proxy's environment.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

/// Runs the command: prints each finding, fails when there is one.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let modules = if args.without_modules {
        None
    } else {
        Some(modules(args)?)
    };
    let mut report = Report::default();
    for path in &args.paths {
        check_path(path, args.pinned, modules.as_ref(), &mut report)?;
    }
    Ok(if report.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All findings of a folder as rule and line, its number of resources, and the images that are pinned: plugin, digest.
pub(crate) fn summary(path: &Path, dist: Option<&Path>) -> anyhow::Result<Summary> {
    let modules = dist.map(|dist| Modules {
        dist: dist.to_owned(),
        index: None,
        variables: BTreeMap::new(),
        configure: Box::new(crate::configure::configure),
        asked: Default::default(),
    });
    let mut report = Report::default();
    check_path(path, false, modules.as_ref(), &mut report)?;
    let mut pinned = BTreeSet::new();
    let folders = match overlay::family(path) {
        Some((base, overlays)) => std::iter::once(base).chain(overlays).collect(),
        None => vec![path.to_owned()],
    };
    for manifest in &manifest::load(&folders)? {
        let images = extension::of(manifest)
            .into_iter()
            .filter_map(|e| match &e.source {
                extension::Source::Image(image) if !e.sha256.is_empty() => {
                    Some((e.source.plugin().to_owned(), image.clone(), e.sha256))
                }
                _ => None,
            });
        pinned.extend(images);
    }
    let findings = report.findings.iter();
    Ok(Summary {
        resources: report.checked,
        findings: findings.map(|f| (f.rule, f.to_string())).collect(),
        pinned,
    })
}

/// What [`summary`] tells.
pub(crate) struct Summary {
    pub(crate) resources: usize,
    pub(crate) findings: Vec<(&'static str, String)>,
    /// Plugin, image, manifest digest.
    pub(crate) pinned: BTreeSet<(String, String, String)>,
}

#[derive(Default)]
struct Report {
    checked: usize,
    unknown: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Report {
    /// Whether all is well.
    fn print(self) -> bool {
        for finding in &self.findings {
            println!("{finding}");
        }
        if !self.unknown.is_empty() {
            let kinds: Vec<_> = self.unknown.into_iter().collect();
            println!(
                "left to the API server, no shape is known: {}",
                kinds.join(", ")
            );
        }
        println!(
            "{} resources checked, {} findings",
            self.checked,
            self.findings.len()
        );
        self.findings.is_empty()
    }
}

fn modules(args: &Args) -> anyhow::Result<Modules<'static>> {
    let index = args.dist.join("index.json");
    let index = if index.is_file() {
        Some(Index::read(&index)?)
    } else {
        None
    };
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--env {text:?}, expected NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let variables = args
        .variables
        .iter()
        .map(pair)
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    Ok(Modules {
        dist: args.dist.clone(),
        index,
        variables,
        configure: Box::new(crate::configure::configure),
        asked: Default::default(),
    })
}

fn check_path(
    path: &Path,
    pinned: bool,
    modules: Option<&Modules<'_>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some((base, overlays)) = overlay::family(path) else {
        check_set(
            &manifest::load(&[path.to_owned()])?,
            pinned,
            modules,
            report,
        );
        return Ok(());
    };
    report.findings.extend(overlay::check(&base, &overlays)?);
    for folder in std::iter::once(&base).chain(&overlays) {
        check_set(
            &manifest::load(std::slice::from_ref(folder))?,
            pinned,
            modules,
            report,
        );
    }
    Ok(())
}

/// Checks manifests that are applied together.
fn check_set(
    manifests: &[Manifest],
    pinned: bool,
    modules: Option<&Modules<'_>>,
    report: &mut Report,
) {
    for manifest in manifests {
        match check_shape(manifest) {
            Some(findings) => report.findings.extend(findings),
            None => {
                report.unknown.insert(manifest.kind().to_owned());
                continue;
            }
        }
        report.checked += 1;
        report.findings.extend(rules::check(manifest));
        for extension in extension::of(manifest) {
            if pinned && extension.sha256.is_empty() {
                let path = extension.field_path("sha256", "code.image.sha256");
                report.findings.push(Finding::new(
                    manifest,
                    "unpinned",
                    path,
                    "empty, expected the image's digest",
                ));
            }
            report.findings.extend(
                modules
                    .map(|m| m.check(manifest, &extension))
                    .unwrap_or_default(),
            );
        }
    }
    report.findings.extend(rules::check_together(manifests));
    report.findings.extend(clusters::check(manifests));
}

/// `None`: no shape is known for this kind.
fn check_shape(manifest: &Manifest) -> Option<Vec<Finding>> {
    let shapes = shapes();
    let mismatches = shapes
        .iter()
        .find_map(|s| s.check(manifest.api_version(), manifest.kind(), &manifest.value))?;
    let to_finding = |(rule, path, message)| Finding::new(manifest, rule, path, message);
    Some(mismatches.into_iter().map(to_finding).collect())
}

fn shapes() -> &'static [Shapes] {
    static COMPILED: std::sync::OnceLock<Vec<Shapes>> = std::sync::OnceLock::new();
    // The files are part of the program; a test compiles them.
    COMPILED.get_or_init(|| {
        SHAPES
            .iter()
            .filter_map(|yaml| Shapes::parse(yaml).ok())
            .collect()
    })
}

#[cfg(test)]
mod tests;
