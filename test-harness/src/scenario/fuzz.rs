//! Fuzzing: the requests of scenarios with hostile bytes in headers, paths and bodies; what breaks is shrunk to a scenario.
//!
//! 1. A mutant is a request of the file with a few changes, drawn from a seed: the same seed gives the same run.
//! 2. It is broken when a VM dies, the exchange hangs, or a host call is made in a wrong phase. Statuses are free.
//! 3. A broken one is shrunk on fresh VMs: headers and bytes are left out as long as it stays broken.

use serde_json::{Value, json};

use super::host::{Observed, ScenarioHost, Started};
use super::load::{Group, ScenarioFile};
use super::step::{Request, Step};
use super::text::Bytes;
use crate::emulator::{EmulatorHost, Modules};

/// A broken request.
#[derive(Debug, Clone)]
pub struct Find {
    /// What broke.
    pub problem: String,
    /// The request, as small as it became.
    pub request: Request,
    /// A scenario file that shows it.
    pub scenario: String,
}

/// Runs so many mutants; answers the first that breaks something, shrunk.
pub fn fuzz(
    file: &ScenarioFile,
    modules: &Modules,
    seed: u64,
    runs: u64,
) -> anyhow::Result<Option<Find>> {
    let mut dice = Dice(seed.max(1));
    for group in file.groups.iter().filter(|group| !group.setup.refused) {
        let requests: Vec<&Request> = group
            .cases
            .iter()
            .flat_map(|case| &case.steps)
            .filter_map(|step| step.request.as_ref())
            .collect();
        if requests.is_empty() {
            continue;
        }
        let mut host = start(group, modules)?;
        for _ in 0..runs {
            let Some(seedling) = requests.get(dice.below(requests.len())) else {
                continue;
            };
            let request = mutate(seedling, &mut dice);
            if problem(&mut host, &request)?.is_some() {
                return shrink(group, modules, request).map(Some);
            }
        }
    }
    Ok(None)
}

fn start(group: &Group, modules: &Modules) -> anyhow::Result<EmulatorHost> {
    let mut host = EmulatorHost::new(modules.clone(), 1, vec![0]);
    if host.start(&group.setup)? == Started::Refused {
        anyhow::bail!("the plugin refused to start: {:?}", host.observe()?.logs);
    }
    host.observe()?;
    host.set_clusters(&Default::default())?;
    Ok(host)
}

fn problem(host: &mut EmulatorHost, request: &Request) -> anyhow::Result<Option<String>> {
    host.act(&Step {
        request: Some(request.clone()),
        ..Step::default()
    })?;
    Ok(broken(&host.observe()?))
}

fn broken(seen: &Observed) -> Option<String> {
    let hung = seen
        .exchanges
        .iter()
        .find_map(|exchange| exchange.hung.clone());
    seen.traps
        .first()
        .cloned()
        .or(hung)
        .or_else(|| seen.faults.first().cloned())
}

fn shrink(group: &Group, modules: &Modules, mut request: Request) -> anyhow::Result<Find> {
    let breaks = |request: &Request| -> anyhow::Result<Option<String>> {
        problem(&mut start(group, modules)?, request)
    };
    // A request that breaks nothing alone needs what came before it: then it is reported as it is.
    let Some(mut problem) = breaks(&request)? else {
        let text = "broke after other requests, not alone".to_owned();
        return Ok(Find {
            scenario: scenario(group, &request),
            problem: text,
            request,
        });
    };
    loop {
        let smaller = candidates(&request);
        let mut shrunk = false;
        for candidate in smaller {
            if let Some(still) = breaks(&candidate)? {
                (request, problem, shrunk) = (candidate, still, true);
                break;
            }
        }
        if !shrunk {
            return Ok(Find {
                scenario: scenario(group, &request),
                problem,
                request,
            });
        }
    }
}

/// Smaller requests: one header less, half a value, half a body, a shorter path.
fn candidates(request: &Request) -> Vec<Request> {
    let mut all = Vec::new();
    for index in 0..request.headers.0.len() {
        let mut less = request.clone();
        less.headers.0.remove(index);
        all.push(less);
    }
    for index in 0..request.headers.0.len() {
        for half in halves(
            request
                .headers
                .0
                .get(index)
                .map(|(_, value)| value.as_slice())
                .unwrap_or_default(),
        ) {
            let mut less = request.clone();
            if let Some((_, value)) = less.headers.0.get_mut(index) {
                *value = half;
            }
            all.push(less);
        }
    }
    all.extend(
        halves(&request.path)
            .into_iter()
            .filter(|path| path.starts_with(b"/"))
            .map(|path| {
                let path = Bytes(path);
                Request {
                    path,
                    ..request.clone()
                }
            }),
    );
    if let Some(body) = &request.body {
        all.push(Request {
            body: None,
            ..request.clone()
        });
        all.extend(halves(body).into_iter().map(|half| Request {
            body: Some(Bytes(half)),
            ..request.clone()
        }));
    }
    all
}

fn halves(bytes: &[u8]) -> Vec<Vec<u8>> {
    if bytes.len() < 2 {
        return Vec::new();
    }
    let (front, back) = bytes.split_at(bytes.len() / 2);
    vec![front.to_vec(), back.to_vec()]
}

fn scenario(group: &Group, request: &Request) -> String {
    let bytes = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            json!({"hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
        }
    };
    let mut headers = serde_json::Map::new();
    for (name, value) in &request.headers.0 {
        let values = headers
            .entry(String::from_utf8_lossy(name).into_owned())
            .or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(bytes(value));
        }
    }
    let plugins: Vec<Value> = group
        .setup
        .plugins
        .iter()
        .map(|plugin| json!({"plugin": plugin.plugin, "vm_id": plugin.vm_id, "config": plugin.config, "env": plugin.env}))
        .collect();
    let mut sent = json!({
        "method": bytes(&request.method), "path": bytes(&request.path), "authority": bytes(&request.authority), "headers": headers,
    });
    if let (Some(body), Some(map)) = (&request.body, sent.as_object_mut()) {
        map.insert("body".into(), bytes(body));
    }
    let file = json!({
        "about": "found by fuzzing",
        "plugins": plugins,
        "cases": [{"name": "the gateway survives this request", "request": sent}],
    });
    serde_norway::to_string(&file).unwrap_or_default()
}

fn mutate(seedling: &Request, dice: &mut Dice) -> Request {
    const NAMES: [&str; 16] = [
        "authorization",
        "cookie",
        "content-type",
        "forwarded",
        "host",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-canary",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
        "x-real-ip",
        "accept",
        "referer",
        "grpc-timeout",
    ];
    let mut request = seedling.clone();
    (
        request.background,
        request.repeat,
        request.timeout,
        request.id,
    ) = (false, 1, None, None);
    for _ in 0..=dice.below(3) {
        match dice.below(6) {
            0 => request.path.0.extend(dice.bytes(24)),
            1 => {
                let name = NAMES.get(dice.below(NAMES.len())).copied().unwrap_or("x");
                request
                    .headers
                    .0
                    .push((name.as_bytes().to_vec(), dice.bytes(64)));
            }
            2 => {
                let index = dice.below(request.headers.0.len().max(1));
                if let Some((_, value)) = request.headers.0.get_mut(index) {
                    *value = dice.bend(value);
                }
            }
            3 => {
                let index = dice.below(request.headers.0.len().max(1));
                if let Some(pair) = request.headers.0.get(index).cloned() {
                    request.headers.0.push(pair);
                }
            }
            4 => request.path = Bytes(dice.bend(&request.path)),
            _ => request.body = Some(Bytes(dice.bytes(256))),
        }
    }
    // What the codec refuses never reaches a plugin.
    for (_, value) in &mut request.headers.0 {
        value.retain(|byte| (*byte >= 0x20 && *byte != 0x7f) || *byte == b'\t');
    }
    request.path.0.retain(|byte| *byte > 0x20 && *byte != 0x7f);
    if request.path.first() != Some(&b'/') {
        request.path.0.insert(0, b'/');
    }
    request
}

/// Repeatable chance (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        const HARD: [&[u8]; 12] = [
            b"\xff\xfe",
            b"%00",
            b"%2e%2e/",
            b"..",
            b"//",
            b"\\",
            b";.;x=.=y;.;",
            b"\"",
            b"\xc3\x28",
            b"999999999999999999999",
            b",,,",
            b"=;=",
        ];
        let mut bytes = Vec::new();
        let length = self.below(most);
        while bytes.len() < length {
            if self.below(4) == 0 {
                bytes.extend_from_slice(
                    HARD.get(self.below(HARD.len()))
                        .copied()
                        .unwrap_or_default(),
                );
            } else {
                bytes.push(u8::try_from(self.below(256)).unwrap_or(0));
            }
        }
        bytes
    }

    fn bend(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bent = bytes.to_vec();
        match self.below(4) {
            0 => bent.truncate(self.below(bent.len() + 1)),
            1 => bent.extend(self.bytes(16)),
            2 => {
                let at = self.below(bent.len().max(1));
                if let Some(byte) = bent.get_mut(at) {
                    *byte = u8::try_from(self.below(256)).unwrap_or(0);
                }
            }
            _ => bent = bent.repeat(1 + self.below(40)),
        }
        bent
    }
}
