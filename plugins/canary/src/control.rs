//! The control endpoint of this proxy: what the rollout's state is, and four things to do with it.
//!
//! 1. `GET` (and `HEAD`) tell the state as JSON and change nothing. `PUT` with `{"action": "pause|resume|promote|abort"}`, or with
//!    `?action=…` and no body, does it, and tells the state after.
//! 2. Without a token in the configuration there is no endpoint; without the right one in the request it answers 404.
//! 3. A rollout that ended is answered 409 to everything but `abort`.

use launchgate_sdk::config::{self, Decode};
use launchgate_sdk::path::query;
use launchgate_sdk::percent_encoding::decode_form;
use launchgate_sdk::{Headers, Reply};
use serde::Serialize;

use crate::rollout::{Action, Refusal};
use crate::window::Tallies;

/// Longest body read.
pub(crate) const BODY_LIMIT: usize = 1024;

/// What a request to the endpoint wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The state.
    Show,
    /// An action.
    Act(Action),
    /// An action that its body names.
    Body,
    /// Nothing that there is.
    Method,
    /// An action that there is not.
    Unknown,
}

#[derive(Decode)]
#[serde(deny_unknown_fields)]
struct Order {
    action: Action,
}

/// The state, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct View<'a> {
    pub(crate) rollout: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) state: &'a str,
    pub(crate) stage: u32,
    pub(crate) stages: u32,
    pub(crate) percent: f64,
    pub(crate) paused: bool,
    pub(crate) start: Option<String>,
    pub(crate) next_stage_at: Option<String>,
    pub(crate) rolled_back: Option<EndView>,
    pub(crate) fallback: bool,
    pub(crate) window: Tallies,
}

/// How it ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndView {
    pub(crate) cause: &'static str,
    pub(crate) at: String,
}

impl Wish {
    /// Reads method and query.
    pub(crate) fn read(headers: &Headers, end_of_stream: bool) -> Self {
        match headers.method() {
            b"GET" | b"HEAD" => Self::Show,
            b"PUT" => {
                let mut actions = query(headers.path())
                    .split(|byte| *byte == b'&')
                    .filter_map(|pair| pair.strip_prefix(b"action="));
                match (actions.next(), actions.next()) {
                    (Some(name), None) => {
                        named(&decode_form(name)).map_or(Self::Unknown, Self::Act)
                    }
                    (None, _) if !end_of_stream => Self::Body,
                    _ => Self::Unknown,
                }
            }
            _ => Self::Method,
        }
    }

    /// Reads a body.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        config::read::<Order>(body).map_or(Self::Unknown, |order| Self::Act(order.action))
    }
}

fn named(name: &[u8]) -> Option<Action> {
    [
        (&b"pause"[..], Action::Pause),
        (b"resume", Action::Resume),
        (b"promote", Action::Promote),
        (b"abort", Action::Abort),
    ]
    .into_iter()
    .find(|(known, _)| *known == name)
    .map(|(_, action)| action)
}

/// 404, as for a path that does not exist.
pub(crate) fn not_found() -> Reply {
    Reply::new(404, "launchgate_canary_control_refused").header("cache-control", "no-store")
}

/// 200 with the state.
pub(crate) fn shown(view: &View<'_>) -> Reply {
    reply(200, serde_json::to_vec(view).unwrap_or_default())
}

/// 405.
pub(crate) fn wrong_method() -> Reply {
    error(405, "expected GET, HEAD or PUT").header("allow", "GET, HEAD, PUT")
}

/// 400.
pub(crate) fn unknown_action() -> Reply {
    error(
        400,
        "expected {\"action\": \"pause|resume|promote|abort\"}, or ?action= without a body",
    )
}

/// 409, or 503 where shared state could not be written.
pub(crate) fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Ended => error(
            409,
            "the rollout has ended: only a new rollout id opens again",
        ),
        Refusal::LastStage => error(409, "there is no further stage"),
        Refusal::Contended => error(503, "the state could not be written: try again"),
    }
}

fn error(status: u16, text: &str) -> Reply {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a str,
    }
    reply(
        status,
        serde_json::to_vec(&Error { error: text }).unwrap_or_default(),
    )
}

fn reply(status: u16, body: Vec<u8>) -> Reply {
    Reply::new(status, "launchgate_canary_control")
        .header("cache-control", "no-store")
        .body("application/json", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_from_method_query_and_body() {
        for (method, path, end, expected) in [
            ("GET", "/c?action=abort", true, Wish::Show),
            ("HEAD", "/c", true, Wish::Show),
            ("PUT", "/c?action=pause", true, Wish::Act(Action::Pause)),
            (
                "PUT",
                "/c?x=1&action=%61bort",
                false,
                Wish::Act(Action::Abort),
            ),
            ("PUT", "/c?action=pause&action=abort", true, Wish::Unknown),
            ("PUT", "/c?action=destroy", true, Wish::Unknown),
            ("PUT", "/c?action=", true, Wish::Unknown),
            ("PUT", "/c", true, Wish::Unknown),
            ("PUT", "/c", false, Wish::Body),
            ("POST", "/c?action=pause", true, Wish::Method),
            ("DELETE", "/c", true, Wish::Method),
            ("put", "/c?action=pause", true, Wish::Method),
        ] {
            let headers = Headers::from_pairs([(":method", method), (":path", path)]);
            assert_eq!(Wish::read(&headers, end), expected, "{method} {path}");
        }
        for (body, expected) in [
            (&br#"{"action": "resume"}"#[..], Wish::Act(Action::Resume)),
            (br#"{"action": "promote"}"#, Wish::Act(Action::Promote)),
            (br#"{"action": "promote", "stage": 3}"#, Wish::Unknown),
            (br#"{"action": 1}"#, Wish::Unknown),
            (b"", Wish::Unknown),
            (b"\xff\x00", Wish::Unknown),
            (b"[[[[", Wish::Unknown),
        ] {
            assert_eq!(Wish::of_body(body), expected, "{body:?}");
        }
    }
}
