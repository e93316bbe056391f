//! The scripted upstreams that play the clusters of a scenario.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::tcp::TcpUpstream;
use crate::envoy::upstream::{Answer, Protocol, Received, Reply, Upstream};
use crate::scenario::host::UpstreamRequest;
use crate::scenario::load::Setup;
use crate::scenario::schema::{self, Cluster, Failure};

/// All clusters of a gateway.
pub(super) struct Cast {
    clusters: BTreeMap<String, Upstream>,
    stage: Arc<Mutex<Stage>>,
    setup: BTreeMap<String, Cluster>,
    tcp: Option<TcpUpstream>,
}

/// What the upstreams share.
#[derive(Default)]
struct Stage {
    scripts: BTreeMap<String, Script>,
    /// The answer for requests of the exchange that runs, whatever its cluster would do.
    answer: Option<schema::Reply>,
    exchanges: Vec<UpstreamRequest>,
    callouts: Vec<UpstreamRequest>,
}

#[derive(Default)]
struct Script {
    cluster: Cluster,
    next: usize,
}

impl Cast {
    /// One upstream for each cluster that has hosts.
    pub(super) fn start(setup: &Setup) -> Result<Self> {
        let stage = Arc::new(Mutex::new(Stage::default()));
        let mut clusters = BTreeMap::new();
        let tcp = setup.listener.tcp.as_ref();
        for (name, cluster) in &setup.clusters {
            if tcp != Some(name) && cluster.hosts != Some(false) {
                clusters.insert(name.clone(), upstream(name, cluster, &stage)?);
            }
        }
        let mut cast = Self {
            clusters,
            stage,
            setup: setup.clusters.clone(),
            tcp: tcp.map(|cluster| TcpUpstream::start(cluster)).transpose()?,
        };
        cast.begin(&BTreeMap::new())?;
        Ok(cast)
    }

    /// The upstream of each cluster.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (&String, &Upstream)> {
        self.clusters.iter()
    }

    /// The upstream of a TCP listener.
    pub(super) fn tcp(&self) -> Option<&TcpUpstream> {
        self.tcp.as_ref()
    }

    /// Behaviour for a case: these clusters, all others as in the setup.
    pub(super) fn begin(&mut self, changed: &BTreeMap<String, Cluster>) -> Result<()> {
        let mut all = self.setup.clone();
        all.extend(changed.clone());
        self.change(&all)
    }

    /// Behaviour of these clusters from now on; their sequences begin anew.
    pub(super) fn change(&mut self, changed: &BTreeMap<String, Cluster>) -> Result<()> {
        for (name, cluster) in changed {
            self.stage().scripts.insert(
                name.clone(),
                Script {
                    cluster: cluster.clone(),
                    next: 0,
                },
            );
            let tcp = self.tcp.as_ref().map(TcpUpstream::cluster);
            if cluster.hosts == Some(false) || tcp == Some(name) {
                continue;
            }
            let upstream = self
                .clusters
                .get(name)
                .with_context(|| format!("cluster {name} is not in the scenario's `clusters`"))?;
            if cluster.reply.fail == Some(Failure::Refused) {
                upstream.refuse()
            } else {
                upstream.accept()?
            }
        }
        Ok(())
    }

    /// Gives the exchange that begins an answer of its own.
    pub(super) fn override_answer(&self, answer: Option<schema::Reply>) -> Result<()> {
        let refuses = answer
            .as_ref()
            .is_some_and(|reply| reply.fail == Some(Failure::Refused));
        self.stage().answer = answer;
        for (name, upstream) in &self.clusters {
            let scripted = self
                .stage()
                .scripts
                .get(name)
                .is_some_and(|script| script.cluster.reply.fail == Some(Failure::Refused));
            if refuses || scripted {
                upstream.refuse()
            } else {
                upstream.accept()?
            }
        }
        Ok(())
    }

    /// Requests of clients that came since the last call.
    pub(super) fn take_exchanges(&self) -> Vec<UpstreamRequest> {
        std::mem::take(&mut self.stage().exchanges)
    }

    /// Call-outs that came since the last call.
    pub(super) fn take_callouts(&self) -> Vec<UpstreamRequest> {
        std::mem::take(&mut self.stage().callouts)
    }

    /// The last call-out that came and was not yet taken.
    pub(super) fn last_callout(&self) -> Option<UpstreamRequest> {
        self.stage().callouts.last().cloned()
    }

    /// Scripted answers that no request asked for.
    pub(super) fn unread(&self) -> Vec<String> {
        let stage = self.stage();
        let unread = |(name, script): (&String, &Script)| {
            let places = script.next..script.cluster.sequence.len();
            places
                .map(|place| format!("cluster {name}, sequence {}", place + 1))
                .collect::<Vec<_>>()
        };
        stage.scripts.iter().flat_map(unread).collect()
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn upstream(name: &str, cluster: &Cluster, stage: &Arc<Mutex<Stage>>) -> Result<Upstream> {
    let mut replies = cluster
        .sequence
        .iter()
        .chain(cluster.paths.values())
        .chain([&cluster.reply]);
    // HTTP/1.1 carries trailers only where both sides ask for them; gRPC is HTTP/2 in any case.
    let protocol = if replies.any(|reply| !reply.trailers.0.is_empty()) {
        Protocol::Http2
    } else {
        Protocol::Http1
    };
    let (name, stage) = (name.to_owned(), stage.clone());
    Upstream::start(protocol, move |request| {
        stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(&name, request)
    })
}

impl Stage {
    fn answer(&mut self, cluster: &str, request: &Received) -> Answer {
        // The connection manager gives every client's request an id; a call-out has none, unless a plugin hands a request's
        // headers on. Envoy calls only call-outs internal: clients are so only where it is configured.
        let internal = request.header("x-envoy-internal").is_some();
        let from_client = request.header("x-request-id").is_some() && !internal;
        let seen = seen(cluster, request);
        if from_client {
            self.exchanges.push(seen)
        } else {
            self.callouts.push(seen)
        }
        if let Some(reply) = self.answer.as_ref().filter(|_| from_client) {
            return answer(reply);
        }
        let Some(script) = self.scripts.get_mut(cluster) else {
            return Answer::Close;
        };
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(reply) = script.cluster.paths.get(path) {
            return answer(reply);
        }
        let next = script.cluster.sequence.get(script.next);
        script.next += usize::from(next.is_some());
        answer(next.unwrap_or(&script.cluster.reply))
    }
}

fn answer(reply: &schema::Reply) -> Answer {
    let body = if reply.chunks.is_empty() {
        reply.body.0.clone()
    } else {
        reply
            .chunks
            .iter()
            .flat_map(|chunk| chunk.0.clone())
            .collect()
    };
    let (headers, trailers) = (reply.headers.0.clone(), reply.trailers.0.clone());
    let chunked = !reply.chunks.is_empty();
    let reply_sent = Reply {
        status: reply.status,
        headers,
        body,
        trailers,
        chunked,
        latency: reply.latency.0,
    };
    match reply.fail {
        None => Answer::Respond(reply_sent),
        Some(Failure::Hang) => Answer::Hang,
        Some(Failure::Reset | Failure::Refused) => Answer::Close,
        Some(Failure::ResetMidBody) => Answer::ResetInBody(reply_sent),
    }
}

fn seen(cluster: &str, request: &Received) -> UpstreamRequest {
    let lower = |(name, value): &(Vec<u8>, Vec<u8>)| (name.to_ascii_lowercase(), value.clone());
    UpstreamRequest {
        cluster: cluster.to_owned(),
        method: request.method.clone().into_bytes(),
        path: request.path.clone().into_bytes(),
        authority: request.authority.clone().into_bytes(),
        headers: request
            .headers
            .iter()
            .map(lower)
            .filter(|(name, _)| name != b"host")
            .collect(),
        body: request.body.clone(),
    }
}
