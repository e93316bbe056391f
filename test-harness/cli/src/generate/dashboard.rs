//! A Grafana dashboard of the numbers that the configuration gives.

use launchgate_metrics::{Extra, Label, Settings};
use serde_json::{Value, json};

use super::burn::watched;
use super::names::Names;

/// A panel: title, unit, and queries with their legends.
struct Panel {
    title: String,
    unit: &'static str,
    queries: Vec<(String, String)>,
}

/// The dashboard.
pub(super) fn dashboard(settings: &Settings, names: &Names) -> Value {
    let panels = traffic(settings, names)
        .into_iter()
        .chain(latency(settings, names))
        .chain(sizes(settings, names))
        .chain(objectives(settings));
    let panels: Vec<Value> = panels
        .enumerate()
        .map(|(position, panel)| panel.render(position))
        .collect();
    json!({
        "title": format!("Launchgate metrics ({})", names.source.name()),
        "uid": format!("launchgate-metrics-{}", names.source.name()),
        "schemaVersion": 39,
        "tags": ["launchgate"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": variables(settings, names)},
        "panels": panels,
    })
}

fn variables(settings: &Settings, names: &Names) -> Vec<Value> {
    let datasource = json!({"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"});
    let label = |name: &&str| {
        json!({
            "name": name, "label": name, "type": "query", "multi": true, "includeAll": true, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}, "refresh": 2,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": format!("label_values({}, {name})", names.requests), "refId": "labels"},
        })
    };
    std::iter::once(datasource)
        .chain(settings.label_names().iter().map(label))
        .collect()
}

/// `{method=~"$method",…}`: every label can be chosen.
fn selector(settings: &Settings) -> String {
    let chosen: Vec<String> = settings
        .label_names()
        .iter()
        .map(|name| format!("{name}=~\"${name}\""))
        .collect();
    format!("{{{}}}", chosen.join(","))
}

fn traffic(settings: &Settings, names: &Names) -> Vec<Panel> {
    let selector = selector(settings);
    let mut panels: Vec<Panel> = settings
        .label_names()
        .into_iter()
        .map(|label| {
            let query = format!(
                "sum by ({label}) (rate({}{selector}[$__rate_interval]))",
                names.requests
            );
            Panel {
                title: format!("Requests by {label}"),
                unit: "reqps",
                queries: vec![(query, format!("{{{{{label}}}}}"))],
            }
        })
        .collect();
    if settings.has(Label::StatusClass) {
        let failed = format!(
            "sum (rate({}{{status_class=\"5xx\"}}[$__rate_interval]))",
            names.requests
        );
        let all = format!("sum (rate({}[$__rate_interval]))", names.requests);
        panels.push(Panel {
            title: "Share of 5xx".to_owned(),
            unit: "percentunit",
            queries: vec![(format!("{failed} / {all}"), "5xx".to_owned())],
        });
    }
    panels.push(Panel {
        title: "Requests in flight".to_owned(),
        unit: "short",
        queries: vec![(format!("sum ({})", names.in_flight), "in flight".to_owned())],
    });
    let dropped = format!("sum (rate({}[$__rate_interval]))", names.dropped);
    panels.push(Panel {
        title: "Requests in the overflow series".to_owned(),
        unit: "reqps",
        queries: vec![(dropped, "overflow".to_owned())],
    });
    panels
}

fn latency(settings: &Settings, names: &Names) -> Vec<Panel> {
    let mut panels = vec![quantiles(
        settings,
        "Duration of requests",
        names.duration,
        names.time_unit,
    )];
    if settings.extras.contains(&Extra::UpstreamDuration) {
        panels.push(quantiles(
            settings,
            "Duration at the upstream",
            names.upstream,
            names.time_unit,
        ));
    }
    panels.push(quantiles(
        settings,
        "Life of streams",
        names.stream,
        names.time_unit,
    ));
    panels
}

fn sizes(settings: &Settings, names: &Names) -> Vec<Panel> {
    let mut panels = Vec::new();
    for (extra, title, family) in [
        (Extra::RequestSize, "Size of requests", names.request_size),
        (
            Extra::ResponseSize,
            "Size of responses",
            names.response_size,
        ),
    ] {
        if settings.extras.contains(&extra) {
            panels.push(quantiles(settings, title, family, "bytes"));
        }
    }
    panels
}

fn quantiles(settings: &Settings, title: &str, family: &str, unit: &'static str) -> Panel {
    let selector = selector(settings);
    let quantile = |(quantile, name): (&str, &str)| {
        let query = format!(
            "histogram_quantile({quantile}, sum by (le) (rate({family}_bucket{selector}[$__rate_interval])))"
        );
        (query, name.to_owned())
    };
    Panel {
        title: title.to_owned(),
        unit,
        queries: [("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99")]
            .map(quantile)
            .to_vec(),
    }
}

fn objectives(settings: &Settings) -> Vec<Panel> {
    let panel = |watched: super::burn::Watched<'_>| {
        let budget = format!(
            "{}.{:06}",
            watched.budget / 1_000_000,
            watched.budget % 1_000_000
        );
        let burn = |window: &str| {
            (
                format!(
                    "launchgate:slo_errors:ratio_rate{window}{{{}}} / {budget}",
                    watched.selector()
                ),
                format!("{{{{route}}}} {window}"),
            )
        };
        Panel {
            title: format!("Burn rate of {}: {}", watched.slo.name, watched.words()),
            unit: "none",
            queries: vec![burn("1h"), burn("6h"), burn("3d")],
        }
    };
    watched(&settings.slo).into_iter().map(panel).collect()
}

impl Panel {
    fn render(self, position: usize) -> Value {
        let letter =
            |number: usize| char::from(b'A' + u8::try_from(number % 26).unwrap_or(0)).to_string();
        let targets: Vec<Value> = self.queries.iter().enumerate().map(|(number, (query, legend))| json!({"expr": query, "legendFormat": legend, "refId": letter(number)})).collect();
        json!({
            "id": position + 1,
            "type": "timeseries",
            "title": self.title,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"x": position % 2 * 12, "y": position / 2 * 8, "w": 12, "h": 8},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
            "targets": targets,
        })
    }
}
