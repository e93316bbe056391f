//! `launchgate test`: scenarios on the emulator, on a real Envoy, or on both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use launchgate_harness::emulator::{EmulatorHost, Modules};
use launchgate_harness::envoy::scenario::{run_diff, run_envoy};
use launchgate_harness::phase_suite::{self, PhaseSuite};
use launchgate_harness::scenario::ScenarioFile;
use launchgate_harness::scenario::fuzz::fuzz;
use launchgate_harness::scenario::run::{CaseResult, emulate_with};

use crate::report::{Format, Report};

/// Runs scenarios against a plugin.
///
/// A scenario file (YAML) says what is done to a gateway with plugins, and what must come of it: see docs/scenarios.md.
/// The emulator runs it in virtual time, with each worker count and with several assignments of requests to workers.
///
/// Exit codes: 0 all passed, 1 a case failed, 2 the scenarios could not be run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  launchgate test health                                  all scenarios of plugins/health, with dist/health.wasm
  launchgate test plugins/tls/scenarios/redirect.yaml     one file; its plugins name their modules
  launchgate test ./mine.wasm mine/*.yaml                 another module; `plugin: mine` in the files is this one
  launchgate test tls --case 'forged' --trace             one case, with every callback and log line
  launchgate test tls --mode diff                         on the emulator and on a real Envoy; a difference fails
  launchgate test tls --fault proxy_http_call=10          every call-out is refused by the host
  launchgate test tls --fuzz 10000                        hostile requests; what breaks is shrunk to a scenario
  launchgate test ./mine.wasm tests.textpb --config c.txt a test suite of Google's Service Extensions
  launchgate test --schema > scenario.schema.json         the JSON Schema, for editors")]
pub(crate) struct Args {
    /// A plugin's name, a module (.wasm, .wat), scenario files or folders, test suites (.textpb), in any order.
    targets: Vec<PathBuf>,
    /// Where to run: the emulator, a real Envoy, or both, where any difference fails.
    #[arg(long, value_enum, default_value_t = Mode::Emulate)]
    mode: Mode,
    /// Run only cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
    /// Folder with the plugins' modules.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Plugin configuration for test suites (.textpb) that name none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker counts instead of the files' own.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<u32>,
    /// Make a host call answer a status (`proxy_http_call=10`); may be given several times.
    #[arg(long, value_name = "CALL=STATUS")]
    fault: Vec<String>,
    /// Send so many mutants of each file's requests instead; what breaks the plugin is printed as a scenario.
    #[arg(long, value_name = "RUNS")]
    fuzz: Option<u64>,
    /// Seed of --fuzz: the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print what callbacks cost: instructions, host calls, bytes copied.
    #[arg(long)]
    profile: bool,
    /// Print every callback and log line of failed cases (and of all with --case).
    #[arg(long)]
    trace: bool,
    /// Write JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How to print results.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print only failures and the summary.
    #[arg(long, short)]
    quiet: bool,
    /// Print the JSON Schema of scenario files and end.
    #[arg(long)]
    schema: bool,
}

/// The hosts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// The emulator: virtual time, every assignment of requests to workers.
    Emulate,
    /// A real Envoy (ENVOY=, or the one that `make deps` brought): real time, real connections.
    Envoy,
    /// Both, and what client, upstreams, stats and access record show must be the same.
    Diff,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.schema {
        println!(
            "{}",
            serde_json::to_string_pretty(&launchgate_harness::scenario::json_schema())?
        );
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(runs) = args.fuzz {
        return fuzz_all(args, runs);
    }
    match run_all(args) {
        Ok(report) => {
            report.print(args.format, args.quiet, args.profile)?;
            if let Some(path) = &args.junit {
                std::fs::write(path, report.junit())
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            Ok(if report.failed() == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            })
        }
        Err(error) => {
            eprintln!("launchgate test: {error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

fn fuzz_all(args: &Args, runs: u64) -> anyhow::Result<ExitCode> {
    let Targets { modules, files, .. } = targets(args)?;
    for path in files {
        let mut file = ScenarioFile::read(&path)?;
        select(&mut file, args);
        if let Some(find) = fuzz(&file, &modules, args.seed, runs)? {
            println!(
                "# {}\n{}",
                find.problem.replace('\n', "\n# "),
                find.scenario
            );
            return Ok(ExitCode::from(1));
        }
        eprintln!("{}: {runs} requests a group, nothing broke", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn run_all(args: &Args) -> anyhow::Result<Report> {
    let Targets {
        modules,
        files,
        module,
    } = targets(args)?;
    let faults = faults(&args.fault)?;
    let mut report = Report::default();
    for path in files {
        if PhaseSuite::recognizes(&path) {
            report.add(
                &path,
                suite(&path, module.as_deref(), &modules, args)?,
                Vec::new(),
            );
            continue;
        }
        let mut file = ScenarioFile::read(&path)?;
        select(&mut file, args);
        let mut traces = Vec::new();
        if args.trace {
            traces = trace(&file, &modules, &faults)?;
        }
        let results = match args.mode {
            Mode::Emulate => emulate_with(&file, |workers, assignment| {
                EmulatorHost::new(modules.clone(), workers, assignment).with_faults(faults.clone())
            }),
            Mode::Envoy => run_envoy(&file, &modules),
            Mode::Diff => run_diff(&file, &modules),
        };
        report.add(&path, results, traces);
    }
    Ok(report)
}

/// A suite of another tester, on the module that it names or that was named last.
fn suite(
    path: &Path,
    module: Option<&Path>,
    modules: &Modules,
    args: &Args,
) -> anyhow::Result<Vec<CaseResult>> {
    if args.mode != Mode::Emulate {
        bail!(
            "{}: its phases are single callbacks, which no real Envoy can be asked for; expected --mode emulate",
            path.display()
        );
    }
    let mut suite = PhaseSuite::read(path)?;
    suite.select(args.case.as_deref().unwrap_or_default());
    let module = module.map(Path::to_path_buf).or_else(|| suite.module());
    let module = module.with_context(|| {
        format!(
            "{}: expected a .wasm or .wat module to run it on",
            path.display()
        )
    })?;
    let config = match &args.config {
        Some(path) => {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => Vec::new(),
    };
    Ok(phase_suite::run(&suite, &modules.get(&module)?, &config))
}

/// What was named on the command line.
struct Targets {
    modules: Modules,
    files: Vec<PathBuf>,
    /// The last module.
    module: Option<PathBuf>,
}

/// Sorts what was named into modules and files.
fn targets(args: &Args) -> anyhow::Result<Targets> {
    let mut named = BTreeMap::new();
    let mut module = None;
    let mut files = Vec::new();
    for target in &args.targets {
        let suffix = target
            .extension()
            .and_then(|suffix| suffix.to_str())
            .unwrap_or_default();
        match suffix {
            "wasm" | "wat" => {
                let name = target
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let path = std::path::absolute(target)?;
                module = Some(path.clone());
                named.insert(name, path);
            }
            _ if PhaseSuite::recognizes(target) => files.push(target.clone()),
            "yaml" | "yml" => files.push(target.clone()),
            _ if target.is_dir() => files.extend(scenarios_in(target)?),
            _ => {
                let folder = Path::new("plugins").join(target).join("scenarios");
                if !folder.is_dir() {
                    bail!(
                        "{}: expected a plugin's name, a .wasm or .wat module, a .yaml scenario, a .textpb suite, or a folder",
                        target.display()
                    );
                }
                files.extend(scenarios_in(&folder)?);
            }
        }
    }
    if files.is_empty() {
        bail!("no scenarios: name a plugin, a .yaml file, or a folder with some");
    }
    Ok(Targets {
        modules: Modules::new(args.dist.clone()).with_names(named),
        files,
        module,
    })
}

fn scenarios_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|suffix| suffix == "yaml" || suffix == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no .yaml files in {}", folder.display());
    }
    Ok(files)
}

pub(crate) fn faults(written: &[String]) -> anyhow::Result<BTreeMap<String, i32>> {
    let parse = |text: &String| {
        let (call, status) = text
            .split_once('=')
            .with_context(|| format!("--fault {text}: expected CALL=STATUS"))?;
        let status = status
            .parse()
            .with_context(|| format!("--fault {text}: `{status}` is no number"))?;
        Ok((call.to_owned(), status))
    };
    written.iter().map(parse).collect()
}

fn select(file: &mut ScenarioFile, args: &Args) {
    if !args.workers.is_empty() {
        file.workers.clone_from(&args.workers);
    }
    if let Some(part) = &args.case {
        for group in &mut file.groups {
            group.cases.retain(|case| case.name.contains(part));
        }
        file.groups.retain(|group| !group.cases.is_empty());
    }
}

/// Runs once more on one worker, and keeps what happened.
fn trace(
    file: &ScenarioFile,
    modules: &Modules,
    faults: &BTreeMap<String, i32>,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for group in &file.groups {
        let mut host = EmulatorHost::new(modules.clone(), 1, vec![0])
            .tracing(true)
            .with_faults(faults.clone());
        let results: Vec<CaseResult> =
            launchgate_harness::scenario::run::run_group(&mut host, group);
        let names: Vec<&str> = results.iter().map(|result| result.case.as_str()).collect();
        lines.push(format!("trace of {}", names.join(", ")));
        lines.extend(host.take_trace());
    }
    Ok(lines)
}
