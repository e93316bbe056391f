//! What all proxies know together: Prometheus is the shared memory.
//!
//! 1. The **latch**: `max(max_over_time(launchgate_canary_rolled_back{rollout="…"}[5m]))`. Above 0 somewhere, this proxy rolls back too. The first query
//!    after a start looks back further, so that a restarted proxy relearns what others no longer show.
//! 2. The **rates**, where `judge` is set: what all proxies counted in the window, judged as this proxy's own counts are.
//! 3. Prometheus away, an error or an empty answer change nothing and are counted.
//!
//! Source: Prometheus' HTTP API, "Instant queries" and "Expression query result formats".

use std::time::Duration;

use launchgate_sdk::config::{self, ConfigErrors, Decode};
use launchgate_sdk::json_tree;
use launchgate_sdk::metric::escape_label;
use launchgate_sdk::{Answer, Call, CallConfig, CallTarget, Period, Secret};

use crate::config::FleetConfig;
use crate::window::{Tallies, Tally};

/// The checked fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    target: CallTarget,
    rollout: String,
    lookback: Period,
    history: Period,
    window: Period,
    /// How often it is asked.
    pub(crate) interval: Duration,
    /// Whether rates are asked for.
    pub(crate) judge: bool,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether any proxy rolled back.
    Latch,
    /// What all proxies counted.
    Rates,
}

/// Why an answer says nothing, as a label value.
pub(crate) type Silence = &'static str;

impl Fleet {
    /// Checks the fleet. Notes every mistake.
    pub(crate) fn new(
        config: FleetConfig,
        rollout: &str,
        window: Period,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let second = Period::seconds(1);
        errors.check(
            config.interval >= second,
            "fleet.interval",
            "expected at least 1s",
        );
        for (name, period) in [("lookback", config.lookback), ("history", config.history)] {
            errors.check(
                period >= second,
                format!("fleet.{name}"),
                "expected at least 1s",
            );
        }
        let call = CallConfig {
            cluster: config.cluster,
            authority: config.authority,
            path: config.path,
            headers: config.headers,
            timeout: config.timeout,
            url: config.url,
        };
        let target = call.target("fleet", "/api/v1/query", errors)?;
        Some(Self {
            target,
            rollout: escape_label(rollout.as_bytes()),
            lookback: config.lookback,
            history: config.history,
            window,
            interval: config.interval.into(),
            judge: config.judge,
        })
    }

    /// The call of a question. `first`: the first since the start.
    pub(crate) fn ask(&self, question: Question, first: bool) -> Call {
        let rollout = &self.rollout;
        let query = match question {
            Question::Latch => {
                let span = if first { self.history } else { self.lookback }.0.as_secs();
                format!(
                    "max(max_over_time(launchgate_canary_rolled_back{{rollout=\"{rollout}\"}}[{span}s]))"
                )
            }
            Question::Rates => {
                let span = self.window.0.as_secs().max(1);
                format!(
                    "sum by (__name__, variant) (increase({{__name__=~\"launchgate_canary_(requests|errors|slow)_total\",rollout=\"{rollout}\"}}[{span}s]))"
                )
            }
        };
        let mut call = self.target.get();
        let separator = if call.path.expose().contains('?') {
            '&'
        } else {
            '?'
        };
        call.path = Secret::new(format!(
            "{}{separator}query={}",
            call.path.expose(),
            percent_encode(&query)
        ));
        call.header("accept", "application/json")
    }
}

/// Whether any proxy rolled back.
pub(crate) fn read_latch(answer: &Answer) -> Result<bool, Silence> {
    let samples = samples(answer)?;
    Ok(samples.iter().any(|sample| sample.number() > 0.0))
}

/// What all proxies counted.
pub(crate) fn read_rates(answer: &Answer) -> Result<Tallies, Silence> {
    let mut tallies = Tallies::default();
    for sample in samples(answer)? {
        let tally = match sample.metric.variant.as_str() {
            "canary" => &mut tallies.canary,
            "stable" => &mut tallies.stable,
            _ => continue,
        };
        let Tally {
            requests,
            errors,
            slow,
        } = tally;
        let slot = match sample.metric.name.as_str() {
            "launchgate_canary_requests_total" => requests,
            "launchgate_canary_errors_total" => errors,
            "launchgate_canary_slow_total" => slow,
            _ => continue,
        };
        // `increase` extrapolates: no whole number. NaN becomes 0.
        *slot = sample.number().round() as u64;
    }
    for tally in [&mut tallies.canary, &mut tallies.stable] {
        tally.errors = tally.errors.min(tally.requests);
        tally.slow = tally.slow.min(tally.requests);
    }
    Ok(tallies)
}

#[derive(Decode)]
struct Reply {
    #[serde(default)]
    status: String,
    data: Option<Data>,
}

#[derive(Decode)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Sample>,
}

#[derive(Decode)]
struct Sample {
    metric: Labels,
    value: Instant,
}

/// `[seconds, "number"]`: what Prometheus calls an instant vector's sample.
struct Instant(f64);

impl Decode for Instant {
    fn decode(json: &config::Json, mistakes: &mut config::Mistakes) -> Option<Self> {
        let number = json.as_array().and_then(|pair| pair.get(1)?.as_str());
        mistakes
            .noted(number, "expected a time and a number in a string")
            .map(|number| Self(json_tree::number(number).unwrap_or(f64::NAN)))
    }
}

#[derive(Decode)]
struct Labels {
    #[serde(default, rename = "__name__")]
    name: String,
    #[serde(default)]
    variant: String,
}

impl Sample {
    /// NaN for what is no number, infinity included.
    fn number(&self) -> f64 {
        self.value.0
    }
}

fn samples(answer: &Answer) -> Result<Vec<Sample>, Silence> {
    let Answer::Response { status, body, .. } = answer else {
        return Err(answer.reason());
    };
    if *status != 200 {
        return Err("status");
    }
    let reply: Reply = config::read(body).map_err(|_| "malformed")?;
    let data = reply
        .data
        .filter(|data| reply.status == "success" && data.result_type == "vector")
        .ok_or("malformed")?;
    if data.result.is_empty() {
        Err("empty")
    } else {
        Ok(data.result)
    }
}

/// Everything but unreserved characters becomes `%XX` (RFC 3986 section 2.3).
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&launchgate_sdk::hash::hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::Headers;
    use launchgate_sdk::percent_encoding::decode;

    fn answer(status: &str, body: &str) -> Answer {
        Answer::read(
            Headers::from_pairs([(":status", status), ("date", "now"), ("x", "y"), ("z", "z")]),
            body.as_bytes().to_vec(),
            Headers::default(),
        )
    }

    #[test]
    fn only_a_value_above_zero_says_that_a_proxy_rolled_back() {
        let vector = |result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
        };
        for (name, status, body, expected) in [
            ("one", "200", vector(r#"[{"metric":{},"value":[1.5,"1"]}]"#), Ok(true)),
            ("zero", "200", vector(r#"[{"metric":{},"value":[1,"0"]}]"#), Ok(false)),
            ("infinity", "200", vector(r#"[{"metric":{},"value":[1,"+Inf"]}]"#), Ok(false)),
            ("NaN", "200", vector(r#"[{"metric":{},"value":[1,"NaN"]}]"#), Ok(false)),
            ("empty", "200", vector("[]"), Err("empty")),
            ("an error", "400", r#"{"status":"error"}"#.to_owned(), Err("status")),
            ("success without data", "200", r#"{"status":"success"}"#.to_owned(), Err("malformed")),
            ("a matrix", "200", r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned(), Err("malformed")),
            ("an error with 200", "200", r#"{"status":"error","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#.to_owned(), Err("malformed")),
            ("no JSON", "200", "<html>\u{1}".to_owned(), Err("malformed")),
        ] {
            assert_eq!(read_latch(&answer(status, &body)), expected, "{name}");
        }
        assert_eq!(read_latch(&Answer::Timeout), Err("timeout"));
    }

    #[test]
    fn rates_are_sorted_by_name_and_variant() {
        let row = |name: &str, variant: &str, value: &str| {
            format!(
                r#"{{"metric":{{"__name__":"launchgate_canary_{name}_total","variant":"{variant}"}},"value":[1,"{value}"]}}"#
            )
        };
        let rows = [
            row("requests", "canary", "100.4"),
            row("errors", "canary", "4.6"),
            row("requests", "stable", "NaN"),
            row("slow", "stable", "7"),
            row("slow", "canary", "+Inf"),
            row("x", "canary", "9"),
        ];
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
            rows.join(",")
        );
        let canary = Tally {
            requests: 100,
            errors: 5,
            slow: 0,
        };
        let stable = Tally {
            requests: 0,
            errors: 0,
            slow: 0,
        };
        assert_eq!(
            read_rates(&answer("200", &body)),
            Ok(Tallies { canary, stable })
        );
    }

    #[test]
    fn a_question_carries_its_query() {
        let mut errors = ConfigErrors::default();
        let config = FleetConfig {
            cluster: "prometheus".to_owned(),
            ..FleetConfig::default()
        };
        let fleet = Fleet::new(config, "cache.v2", Period::seconds(60), &mut errors).unwrap();
        let query = |question, first| {
            let call = fleet.ask(question, first);
            String::from_utf8(decode(call.path.expose().as_bytes()).into_owned()).unwrap()
        };
        // The label as the exposition has it: the dot after `cache` is escaped there.
        assert_eq!(
            query(Question::Latch, false),
            "/api/v1/query?query=max(max_over_time(launchgate_canary_rolled_back{rollout=\"cache%2Ev2\"}[300s]))"
        );
        assert!(query(Question::Latch, true).ends_with("[604800s]))"));
        assert!(query(Question::Rates, false).contains("[60s]"));
    }
}
