use crate::config::Decode;
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::secret::Secret;

#[derive(Debug, Default, Decode)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    service: String,
    items: Vec<Item>,
    share: Percent,
    token: Secret,
}

#[derive(Debug, Default, Decode)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their reading is tested")]
struct Item {
    name: String,
    #[serde(default)]
    interval: Period,
    #[serde(default)]
    count: u32,
}

fn environment() -> Environment {
    [
        ("NAME", "value"),
        ("TOKEN", "hunter2"),
        ("EMPTY", ""),
        ("EVIL", "\", \"service\": \"x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn errors(text: &str) -> String {
    let parsed = match Parsed::read(text.as_bytes(), &environment()) {
        Ok(parsed) => parsed,
        Err(errors) => return errors.to_string(),
    };
    let (_, mut errors) = parsed.common();
    errors.extend(parsed.own::<Raw>().1);
    errors.resolve(&parsed).to_string()
}

#[wasm_bindgen_test(unsupported = test)]
fn all_mistakes_are_found_at_once_with_path_and_value() {
    let text = json!({
        "service": 5, "tokn": "hunter2", "mode": "on", "share": 100.5, "token": 17,
        "items": [{"name": "a", "interval": "5 s"}, {"interval": "1s"}, {"name": "c", "count": -1, "x": {}}, {"name": "d", "interval": 3}],
    });
    assert_eq!(
        errors(&text.to_string()),
        "mode: \"on\": expected one of enforce, report, off".to_owned()
            + "; items[0].interval: \"5 s\": expected a duration such as \"250ms\", \"15m\" or \"1h30m\""
            + "; items[1].name: is required"
            + "; items[2].count: -1: expected a whole number from 0 to 4294967295"
            + "; items[2].x: unknown field, expected one of name, interval, count"
            + "; items[3].interval: 3: expected a duration such as \"250ms\", \"15m\" or \"1h30m\""
            + "; service: 5: expected a string"
            + "; share: 100.5: expected a percent number from 0 to 100 with at most 4 decimals"
            + "; token: [redacted]: expected a string"
            + "; tokn: unknown field, expected one of service, items, share, token"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn variables_are_resolved_in_strings_only_and_inject_nothing() {
    for (written, resolved) in [
        ("${NAME}", "value"),
        ("a${NAME}b${NAME}", "avaluebvalue"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-}", ""),
        ("$${NAME}", "${NAME}"),
        ("$NAME $", "$NAME $"),
        ("${EVIL}", "\", \"service\": \"x"),
    ] {
        let parsed = Parsed::read(
            json!({"service": written}).to_string().as_bytes(),
            &environment(),
        )
        .unwrap();
        assert_eq!(
            parsed.own::<Raw>().0.unwrap().service,
            resolved,
            "{written}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_missing_variable_is_named_and_no_secret_is_shown() {
    assert_eq!(
        errors(r#"{"service": "${NONE}", "token": "${GONE}"}"#),
        "service: \"${NONE}\": expected the variable NONE in the environment of the VM, where it is missing; \
         token: \"${GONE}\": expected the variable GONE in the environment of the VM, where it is missing"
    );
    assert_eq!(
        errors(r#"{"items": [{"name": "x", "interval": "${TOKEN}"}]}"#),
        "items[0].interval: \"${TOKEN}\": expected a duration such as \"250ms\", \"15m\" or \"1h30m\""
    );
    for bad in ["${", "${}", "${1A}", "${a b}"] {
        assert!(
            errors(&json!({"service": bad}).to_string()).contains("expected a"),
            "{bad}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn an_absent_config_is_an_empty_one_and_whole_doubles_are_integers() {
    for text in ["", "  \n", "null", "{}"] {
        assert_eq!(errors(text), "", "{text:?}");
    }
    assert_eq!(errors(r#"{"items": [{"name": "x", "count": 5.0}]}"#), "");
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_no_object_is_refused() {
    assert_eq!(errors("[]"), "expected a JSON object");
    assert_eq!(
        errors(r#"{"a": 1, "a": 2}"#),
        "expected valid JSON: duplicate key \"a\" at line 1 column 12"
    );
    assert!(errors("{").starts_with("expected valid JSON: EOF"));
    assert!(errors("\u{1}").starts_with("expected valid JSON: expected value"));
}

#[wasm_bindgen_test(unsupported = test)]
fn durations_and_shares_are_exact() {
    for (text, nanos) in [
        ("250ms", 250_000_000),
        ("2.5s", 2_500_000_000),
        ("1h30m", 5_400_000_000_000),
        ("30d", 2_592_000_000_000_000),
        ("0s", 0),
        ("7us", 7_000),
    ] {
        assert_eq!(
            Period::parse(text).map(|p| p.0.as_nanos()),
            Some(nanos),
            "{text}"
        );
    }
    for text in [
        "",
        "5",
        "s",
        "-1s",
        "1.s",
        ".5s",
        "1 s",
        "1w",
        "1S",
        "99999999999999999999s",
        "1e3s",
        "5s ",
    ] {
        assert_eq!(Period::parse(text), None, "{text}");
    }
    for (period, text) in [
        (Period::millis(1500), "1500ms"),
        (Period::seconds(3600), "1h"),
        (Period::seconds(0), "0s"),
    ] {
        assert_eq!(period.to_string(), text);
    }
    let percent: Percent = read("0.0001").unwrap();
    assert_eq!(
        (percent.millionths(), percent.to_string()),
        (1, "0.0001".to_owned())
    );
    assert!(read::<Percent>("0.00001").is_err());
}

#[cfg(not(target_family = "wasm"))]
proptest::proptest! {
    #[test]
    fn no_bytes_stop_the_parser(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Parsed::read(&bytes, &Environment::new());
    }
}
