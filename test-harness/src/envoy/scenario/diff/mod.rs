//! What both hosts showed, side by side.
//!
//! 1. Compared step by step: the client's status, headers, body and trailers; the requests that upstreams saw for it; the access
//!    record; the change of stats. Call-outs are compared over all steps (see `callouts`).
//! 2. Left out is what no two runs share: dates, ids, durations. In texts, times, hexadecimal ids and samples of seconds are masked.
//! 3. Stats that the scenario calls unsteady are not compared, nor are those that change by themselves once the emulator's time
//!    goes on: on a real gateway the ticks and answers that write them fall into any step. Stats of a step that lets time pass
//!    are judged by the scenario alone: how many ticks fit into real time is not exact.

mod callouts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use crate::scenario::check::Finding;
use crate::scenario::host::{
    BlindSpots, Exchange, Observed, ScenarioHost, Started, Stat, UpstreamRequest,
};
use crate::scenario::load::{Group, Setup};
use crate::scenario::run::{CaseResult, StepFault};
use crate::scenario::schema::Cluster;
use crate::scenario::step::Step;
use crate::scenario::text::{Span, show};

/// Headers that differ between any two runs, or that only a real connection has.
const UNSTEADY: [&str; 6] = [
    "date",
    "x-request-id",
    "x-envoy-upstream-service-time",
    "connection",
    "transfer-encoding",
    "content-length",
];

/// How much time passes after a group's last step: more than a step takes on a busy machine.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// A host that remembers what it told.
pub(super) struct Recording<H> {
    host: H,
    seen: Vec<(bool, Observed)>,
    waited: bool,
}

impl<H: ScenarioHost> Recording<H> {
    pub(super) fn new(host: H) -> Self {
        Self {
            host,
            seen: Vec::new(),
            waited: false,
        }
    }

    /// The host.
    pub(super) fn host(&self) -> &H {
        &self.host
    }

    /// Lets time pass after the last step, and tells which stats changed by that.
    pub(super) fn restless(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let Some((_, last)) = self.seen.last() else {
            return Ok(BTreeSet::new());
        };
        self.host.act(&Step {
            advance: Some(Span(AFTERWARDS)),
            ..Step::default()
        })?;
        let stats = self.host.observe()?.stats;
        let changed = stats
            .into_iter()
            .filter(|(name, stat)| last.stats.get(name) != Some(stat));
        Ok(changed.map(|(name, _)| name).collect())
    }
}

impl<H: ScenarioHost> ScenarioHost for Recording<H> {
    fn name(&self) -> String {
        self.host.name()
    }

    fn blind_spots(&self) -> BlindSpots {
        self.host.blind_spots()
    }

    fn start(&mut self, setup: &Setup) -> anyhow::Result<Started> {
        self.host.start(setup)
    }

    fn set_clusters(&mut self, clusters: &BTreeMap<String, Cluster>) -> anyhow::Result<()> {
        self.host.set_clusters(clusters)
    }

    fn act(&mut self, step: &Step) -> anyhow::Result<()> {
        self.waited = step.request.is_none() && step.connection.is_none();
        self.host.act(step)
    }

    fn observe(&mut self) -> anyhow::Result<Observed> {
        let observed = self.host.observe()?;
        self.seen
            .push((std::mem::replace(&mut self.waited, true), observed.clone()));
        Ok(observed)
    }

    fn prometheus(&mut self, labels: &[String]) -> anyhow::Result<String> {
        self.host.prometheus(labels)
    }
}

/// The results of both hosts as one: what failed on either, else what differs.
pub(super) fn join<A: ScenarioHost, B>(
    group: &Group,
    emulated: Vec<CaseResult>,
    real: Vec<CaseResult>,
    emulator: &mut Recording<A>,
    envoy: &Recording<B>,
) -> Vec<CaseResult> {
    let all_passed = emulated.iter().chain(&real).all(CaseResult::passed);
    let mut joined: Vec<CaseResult> = emulated
        .into_iter()
        .zip(real)
        .map(|(emulated, real)| {
            let took = emulated.took + real.took;
            let failed = if emulated.passed() { real } else { emulated };
            CaseResult { took, ..failed }
        })
        .collect();
    // After a failure the two runs no longer stand side by side.
    let differences = if all_passed {
        all_differences(group, emulator, envoy)
    } else {
        Vec::new()
    };
    if let Some(last) = joined.last_mut().filter(|_| !differences.is_empty()) {
        last.host = "emulator and envoy".to_owned();
        last.faults = differences;
    }
    joined
}

fn all_differences<A: ScenarioHost, B>(
    group: &Group,
    emulator: &mut Recording<A>,
    envoy: &Recording<B>,
) -> Vec<StepFault> {
    let ticking = waits(group);
    let calls = callouts::differences(group, !ticking, emulator, envoy);
    let restless = match emulator.restless() {
        Ok(restless) => restless,
        // Where the configuration is refused, there is no gateway that time could pass on.
        Err(_) if group.setup.refused => BTreeSet::new(),
        Err(error) => {
            return vec![StepFault {
                step: "after the last step, on the emulator".into(),
                finding: Finding::new("time", "passes", format!("{error:#}")),
            }];
        }
    };
    let is_left_out = |stat: &str| {
        restless.contains(stat) || (group.setup.unsteady.iter()).any(|unsteady| of(stat, unsteady))
    };
    let mut faults = differences(emulator, envoy, ticking, &is_left_out);
    faults.extend(calls.into_iter().map(|finding| StepFault {
        step: "all steps: emulator (expected) and Envoy (got) differ".into(),
        finding,
    }));
    faults
}

/// Whether time passes in a group: then ticks may fall into any step.
fn waits(group: &Group) -> bool {
    group
        .cases
        .iter()
        .flat_map(|case| &case.steps)
        .any(|step| step.advance.is_some())
}

fn differences<A, B>(
    emulator: &Recording<A>,
    envoy: &Recording<B>,
    ticking: bool,
    is_left_out: &dyn Fn(&str) -> bool,
) -> Vec<StepFault> {
    let mut faults = Vec::new();
    let (mut before_a, mut before_b) = (BTreeMap::new(), BTreeMap::new());
    for (number, ((waited, a), (_, b))) in emulator.seen.iter().zip(&envoy.seen).enumerate() {
        let mut findings = Vec::new();
        for (a, b) in a.exchanges.iter().zip(&b.exchanges) {
            exchange(a, b, &mut findings);
        }
        if !waited {
            stats(
                (&before_a, &a.stats),
                (&before_b, &b.stats),
                ticking,
                is_left_out,
                &mut findings,
            );
        }
        (before_a, before_b) = (a.stats.clone(), b.stats.clone());
        let step = format!("observation {number}: emulator (expected) and Envoy (got) differ");
        faults.extend(findings.into_iter().map(|finding| StepFault {
            step: step.clone(),
            finding,
        }));
    }
    faults
}

fn exchange(a: &Exchange, b: &Exchange, findings: &mut Vec<Finding>) {
    compare(
        "whole response",
        &a.complete.to_string(),
        &b.complete.to_string(),
        findings,
    );
    compare("details", &a.details, &b.details, findings);
    if let (Some(a), Some(b)) = (&a.response, &b.response) {
        compare(
            "status",
            &a.status.to_string(),
            &b.status.to_string(),
            findings,
        );
        compare(
            "headers",
            &fields(&a.headers),
            &fields(&b.headers),
            findings,
        );
        compare(
            "body",
            &mask(&show(&a.body)),
            &mask(&show(&b.body)),
            findings,
        );
        compare(
            "trailers",
            &fields(&a.trailers),
            &fields(&b.trailers),
            findings,
        );
    }
    let requests =
        |requests: &[UpstreamRequest]| requests.iter().map(upstream).collect::<Vec<_>>().join("\n");
    compare(
        "upstream requests",
        &requests(&a.upstream),
        &requests(&b.upstream),
        findings,
    );
    for (key, record) in &b.filter_state {
        let emulated = a
            .filter_state
            .get(key)
            .map(|record| mask(&show(record)))
            .unwrap_or_default();
        compare(
            &format!("filter state {key}"),
            &emulated,
            &mask(&show(record)),
            findings,
        );
    }
}

fn upstream(request: &UpstreamRequest) -> String {
    let texts = [
        &request.method,
        &request.path,
        &request.authority,
        &request.body,
    ]
    .map(|bytes| show(bytes));
    format!(
        "{} {} {}",
        request.cluster,
        texts.join(" "),
        fields(&request.headers)
    )
}

/// Header fields by name; the order of names is no effect, that of the values of one name is.
pub(super) fn fields(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, value) in fields {
        let name = show(name);
        if !UNSTEADY.contains(&name.as_str()) {
            lines.push((name, mask(&show(value))));
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect::<Vec<_>>()
        .join("\n")
}

type Stats = BTreeMap<String, Stat>;

fn stats(
    a: (&Stats, &Stats),
    b: (&Stats, &Stats),
    ticking: bool,
    is_left_out: &dyn Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) {
    let names =
        a.1.keys()
            .chain(b.1.keys())
            .collect::<std::collections::BTreeSet<_>>();
    for name in names {
        if is_left_out(name) {
            continue;
        }
        let (a, b) = (grown(a, name), grown(b, name));
        if a != b && !(ticking && a == 0) {
            compare(
                &format!("stat {name}"),
                &format!("{a:+}"),
                &format!("{b:+}"),
                findings,
            );
        }
    }
}

/// Whether it is this stat, with whatever labels: `queued_bytessink=.=otlp;.;` is `queued_bytes`.
fn of(name: &str, stat: &str) -> bool {
    name.strip_prefix(stat)
        .is_some_and(|labels| labels.is_empty() || labels.contains("=.="))
}

fn grown((before, after): (&Stats, &Stats), name: &str) -> i64 {
    let value = |stats: &Stats| match stats.get(name) {
        Some(Stat::Counter(value) | Stat::Gauge(value)) => *value,
        Some(Stat::Histogram { count, .. }) => *count,
        None => 0,
    };
    value(after).wrapping_sub(value(before)).cast_signed()
}

fn compare(what: &str, emulated: &str, real: &str, findings: &mut Vec<Finding>) {
    if emulated != real {
        findings.push(Finding::new(what, emulated, real));
    }
}

/// What no two runs share, and the mark in its place.
const MASKS: [(&str, &str); 10] = [
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
        "<time>",
    ),
    (
        r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        "<id>",
    ),
    (r"\b[0-9a-f]{16,64}\b", "<id>"),
    (r#""[0-9a-f]{8}""#, "\"<id>\""),
    (
        r"(_seconds_(bucket|sum)(\{[^}]*\})?) [0-9.e+-]+",
        "$1 <number>",
    ),
    (
        r#"("[a-z_.]*(_ms|_ns|_us|duration|latency|time|timestamp)"\s*:\s*)"?[0-9.]+"?"#,
        "$1<number>",
    ),
    (r#"("x-envoy-upstream-service-time"=)"\d+""#, "$1<number>"),
    // Before 1.38 Envoy's own reply says more of why it could not connect.
    (
        r"(reset reason: remote connection failure), transport failure reason: [^\n]*",
        "$1",
    ),
    // A response is as long as the digits of that header.
    (r#"("(response_)?bytes"\s*:\s*)\d+"#, "$1<number>"),
    (
        r#"("http\.response\.size","value":\{"intValue":)"\d+""#,
        "$1<number>",
    ),
];

/// Times, durations and ids as one mark each.
pub(super) fn mask(text: &str) -> String {
    static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let compiled = MASKS
            .iter()
            .map(|(pattern, mark)| (Regex::new(pattern), *mark));
        compiled
            .filter_map(|(regex, mark)| Some((regex.ok()?, mark)))
            .collect()
    });
    COMPILED
        .iter()
        .fold(text.to_owned(), |text, (regex, mark)| {
            regex.replace_all(&text, *mark).into_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_two_runs_share_is_masked() {
        let text = r#"{"status":200,"timestamp":"2026-01-01T00:00:00.000Z","age_ms":12,"response_bytes":171,"id":"6f9619ff-8b86-d011-b42d-00cf4fc964ff"}"#;
        assert_eq!(
            mask(text),
            r#"{"status":200,"timestamp":"<time>","age_ms":<number>,"response_bytes":<number>,"id":"<id>"}"#
        );
    }

    #[test]
    fn envoys_word_for_a_refused_connection_is_the_same_in_all_versions() {
        let said = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
        let more = "transport failure reason: delayed connect error: Connection refused";
        assert_eq!(mask(&format!("{said}, {more}")), said);
    }

    #[test]
    fn stats_that_grow_otherwise_are_a_difference() {
        let stats_of = |value| Stats::from([("x".to_owned(), Stat::Counter(value))]);
        let (none, one, two) = (Stats::new(), stats_of(1), stats_of(2));
        let found = |a, b, ticking| {
            let mut findings = Vec::new();
            stats((&none, a), (&none, b), ticking, &|_| false, &mut findings);
            findings.len()
        };
        assert_eq!(
            (
                found(&one, &one, false),
                found(&one, &two, true),
                found(&none, &one, false),
                found(&none, &one, true)
            ),
            (0, 1, 1, 0)
        );
    }

    /// A gateway with a plugin that counts a request at once, and that it was told of at its next tick.
    struct Ticking {
        requests: u64,
        told: u64,
    }

    impl ScenarioHost for Ticking {
        fn name(&self) -> String {
            "ticking".into()
        }

        fn start(&mut self, _: &Setup) -> anyhow::Result<Started> {
            Ok(Started::Running)
        }

        fn set_clusters(&mut self, _: &BTreeMap<String, Cluster>) -> anyhow::Result<()> {
            Ok(())
        }

        fn act(&mut self, step: &Step) -> anyhow::Result<()> {
            match step.advance {
                Some(_) => self.told = self.requests,
                None => self.requests += 1,
            }
            Ok(())
        }

        fn observe(&mut self) -> anyhow::Result<Observed> {
            let stats = Stats::from([
                ("requests".to_owned(), Stat::Counter(self.requests)),
                ("told".to_owned(), Stat::Counter(self.told)),
            ]);
            Ok(Observed {
                stats,
                ..Observed::default()
            })
        }

        fn prometheus(&mut self, _: &[String]) -> anyhow::Result<String> {
            Ok(String::new())
        }
    }

    #[test]
    fn what_a_tick_writes_is_restless_and_what_a_request_writes_is_not() {
        let mut recording = Recording::new(Ticking {
            requests: 0,
            told: 0,
        });
        recording.act(&Step::default()).expect("acts");
        recording.observe().expect("observes");
        let restless = recording.restless().expect("time passes");
        assert_eq!(restless, BTreeSet::from(["told".to_owned()]));
    }
}
