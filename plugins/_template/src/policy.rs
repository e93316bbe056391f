//! Decides whether a response gets the header.

use launchgate_sdk::{
    ConfigErrors, Counter, Family, Mode, Phases, Policy, ResponseView, Setup, StreamContext,
};

use crate::config::Config;

const ADDED: Family = Family::counter(
    "launchgate_template_added_total",
    &[],
    "Responses that got the header.",
);
const WOULD_ADD: Family = Family::counter(
    "launchgate_template_would_add_total",
    &[],
    "Responses that would get the header, in mode report.",
);

/// The policy.
pub struct Template {
    config: Config,
    mode: Mode,
    added: Counter,
    would_add: Counter,
}

impl Policy for Template {
    const NAME: &'static str = "template";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        response: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = &[ADDED, WOULD_ADD];
    type Config = Config;
    type Exchange = ();
    type Tag = ();

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        Ok(Self {
            config: config.check()?,
            mode: setup.mode(),
            added: setup.metrics.counter(&ADDED, &[]),
            would_add: setup.metrics.counter(&WOULD_ADD, &[]),
        })
    }

    fn on_response(&mut self, view: &mut ResponseView<'_>, _: &mut (), cx: &mut StreamContext<'_>) {
        if view.headers().contains(&self.config.header) {
            return;
        }
        if self.mode == Mode::Report {
            cx.fx.count(self.would_add);
        } else if view.set(&self.config.header, &self.config.value).is_ok() {
            cx.fx.count(self.added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::Member;
    use launchgate_sdk::fake::{Exchange, Host};
    use std::time::Duration;

    #[test]
    fn a_response_gets_the_header_once() {
        struct Case {
            name: &'static str,
            config: &'static str,
            upstream: Option<&'static str>,
            sent: Option<&'static str>,
            added: u64,
        }
        let cases = [
            Case {
                name: "added by default",
                config: "",
                upstream: None,
                sent: Some("template"),
                added: 1,
            },
            Case {
                name: "the upstream's stays",
                config: "",
                upstream: Some("own"),
                sent: Some("own"),
                added: 0,
            },
            Case {
                name: "report changes nothing",
                config: r#"{"mode": "report"}"#,
                upstream: None,
                sent: None,
                added: 0,
            },
            Case {
                name: "out of scope",
                config: r#"{"scope": {"hosts": ["*.example.net"]}}"#,
                upstream: None,
                sent: None,
                added: 0,
            },
        ];
        for case in cases {
            let mut host = Host::<Member<Template>>::load(case.config).unwrap();
            let mut response = vec![(":status", "200")];
            response.extend(case.upstream.map(|value| ("x-launchgate", value)));
            let mut exchange = Exchange::get("/").respond(&response);
            host.exchange(&mut exchange, Duration::from_millis(5));
            assert_eq!(
                exchange.facts.response.text("x-launchgate"),
                case.sent,
                "{}",
                case.name
            );
            assert_eq!(
                host.shared.number("launchgate_template_added_total"),
                case.added,
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn a_bad_header_is_refused_with_its_path() {
        for (config, message) in [
            (
                r#"{"header": "a b"}"#,
                r#"header: "a b": expected a header name"#,
            ),
            (
                r#"{"value": "a\r\nb"}"#,
                r#"value: "a\r\nb": expected no CR, LF or NUL"#,
            ),
            (
                r#"{"header": ":status"}"#,
                r#"header: ":status": expected no pseudo-header"#,
            ),
        ] {
            assert_eq!(
                Host::<Member<Template>>::load(config)
                    .err()
                    .unwrap()
                    .to_string(),
                message
            );
        }
    }
}
