//! The checklist on facts: a gateway with everything right is green; one planted fault is exactly one finding.

mod faults;
mod healthy;
mod planted;
mod real;

use serde_json::json;

use self::faults::{FAULTS, admin, plugin};
use super::{
    facts::Facts,
    html, junit,
    report::{Report, rules},
    rule::{Area, Severity},
};

fn findings(facts: &Facts) -> Vec<&'static str> {
    let report = Report::of(facts, &[]);
    report
        .lines
        .iter()
        .filter(|l| l.is_finding())
        .map(|l| l.rule.id)
        .collect()
}

#[test]
fn a_gateway_with_everything_right_is_green() {
    let report = Report::of(&healthy::facts(), &[]);
    assert!(report.is_green(), "{}", report.table());
    assert_eq!(
        report.summary(),
        "37 of 37 green, 0 errors, 0 warnings, 0 not checked"
    );
}

#[test]
fn each_planted_fault_is_the_right_finding_and_no_other() {
    for (name, plant, expected) in FAULTS {
        let mut facts = healthy::facts();
        plant(&mut facts);
        assert_eq!(findings(&facts), [*expected], "{name}");
    }
}

#[test]
fn every_rule_has_a_planted_fault() {
    for rule in rules() {
        let planted = FAULTS.iter().any(|(_, _, id)| *id == rule.id);
        assert!(planted, "{} has none", rule.id);
        assert!(rule.id.starts_with(rule.area.name()), "{}", rule.id);
    }
}

#[test]
fn a_rule_without_its_source_is_not_checked_and_never_green() {
    let mut facts = healthy::facts();
    (facts.admin, facts.index, facts.manifests, facts.signatures) = (None, None, None, None);
    (facts.prometheus, facts.alertmanager, facts.access_log) = (None, None, None);
    let report = Report::of(&facts, &[]);
    assert_eq!(
        report.summary(),
        "11 of 37 green, 0 errors, 0 warnings, 26 not checked"
    );
    assert!(!report.is_green());
    let line = |id| report.lines.iter().find(|l| l.rule.id == id).unwrap();
    assert_eq!(line("configuration.admin").evidence(), ["needs --admin"]);
    assert!(
        report
            .json()
            .contains("\"verdict\": \"not checked: needs --admin\"")
    );
    assert!(junit::render(&report).contains("<skipped message=\"not checked: needs --admin\"/>"));
    assert!(html::render(&report).contains("<span class=\"badge\">not checked</span>"));
    assert!(Report::of(&facts, &[Area::Tls]).lines.len() == 8);
}

#[test]
fn a_finding_says_what_how_bad_how_to_mend_and_where_to_read() {
    let mut facts = healthy::facts();
    admin(&mut facts).address = Some("0.0.0.0:9901".into());
    let json: serde_json::Value = serde_json::from_str(&Report::of(&facts, &[]).json()).unwrap();
    assert_eq!(json["green"], false);
    assert_eq!(
        json["findings"],
        json!([{
            "id": "configuration.admin", "check": "configuration", "severity": "error",
            "title": "The admin interface is not reachable from outside",
            "evidence": "it listens on 0.0.0.0:9901",
            "mend": "Bind it to 127.0.0.1 or a socket file, and give it `allow_paths`.",
            "link": "docs/how-to/envoy.md",
        }])
    );
}

#[test]
fn no_form_of_the_report_says_a_secret_or_breaks_its_markup() {
    let mut facts = healthy::facts();
    let secret = "https://0123456789abcdef0123456789abcdef@sentry.example.org/1";
    plugin(&mut facts).config["errors"]["dsn"] = json!(secret);
    plugin(&mut facts).config["errors"]["token"] = json!("swordfish-swordfish");
    facts.gateway.plain.as_mut().unwrap().headers = vec![(
        "location".into(),
        "https://<script>alert(1)</script>/".into(),
    )];
    let report = Report::of(&facts, &[]);
    for text in [
        report.table(),
        report.json(),
        junit::render(&report),
        html::render(&report),
    ] {
        assert!(
            !text.contains("0123456789abcdef") && !text.contains("swordfish"),
            "{text}"
        );
    }
    assert!(!html::render(&report).contains("<script>"));
    assert_eq!(report.count(Severity::Error), 2);
}

#[test]
fn every_link_leads_to_a_file_of_the_repository() {
    let root = launchgate_harness::envoy::workspace();
    for rule in rules() {
        assert!(root.join(rule.link).is_file(), "{}: {}", rule.id, rule.link);
    }
}
