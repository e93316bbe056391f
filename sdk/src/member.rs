//! What the edge runs: a policy with its scope and mode, or a composition of such.
//!
//! 1. Out of scope and in mode `off` the policy sees [`Policy::on_bypass`] only; after [`Verdict::Pass`] nothing more.
//! 2. The scope is decided once, at the request; for an exchange that never reached the filters, at its end.
//! 3. Keys in shared state begin with plugin and instance name.
//! 4. In a composition the outer mode, scope and trust hold for every part beside the part's own.

use crate::call::{Answer, Call};
use crate::config::{ConfigErrors, Parsed};
use crate::metric::Family;
use crate::policy::{Phases, Policy, RootContext, Setup, StreamContext, Verdict};
use crate::scope::{Common, Mode, Scope};
use crate::view::{EndView, RequestView, ResponseView};

/// What the edge runs. Implemented by [`Member`] for every policy and by [`crate::compose!`].
pub trait Module: Sized + 'static {
    /// Name of the plugin.
    const NAME: &'static str;
    /// Version of the plugin.
    const VERSION: &'static str;
    /// Callbacks that the module keeps.
    const PHASES: Phases;
    /// What it keeps of an exchange.
    type Exchange: Default;
    /// Which call an answer belongs to.
    type Tag: 'static;

    /// All metric families.
    fn metrics() -> Vec<Family>;
    /// Builds the module from its configuration.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    fn load(parsed: &Parsed, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors>;
    /// See [`Policy::on_request`].
    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict;
    /// See [`Policy::on_body`].
    fn on_body(
        &mut self,
        body: &[u8],
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict;
    /// See [`Policy::on_response`].
    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    );
    /// See [`Policy::on_end`].
    fn on_end(
        &mut self,
        view: &EndView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    );
    /// See [`Policy::on_tick`]. `wrap` makes the caller's tag of this module's.
    fn on_tick<T>(&mut self, cx: &mut RootContext<'_, T>, wrap: impl Fn(Self::Tag) -> T);
    /// See [`Policy::on_answer`].
    fn on_answer<T>(
        &mut self,
        tag: Self::Tag,
        answer: Answer,
        cx: &mut RootContext<'_, T>,
        wrap: impl Fn(Self::Tag) -> T,
    );
}

/// A policy that is told only of what is in its scope.
pub struct Member<P: Policy> {
    policy: P,
    mode: Mode,
    scopes: Vec<Scope>,
    prefix: String,
}

/// What a member keeps of an exchange.
pub struct MemberExchange<X> {
    /// Whether the policy sees the rest of it; unknown before the request.
    inside: Option<bool>,
    own: X,
}

impl<X: Default> Default for MemberExchange<X> {
    fn default() -> Self {
        Self {
            inside: None,
            own: X::default(),
        }
    }
}

impl<P: Policy> Member<P> {
    /// The policy itself, for tests.
    pub fn policy(&self) -> &P {
        &self.policy
    }
}

impl<P: Policy> Module for Member<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: &'static str = P::VERSION;
    const PHASES: Phases = P::PHASES;
    type Exchange = MemberExchange<P::Exchange>;
    type Tag = P::Tag;

    fn metrics() -> Vec<Family> {
        P::METRICS.to_vec()
    }

    fn load(parsed: &Parsed, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let (common, mut errors) = parsed.common();
        let (config, mistakes) = parsed.own::<P::Config>();
        errors.extend(mistakes);
        let (Some(common), Some(config)) = (common, config) else {
            return Err(errors.resolve(parsed));
        };
        let outer = setup.common;
        let common = Common {
            mode: common.mode.stricter(outer.mode),
            trust_envoy_xff: common.trust_envoy_xff || outer.trust_envoy_xff,
            ..common
        };
        let mut part = setup.part(&common);
        let policy = P::new(config, &mut part);
        let (period, warnings) = (part.tick_period(), std::mem::take(&mut part.warnings));
        if let Some(period) = period {
            setup.tick(period);
        }
        setup.warnings.extend(warnings);
        let policy = match policy {
            Ok(policy) => policy,
            Err(mistakes) => {
                errors.extend_unknown(mistakes);
                return Err(errors.resolve(parsed));
            }
        };
        if !errors.is_empty() {
            return Err(errors.resolve(parsed));
        }
        let scopes = [outer.scope.clone(), common.scope]
            .into_iter()
            .filter(|scope| !scope.is_everything())
            .collect();
        let prefix = format!("launchgate/{}/{}/", P::NAME, setup.instance);
        Ok(Self {
            policy,
            mode: common.mode,
            scopes,
            prefix,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let inside = self.mode != Mode::Off && self.scopes.iter().all(|scope| scope.contains(view));
        exchange.inside = Some(inside);
        let cx = &mut stream(cx, &self.prefix);
        if !inside {
            self.policy.on_bypass(view, cx);
            return Verdict::Pass;
        }
        let verdict = self.policy.on_request(view, &mut exchange.own, cx);
        if matches!(verdict, Verdict::Pass) {
            exchange.inside = Some(false);
        } else if P::PHASES.end {
            view.begin(cx.now);
        }
        verdict
    }

    fn on_body(
        &mut self,
        body: &[u8],
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        if exchange.inside != Some(true) {
            return Verdict::Continue;
        }
        let cx = &mut stream(cx, &self.prefix);
        let verdict = self.policy.on_body(body, &mut exchange.own, cx);
        if matches!(verdict, Verdict::Pass) {
            // Other parts of a composition are not done with the exchange.
            exchange.inside = Some(false);
            return Verdict::Continue;
        }
        verdict
    }

    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        if exchange.inside == Some(true) {
            self.policy
                .on_response(view, &mut exchange.own, &mut stream(cx, &self.prefix));
        }
    }

    fn on_end(
        &mut self,
        view: &EndView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        let cx = &mut stream(cx, &self.prefix);
        match exchange.inside {
            Some(true) => self.policy.on_end(view, &mut exchange.own, cx),
            Some(false) => {}
            None => {
                let view = view.unseen();
                if self.mode != Mode::Off
                    && self.scopes.iter().all(|scope| scope.contains_end(&view))
                {
                    self.policy.on_end(&view, &mut exchange.own, cx);
                }
            }
        }
    }

    fn on_tick<T>(&mut self, cx: &mut RootContext<'_, T>, wrap: impl Fn(P::Tag) -> T) {
        if self.mode != Mode::Off {
            let Self { policy, prefix, .. } = self;
            with_calls(cx, prefix, wrap, |own| policy.on_tick(own));
        }
    }

    fn on_answer<T>(
        &mut self,
        tag: P::Tag,
        answer: Answer,
        cx: &mut RootContext<'_, T>,
        wrap: impl Fn(P::Tag) -> T,
    ) {
        let Self { policy, prefix, .. } = self;
        with_calls(cx, prefix, wrap, |own| policy.on_answer(tag, answer, own));
    }
}

fn stream<'b>(cx: &'b mut StreamContext<'_>, prefix: &'b str) -> StreamContext<'b> {
    StreamContext {
        now: cx.now,
        fx: &mut *cx.fx,
        metrics: &mut *cx.metrics,
        ports: &mut *cx.ports,
        prefix,
    }
}

fn with_calls<T, U>(
    cx: &mut RootContext<'_, T>,
    prefix: &str,
    wrap: impl Fn(U) -> T,
    run: impl FnOnce(&mut RootContext<'_, U>),
) {
    let mut calls: Vec<(U, Call)> = Vec::new();
    run(&mut RootContext {
        now: cx.now,
        fx: &mut *cx.fx,
        metrics: &mut *cx.metrics,
        ports: &mut *cx.ports,
        prefix,
        calls: &mut calls,
    });
    cx.calls
        .extend(calls.into_iter().map(|(tag, call)| (wrap(tag), call)));
}

/// The mistakes of a composition's outermost keys: neither common nor a section.
#[doc(hidden)]
pub fn unknown_sections(parsed: &Parsed, sections: &[&str]) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    for key in parsed.keys().filter(|key| {
        !sections.contains(key) && !matches!(*key, "scope" | "mode" | "trust_envoy_xff")
    }) {
        errors.push_hidden(
            key,
            format!(
                "unknown field, expected one of {}, scope, mode, trust_envoy_xff",
                sections.join(", ")
            ),
        );
    }
    errors
}
