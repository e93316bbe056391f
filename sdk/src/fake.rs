//! A host for native tests and simulations: state, tallies, dice and exchanges as plain values.
//!
//! 1. [`Host`] runs a module as the edge does, but with a clock that the test moves and answers that the test gives.
//! 2. Several hosts that share one [`Shared`] are the workers of a proxy.

#![allow(
    clippy::expect_used,
    reason = "only tests use it, where a panic is the message"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::attribute::{Attribute, Phase};
use crate::call::{Answer, Call};
use crate::config::{ConfigErrors, Environment, Parsed};
use crate::effects::{Effects, Level, Sample};
use crate::headers::Headers;
use crate::member::Module;
use crate::metric::{Counter, Gauge, Registry};
use crate::policy::{RootContext, Setup, StreamContext, Verdict};
use crate::ports::Ports;
use crate::scope::Common;
use crate::time::{Now, Time, Timestamp};
use crate::view::{EndView, HeaderMap, Kept, RequestView, ResponseView, Source};

/// What the workers of one proxy share: state and metric values.
#[derive(Debug, Clone, Default)]
pub struct Shared(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    version: u32,
    numbers: BTreeMap<String, u64>,
    observed: BTreeMap<String, Vec<u64>>,
}

impl Shared {
    /// Value of a counter or gauge by its stat name, zero where it never changed.
    pub fn number(&self, stat: &str) -> u64 {
        self.0.borrow().numbers.get(stat).copied().unwrap_or(0)
    }

    /// Adds to a counter by its stat name, as other workers would.
    pub fn count(&self, stat: &str, amount: u64) {
        let mut inner = self.0.borrow_mut();
        *inner.numbers.entry(stat.to_owned()).or_default() += amount;
    }

    /// What a histogram observed, in order.
    pub fn observed(&self, stat: &str) -> Vec<u64> {
        self.0
            .borrow()
            .observed
            .get(stat)
            .cloned()
            .unwrap_or_default()
    }

    /// All counters and gauges that changed.
    pub fn numbers(&self) -> BTreeMap<String, u64> {
        self.0.borrow().numbers.clone()
    }

    /// Writes a shared value, as another module of the process would.
    pub fn set(&self, key: &str, value: &[u8]) {
        let mut inner = self.0.borrow_mut();
        inner.version += 1;
        let version = inner.version;
        inner
            .values
            .insert(key.to_owned(), (value.to_vec(), version));
    }

    /// Shared values by key.
    pub fn values(&self) -> BTreeMap<String, Vec<u8>> {
        self.0
            .borrow()
            .values
            .iter()
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect()
    }
}

/// One worker with one module.
pub struct Host<M: Module> {
    /// The module.
    pub module: M,
    /// Series.
    pub metrics: Registry,
    /// What all workers share.
    pub shared: Shared,
    /// Time, moved by the test.
    pub now: Time,
    /// Lines logged.
    pub lines: Vec<(Level, String)>,
    /// Calls sent and not yet answered.
    pub calls: Vec<(M::Tag, Call)>,
    /// The tick asked for.
    pub tick: Option<Duration>,
    dice: u64,
    /// Stat names by number, as far as they were asked for.
    names: Vec<String>,
}

/// Ports over shared values.
struct FakePorts<'a> {
    shared: &'a Shared,
    names: &'a [String],
    dice: &'a mut u64,
}

impl Ports for FakePorts<'_> {
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.shared.0.borrow().values.get(key).cloned()
    }

    /// As Envoy: on an absent key the version is ignored.
    fn compare_and_set(&mut self, key: &str, version: Option<u32>, value: &[u8]) -> bool {
        let mut inner = self.shared.0.borrow_mut();
        if let (Some((_, current)), Some(version)) = (inner.values.get(key), version)
            && *current != version
        {
            return false;
        }
        inner.version += 1;
        let version = inner.version;
        inner
            .values
            .insert(key.to_owned(), (value.to_vec(), version));
        true
    }

    fn counter(&mut self, counter: Counter) -> u64 {
        self.names
            .get(counter.0 as usize)
            .map_or(0, |name| self.shared.number(name))
    }

    fn gauge(&mut self, gauge: Gauge) -> u64 {
        self.names
            .get(gauge.0 as usize)
            .map_or(0, |name| self.shared.number(name))
    }

    /// `splitmix64`: the same sequence for the same seed.
    fn random(&mut self) -> u64 {
        *self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Series never go, so that only new ones are read.
fn learn(names: &mut Vec<String>, metrics: &Registry) {
    let known = names.len() as u32;
    names.extend((known..metrics.len() as u32).filter_map(|number| {
        let (_, name) = metrics.series(number)?;
        Some(name.to_owned())
    }));
}

impl<M: Module> Host<M> {
    /// Loads a module from JSON, at 2026-11-22T12:00:00Z, without environment.
    ///
    /// # Errors
    /// What is wrong with the config.
    pub fn load(config: &str) -> Result<Self, ConfigErrors> {
        Self::load_with(config, &Environment::new(), Shared::default(), 1)
    }

    /// Loads a module as one worker of a proxy; `seed` makes its random numbers its own.
    ///
    /// # Errors
    /// What is wrong with the config.
    pub fn load_with(
        config: &str,
        environment: &Environment,
        shared: Shared,
        seed: u64,
    ) -> Result<Self, ConfigErrors> {
        let now = Time {
            wall: Timestamp::from_seconds(1_795_348_800),
            mono: Duration::from_secs(1000),
        };
        let parsed = Parsed::read(config.as_bytes(), environment)?;
        let mut metrics = Registry::default();
        let mut dice = seed;
        let common = Common::default();
        let mut ports = FakePorts {
            shared: &shared,
            names: &[],
            dice: &mut dice,
        };
        let mut setup = Setup::new(
            &common,
            &mut metrics,
            &mut ports,
            "test",
            "0123456789ab",
            now,
        );
        let module = M::load(&parsed, &mut setup)?;
        let tick = setup.tick_period();
        let lines = setup
            .warnings
            .into_iter()
            .map(|line| (Level::Warn, line))
            .collect();
        Ok(Self {
            module,
            metrics,
            shared,
            now,
            lines,
            calls: Vec::new(),
            tick,
            dice,
            names: Vec::new(),
        })
    }

    /// Moves both clocks.
    pub fn advance(&mut self, duration: Duration) {
        self.now = Time {
            wall: self.now.wall.plus(duration),
            mono: self.now.mono + duration,
        };
    }

    /// One tick.
    pub fn tick(&mut self) {
        self.root(|module, cx| module.on_tick(cx, |tag| tag));
    }

    /// Answers the oldest call that waits; `None` where none does.
    pub fn answer(&mut self, answer: Answer) -> Option<Call> {
        if self.calls.is_empty() {
            return None;
        }
        let (tag, call) = self.calls.remove(0);
        self.root(|module, cx| module.on_answer(tag, answer, cx, |tag| tag));
        Some(call)
    }

    /// Request headers; the verdict and the headers as they go upstream.
    pub fn request(&mut self, exchange: &mut Exchange<M>) -> Verdict {
        exchange.kept.enter(Phase::Request);
        let Exchange {
            facts, kept, own, ..
        } = exchange;
        let verdict = self.stream(
            |module, cx| module.on_request(&mut RequestView::new(facts, kept, true), own, cx),
            facts,
        );
        if let Some(headers) = exchange.kept.edited_request() {
            exchange.facts.request = headers.clone();
        }
        verdict
    }

    /// The body that a request waited for.
    pub fn body(&mut self, exchange: &mut Exchange<M>, body: &[u8]) -> Verdict {
        let Exchange { facts, own, .. } = exchange;
        self.stream(|module, cx| module.on_body(body, own, cx), facts)
    }

    /// Response headers.
    pub fn response(&mut self, exchange: &mut Exchange<M>) {
        exchange.kept.enter(Phase::Response);
        let Exchange {
            facts, kept, own, ..
        } = exchange;
        self.stream(
            |module, cx| module.on_response(&mut ResponseView::new(facts, kept, false), own, cx),
            facts,
        );
        if let Some(headers) = exchange.kept.edited_response() {
            exchange.facts.response = headers.clone();
        }
    }

    /// The end of the exchange.
    pub fn end(&mut self, exchange: &mut Exchange<M>) {
        exchange.kept.enter(Phase::End);
        let now = Now::from(self.now);
        let Exchange {
            facts, kept, own, ..
        } = exchange;
        self.stream(
            |module, cx| module.on_end(&EndView::new(facts, kept, &now), own, cx),
            facts,
        );
    }

    /// A whole exchange that takes `duration`: request, response with this status where the verdict is to continue, end.
    pub fn exchange(&mut self, exchange: &mut Exchange<M>, duration: Duration) -> Verdict {
        let verdict = self.request(exchange);
        if let Verdict::Reply(reply) = &verdict {
            let status = reply.status.to_string();
            let own = [(":status", status.as_bytes())];
            let fields = own.into_iter().chain(
                reply
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_slice())),
            );
            exchange.facts.response = Headers::from_pairs(fields);
        }
        self.advance(duration);
        self.response(exchange);
        self.end(exchange);
        verdict
    }

    fn root(&mut self, run: impl FnOnce(&mut M, &mut RootContext<'_, M::Tag>)) {
        let mut fx = Effects::new(Level::Trace);
        learn(&mut self.names, &self.metrics);
        let mut ports = FakePorts {
            shared: &self.shared,
            names: &self.names,
            dice: &mut self.dice,
        };
        let mut cx = RootContext {
            now: self.now,
            fx: &mut fx,
            metrics: &mut self.metrics,
            ports: &mut ports,
            prefix: "",
            calls: &mut self.calls,
        };
        run(&mut self.module, &mut cx);
        self.apply(fx);
    }

    fn stream<R>(
        &mut self,
        run: impl FnOnce(&mut M, &mut StreamContext<'_>) -> R,
        facts: &Facts,
    ) -> R {
        let mut fx = Effects::new(Level::Trace);
        learn(&mut self.names, &self.metrics);
        let mut ports = FakePorts {
            shared: &self.shared,
            names: &self.names,
            dice: &mut self.dice,
        };
        let now = Now::from(self.now);
        let mut cx = StreamContext {
            now: &now,
            fx: &mut fx,
            metrics: &mut self.metrics,
            ports: &mut ports,
            prefix: "",
        };
        let result = run(&mut self.module, &mut cx);
        facts
            .records
            .borrow_mut()
            .extend(std::mem::take(&mut fx.records));
        self.apply(fx);
        result
    }

    fn apply(&mut self, fx: Effects) {
        let mut inner = self.shared.0.borrow_mut();
        let name = |number: u32| {
            self.metrics
                .series(number)
                .map(|(_, name)| name.to_owned())
                .unwrap_or_default()
        };
        for sample in fx.samples {
            match sample {
                Sample::Add(counter, amount) => {
                    *inner.numbers.entry(name(counter.0)).or_default() += amount
                }
                Sample::Move(gauge, amount) => {
                    let value = inner.numbers.entry(name(gauge.0)).or_default();
                    *value = value.saturating_add_signed(amount);
                }
                Sample::Set(gauge, value) => drop(inner.numbers.insert(name(gauge.0), value)),
                Sample::Observe(histogram, value) => inner
                    .observed
                    .entry(name(histogram.0))
                    .or_default()
                    .push(value),
            }
        }
        self.lines.extend(fx.lines);
    }
}

/// What the host knows of an exchange.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Request headers.
    pub request: Headers,
    /// Response headers.
    pub response: Headers,
    /// Response trailers.
    pub trailers: Headers,
    properties: BTreeMap<String, Vec<u8>>,
    records: RefCell<Vec<(String, Vec<u8>)>>,
}

impl Source for Facts {
    fn headers(&self, map: HeaderMap) -> Headers {
        match map {
            HeaderMap::Request => self.request.clone(),
            HeaderMap::Response => self.response.clone(),
            HeaderMap::ResponseTrailers => self.trailers.clone(),
        }
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        self.headers(map).first(name).map(<[u8]>::to_vec)
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.properties.get(&path.join("\0")).cloned()
    }
}

/// One exchange of a test.
pub struct Exchange<M: Module> {
    /// What the host knows.
    pub facts: Facts,
    /// What is kept between phases.
    pub kept: Kept,
    /// What the module keeps.
    pub own: M::Exchange,
}

impl<M: Module> Exchange<M> {
    /// A request with these headers from 192.0.2.1, in plaintext, and a response 200 without headers.
    pub fn new(request: &[(&str, &str)]) -> Self {
        let facts = Facts {
            request: Headers::from_pairs(request.iter().copied()),
            response: Headers::from_pairs([(":status", "200")]),
            ..Facts::default()
        };
        Self {
            facts,
            kept: Kept::default(),
            own: M::Exchange::default(),
        }
        .with(Attribute::SourceAddress, "192.0.2.1:4711")
    }

    /// `GET` of a path on `example.org`.
    pub fn get(path: &str) -> Self {
        Self::new(&[
            (":method", "GET"),
            (":path", path),
            (":authority", "example.org"),
            (":scheme", "http"),
        ])
    }

    /// Adds a request header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.facts.request.add(name, value).expect("a valid header");
        self
    }

    /// Sets the response.
    pub fn respond(mut self, response: &[(&str, &str)]) -> Self {
        self.facts.response = Headers::from_pairs(response.iter().copied());
        self
    }

    /// Sets an attribute to a text.
    pub fn with(self, attribute: Attribute, value: impl AsRef<[u8]>) -> Self {
        self.property(attribute.path(), value)
    }

    /// Sets a numeric attribute. The status stands in the response headers too, as on the host.
    pub fn with_integer(mut self, attribute: Attribute, value: u64) -> Self {
        if attribute == Attribute::ResponseCode {
            let status = value.to_string();
            (self.facts.response)
                .set(":status", status)
                .expect("a valid header");
        }
        self.property(attribute.path(), value.to_le_bytes())
    }

    /// Sets any property.
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.facts
            .properties
            .insert(path.join("\0"), value.as_ref().to_vec());
        self
    }

    /// The record written under a key, the last where there are several.
    pub fn record(&self, key: &str) -> Option<Vec<u8>> {
        self.facts
            .records
            .borrow()
            .iter()
            .rev()
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.clone())
    }
}
