//! The suite behaves as the chain of the six single plugins does, exchange by exchange.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Facts, Host, Shared};
use launchgate_sdk::{Attribute, Headers, Member, Module, Verdict};
use launchgate_suite::Suite;
use proptest::prelude::*;
use serde_json::{Value, json};

fn sections() -> Value {
    json!({
        "metrics": {"labels": ["method", "route", "status", "source"], "routes": ["/users/{id}"]},
        "access_log": {"service": "checkout", "fields": {"tenant": {"header": "x-tenant"}}},
        "errors": {"dsn": "https://0123456789abcdef0123456789abcdef@sentry.example/7", "cluster": "sentry", "environment": "test", "release": "1"},
        "tls": {"trusted_proxies": ["10.0.0.0/8"], "headers": {"preset": "strict"}, "cookies": {"secure": true, "http_only": true, "same_site": "Lax"}},
        "health": {"service": "checkout", "scope": {"hosts": ["example.org"]}},
        "canary": {
            "rollout": "checkout-v2",
            "match": [{"headers": {"x-canary": {"exact": "always"}}}],
            "key": [{"header": "x-user-id"}],
            "stages": [{"percent": 50}],
            "steer": {"kind": "header", "header": "x-launchgate-variant", "canary": "canary", "stable": "stable"},
            "clusters": {"canary": "canary", "stable": "stable"}
        }
    })
}

/// One random exchange.
#[derive(Debug, Clone)]
struct Sample {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, Vec<u8>)>,
    source: &'static str,
    tls: Option<&'static str>,
    status: &'static str,
    response: Vec<(&'static str, &'static str)>,
    millis: u64,
    reaches_filters: bool,
}

fn samples() -> impl Strategy<Value = Sample> {
    let headers = prop::sample::subsequence(
        vec![
            ("x-forwarded-proto", b"https".to_vec()),
            ("x-forwarded-proto", b"http".to_vec()),
            ("x-forwarded-client-cert", b"Hash=0".to_vec()),
            ("x-canary", b"always".to_vec()),
            ("x-launchgate-variant", b"canary".to_vec()),
            ("x-user-id", b"42".to_vec()),
            ("x-tenant", b"\xff\xfe".to_vec()),
            ("cookie", b"a=b; c".to_vec()),
            (
                "traceparent",
                b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_vec(),
            ),
            ("content-type", b"application/grpc".to_vec()),
            ("origin", b"https://other.example".to_vec()),
            ("access-control-request-method", b"POST".to_vec()),
            ("authorization", b"Bearer secret".to_vec()),
        ],
        0..6,
    );
    let response = prop::sample::subsequence(
        vec![
            ("set-cookie", "sid=1; Path=/"),
            ("set-cookie", "__Host-x=1"),
            ("server", "upstream"),
            ("x-powered-by", "PHP"),
            ("strict-transport-security", "max-age=1"),
            ("location", "http://example.org/next"),
            ("content-type", "text/html"),
        ],
        0..4,
    );
    (
        (
            prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "BREW"]),
            prop::sample::select(vec![
                "example.org",
                "EXAMPLE.org:8080",
                "other.example",
                "[::1]:80",
                "",
            ]),
            prop::sample::select(vec![
                "/",
                "/healthz",
                "/livez?x",
                "/readyz",
                "/users/7?token=t",
                "/a/../livez",
                "/.well-known/acme-challenge/x",
                "*",
            ]),
            headers,
            prop::sample::select(vec!["10.0.0.9:4711", "192.0.2.1:4711", "127.0.0.1:0"]),
        ),
        (
            prop::sample::select(vec![None, Some("TLSv1.3"), Some("TLSv1.1")]),
            prop::sample::select(vec!["200", "404", "500", "503"]),
            response,
            0_u64..3000,
            prop::bool::weighted(0.95),
        ),
    )
        .prop_map(
            |(
                (method, host, path, headers, source),
                (tls, status, response, millis, reaches_filters),
            )| Sample {
                method,
                host,
                path,
                headers,
                source,
                tls,
                status,
                response,
                millis,
                reaches_filters,
            },
        )
}

fn facts<M: Module>(sample: &Sample) -> Exchange<M> {
    let mut exchange = Exchange::<M>::new(&[
        (":method", sample.method),
        (":path", sample.path),
        (":authority", sample.host),
    ])
    .with(Attribute::SourceAddress, sample.source)
    .with(Attribute::RouteName, "default")
    .with(Attribute::ClusterName, "canary")
    .with_integer(Attribute::ResponseCode, sample.status.parse().unwrap())
    .with_integer(Attribute::ResponseFlags, 0)
    .with_integer(Attribute::RequestDuration, sample.millis * 1_000_000)
    .with(Attribute::ResponseCodeDetails, "via_upstream");
    for (name, value) in &sample.headers {
        exchange = exchange.header(name, value);
    }
    if let Some(version) = sample.tls {
        exchange = exchange.with(Attribute::TlsVersion, version);
    }
    let mut response = vec![(":status", sample.status)];
    response.extend(&sample.response);
    exchange.respond(&response)
}

/// What a client, an upstream and an operator see of one exchange.
#[derive(Debug, PartialEq)]
struct Seen {
    verdict: Verdict,
    upstream: Vec<(Vec<u8>, Vec<u8>)>,
    client: Vec<(Vec<u8>, Vec<u8>)>,
    record: Option<String>,
}

/// Fields sorted by name, values of one name in order: a chain writes names in the order of its filters.
fn fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    fields.sort_by(|left, right| left.0.cmp(&right.0));
    fields
}

fn replied(verdict: &Verdict) -> Option<Headers> {
    let Verdict::Reply(reply) = verdict else {
        return None;
    };
    let status = [(":status".to_owned(), reply.status.to_string().into_bytes())];
    Some(Headers::from_pairs(
        status.into_iter().chain(reply.headers.clone()),
    ))
}

fn record<M: Module>(exchange: &Exchange<M>) -> Option<String> {
    exchange
        .record("launchgate.access_log")
        .map(|line| String::from_utf8(line).unwrap())
}

fn by_suite(host: &mut Host<Suite>, sample: &Sample) -> Seen {
    let mut exchange = facts::<Suite>(sample);
    let mut verdict = Verdict::Continue;
    if sample.reaches_filters {
        verdict = host.request(&mut exchange);
        if let Some(response) = replied(&verdict) {
            exchange.facts.response = response;
        }
        host.advance(Duration::from_millis(sample.millis));
        host.response(&mut exchange);
    } else {
        host.advance(Duration::from_millis(sample.millis));
    }
    host.end(&mut exchange);
    Seen {
        verdict,
        upstream: fields(&exchange.facts.request),
        client: fields(&exchange.facts.response),
        record: record(&exchange),
    }
}

/// One filter of the chain, its kind hidden.
trait Filter {
    fn begin(&mut self, sample: &Sample);
    fn request(&mut self, facts: &mut Facts) -> Verdict;
    fn response(&mut self, facts: &mut Facts);
    fn end(&mut self, facts: &Facts) -> Option<String>;
    fn advance(&mut self, duration: Duration);
}

struct Link<M: Module> {
    host: Host<M>,
    exchange: Option<Exchange<M>>,
}

impl<M: Module> Filter for Link<M> {
    fn begin(&mut self, sample: &Sample) {
        self.exchange = Some(facts(sample));
    }

    fn request(&mut self, facts: &mut Facts) -> Verdict {
        let exchange = self.exchange.as_mut().unwrap();
        exchange.facts.request = facts.request.clone();
        let verdict = self.host.request(exchange);
        facts.request = exchange.facts.request.clone();
        verdict
    }

    fn response(&mut self, facts: &mut Facts) {
        let exchange = self.exchange.as_mut().unwrap();
        exchange.facts.response = facts.response.clone();
        self.host.response(exchange);
        facts.response = exchange.facts.response.clone();
    }

    fn end(&mut self, facts: &Facts) -> Option<String> {
        let exchange = self.exchange.as_mut().unwrap();
        exchange.facts.request = facts.request.clone();
        exchange.facts.response = facts.response.clone();
        self.host.end(exchange);
        record(exchange)
    }

    fn advance(&mut self, duration: Duration) {
        self.host.advance(duration);
    }
}

fn by_chain(filters: &mut [Box<dyn Filter>], sample: &Sample) -> Seen {
    filters.iter_mut().for_each(|filter| filter.begin(sample));
    let mut shared = facts::<Suite>(sample).facts;
    let (mut verdict, mut seen_by) = (Verdict::Continue, 0);
    if sample.reaches_filters {
        // The whole chain passes where each filter does.
        verdict = Verdict::Pass;
        for filter in filters.iter_mut() {
            seen_by += 1;
            match filter.request(&mut shared) {
                Verdict::Pass => {}
                other => verdict = other,
            }
            if !matches!(verdict, Verdict::Continue | Verdict::Pass) {
                break;
            }
        }
    }
    if let Some(response) = replied(&verdict) {
        shared.response = response;
    }
    for filter in filters.iter_mut() {
        filter.advance(Duration::from_millis(sample.millis));
    }
    for filter in filters.iter_mut().take(seen_by).rev() {
        filter.response(&mut shared);
    }
    let records: Vec<_> = filters
        .iter_mut()
        .filter_map(|filter| filter.end(&shared))
        .collect();
    Seen {
        verdict,
        upstream: fields(&shared.request),
        client: fields(&shared.response),
        record: records.last().cloned(),
    }
}

fn chain(shared: &Shared) -> Vec<Box<dyn Filter>> {
    fn link<M: Module>(section: &str, shared: &Shared) -> Box<dyn Filter> {
        let config = sections()[section].to_string();
        Box::new(Link {
            host: Host::<M>::load_with(&config, &Environment::new(), shared.clone(), 1).unwrap(),
            exchange: None,
        })
    }
    vec![
        link::<Member<launchgate_metrics::Metrics>>("metrics", shared),
        link::<Member<launchgate_access_log::AccessLog>>("access_log", shared),
        link::<Member<launchgate_errors::Errors>>("errors", shared),
        link::<Member<launchgate_tls::Tls>>("tls", shared),
        link::<Member<launchgate_health::Health>>("health", shared),
        link::<Member<launchgate_canary::Canary>>("canary", shared),
    ]
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Without what is drawn at random, in which two VMs differ anyway: the worker's name and generated trace ids.
fn comparable(seen: Seen) -> (Verdict, Fields, Fields, Option<Value>) {
    let record = seen.record.map(|line| {
        let mut record: Value = serde_json::from_str(&line).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.remove("worker");
        if fields.get("trace_source") == Some(&json!("generated")) {
            fields.remove("trace_id");
        }
        record
    });
    (seen.verdict, seen.upstream, seen.client, record)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_suite_does_what_the_chain_does(samples in proptest::collection::vec(samples(), 1..20)) {
        let (of_suite, of_chain) = (Shared::default(), Shared::default());
        let mut suite = Host::<Suite>::load_with(&sections().to_string(), &Environment::new(), of_suite.clone(), 1).unwrap();
        let mut filters = chain(&of_chain);
        for sample in &samples {
            let (left, right) = (by_suite(&mut suite, sample), by_chain(&mut filters, sample));
            prop_assert_eq!(comparable(left), comparable(right), "{:?}", sample);
        }
        let numbers = |shared: &Shared| -> BTreeMap<String, u64> {
            shared.numbers().into_iter().filter(|(_, value)| *value > 0).collect()
        };
        prop_assert_eq!(numbers(&of_suite), numbers(&of_chain));
    }
}

#[test]
fn an_absent_section_is_off_and_a_wrong_one_is_named() {
    assert!(Host::<Suite>::load("{}").is_ok());
    let error = Host::<Suite>::load(r#"{"tls": {"redirct": {}}, "helth": {}}"#)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("tls.redirct: unknown field"), "{error}");
    assert!(
        error.contains(
            "helth: unknown field, expected one of metrics, access_log, errors, tls, health, canary"
        ),
        "{error}"
    );
}
