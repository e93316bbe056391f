//! One HTTP exchange.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::abi;
use super::core::{AWAIT_TICK, Core, lazily};
use super::root::Slot;
use crate::attribute::Phase;
use crate::headers::Headers;
use crate::member::Module;
use crate::policy::Verdict;
use crate::reply::Reply;
use crate::view::{EndView, HeaderMap, Kept, RequestView, ResponseView, Source};

/// An exchange on its way.
pub(super) struct Stream<M: Module> {
    context: u32,
    slot: Slot<M>,
    kept: Kept,
    own: M::Exchange,
    /// How long a body may be that the module waits for.
    awaited: Option<usize>,
    /// Whether the module has nothing to do with the rest of it.
    passed: bool,
}

/// The host as the source of a view.
struct HostSource;

impl Source for HostSource {
    fn headers(&self, map: HeaderMap) -> Headers {
        Headers::decode(abi::header_pairs(number(map)))
    }

    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        abi::header(number(map), name)
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        abi::property(path)
    }
}

fn number(map: HeaderMap) -> u32 {
    match map {
        HeaderMap::Request => abi::map::REQUEST,
        HeaderMap::Response => abi::map::RESPONSE,
        HeaderMap::ResponseTrailers => abi::map::RESPONSE_TRAILERS,
    }
}

impl<M: Module> Stream<M> {
    pub(super) fn new(context: u32, slot: Slot<M>) -> Self {
        Self {
            context,
            slot,
            kept: Kept::default(),
            own: M::Exchange::default(),
            awaited: None,
            passed: false,
        }
    }

    fn settle(&mut self, core: &mut Core<M>, verdict: Verdict, end_of_stream: bool) -> Action {
        let action = match verdict {
            Verdict::Continue => Action::Continue,
            Verdict::Pass => {
                self.passed = true;
                Action::Continue
            }
            Verdict::Reply(reply) => {
                core.reply(&reply);
                Action::Pause
            }
            Verdict::AwaitBody(_) if !M::PHASES.body => Action::Continue,
            Verdict::AwaitBody(_) if end_of_stream => {
                let Self { own, .. } = self;
                match core.stream(&lazily(), |module, cx| module.on_body(&[], own, cx)) {
                    Verdict::Reply(reply) => {
                        core.reply(&reply);
                        Action::Pause
                    }
                    Verdict::Continue | Verdict::Pass | Verdict::AwaitBody(_) => Action::Continue,
                }
            }
            Verdict::AwaitBody(limit) => {
                self.awaited = Some(limit);
                core.awaiting.push(self.context);
                abi::set_tick(AWAIT_TICK.min(core.period.unwrap_or(Duration::MAX)));
                Action::Pause
            }
        };
        core.emit();
        action
    }
}

impl<M: Module> Context for Stream<M> {}

impl<M: Module> HttpContext for Stream<M> {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let slot = std::rc::Rc::clone(&self.slot);
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return Action::Continue;
        };
        let Some(core) = slot.as_mut() else {
            return Action::Continue;
        };
        let now = lazily();
        let Self { kept, own, .. } = self;
        let verdict = core.stream(&now, |module, cx| {
            module.on_request(
                &mut RequestView::new(&HostSource, kept, end_of_stream),
                own,
                cx,
            )
        });
        if !matches!(verdict, Verdict::Reply(_)) {
            core.write_back(abi::map::REQUEST, kept.edited_request());
        }
        self.settle(core, verdict, end_of_stream)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(limit) = self.awaited.filter(|_| M::PHASES.body) else {
            return Action::Continue;
        };
        let slot = std::rc::Rc::clone(&self.slot);
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return Action::Continue;
        };
        let Some(core) = slot.as_mut() else {
            return Action::Continue;
        };
        core.awaiting.retain(|context| *context != self.context);
        if size > limit {
            self.awaited = None;
            return self.settle(
                core,
                Verdict::Reply(Reply::new(413, "launchgate_body_too_large")),
                end_of_stream,
            );
        }
        if !end_of_stream {
            return Action::Pause;
        }
        self.awaited = None;
        let body = abi::buffer_bytes(abi::buffer::REQUEST_BODY, limit);
        let Self { own, .. } = self;
        let verdict = core.stream(&lazily(), |module, cx| module.on_body(&body, own, cx));
        self.settle(core, verdict, false)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        if self.passed || !M::PHASES.response {
            return Action::Continue;
        }
        let slot = std::rc::Rc::clone(&self.slot);
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return Action::Continue;
        };
        let Some(core) = slot.as_mut() else {
            return Action::Continue;
        };
        self.kept.enter(Phase::Response);
        let Self { kept, own, .. } = self;
        core.stream(&lazily(), |module, cx| {
            module.on_response(
                &mut ResponseView::new(&HostSource, kept, end_of_stream),
                own,
                cx,
            )
        });
        core.write_back(abi::map::RESPONSE, kept.edited_response());
        core.emit();
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.passed || !(M::PHASES.end || M::PHASES.body) {
            return;
        }
        let slot = std::rc::Rc::clone(&self.slot);
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return;
        };
        let Some(core) = slot.as_mut() else { return };
        core.awaiting.retain(|context| *context != self.context);
        if !M::PHASES.end {
            return;
        }
        self.kept.enter(Phase::End);
        let now = lazily();
        let Self { kept, own, .. } = self;
        core.stream(&now, |module, cx| {
            module.on_end(&EndView::new(&HostSource, kept, &now), own, cx)
        });
        core.emit();
    }
}
