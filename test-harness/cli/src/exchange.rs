//! `launchgate run`: one exchange through plugins, from the shell.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use launchgate_harness::emulator::{EmulatorHost, Modules};
use launchgate_harness::scenario::host::{Observed, ScenarioHost, Started, Stat};
use launchgate_harness::scenario::{ScenarioFile, text::show};
use serde_json::{Value, json};

/// Sends one request through a plugin on the emulator, and shows what came of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  launchgate run health --path /livez
  launchgate run tls --config '{\"redirect\":{\"enabled\":true}}' -H 'x-forwarded-for: 1.2.3.4' --path '/a?b=1'
  launchgate run ./mine.wasm --config @mine.json --upstream '{\"status\": 500, \"body\": \"boom\"}' --advance 10s")]
pub(crate) struct Args {
    /// A plugin's name, or a module.
    plugin: String,
    /// The plugin's configuration: JSON, or @file.
    #[arg(long, default_value = "")]
    config: String,
    /// A variable of the VM's environment (NAME=value).
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    /// Path.
    #[arg(long, default_value = "/")]
    path: String,
    /// Host.
    #[arg(long, default_value = "gateway.example.org")]
    authority: String,
    /// A request header (`name: value`).
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Request body.
    #[arg(long, short = 'd')]
    body: Option<String>,
    /// The client's address.
    #[arg(long, default_value = "192.0.2.10:40000")]
    source: String,
    /// The connection is TLS, with this server name.
    #[arg(long, value_name = "SERVER NAME")]
    tls: Option<String>,
    /// The upstream's answer, as in a scenario (JSON).
    #[arg(long, default_value = "{}")]
    upstream: String,
    /// Let virtual time pass afterwards (`10s`).
    #[arg(long)]
    advance: Option<String>,
    /// Folder with the plugins' modules.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Print every callback.
    #[arg(long)]
    trace: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = ScenarioFile::parse(
        &std::env::current_dir()?.join("run.yaml"),
        &scenario(args)?.to_string(),
    )?;
    let group = file.groups.first().context("no case")?;
    let case = group.cases.first().context("no case")?;
    let mut host =
        EmulatorHost::new(Modules::new(args.dist.clone()), 1, vec![0]).tracing(args.trace);
    let started = host.start(&group.setup)?;
    let mut all = host.observe()?;
    if started == Started::Refused {
        show_all(&all);
        anyhow::bail!("the plugin refused to start");
    }
    for step in &case.steps {
        host.act(step)?;
        let seen = host.observe()?;
        all.exchanges.extend(seen.exchanges);
        all.callouts.extend(seen.callouts);
        all.logs.extend(seen.logs);
        all.traps.extend(seen.traps);
        all.faults.extend(seen.faults);
        all.stats = seen.stats;
        all.shared_data = seen.shared_data;
    }
    for line in host.take_trace() {
        println!("{line}");
    }
    show_all(&all);
    Ok(if all.traps.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn scenario(args: &Args) -> anyhow::Result<Value> {
    let config = match args.config.strip_prefix('@') {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
        None => args.config.clone(),
    };
    let pairs = |texts: &[String], separator: char| -> anyhow::Result<Vec<(String, String)>> {
        let split = |text: &String| {
            let (name, value) = text
                .split_once(separator)
                .with_context(|| format!("`{text}`: expected a {separator:?}"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        texts.iter().map(split).collect()
    };
    let mut headers = serde_json::Map::new();
    for (name, value) in pairs(&args.header, ':')? {
        let values = headers.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(value));
        }
    }
    let env: serde_json::Map<String, Value> = pairs(&args.env, '=')?
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    let upstream: Value = serde_json::from_str(&args.upstream).context("--upstream")?;
    let mut request = json!({
        "method": args.method, "path": args.path, "authority": args.authority, "headers": headers,
        "source": args.source, "upstream": upstream,
    });
    if let Some(body) = &args.body {
        request["body"] = json!(body);
    }
    if let Some(name) = &args.tls {
        request["tls"] = json!({"sni": name});
    }
    let mut steps = vec![json!({"request": request})];
    if let Some(span) = &args.advance {
        steps.push(json!({"advance": span}));
    }
    let mut plugin = json!({"plugin": args.plugin, "env": env});
    if !config.is_empty() {
        plugin["config"] = json!(config);
    }
    Ok(json!({"plugins": [plugin], "workers": [1], "cases": [{"name": "run", "steps": steps}]}))
}

fn show_all(all: &Observed) {
    for exchange in &all.exchanges {
        match &exchange.response {
            Some(response) => {
                println!("< {} ({})", response.status, exchange.details);
                for (name, value) in &response.headers {
                    println!("< {}: {}", show(name), show(value));
                }
                if !response.body.is_empty() {
                    println!("\n{}\n", show(&response.body));
                }
            }
            None => println!("< no response ({})", exchange.details),
        }
        if let Some(reason) = &exchange.hung {
            println!("hangs: {reason}");
        }
        for request in &exchange.upstream {
            println!(
                "> {} {} to cluster {}",
                show(&request.method),
                show(&request.path),
                request.cluster
            );
            for (name, value) in &request.headers {
                println!("> {}: {}", show(name), show(value));
            }
        }
        for (key, value) in &exchange.filter_state {
            println!("filter state {key} = {}", show(value));
        }
    }
    for callout in &all.callouts {
        println!(
            "call-out {} {} to cluster {}: {}",
            show(&callout.method),
            show(&callout.path),
            callout.cluster,
            show(&callout.body)
        );
    }
    for line in &all.logs {
        println!("log {:?} {}: {}", line.level, line.plugin, line.message);
    }
    for (name, stat) in &all.stats {
        match stat {
            Stat::Counter(value) | Stat::Gauge(value) if *value > 0 => {
                println!("stat {name} = {value}")
            }
            Stat::Histogram { count, sum } if *count > 0 => {
                println!("stat {name} = {count} samples, sum {sum}")
            }
            _ => {}
        }
    }
    for (key, value) in &all.shared_data {
        println!("shared {} = {}", show(key), show(value));
    }
    for text in all.traps.iter().chain(&all.faults) {
        println!("wrong: {text}");
    }
}
