//! A report as one page that needs nothing else: to be read on a phone, printed, and signed off.

use std::fmt::Write as _;

use super::{
    report::{Line, Report},
    rule::{Area, Severity},
};
use crate::report::xml as escape;

const STYLE: &str = include_str!("page.css");

pub(super) fn render(report: &Report) -> String {
    let time = humantime::format_rfc3339_seconds(report.time);
    let (verdict, class) = match report.is_green() {
        true => ("Ready to launch", "green"),
        false if report.count(Severity::Error) > 0 => ("Not ready", "error"),
        false => ("Not all green", "warning"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Preflight: {url}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"kicker\">Launchgate preflight</p>\n<h1>{url}</h1>\n\
         <p class=\"verdict {class}\">{verdict}</p>\n<p>{summary}<br><time datetime=\"{time}\">{time}</time></p>\n{findings}</header>\n",
        url = escape(&report.url),
        summary = report.summary(),
        findings = findings(report),
    );
    for (area, lines) in report.areas() {
        let green = lines.iter().filter(|l| l.verdict() == "green").count();
        let _ = writeln!(
            page,
            "<section>\n<h2>{} <small>{green} of {} green</small></h2>\n<ul>",
            heading(area),
            lines.len()
        );
        lines.iter().for_each(|l| line(&mut page, l));
        page.push_str("</ul>\n</section>\n");
    }
    page.push_str(
        "<footer>\n<h2>Sign-off</h2>\n<div class=\"sign\"><p>Name</p><p>Role</p><p>Date</p></div>\n</footer>\n</main>\n</body>\n</html>\n",
    );
    page
}

/// What is to be mended, at the top, leading to where it is told.
fn findings(report: &Report) -> String {
    let found = report.lines.iter().filter(|l| l.is_finding());
    let items: String = found
        .map(|l| {
            let (class, id) = (l.verdict(), l.rule.id);
            let title = escape(l.rule.title);
            format!(
                "<li class=\"{class}\"><span class=\"badge\">{class}</span> <a href=\"#{id}\">{title}</a></li>\n"
            )
        })
        .collect();
    match items.is_empty() {
        true => items,
        false => format!("<ul class=\"findings\">\n{items}</ul>\n"),
    }
}

fn heading(area: Area) -> &'static str {
    match area {
        Area::Build => "Build",
        Area::Configuration => "Configuration",
        Area::Tls => "TLS",
        Area::Health => "Health",
        Area::Observability => "Observability",
        Area::Release => "Release",
    }
}

fn line(page: &mut String, line: &Line) {
    let verdict = line.verdict();
    let class = verdict.replace(' ', "-");
    let _ = writeln!(
        page,
        "<li class=\"{class}\" id=\"{}\">\n<div class=\"head\"><span class=\"badge\">{verdict}</span> <strong>{}</strong> <code>{}</code></div>",
        line.rule.id,
        escape(line.rule.title),
        line.rule.id
    );
    for evidence in line.evidence() {
        let _ = writeln!(page, "<p class=\"evidence\">{}</p>", escape(evidence));
    }
    if line.is_finding() {
        let _ = writeln!(
            page,
            "<p class=\"mend\"><b>Mend:</b> {} <span class=\"link\">{}</span></p>",
            code(&escape(line.rule.mend)),
            line.rule.link
        );
    }
    page.push_str("</li>\n");
}

/// `backticks` become code.
fn code(text: &str) -> String {
    let mut parts = text.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (at, part) in parts.enumerate() {
        html.push_str(if at % 2 == 0 { "<code>" } else { "</code>" });
        html.push_str(part);
    }
    html
}
