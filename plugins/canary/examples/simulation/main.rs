//! Prints how long a bad canary lives, beside what Flagger's and Argo Rollouts' default loops would do on the same traffic,
//! and how often a healthy one is convicted: `cargo run --release -p launchgate-canary --example simulation`.

#![allow(clippy::expect_used, reason = "its own configs are valid")]

mod model;

use model::{Fault, Healthy, Scenario, Stop, convicted, run};

/// Odd, so that there is a median.
const RUNS: u64 = 21;
const SCHEDULES: u64 = 1000;

const FIVE: Fault = Fault::errors(50_000);
const SCENARIOS: [(&str, Scenario); 11] = [
    ("5 % errors", Scenario::new(1, 200, 50, FIVE)),
    ("5 % errors", Scenario::new(3, 200, 25, FIVE)),
    ("5 % errors", Scenario::new(3, 200, 5, FIVE)),
    ("5 % errors", Scenario::new(3, 40, 25, FIVE)),
    ("5 % errors", Scenario::new(3, 40, 5, FIVE)),
    (
        "the same, with `fleet`",
        Scenario::new(3, 40, 5, FIVE).scraped(15),
    ),
    (
        "all fail",
        Scenario::new(3, 200, 25, Fault::errors(1_000_000)),
    ),
    (
        "2 % errors",
        Scenario::new(3, 200, 25, Fault::errors(20_000)),
    ),
    ("5 % slow", Scenario::new(3, 200, 25, Fault::slow(50_000))),
    (
        "5 % errors after 20 min",
        Scenario::new(3, 200, 25, FIVE.from(1200)),
    ),
    (
        "both versions fail, 30 %",
        Scenario::new(3, 200, 25, Fault::errors(300_000).of_both()),
    ),
];

fn main() {
    println!(
        "| fleet and fault | launchgate | failed | Flagger | failed | Argo Rollouts | failed |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, scenario) in SCENARIOS {
        let runs: Vec<_> = (1..=RUNS).map(|seed| run(&scenario, seed)).collect();
        let cells = [
            median(runs.iter().map(|run| run.plugin)),
            median(runs.iter().map(|run| run.flagger)),
            median(runs.iter().map(|run| run.argo)),
        ];
        println!(
            "| {} x {}, {}/s, {} %: {name} | {} |",
            scenario.proxies,
            scenario.workers,
            scenario.rate,
            scenario.percent,
            cells.join(" | ")
        );
    }
    println!(
        "\n| requests/s of a proxy | errors, both versions | slow, both versions | convicted, of {SCHEDULES} schedules |"
    );
    println!("| --- | --- | --- | --- |");
    for rate in [20, 100, 1000] {
        for (errors, slow) in [(5000, 0), (5000, 5000)] {
            let convicted = convicted(SCHEDULES, Healthy { rate, errors, slow });
            let percent = |millionths: u32| f64::from(millionths) / 10_000.0;
            println!(
                "| {rate} | {} % | {} % | {convicted} |",
                percent(errors),
                percent(slow)
            );
        }
    }
}

/// Time and failed requests of the median run; a run that did not stop is the longest.
fn median(stops: impl Iterator<Item = Option<Stop>>) -> String {
    let mut stops: Vec<_> = stops.collect();
    stops.sort_by_key(|stop| stop.map_or((u32::MAX, u64::MAX), |stop| (stop.halves, stop.failed)));
    match stops.get(stops.len() / 2).copied().flatten() {
        Some(stop) => format!("{} s | {}", f64::from(stop.halves) / 2.0, stop.failed),
        None => "no | ".to_owned(),
    }
}
