//! The root context: configure, tick, answers of call-outs. What a module does not handle is left out of it at compile time:
//! the dispatcher's tables would keep it in.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use sha2::{Digest, Sha256};

use super::abi;
use super::core::{Core, now};
use super::ports::HostPorts;
use super::stream::Stream;
use crate::call::{Answer, Call};
use crate::config::{ConfigErrors, Environment, Parsed};
use crate::headers::Headers;
use crate::member::Module;
use crate::metric::Registry;
use crate::policy::Setup;
use crate::scope::Common;

/// A module that may not be configured yet. Borrowed only for the length of a callback, and only by `try_borrow_mut`.
pub(super) type Slot<M> = Rc<RefCell<Option<Core<M>>>>;

/// Makes the root context.
pub(super) fn create<M: Module>(context: u32) -> Box<dyn RootContext> {
    Box::new(Root::<M> {
        context,
        slot: Rc::default(),
    })
}

struct Root<M: Module> {
    context: u32,
    slot: Slot<M>,
}

const INFO: u32 = 2;
const WARN: u32 = 3;
const ERROR: u32 = 4;
const CONFIG_LIMIT: usize = 16 * 1024 * 1024;

impl<M: Module> Root<M> {
    fn load(&self, bytes: &[u8]) -> Result<(), ConfigErrors> {
        let mut environment = Environment::new();
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                environment.insert(name, value);
            }
        }
        let parsed = Parsed::read(bytes, &environment)?;
        let (digest, instance, common) = (digest(bytes), instance(), Common::default());
        let mut metrics = Registry::default();
        let mut ports = HostPorts { ids: &[] };
        let mut setup = Setup::new(&common, &mut metrics, &mut ports, &instance, &digest, now());
        let module = M::load(&parsed, &mut setup)?;
        let (period, warnings) = (setup.tick_period(), setup.warnings);
        abi::set_tick(period.unwrap_or(Duration::ZERO));
        abi::log(
            INFO,
            &format!(
                "loaded launchgate {} {}, config {digest}",
                M::NAME,
                M::VERSION
            ),
        );
        for warning in warnings {
            abi::log(WARN, &warning);
        }
        if let Ok(mut slot) = self.slot.try_borrow_mut() {
            *slot = Some(Core::new(module, metrics, period));
        }
        Ok(())
    }

    /// Sends calls. One that the host refuses is answered at once, which may give further calls.
    fn send(&self, core: &mut Core<M>, mut calls: Vec<(M::Tag, Call)>) {
        const TURNS: usize = 64;
        for _ in 0..TURNS {
            let mut refused = Vec::new();
            for (tag, call) in calls {
                match dispatch(&call) {
                    Some(token) => drop(core.calls.insert(token, (tag, call.body_limit))),
                    None => refused.push(tag),
                }
            }
            if refused.is_empty() {
                return;
            }
            calls = Vec::new();
            for tag in refused {
                let more = core.root(now(), |module, cx| {
                    module.on_answer(tag, Answer::NotSent, cx, |tag| tag)
                });
                calls.extend(more);
            }
        }
    }
}

impl<M: Module> Context for Root<M> {
    fn on_http_call_response(&mut self, token: u32, _: usize, _: usize, _: usize) {
        if !M::PHASES.answer {
            return;
        }
        let Ok(mut slot) = self.slot.try_borrow_mut() else {
            return;
        };
        let Some(core) = slot.as_mut() else { return };
        let Some((tag, limit)) = core.calls.remove(&token) else {
            return;
        };
        let headers = Headers::decode(abi::header_pairs(abi::map::CALL_RESPONSE));
        let trailers = Headers::decode(abi::header_pairs(abi::map::CALL_TRAILERS));
        let answer = Answer::read(
            headers,
            abi::buffer_bytes(abi::buffer::CALL_BODY, limit),
            trailers,
        );
        let calls = core.root(now(), |module, cx| {
            module.on_answer(tag, answer, cx, |tag| tag)
        });
        self.send(core, calls);
        core.emit();
    }
}

impl<M: Module> RootContext for Root<M> {
    fn on_configure(&mut self, _: usize) -> bool {
        match self.load(&abi::buffer_bytes(
            abi::buffer::PLUGIN_CONFIGURATION,
            CONFIG_LIMIT,
        )) {
            Ok(()) => true,
            Err(errors) => {
                abi::log(
                    ERROR,
                    &format!(
                        "launchgate {} {}: config refused: {errors}",
                        M::NAME,
                        M::VERSION
                    ),
                );
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if !(M::PHASES.tick || M::PHASES.body) {
            return;
        }
        let Ok(mut slot) = self.slot.try_borrow_mut() else {
            return;
        };
        let Some(core) = slot.as_mut() else { return };
        let awaiting = std::mem::take(&mut core.awaiting);
        if !awaiting.is_empty() {
            for context in awaiting {
                let _ = abi::resume_request(context);
            }
            abi::enter_context(self.context);
            abi::set_tick(core.period.unwrap_or(Duration::ZERO));
        }
        let (time, Some(period)) = (now(), core.period) else {
            return;
        };
        if time.mono < core.next_tick {
            return;
        }
        // A tick may come a little early or late; half a period tells a regular one from one in between.
        core.next_tick = time.mono + period / 2;
        core.follow_log_level();
        let calls = core.root(time, |module, cx| module.on_tick(cx, |tag| tag));
        self.send(core, calls);
        core.emit();
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::<M>::new(context, Rc::clone(&self.slot))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Sends a call; its token, or `None` where the host refused it. Through proxy-wasm, whose dispatcher keeps the tokens.
fn dispatch(call: &Call) -> Option<u32> {
    let mut headers = vec![
        (":method", call.method),
        (":path", call.path.expose()),
        (":authority", call.authority.as_str()),
    ];
    headers.extend(
        call.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose())),
    );
    if headers
        .iter()
        .any(|(name, value)| crate::headers::InvalidHeader::check(name, value.as_bytes()).is_err())
    {
        return None;
    }
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    proxy_wasm::hostcalls::dispatch_http_call(
        &call.cluster,
        headers,
        body,
        Vec::new(),
        call.timeout,
    )
    .ok()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Root id, else filter name: in Istio the `pluginName`.
fn instance() -> String {
    ["plugin_root_id", "plugin_name"]
        .iter()
        .filter_map(|name| String::from_utf8(abi::property(&[name])?).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}
