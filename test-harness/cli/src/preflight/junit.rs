//! A report as JUnit XML: a suite a check, a case a rule; what was not checked is `skipped`, which CI shows apart from passed.

use std::fmt::Write as _;

use super::report::Report;
use crate::report::xml;

pub(super) fn render(report: &Report) -> String {
    let failures = report.lines.iter().filter(|l| l.is_finding()).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"preflight {}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{}\">\n",
        xml(&report.url),
        report.lines.len(),
        report.not_checked()
    );
    for (area, lines) in report.areas() {
        let failures = lines.iter().filter(|l| l.is_finding()).count();
        let skipped = lines.iter().filter(|l| l.outcome.is_err()).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            area.name(),
            lines.len()
        );
        for line in lines {
            let evidence = xml(&line.evidence().join("\n"));
            let case = format!(
                "    <testcase classname=\"{}\" name=\"{}: {}\"",
                area.name(),
                line.rule.id,
                xml(line.rule.title)
            );
            let _ = match line.verdict() {
                "green" => writeln!(text, "{case}/>"),
                "not checked" => writeln!(
                    text,
                    "{case}><skipped message=\"not checked: {evidence}\"/></testcase>"
                ),
                severity => writeln!(
                    text,
                    "{case}><failure type=\"{severity}\" message=\"{evidence}\">{}</failure></testcase>",
                    xml(line.rule.mend)
                ),
            };
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}
