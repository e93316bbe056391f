//! Time: what falls due happens, in order.

use std::rc::Rc;

use super::Gateway;
use crate::emulator::abi::timers;
use crate::emulator::context::Kind;
use crate::emulator::flaw::Flaw;
use crate::emulator::guest::Vm;
use crate::emulator::world::{CalloutAnswer, Event, GrpcStep};

impl Gateway {
    /// Lets all happen that is due now.
    pub fn run_now(&self) {
        let now = self.world.borrow().clock.now();
        self.run_until(now, || false);
    }

    /// Lets time pass up to an instant (nanoseconds since the start), or until `enough`. The clock ends there.
    pub fn run_until(&self, until: u64, enough: impl Fn() -> bool) {
        while !enough() {
            let Some(event) = self.world.borrow_mut().clock.pop(until) else {
                self.world.borrow_mut().clock.advance_to(until);
                return;
            };
            self.happen(event);
        }
    }

    fn happen(&self, event: Event) {
        match event {
            Event::Tick {
                vm,
                root,
                generation,
            } => self.tick(&vm, root, generation),
            Event::Callout {
                vm,
                root,
                token,
                answer,
            } => self.answer(&vm, root, token, *answer),
            Event::Grpc {
                vm,
                root,
                token,
                step,
            } => self.grpc(&vm, root, token, step),
            Event::Queue { vm, root, queue } => {
                vm.call(root, "proxy_on_queue_ready", &[queue]);
                self.chain.perform(&vm);
            }
            Event::Upstream { exchange, reply } => {
                self.chain.router.answer(&self.chain, &exchange, &reply)
            }
            Event::RouteTimeout(exchange) => self.chain.router.time_out(&self.chain, &exchange),
        }
    }

    fn tick(&self, vm: &Rc<Vm>, root: u32, generation: u64) {
        let due = |vm: &Rc<Vm>| match vm.state().contexts.get(&root).map(|context| &context.kind) {
            Some(Kind::Root(timer)) => timer.tick_ms > 0 && timer.generation == generation,
            _ => false,
        };
        let lost = self.world.borrow().flaw == Some(Flaw::LostTick) && vm.thread == self.main.name;
        if !due(vm) || lost {
            return;
        }
        vm.call(root, "proxy_on_tick", &[]);
        self.chain.perform(vm);
        if due(vm) && vm.dead().is_none() {
            timers::arm(&vm.state(), root);
        }
    }

    fn answer(&self, vm: &Rc<Vm>, root: u32, token: u32, answer: CalloutAnswer) {
        let sizes = match &answer {
            CalloutAnswer::Response {
                headers,
                body,
                trailers,
            } => [headers.len(), body.len(), trailers.len()],
            CalloutAnswer::Reset => [0, 0, 0],
        };
        let [headers, body, trailers] = sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        {
            let mut state = vm.state_mut();
            if matches!(answer, CalloutAnswer::Reset) {
                state.last_status = (11, b"reset".to_vec());
            }
            state.answer = Some(answer);
        }
        vm.call(
            root,
            "proxy_on_http_call_response",
            &[token, headers, body, trailers],
        );
        {
            let mut state = vm.state_mut();
            state.answer = None;
            state.last_status.1.clear();
        }
        self.chain.perform(vm);
    }

    fn grpc(&self, vm: &Rc<Vm>, root: u32, token: u32, step: GrpcStep) {
        if !vm.state().grpc_open.contains_key(&token) {
            return;
        }
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (callback, argument) = {
            let mut state = vm.state_mut();
            match step {
                GrpcStep::InitialMetadata(map) => {
                    let count = size(map.len());
                    state.grpc_metadata.0 = Some(map);
                    ("proxy_on_grpc_receive_initial_metadata", count)
                }
                GrpcStep::Message(message) => {
                    let bytes = size(message.len());
                    state.grpc_message = Some(message);
                    if token & 3 == 1 {
                        state.grpc_open.remove(&token);
                    }
                    ("proxy_on_grpc_receive", bytes)
                }
                GrpcStep::TrailingMetadata(map) => {
                    let count = size(map.len());
                    state.grpc_metadata.1 = Some(map);
                    ("proxy_on_grpc_receive_trailing_metadata", count)
                }
                GrpcStep::Close(code, message) => {
                    state.last_status = (code, message);
                    state.grpc_open.remove(&token);
                    ("proxy_on_grpc_close", code)
                }
            }
        };
        vm.call(root, callback, &[token, argument]);
        {
            let mut state = vm.state_mut();
            state.grpc_message = None;
            state.grpc_metadata = (None, None);
            state.last_status.1.clear();
        }
        self.chain.perform(vm);
    }
}
