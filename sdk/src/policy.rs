//! The policy trait: what a plugin author writes.
//!
//! 1. [`Policy::new`] turns a parsed config into a policy without invalid state, or says everything that is wrong with it.
//! 2. Exchange callbacks may edit headers, sample, log and record; they send no call-outs.
//! 3. Tick and answer may also send call-outs. Their results come back by [`Policy::on_answer`] under the tag given.
//! 4. [`Policy::PHASES`] says which callbacks the module keeps: every other export is cut after the link, because a
//!    callback that nobody handles still costs a crossing.

use crate::call::{Answer, Call};
use crate::config::ConfigErrors;
use crate::effects::{Effects, Level};
use crate::metric::{Family, Registry};
use crate::ports::{Ports, State};
use crate::reply::Reply;
use crate::scope::{Common, Mode};
use crate::time::{Now, Time};
use crate::view::{EndView, RequestView, ResponseView};

/// Which callbacks a policy handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// [`Policy::on_request`].
    pub request: bool,
    /// [`Policy::on_body`].
    pub body: bool,
    /// [`Policy::on_response`].
    pub response: bool,
    /// [`Policy::on_end`].
    pub end: bool,
    /// [`Policy::on_tick`].
    pub tick: bool,
    /// [`Policy::on_answer`].
    pub answer: bool,
}

impl Phases {
    /// None.
    pub const NONE: Self = Self {
        request: false,
        body: false,
        response: false,
        end: false,
        tick: false,
        answer: false,
    };

    /// What either of two handles.
    pub const fn or(self, other: Self) -> Self {
        Self {
            request: self.request || other.request,
            body: self.body || other.body,
            response: self.response || other.response,
            end: self.end || other.end,
            tick: self.tick || other.tick,
            answer: self.answer || other.answer,
        }
    }
}

/// What happens with a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It goes on, with the edits made.
    #[default]
    Continue,
    /// As `Continue`, and the policy has nothing to do with this exchange any more: it sees neither response nor end. Where
    /// that holds for all of a module, the rest of the exchange costs next to nothing.
    Pass,
    /// The gateway replies.
    Reply(Reply),
    /// It waits for its body, at most so many bytes, which [`Policy::on_body`] gets. Only for a gateway endpoint that
    /// always replies then; a longer body is answered 413. See docs/host.md on how long that may take.
    AwaitBody(usize),
}

/// A policy, told what happened, returning what to do.
pub trait Policy: Sized + 'static {
    /// Name of the plugin, as in `launchgate_<name>_…` with `_` for `-`.
    const NAME: &'static str;
    /// Version: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// Callbacks that the module keeps.
    const PHASES: Phases;
    /// All metric families.
    const METRICS: &'static [Family];
    /// The configuration as it is spelled in JSON.
    type Config: crate::config::Decode + Default;
    /// What the policy keeps of one exchange between its phases.
    type Exchange: Default;
    /// Which call an answer belongs to.
    type Tag: 'static;

    /// Builds the policy. Makes no call-out and writes no state: this also runs for configs that are then refused.
    ///
    /// # Errors
    /// Every value that is impossible, each with its path.
    fn new(config: Self::Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors>;

    /// Request headers arrived.
    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let _ = (view, exchange, cx);
        Verdict::Continue
    }

    /// The body that [`Verdict::AwaitBody`] waited for. Without a reply the request goes on.
    fn on_body(
        &mut self,
        body: &[u8],
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let _ = (body, exchange, cx);
        Verdict::Continue
    }

    /// Response headers are about to go to the client, the gateway's own replies included.
    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        let _ = (view, exchange, cx);
    }

    /// The exchange is over.
    fn on_end(
        &mut self,
        view: &EndView<'_>,
        exchange: &mut Self::Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        let _ = (view, exchange, cx);
    }

    /// A request that this policy does not see, out of scope or in mode `off`: only for what must never be left to the
    /// client, such as a steering header.
    fn on_bypass(&mut self, view: &mut RequestView<'_>, cx: &mut StreamContext<'_>) {
        let _ = (view, cx);
    }

    /// Time passed: [`Setup::tick`] since the last one.
    fn on_tick(&mut self, cx: &mut RootContext<'_, Self::Tag>) {
        let _ = cx;
    }

    /// A call-out ended.
    fn on_answer(&mut self, tag: Self::Tag, answer: Answer, cx: &mut RootContext<'_, Self::Tag>) {
        let _ = (tag, answer, cx);
    }
}

/// What a policy may use while it is built.
pub struct Setup<'a> {
    /// Mode, scope and trust of this plugin.
    pub common: &'a Common,
    /// For metric series that are known at configure.
    pub metrics: &'a mut Registry,
    /// The plugin's name in the host (Istio: the `WasmPlugin`'s `pluginName`), for records that say who speaks.
    pub instance: &'a str,
    /// First hex digits of the SHA-256 of the configuration as given (variables not resolved).
    pub digest: &'a str,
    /// Time of the load.
    pub now: Time,
    /// Lines to log at load, for warnings about settings that are allowed but surprising.
    pub warnings: Vec<String>,
    tick: Option<std::time::Duration>,
    ports: &'a mut dyn Ports,
}

impl<'a> Setup<'a> {
    /// For the edge, tests and composition.
    pub fn new(
        common: &'a Common,
        metrics: &'a mut Registry,
        ports: &'a mut dyn Ports,
        instance: &'a str,
        digest: &'a str,
        now: Time,
    ) -> Self {
        Self {
            common,
            metrics,
            instance,
            digest,
            now,
            warnings: Vec::new(),
            tick: None,
            ports,
        }
    }

    /// Mode of this plugin.
    pub fn mode(&self) -> Mode {
        self.common.mode
    }

    /// Asks for a tick at least this often.
    pub fn tick(&mut self, period: std::time::Duration) {
        self.tick = Some(self.tick.map_or(period, |known| known.min(period)));
    }

    /// The shortest tick asked for.
    pub fn tick_period(&self) -> Option<std::time::Duration> {
        self.tick
    }

    /// A random number, for lease holders and the like.
    pub fn random(&mut self) -> u64 {
        self.ports.random()
    }

    /// A setup for a part of a composition, with its own common keys.
    pub fn part<'b>(&'b mut self, common: &'b Common) -> Setup<'b> {
        Setup {
            common,
            metrics: &mut *self.metrics,
            instance: self.instance,
            digest: self.digest,
            now: self.now,
            warnings: Vec::new(),
            tick: None,
            ports: &mut *self.ports,
        }
    }
}

/// What a policy may use within an exchange.
pub struct StreamContext<'a> {
    /// Now.
    pub now: &'a Now,
    /// What it wants done.
    pub fx: &'a mut Effects,
    /// For series whose labels are known only now.
    pub metrics: &'a mut Registry,
    /// Shared state, tallies, random numbers.
    pub ports: &'a mut dyn Ports,
    /// Prefix of this plugin's keys in shared state.
    pub prefix: &'a str,
}

impl StreamContext<'_> {
    /// Shared state under this plugin's prefix.
    pub fn state(&mut self) -> State<'_> {
        State::new(&mut *self.ports, self.prefix)
    }

    /// Logs a line, see [`Effects::log`].
    pub fn log(&mut self, level: Level, line: impl FnOnce() -> String) {
        self.fx.log(level, line);
    }
}

/// What a policy may use on tick and answer.
pub struct RootContext<'a, Tag> {
    /// Now.
    pub now: Time,
    /// What it wants done.
    pub fx: &'a mut Effects,
    /// For series whose labels are known only now.
    pub metrics: &'a mut Registry,
    /// Shared state, tallies, random numbers.
    pub ports: &'a mut dyn Ports,
    /// Prefix of this plugin's keys in shared state.
    pub prefix: &'a str,
    /// Call-outs to send when the callback returns, in order.
    pub calls: &'a mut Vec<(Tag, Call)>,
}

impl<Tag> RootContext<'_, Tag> {
    /// Shared state under this plugin's prefix.
    pub fn state(&mut self) -> State<'_> {
        State::new(&mut *self.ports, self.prefix)
    }

    /// Sends a call; its answer comes to [`Policy::on_answer`] with `tag`.
    pub fn call(&mut self, tag: Tag, call: Call) {
        self.calls.push((tag, call));
    }

    /// Logs a line, see [`Effects::log`].
    pub fn log(&mut self, level: Level, line: impl FnOnce() -> String) {
        self.fx.log(level, line);
    }
}
