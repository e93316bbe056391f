//! Running a suite: each test on a VM of its own, phase by phase.

use std::time::Instant;

use super::PhaseSuite;
use super::schema::{Env, Invocation, LogLevel, Test};
use crate::emulator::{Module, Phase, PhaseHost, PhaseOutcome};
use crate::scenario::check::Finding;
use crate::scenario::run::{CaseResult, Pace, StepFault};
use crate::scenario::schema::Level;

/// Runs every test; `config` is the plugin's configuration where the suite names none.
#[allow(
    clippy::disallowed_methods,
    reason = "tells how long a test took, decides nothing"
)]
pub fn run(suite: &PhaseSuite, module: &Module, config: &[u8]) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for (index, test) in suite.tests.test.iter().enumerate() {
        let begun = Instant::now();
        let mut faults = Faults(Vec::new());
        let costs = match play(suite, test, module, config, &mut faults) {
            Ok(mut host) => host.take_costs(),
            Err(error) => {
                faults.add(
                    "run",
                    [Finding::new(
                        "test",
                        "a test that can be run",
                        format!("{error:#}"),
                    )],
                );
                Vec::new()
            }
        };
        let took = begun.elapsed();
        results.push(CaseResult {
            case: test.name.clone(),
            index,
            host: "emulator, phase by phase".into(),
            took,
            faults: faults.0,
            skipped: None,
            costs,
            pace: Pace {
                exchanges: 1,
                spent: took,
            },
        });
    }
    results
}

struct Faults(Vec<StepFault>);

impl Faults {
    fn add(&mut self, phase: &str, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings.into_iter().map(|finding| StepFault {
            step: phase.to_owned(),
            finding,
        }));
    }

    /// A VM that died; nothing more can be asked of it.
    fn died(&mut self, phase: &str, host: &mut PhaseHost) -> bool {
        let Some(trap) = host.trap() else {
            return false;
        };
        self.add(phase, [Finding::new("trap", "no VM dies", trap)]);
        true
    }
}

fn play(
    suite: &PhaseSuite,
    test: &Test,
    module: &Module,
    config: &[u8],
    faults: &mut Faults,
) -> anyhow::Result<PhaseHost> {
    let env = &suite.tests.env;
    let config = match &env.config_path {
        Some(path) => suite.read_data(path)?,
        None => config.to_vec(),
    };
    let start = env.time_secs.unwrap_or(0).saturating_mul(1_000_000_000);
    let (mut host, accepted) = PhaseHost::start(module, config, start, level(env))?;
    let logs = host.take_logs();
    if faults.died("plugin_init", &mut host) {
        return Ok(host);
    }
    if !accepted {
        faults.add(
            "plugin_init",
            [Finding::new(
                "plugin",
                "a plugin that starts",
                logs.join("\n"),
            )],
        );
        return Ok(host);
    }
    faults.add("plugin_init", suite.check_logs(&test.plugin_init, &logs));
    let properties = test.properties.iter();
    host.open(properties.map(|property| (property.path.clone(), property.value.0.clone())));
    let logs = host.take_logs();
    faults.add("stream_init", suite.check_logs(&test.stream_init, &logs));
    if phases(suite, test, &mut host, faults)? {
        host.close();
        let logs = host.take_logs();
        faults.add(
            "stream_destroy",
            suite.check_logs(&test.stream_destroy, &logs),
        );
        faults.died("stream_destroy", &mut host);
    }
    Ok(host)
}

/// All callbacks of a test in order; `false` once the VM has died.
fn phases(
    suite: &PhaseSuite,
    test: &Test,
    host: &mut PhaseHost,
    faults: &mut Faults,
) -> anyhow::Result<bool> {
    Ok(headers(
        suite,
        "request_headers",
        &test.request_headers,
        host,
        faults,
    )? && body(
        suite,
        test,
        "request_body",
        &test.request_body,
        host,
        faults,
    )? && headers(
        suite,
        "response_headers",
        &test.response_headers,
        host,
        faults,
    )? && body(
        suite,
        test,
        "response_body",
        &test.response_body,
        host,
        faults,
    )?)
}

fn headers(
    suite: &PhaseSuite,
    name: &str,
    invocation: &Option<Invocation>,
    host: &mut PhaseHost,
    faults: &mut Faults,
) -> anyhow::Result<bool> {
    let Some(invocation) = invocation else {
        return Ok(true);
    };
    let request = name == "request_headers";
    let pairs = suite.headers(&invocation.input, request)?;
    let phase = if request {
        Phase::RequestHeaders(pairs)
    } else {
        Phase::ResponseHeaders(pairs)
    };
    let outcome = host.call(phase);
    let logs = host.take_logs();
    if faults.died(name, host) {
        return Ok(false);
    }
    faults.add(name, suite.check(&invocation.result, &outcome, &logs));
    Ok(true)
}

fn body(
    suite: &PhaseSuite,
    test: &Test,
    name: &str,
    invocations: &[Invocation],
    host: &mut PhaseHost,
    faults: &mut Faults,
) -> anyhow::Result<bool> {
    let planned = test.num_chunks.or(test.chunk_size).is_some();
    if planned && invocations.len() > 1 {
        anyhow::bail!("{name}: expected one invocation where there is a chunking plan");
    }
    for invocation in invocations {
        let chunks = suite.chunks(test, &invocation.input)?;
        let count = chunks.len();
        let mut whole = PhaseOutcome::default();
        let mut logs = Vec::new();
        for (index, chunk) in chunks.into_iter().enumerate() {
            let end = index + 1 == count;
            let outcome = host.call(match name {
                "request_body" => Phase::RequestBody(chunk, end),
                _ => Phase::ResponseBody(chunk, end),
            });
            // As in their tester, the lines of the last piece are the ones that count.
            logs = host.take_logs();
            if faults.died(name, host) {
                return Ok(false);
            }
            whole.body.extend(outcome.body);
            whole.reply = whole.reply.or(outcome.reply);
        }
        faults.add(name, suite.check(&invocation.result, &whole, &logs));
    }
    Ok(true)
}

fn level(env: &Env) -> Level {
    match env.log_level {
        Some(LogLevel::Trace) => Level::Trace,
        Some(LogLevel::Debug) => Level::Debug,
        None | Some(LogLevel::Undefined | LogLevel::Info) => Level::Info,
        Some(LogLevel::Warn) => Level::Warn,
        Some(LogLevel::Error) => Level::Error,
        Some(LogLevel::Critical) => Level::Critical,
    }
}
