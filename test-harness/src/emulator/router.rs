//! What stands at the ends of the chain: the router with its upstreams, and the client's connection.

use std::rc::Rc;

use super::chain::Chain;
use super::cluster::{REFUSED, TERMINATED, TIMED_OUT, message, nanos};
use super::context::Direction;
use super::exchange::{Exchange, ExchangeRef, LocalReply};
use super::header_map::HeaderMap;
use super::world::{Event, WorldRef};
use crate::scenario::host::{Response, UpstreamRequest};
use crate::scenario::schema::{Failure, Listener, Reply, Route, Weighted};

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
    // === Routes ===

    /// Matches the request's route and writes its names down.
    pub fn match_route(&self, exchange: &mut Exchange) {
        let path = exchange.request.get(b":path").unwrap_or_default();
        let found = self.routes.iter().position(|route| {
            path.starts_with(route.prefix.as_deref().unwrap_or("/").as_bytes())
                && route.headers.iter().all(|(name, value)| {
                    exchange.request.get(name.as_bytes()) == Some(value.as_bytes())
                })
        });
        // Envoy has no route for a request that says nothing of its scheme.
        let scheme = exchange
            .request
            .get(b"x-forwarded-proto")
            .unwrap_or_default();
        let found = found.filter(|_| !path.is_empty() && !scheme.is_empty());
        exchange.route = found;
        exchange.info.route_name = found
            .and_then(|index| self.routes.get(index))
            .map(|route| route.name.clone());
        exchange.info.cluster_name = match self.target(exchange) {
            Some(Target::Cluster(name)) => Some(name),
            _ => None,
        };
    }

    fn target(&self, exchange: &Exchange) -> Option<Target> {
        let route = self.routes.get(exchange.route?)?;
        if let Some(direct) = &route.direct_response {
            return Some(Target::Direct(direct.status, direct.body.0.clone()));
        }
        let name = if let Some(header) = &route.cluster_header {
            exchange
                .request
                .get(header.as_bytes())
                .map(|value| String::from_utf8_lossy(value).into_owned())
        } else if let Some(weighted) = &route.weighted {
            weigh(weighted, &exchange.request, exchange.number)
        } else {
            route.cluster.clone()
        };
        let name = name.unwrap_or_default();
        let known = self.world.borrow().clusters.knows(&name);
        Some(if known {
            Target::Cluster(name)
        } else {
            Target::UnknownCluster
        })
    }

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

    // === The response's end of the chain: the client ===

    /// Headers reach the client.
    pub fn response_headers(&self, chain: &Chain, exchange: &ExchangeRef, end: bool) {
        let status = {
            let exchange = exchange.borrow();
            let text = exchange
                .response
                .as_ref()
                .map(|response| response.text(":status").to_owned());
            text.and_then(|text| text.parse::<u16>().ok())
        };
        let Some(status) = status else {
            let text = "missing required header: :status";
            let details =
                "filter_removed_required_response_headers{missing_required_header:_:status}";
            return self.refuse(chain, exchange, 502, text, details, 0);
        };
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.response_code = Some(status);
            self.sign(&mut exchange);
            let headers = client_headers(&exchange, status, end);
            exchange.client = Some(Response {
                status,
                headers,
                ..Response::default()
            });
        }
        if end {
            self.close(chain, exchange);
        }
    }

    /// `server` and `date` are Envoy's, made after the filters.
    pub fn sign(&self, exchange: &mut Exchange) {
        let since = std::time::Duration::from_nanos(self.world.borrow().clock.wall());
        let Some(response) = &mut exchange.response else {
            return;
        };
        if response.get(b"date").is_none() {
            let date = http_date(std::time::UNIX_EPOCH + since);
            response.add(b"date", date.as_bytes());
        }
        response.set(b"server", b"envoy");
    }

    /// A piece of the body reaches the client.
    pub fn response_data(&self, chain: &Chain, exchange: &ExchangeRef, chunk: Vec<u8>, end: bool) {
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.response_size += chunk.len() as u64;
            if let Some(client) = &mut exchange.client {
                client.body.extend(chunk);
            }
        }
        if end {
            self.close(chain, exchange);
        }
    }

    /// Trailers reach the client.
    pub fn response_trailers(&self, chain: &Chain, exchange: &ExchangeRef) {
        self.close(chain, exchange);
    }

    fn close(&self, chain: &Chain, exchange: &ExchangeRef) {
        {
            let mut exchange = exchange.borrow_mut();
            let exchange = &mut *exchange;
            let head = exchange.request.get(b":method") == Some(b"HEAD");
            if let Some(client) = &mut exchange.client {
                let length = client
                    .headers
                    .iter()
                    .find(|(name, _)| name == b"content-length");
                let length = length
                    .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
                match length {
                    Some(0) => client.trailers.clear(),
                    None => {
                        client.trailers = exchange
                            .response_trailers
                            .as_ref()
                            .map(HeaderMap::regular)
                            .unwrap_or_default()
                    }
                    Some(_) => {}
                }
                if let Some(length) =
                    length.filter(|_| !head && exchange.info.protocol == "HTTP/1.1")
                {
                    if client.body.len() < length {
                        let there = client.body.len();
                        exchange.hung = Some(format!(
                            "the client waits for {length} bytes of body (content-length) and gets {there}"
                        ));
                    }
                    client.body.truncate(length);
                }
            }
        }
        chain.finish(exchange, true);
    }
}

/// Headers as the codec writes them: it frames the body.
fn client_headers(exchange: &Exchange, status: u16, end: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut headers = exchange
        .response
        .as_ref()
        .map(HeaderMap::regular)
        .unwrap_or_default();
    headers.retain(|(name, _)| name != b"transfer-encoding");
    let sized = headers.iter().any(|(name, _)| name == b"content-length");
    let head = exchange.request.get(b":method") == Some(b"HEAD");
    let http1 = exchange.info.protocol == "HTTP/1.1";
    if !sized && http1 && status != 204 && status != 304 && status >= 200 && !head {
        if end {
            headers.push((b"content-length".to_vec(), b"0".to_vec()));
        } else {
            headers.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        }
    }
    headers
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

/// By the header's number modulo the total weight, or by the exchange's number where there is none.
fn weigh(weighted: &Weighted, request: &HeaderMap, number: u64) -> Option<String> {
    let total: u64 = weighted
        .clusters
        .iter()
        .map(|cluster| u64::from(cluster.weight))
        .sum();
    if total == 0 {
        return None;
    }
    let header = weighted
        .header
        .as_ref()
        .and_then(|name| request.text(name).parse::<u64>().ok());
    let mut dice =
        header.unwrap_or_else(|| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % total;
    weighted.clusters.iter().find_map(
        |cluster| match dice.checked_sub(u64::from(cluster.weight)) {
            Some(rest) => {
                dice = rest;
                None
            }
            None => Some(cluster.name.clone()),
        },
    )
}

/// IMF-fixdate (RFC 9110, section 5.6.7).
fn http_date(time: std::time::SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let iso = humantime::format_rfc3339_seconds(time).to_string();
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month - 1))
        .copied()
        .unwrap_or_default();
    let days = time
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    let day = DAYS
        .get(usize::try_from(days % 7).unwrap_or(0))
        .copied()
        .unwrap_or_default();
    format!(
        "{day}, {} {month} {} {} GMT",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_fixed_form() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_header_picks_the_weighted_cluster_modulo_the_total() {
        let cluster = |name: &str, weight| crate::scenario::schema::WeightedCluster {
            name: name.into(),
            weight,
        };
        let weighted = Weighted {
            header: Some("x-dice".into()),
            clusters: vec![cluster("a", 90), cluster("b", 10)],
        };
        let pick = |dice: &str| {
            let request = HeaderMap::of(
                super::super::header_map::Side::Request,
                [(&b"x-dice"[..], dice.as_bytes())],
            );
            weigh(&weighted, &request, 1)
        };
        assert_eq!(pick("0").as_deref(), Some("a"));
        assert_eq!(pick("89").as_deref(), Some("a"));
        assert_eq!(pick("90").as_deref(), Some("b"));
        assert_eq!(pick("190").as_deref(), Some("b"));
    }
}
