//! What stands at the ends of the chain: the router with its upstreams, and the client's connection.

mod client;
mod route;

use std::rc::Rc;

use crate::emulator::chain::Chain;
use crate::emulator::cluster::{REFUSED, TERMINATED, TIMED_OUT, message, nanos};
use crate::emulator::context::Direction;
use crate::emulator::exchange::{Exchange, ExchangeRef, LocalReply};
use crate::emulator::header_map::HeaderMap;
use crate::emulator::world::{Event, WorldRef};
use crate::scenario::host::UpstreamRequest;
use crate::scenario::schema::{Failure, Listener, Reply, Route};

/// Response flags of Envoy.
mod flag {
    pub(super) const NO_HEALTHY_UPSTREAM: u64 = 1 << 1;
    pub(super) const UPSTREAM_TIMEOUT: u64 = 1 << 2;
    pub(super) const CONNECTION_FAILURE: u64 = 1 << 5;
    pub(super) const CONNECTION_TERMINATION: u64 = 1 << 6;
    pub(super) const NO_ROUTE: u64 = 1 << 8;
    pub(super) const PROTOCOL_ERROR: u64 = 1 << 18;
    pub(super) const UPSTREAM_PROTOCOL_ERROR: u64 = 1 << 23;
    pub(super) const NO_CLUSTER: u64 = 1 << 24;
}

/// The router.
pub struct Router {
    /// The world.
    pub world: WorldRef,
    /// Routes in order of match.
    pub routes: Vec<Route>,
    /// The listener.
    pub listener: Listener,
}

/// Where a route leads.
enum Target {
    Cluster(String),
    UnknownCluster,
    Direct(u16, Vec<u8>),
}

impl Router {
    // === The request's end of the chain ===

    /// The headers have passed all filters.
    pub fn request_headers(&self, chain: &Chain, exchange: &ExchangeRef, end: bool) {
        let fault = request_fault(&exchange.borrow().request);
        if let Some(fault) = fault {
            let details = format!(
                "filter_removed_required_request_headers{{{}}}",
                fault.replace(' ', "_")
            );
            return self.refuse(chain, exchange, 503, &fault, &details, flag::PROTOCOL_ERROR);
        }
        if exchange.borrow().route.is_none() {
            self.match_route(&mut exchange.borrow_mut());
        }
        let target = self.target(&exchange.borrow());
        match target {
            None => self.refuse(chain, exchange, 404, "", "route_not_found", flag::NO_ROUTE),
            Some(Target::UnknownCluster) => self.refuse(
                chain,
                exchange,
                503,
                "",
                "cluster_not_found",
                flag::NO_CLUSTER,
            ),
            Some(Target::Direct(status, body)) => {
                let details = "direct_response".to_owned();
                let reply = LocalReply {
                    status: status.into(),
                    body,
                    details,
                    grpc: -1,
                    ..LocalReply::default()
                };
                chain.reply(exchange, reply);
            }
            Some(Target::Cluster(cluster)) => {
                exchange.borrow_mut().info.attempts = 1;
                if !self.world.borrow().clusters.has_hosts(&cluster) {
                    let text = "no healthy upstream";
                    return self.refuse(
                        chain,
                        exchange,
                        503,
                        text,
                        "no_healthy_upstream",
                        flag::NO_HEALTHY_UPSTREAM,
                    );
                }
                self.open(&mut exchange.borrow_mut(), cluster);
                if end {
                    self.send(exchange);
                }
            }
        }
    }

    fn refuse(
        &self,
        chain: &Chain,
        exchange: &ExchangeRef,
        status: u32,
        body: &str,
        details: &str,
        flags: u64,
    ) {
        let (body, details) = (body.as_bytes().to_vec(), details.to_owned());
        chain.reply(
            exchange,
            LocalReply {
                status,
                body,
                details,
                flags,
                grpc: -1,
                ..LocalReply::default()
            },
        );
    }

    fn open(&self, exchange: &mut Exchange, cluster: String) {
        let timeout = self.timeout_ms(exchange);
        if timeout > 0 {
            let timeout = timeout.to_string();
            exchange
                .request
                .set(b"x-envoy-expected-rq-timeout-ms", timeout.as_bytes());
        }
        let headers = exchange.request.regular();
        let pseudo = |name: &str| {
            exchange
                .request
                .get(name.as_bytes())
                .unwrap_or_default()
                .to_vec()
        };
        exchange.upstream = Some(UpstreamRequest {
            method: pseudo(":method"),
            path: pseudo(":path"),
            authority: pseudo(":authority"),
            headers,
            body: Vec::new(),
            cluster: cluster.clone(),
        });
        let world = self.world.borrow();
        let known = world.choices.upstreams.get(&cluster).cloned();
        let address = known.unwrap_or_else(|| world.clusters.address(&cluster));
        exchange.info.upstream_address = Some(address);
        exchange.info.cluster_name = Some(cluster);
    }

    fn timeout_ms(&self, exchange: &Exchange) -> u64 {
        let route = exchange.route.and_then(|index| self.routes.get(index));
        let timeout = route
            .and_then(|route| route.timeout)
            .map_or(15_000, |span| span.0.as_millis());
        u64::try_from(timeout).unwrap_or(u64::MAX)
    }

    /// A piece of the body has passed all filters.
    pub fn request_data(&self, _: &Chain, exchange: &ExchangeRef, chunk: Vec<u8>, end: bool) {
        if let Some(upstream) = &mut exchange.borrow_mut().upstream {
            upstream.body.extend(chunk);
        }
        if end {
            self.send(exchange);
        }
    }

    /// The trailers have passed all filters.
    pub fn request_trailers(&self, _: &Chain, exchange: &ExchangeRef) {
        self.send(exchange);
    }

    /// The upstream has the whole request; its answer falls due.
    fn send(&self, exchange: &ExchangeRef) {
        let mut borrowed = exchange.borrow_mut();
        if std::mem::replace(&mut borrowed.upstream_done, true) {
            return;
        }
        let reply = {
            let own = borrowed.reply.clone();
            let Some(upstream) = &mut borrowed.upstream else {
                return;
            };
            truncate(upstream);
            let mut world = self.world.borrow_mut();
            own.unwrap_or_else(|| world.clusters.answer(&upstream.cluster, &upstream.path))
        };
        let timeout = self.timeout_ms(&borrowed) * 1_000_000;
        drop(borrowed);
        let mut world = self.world.borrow_mut();
        if reply.fail != Some(Failure::Hang) {
            let exchange = Rc::clone(exchange);
            let delay = if reply.fail == Some(Failure::Refused) {
                0
            } else {
                nanos(&reply)
            };
            world.clock.after(
                delay,
                Event::Upstream {
                    exchange,
                    reply: Box::new(reply),
                },
            );
        }
        if timeout > 0 {
            world
                .clock
                .after(timeout, Event::RouteTimeout(Rc::clone(exchange)));
        }
    }

    /// The route's time is up.
    pub fn time_out(&self, chain: &Chain, exchange: &ExchangeRef) {
        let waiting = {
            let exchange = exchange.borrow();
            exchange.response.is_none() && !exchange.ended
        };
        if waiting {
            self.refuse(
                chain,
                exchange,
                504,
                TIMED_OUT,
                "response_timeout",
                flag::UPSTREAM_TIMEOUT,
            );
        }
    }

    /// The upstream answers.
    pub fn answer(&self, chain: &Chain, exchange: &ExchangeRef, reply: &Reply) {
        if exchange.borrow().ended || exchange.borrow().response.is_some() {
            return;
        }
        match reply.fail {
            Some(Failure::Refused) => {
                // Without a connection no upstream has seen the request.
                exchange.borrow_mut().upstream = None;
                let details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
                return self.refuse(
                    chain,
                    exchange,
                    503,
                    REFUSED,
                    details,
                    flag::CONNECTION_FAILURE,
                );
            }
            Some(Failure::Reset) => {
                let details = "upstream_reset_before_response_started{connection_termination}";
                return self.refuse(
                    chain,
                    exchange,
                    503,
                    TERMINATED,
                    details,
                    flag::CONNECTION_TERMINATION,
                );
            }
            _ => {}
        }
        let (headers, mut chunks, trailers) = message(reply);
        let head = exchange.borrow().request.get(b":method") == Some(b"HEAD");
        if head {
            chunks.clear();
        }
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.response_code = Some(reply.status);
            exchange.info.details = Some("via_upstream".into());
            exchange.info.connected = true;
            exchange.response = Some(headers);
            exchange.response_trailers = (!trailers.is_empty()).then_some(trailers);
        }
        let end = chunks.is_empty() && exchange.borrow().response_trailers.is_none();
        // Known from the last byte on.
        let latency = Some(nanos(reply));
        if end {
            exchange.borrow_mut().info.backend_latency = latency;
        }
        chain.headers(exchange, Direction::Response, 0, end);
        if end {
            return;
        }
        if reply.fail == Some(Failure::ResetMidBody) {
            let half: Vec<u8> = chunks.concat();
            let half = half.get(..half.len() / 2).unwrap_or_default().to_vec();
            chain.data(exchange, Direction::Response, 0, half, false);
            // A body that ends before its length is no HTTP.
            exchange.borrow_mut().info.flags |= flag::UPSTREAM_PROTOCOL_ERROR;
            return chain.reset(
                exchange,
                "upstream_reset_after_response_started{protocol_error}",
            );
        }
        for chunk in chunks {
            chain.data(exchange, Direction::Response, 0, chunk, false);
        }
        if exchange.borrow().ended {
            return;
        }
        exchange.borrow_mut().info.backend_latency = latency;
        if exchange.borrow().response_trailers.is_some() {
            chain.trailers(exchange, Direction::Response, 0);
        } else {
            chain.data(exchange, Direction::Response, 0, Vec::new(), true);
        }
    }
}

/// What is wrong with a request that filters have changed.
fn request_fault(request: &HeaderMap) -> Option<String> {
    if request.get(b":method").is_none() {
        return Some("missing required header: :method".into());
    }
    for (name, value) in request.pairs() {
        let text = String::from_utf8_lossy(name);
        if !name.is_empty()
            && !name
                .iter()
                .enumerate()
                .all(|(index, byte)| is_token(*byte) || (index == 0 && *byte == b':'))
        {
            return Some(format!("invalid header name: {text}"));
        }
        if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Some(format!("invalid header value for: {text}"));
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// HTTP/1 sends no more than it has announced.
fn truncate(upstream: &mut UpstreamRequest) {
    let length = upstream
        .headers
        .iter()
        .find(|(name, _)| name == b"content-length");
    if let Some(length) =
        length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok())
    {
        upstream.body.truncate(length);
    }
}
