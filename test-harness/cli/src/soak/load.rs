//! One client: keeps a connection, wishes at random, compares each answer with the wish.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use launchgate_harness::envoy::{Request, Response};

use super::{
    gateway::{Gateway, WISH},
    ledger::Ledger,
};
use crate::demo::HOST;

/// Between two requests, so that the machine is loaded and not starved.
const PAUSE: Duration = Duration::from_millis(5);

/// Of 100 requests: wish, how many, the expected status.
const WISHES: &[(&str, u64, u16)] = &[
    ("ok", 82, 200),
    ("500", 8, 500),
    ("slow", 3, 200),
    ("reset", 4, 503),
    ("close", 3, 503),
];

pub(super) fn run(
    gateway: &Gateway,
    ledger: &Ledger,
    stop: &AtomicBool,
    mut draw: Rng,
) -> Result<()> {
    let mut connection = gateway.connect()?;
    while !stop.load(Ordering::Relaxed) {
        let (wish, expected) = wish(&mut draw);
        let request = Request::get(format!("/users/{}?token=secret", draw.u64(..1000)))
            .host(HOST)
            .header(WISH, wish)
            .header("x-user-id", format!("user-{}", draw.u64(..500)));
        ledger.count_sent();
        match connection.exchange(&request) {
            Ok(answer) => {
                ledger.answered(wish, expected, answer.status, answer.body.is_empty());
                if is_last(&answer) {
                    connection = gateway.connect()?;
                }
            }
            Err(error) => {
                ledger.lost(&format!("{wish}: {error:#}"));
                connection = gateway.connect()?;
            }
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn wish(draw: &mut Rng) -> (&'static str, u16) {
    let mut at = draw.u64(..100);
    for (wish, share, expected) in WISHES {
        match at.checked_sub(*share) {
            Some(rest) => at = rest,
            None => return (wish, *expected),
        }
    }
    ("ok", 200)
}

fn is_last(answer: &Response) -> bool {
    answer
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"))
}
