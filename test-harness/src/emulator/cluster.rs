//! Clusters: which there are, and what their upstreams answer.

use std::collections::BTreeMap;

use super::header_map::{HeaderMap, Side};
use super::world::{CalloutAnswer, GrpcStep};
use crate::scenario::schema::{Cluster, Failure, Reply};

/// Envoy's texts for an upstream that cannot be reached.
pub const REFUSED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
/// The same for one that hangs up before its headers.
pub const TERMINATED: &str = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// For one that takes too long.
pub const TIMED_OUT: &str = "upstream request timeout";

/// The clusters of a process.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    base: BTreeMap<String, Cluster>,
    now: BTreeMap<String, Cluster>,
    asked: BTreeMap<String, usize>,
}

impl Clusters {
    /// These clusters.
    pub fn new(base: BTreeMap<String, Cluster>) -> Self {
        Clusters {
            now: base.clone(),
            base,
            asked: BTreeMap::new(),
        }
    }

    /// Starts a case: its own behaviours over those of the file, sequences from their beginning.
    pub fn begin(&mut self, own: &BTreeMap<String, Cluster>) {
        self.now = self.base.clone();
        self.asked.clear();
        self.change(own);
    }

    /// New behaviour from now on.
    pub fn change(&mut self, own: &BTreeMap<String, Cluster>) {
        for (name, cluster) in own {
            self.now.insert(name.clone(), cluster.clone());
            self.asked.remove(name);
        }
    }

    /// Whether Envoy knows it.
    pub fn knows(&self, cluster: &str) -> bool {
        self.now.contains_key(cluster)
    }

    /// Whether it has a host.
    pub fn has_hosts(&self, cluster: &str) -> bool {
        self.now
            .get(cluster)
            .is_some_and(|cluster| cluster.hosts != Some(false))
    }

    /// A made-up address of its host.
    pub fn address(&self, cluster: &str) -> String {
        let index = self
            .now
            .keys()
            .position(|name| name == cluster)
            .unwrap_or(0);
        format!("127.0.0.1:{}", 20_000 + index)
    }

    /// The addresses of all.
    pub fn addresses(&self) -> BTreeMap<String, String> {
        let names = self.now.keys();
        names
            .map(|name| (name.clone(), self.address(name)))
            .collect()
    }

    /// The next answer.
    pub fn answer(&mut self, cluster: &str, path: &[u8]) -> Reply {
        let Some(behaviour) = self.now.get(cluster) else {
            return Reply::default();
        };
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        if let Some(reply) = behaviour
            .paths
            .iter()
            .find(|(known, _)| known.as_bytes() == path)
        {
            return reply.1.clone();
        }
        let asked = self.asked.entry(cluster.to_owned()).or_default();
        *asked += 1;
        behaviour
            .sequence
            .get(*asked - 1)
            .unwrap_or(&behaviour.reply)
            .clone()
    }

    /// Scripted answers that nobody has asked for.
    pub fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for (name, cluster) in &self.now {
            let asked = self.asked.get(name).copied().unwrap_or(0);
            unread.extend(
                (asked..cluster.sequence.len()).map(|i| format!("cluster {name}: sequence[{i}]")),
            );
        }
        unread
    }
}

/// Headers, body and trailers of a scripted answer, as they arrive at Envoy.
pub fn message(reply: &Reply) -> (HeaderMap, Vec<Vec<u8>>, HeaderMap) {
    let mut headers = HeaderMap::new(Side::Other);
    headers.add(b":status", reply.status.to_string().as_bytes());
    for (name, value) in &reply.headers.0 {
        headers.add(name, value);
    }
    let mut trailers = HeaderMap::new(Side::Other);
    for (name, value) in &reply.trailers.0 {
        trailers.add(name, value);
    }
    let bodiless = reply.status == 204 || reply.status == 304;
    let chunks: Vec<Vec<u8>> = match (&reply.chunks[..], bodiless) {
        (_, true) => Vec::new(),
        ([], _) if reply.body.is_empty() => Vec::new(),
        ([], _) => vec![reply.body.0.clone()],
        (chunks, _) => chunks.iter().map(|chunk| chunk.0.clone()).collect(),
    };
    // An upstream that sends trailers speaks HTTP/2, which frames the body itself.
    if !reply.trailers.0.is_empty() {
    } else if reply.chunks.is_empty() {
        if !bodiless && headers.get(b"content-length").is_none() {
            headers.add(b"content-length", reply.body.len().to_string().as_bytes());
        }
    } else if headers.get(b"transfer-encoding").is_none() {
        headers.add(b"transfer-encoding", b"chunked");
    }
    let latency = reply.latency.0.as_millis().to_string();
    headers.add(b"x-envoy-upstream-service-time", latency.as_bytes());
    (headers, chunks, trailers)
}

/// A response that Envoy makes itself.
pub fn synthetic(status: u16, body: &str) -> CalloutAnswer {
    let mut headers = HeaderMap::new(Side::Other);
    headers.add(b":status", status.to_string().as_bytes());
    headers.add(b"content-length", body.len().to_string().as_bytes());
    headers.add(b"content-type", b"text/plain");
    CalloutAnswer::Response {
        headers,
        body: body.as_bytes().to_vec(),
        trailers: HeaderMap::new(Side::Other),
    }
}

/// What comes of a call-out, and after how many nanoseconds; nothing ever comes of a hang without a time-out.
pub fn callout(reply: &Reply, timeout_ms: u64) -> (u64, Option<CalloutAnswer>) {
    let latency = nanos(reply);
    let timeout = timeout_ms * 1_000_000;
    let late = timeout > 0 && latency >= timeout;
    if late || reply.fail == Some(Failure::Hang) {
        return (timeout, (timeout > 0).then(|| synthetic(504, TIMED_OUT)));
    }
    let answer = match reply.fail {
        Some(Failure::Refused) => return (0, Some(synthetic(503, REFUSED))),
        Some(Failure::Reset) => synthetic(503, TERMINATED),
        Some(Failure::ResetMidBody) => CalloutAnswer::Reset,
        Some(Failure::Hang) | None => {
            let (headers, chunks, trailers) = message(reply);
            CalloutAnswer::Response {
                headers,
                body: chunks.concat(),
                trailers,
            }
        }
    };
    (latency, Some(answer))
}

/// What comes of a unary gRPC call.
pub fn unary_steps(reply: &Reply, timeout_ms: u64) -> Vec<(u64, GrpcStep)> {
    let timeout = timeout_ms * 1_000_000;
    if reply.fail == Some(Failure::Hang) || (timeout > 0 && nanos(reply) >= timeout) {
        return if timeout > 0 {
            vec![(timeout, GrpcStep::Close(4, Vec::new()))]
        } else {
            Vec::new()
        };
    }
    let steps = grpc_steps(reply);
    let (delay, code, text) = match steps.last() {
        Some((delay, GrpcStep::Close(code, text))) => (*delay, *code, text.clone()),
        _ => return Vec::new(),
    };
    let message = steps
        .into_iter()
        .find(|(_, step)| matches!(step, GrpcStep::Message(_)));
    match message {
        Some(message) if code == 0 => vec![message],
        _ => vec![(delay, GrpcStep::Close(code, text))],
    }
}

/// What comes of a gRPC stream.
pub fn grpc_steps(reply: &Reply) -> Vec<(u64, GrpcStep)> {
    let delay = nanos(reply);
    match reply.fail {
        Some(Failure::Hang) => return Vec::new(),
        Some(_) => return vec![(delay, GrpcStep::Close(14, Vec::new()))],
        None => {}
    }
    let (headers, chunks, trailers) = message(reply);
    let status = |map: &HeaderMap| map.text("grpc-status").parse::<u32>().ok();
    let code = status(&trailers)
        .or(status(&headers))
        .unwrap_or(if reply.status == 200 { 0 } else { 14 });
    let written = trailers
        .get(b"grpc-message")
        .or(headers.get(b"grpc-message"));
    // Envoy says where a status came from.
    let text = match written {
        Some(message) => [message, b"{via_upstream}"].concat(),
        None => b"via_upstream".to_vec(),
    };
    let mut steps = vec![GrpcStep::InitialMetadata(headers)];
    let messages = frames(&chunks.concat()).unwrap_or(chunks);
    steps.extend(messages.into_iter().map(GrpcStep::Message));
    steps.push(GrpcStep::TrailingMetadata(trailers));
    steps.push(GrpcStep::Close(code, text));
    steps.into_iter().map(|step| (delay, step)).collect()
}

/// The messages of a body in gRPC's frames: a flag, four bytes of length, the message.
fn frames(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    while let [0, a, b, c, d, rest @ ..] = body {
        let size = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?;
        messages.push(rest.get(..size)?.to_vec());
        body = rest.get(size..)?;
    }
    (body.is_empty() && !messages.is_empty()).then_some(messages)
}

/// Latency in nanoseconds.
pub fn nanos(reply: &Reply) -> u64 {
    u64::try_from(reply.latency.0.as_nanos()).unwrap_or(u64::MAX)
}
