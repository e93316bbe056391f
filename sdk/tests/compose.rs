//! A composition behaves as a chain of filters would.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use launchgate_sdk::config::Decode;
use launchgate_sdk::fake::{Exchange, Host};
use launchgate_sdk::{
    ConfigErrors, EndView, Family, Phases, Policy, Reply, RequestView, ResponseView, Setup,
    StreamContext, Verdict,
};

#[derive(Debug, Default, Decode)]
#[serde(default, deny_unknown_fields)]
struct Config {
    reply: bool,
    limit: u8,
}

/// Leaves its name in a header of every phase it sees; replies where the config says so.
struct Mark<const NAME: char> {
    reply: bool,
}

impl<const NAME: char> Policy for Mark<NAME> {
    const NAME: &'static str = "mark";
    const VERSION: &'static str = "1";
    const PHASES: Phases = Phases {
        request: true,
        response: true,
        end: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = &[];
    type Config = Config;
    type Exchange = u32;
    type Tag = ();

    fn new(config: Config, _: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        errors.check(config.limit < 10, "limit", "expected less than 10");
        errors.into_result(Self {
            reply: config.reply,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut u32,
        _: &mut StreamContext<'_>,
    ) -> Verdict {
        *exchange += 1;
        view.edit(|headers| headers.add("x-seen", NAME.to_string()))
            .unwrap();
        if self.reply {
            Verdict::Reply(Reply::new(403, "mark"))
        } else {
            Verdict::Continue
        }
    }

    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut u32,
        _: &mut StreamContext<'_>,
    ) {
        assert_eq!(*exchange, 1, "each part keeps an exchange of its own");
        view.edit(|headers| headers.add("x-seen", NAME.to_string()))
            .unwrap();
    }

    fn on_bypass(&mut self, view: &mut RequestView<'_>, _: &mut StreamContext<'_>) {
        view.remove("x-forged");
    }

    fn on_end(&mut self, _: &EndView<'_>, exchange: &mut u32, cx: &mut StreamContext<'_>) {
        cx.fx.record("seen", format!("{NAME}{exchange}"));
    }
}

mod module {
    use super::Mark;
    launchgate_sdk::compose! {
        /// Three marks.
        pub struct Marks("marks") { a: Mark<'a'>, b: Mark<'b'>, c: Mark<'c'> }
    }

    pub(crate) use waiting::Waiting;
    mod waiting {
        use super::super::{Mark, Wait};
        launchgate_sdk::compose! {
            /// A mark, and behind it one that waits.
            pub struct Waiting("waiting") { a: Mark<'a'>, wait: Wait }
        }
    }
}
use module::{Marks, Waiting};

/// Waits for a body, and is then done with the exchange.
struct Wait;

impl Policy for Wait {
    const NAME: &'static str = "wait";
    const VERSION: &'static str = "1";
    const PHASES: Phases = Phases {
        request: true,
        body: true,
        end: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = &[];
    type Config = Config;
    type Exchange = ();
    type Tag = ();

    fn new(_: Config, _: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn on_request(
        &mut self,
        _: &mut RequestView<'_>,
        (): &mut (),
        _: &mut StreamContext<'_>,
    ) -> Verdict {
        Verdict::AwaitBody(8)
    }

    fn on_body(&mut self, _: &[u8], (): &mut (), _: &mut StreamContext<'_>) -> Verdict {
        Verdict::Pass
    }

    fn on_end(&mut self, _: &EndView<'_>, (): &mut (), cx: &mut StreamContext<'_>) {
        cx.fx.record("waited", "");
    }
}

fn seen(values: &launchgate_sdk::Headers) -> String {
    values
        .all("x-seen")
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn requests_pass_in_order_and_responses_in_reverse_up_to_the_part_that_replied() {
    for (config, request, response, last) in [
        (r#"{"a": {}, "b": {}, "c": {}}"#, "abc", "cba", "c1"),
        (
            r#"{"a": {}, "b": {"reply": true}, "c": {}}"#,
            "ab",
            "ba",
            "c0",
        ),
        (
            r#"{"a": {"reply": true}, "b": {}, "c": {}}"#,
            "a",
            "a",
            "c0",
        ),
        (r#"{"a": {}, "c": {}}"#, "ac", "ca", "c1"),
        (r#"{"a": {"mode": "off"}, "b": {}}"#, "b", "b", "b1"),
        (r#"{"mode": "off", "a": {}, "b": {}}"#, "", "", ""),
        (
            r#"{"scope": {"hosts": ["other.example"]}, "a": {}}"#,
            "",
            "",
            "",
        ),
        ("{}", "", "", ""),
    ] {
        let mut host = Host::<Marks>::load(config).unwrap();
        let mut exchange = Exchange::get("/").header("x-forged", "1");
        host.exchange(&mut exchange, Duration::from_millis(1));
        assert_eq!(seen(&exchange.facts.request), request, "{config}");
        assert_eq!(seen(&exchange.facts.response), response, "{config}");
        let record = exchange
            .record("seen")
            .map(|value| String::from_utf8(value).unwrap())
            .unwrap_or_default();
        // A part behind the one that replied saw no request: as in a chain it is told of the end with nothing captured.
        assert_eq!(record, last, "{config}");
    }
}

#[test]
fn what_is_out_of_scope_is_only_cleaned() {
    let mut host =
        Host::<Marks>::load(r#"{"scope": {"hosts": ["other.example"]}, "a": {}}"#).unwrap();
    let mut exchange = Exchange::get("/").header("x-forged", "1");
    host.request(&mut exchange);
    assert!(!exchange.facts.request.contains("x-forged"));
}

#[test]
fn all_mistakes_of_all_sections_are_named_with_their_paths() {
    let config = r#"{"mode": "loud", "d": {"token": "x"}, "a": {"limit": 10, "odd": 1}, "b": {"reply": "yes"}}"#;
    assert_eq!(
        Host::<Marks>::load(config).err().unwrap().to_string(),
        "mode: \"loud\": expected one of enforce, report, off; \
         d: unknown field, expected one of a, b, c, scope, mode, trust_envoy_xff; \
         a.odd: unknown field, expected reply or limit; a.limit: 10: expected less than 10; \
         b.reply: \"yes\": expected a boolean"
    );
}

#[test]
fn the_phases_are_those_of_all_parts() {
    use launchgate_sdk::Module as _;
    assert_eq!(
        Marks::PHASES,
        Phases {
            request: true,
            response: true,
            end: true,
            ..Phases::NONE
        }
    );
    assert_eq!(
        (Marks::NAME, Marks::SECTIONS),
        ("marks", &["a", "b", "c"][..])
    );
}

#[test]
fn a_part_that_is_done_after_the_body_ends_nothing_for_the_others() {
    let mut host = Host::<Waiting>::load(r#"{"a": {}, "wait": {}}"#).unwrap();
    let mut exchange = Exchange::get("/");
    assert_eq!(host.request(&mut exchange), Verdict::AwaitBody(8));
    assert_eq!(host.body(&mut exchange, b"body"), Verdict::Continue);
    host.response(&mut exchange);
    host.end(&mut exchange);
    assert_eq!(seen(&exchange.facts.response), "a");
    assert_eq!(exchange.record("seen"), Some(b"a1".to_vec()));
    assert_eq!(exchange.record("waited"), None);
}
