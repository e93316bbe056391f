//! How cost grows: with headers, with body bytes, with route templates.

use std::path::Path;

use anyhow::Result;
use launchgate_harness::envoy::{Envoy, Launch, Plugin, Reply, Request, Upstream, built_module};
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::load::measured;
use super::statistic::Spread;
use super::variant::{self, Filter, Variant};

const ROUNDS: usize = 3;
const HEADERS: [usize; 3] = [10, 50, 100];
const BODIES: [usize; 4] = [0, 100_000, 1_000_000, 10_000_000];
const TEMPLATES: [usize; 4] = [10, 100, 1000, 10_000];

/// Microseconds of CPU per request by size, one line a variant.
pub(crate) struct Table {
    /// What grows.
    pub(crate) title: &'static str,
    /// The sizes.
    pub(crate) sizes: Vec<usize>,
    /// Name of the variant and its values.
    pub(crate) rows: Vec<(String, Vec<f64>)>,
}

/// All tables.
pub(crate) fn measure(empty: &Path, requests: usize) -> Result<Vec<Table>> {
    let mut plugins = vec![
        ("no filter".to_owned(), None),
        ("empty filter".to_owned(), Some(Plugin::new("empty", empty))),
    ];
    for name in ["tls", "access-log", "suite"] {
        if let (Ok(module), Ok(config)) = (built_module(name), config(name)) {
            plugins.push((
                name.to_owned(),
                Some(Plugin::new(name, module).config(&config)),
            ));
        }
    }
    let plugins: Vec<_> = plugins
        .into_iter()
        .filter(|(name, plugin)| starts(name, plugin.as_ref()))
        .collect();
    let mut tables = vec![
        headers(&plugins, requests)?,
        bodies(&plugins, requests / 5 + 1)?,
    ];
    tables.extend(templates(requests).transpose()?);
    Ok(tables)
}

fn config(name: &str) -> Result<Value> {
    if name == "suite" {
        variant::sections()
    } else {
        variant::config(name)
    }
}

fn starts(name: &str, plugin: Option<&Plugin>) -> bool {
    let variant = [of(name, plugin.cloned())];
    let Ok(bootstrap) = Gateway::new(&variant).bootstrap() else {
        return false;
    };
    Launch::new(bootstrap)
        .validate()
        .is_ok_and(|validation| validation.accepted)
}

fn of(name: &str, plugin: Option<Plugin>) -> Variant {
    Variant {
        name: name.to_owned(),
        filters: plugin.into_iter().map(Filter::Wasm).collect(),
        access_log: None,
        path: variant::ORDINARY,
        headers: variant::usual_headers(),
    }
}

/// Headers that a request has before any is added (host, pseudo headers): Envoy takes 100 in all.
const OWN_HEADERS: usize = 8;

fn headers(plugins: &[(String, Option<Plugin>)], requests: usize) -> Result<Table> {
    let variants: Vec<Variant> = plugins
        .iter()
        .map(|(name, plugin)| of(name, plugin.clone()))
        .collect();
    let envoy = Launch::new(Gateway::new(&variants).bootstrap()?)
        .concurrency(1)
        .log_level("error")
        .start()?;
    let request = |count: usize| {
        (OWN_HEADERS..count).fold(
            Request::get("/users/42").host("shop.example.org"),
            |request, number| {
                request.header(format!("x-header-{number}"), "some value of usual length")
            },
        )
    };
    table("request headers", &HEADERS, plugins, |name, count| {
        cost(&envoy, name, &request(count), requests)
    })
}

fn bodies(plugins: &[(String, Option<Plugin>)], requests: usize) -> Result<Table> {
    let app = Upstream::always(Reply::status(200))?;
    app.script(|received| {
        let size = received.path.trim_start_matches('/').parse().unwrap_or(0);
        Reply::status(200).body(vec![b'x'; size]).into()
    });
    let mut bootstrap = launchgate_harness::envoy::Bootstrap::empty();
    for (name, plugin) in plugins {
        bootstrap = bootstrap.listener(name, plugin.as_slice());
    }
    let envoy = Launch::new(bootstrap.upstream("app", &app))
        .concurrency(1)
        .log_level("error")
        .start()?;
    table(
        "bytes of a response body, streamed",
        &BODIES,
        plugins,
        |name, size| {
            app.forget();
            cost(
                &envoy,
                name,
                &Request::get(format!("/{size}")).host("shop.example.org"),
                requests,
            )
        },
    )
}

/// Route templates of `metrics`: the request matches the last one. `None` where the module is not built.
fn templates(requests: usize) -> Option<Result<Table>> {
    let module = built_module("metrics").ok()?;
    let plugin = |count: usize| {
        let routes: Vec<String> = (0..count)
            .map(|number| format!("/service-{number}/{{id}}/items"))
            .collect();
        Plugin::new("metrics", &module).config(&json!({"routes": routes}))
    };
    let variants: Vec<Variant> = TEMPLATES
        .iter()
        .map(|count| of(&count.to_string(), Some(plugin(*count))))
        .collect();
    if !TEMPLATES
        .iter()
        .all(|count| starts("metrics", Some(&plugin(*count))))
    {
        return None;
    }
    let measure = || {
        let envoy = Launch::new(Gateway::new(&variants).bootstrap()?)
            .concurrency(1)
            .log_level("error")
            .start()?;
        let rows = [("metrics".to_owned(), None)];
        table("route templates", &TEMPLATES, &rows, |_, count| {
            let request =
                Request::get(format!("/service-{}/42/items", count - 1)).host("shop.example.org");
            cost(&envoy, &count.to_string(), &request, requests)
        })
    };
    Some(measure())
}

fn table(
    title: &'static str,
    sizes: &[usize],
    plugins: &[(String, Option<Plugin>)],
    cost: impl Fn(&str, usize) -> Result<f64>,
) -> Result<Table> {
    let mut rows = Vec::new();
    for (name, _) in plugins {
        let values: Result<Vec<f64>> = sizes.iter().map(|size| cost(name, *size)).collect();
        rows.push((name.clone(), values?));
    }
    Ok(Table {
        title,
        sizes: sizes.to_vec(),
        rows,
    })
}

fn cost(envoy: &Envoy, listener: &str, request: &Request, requests: usize) -> Result<f64> {
    let runs: Result<Vec<f64>> = (0..ROUNDS)
        .map(|_| measured(envoy, listener, request, requests))
        .collect();
    Ok(Spread::of(runs?).median / 1000.0)
}
