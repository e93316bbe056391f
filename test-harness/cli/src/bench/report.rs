//! `docs/benchmarks.md`: the numbers, the bars, and what was not measured.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::bars;
use super::calls::Prices;
use super::emulated::Emulated;
use super::growth::Table;
use super::load::{Latency, RATE};
use super::plot;
use super::startup::Startup;
use super::statistic::Spread;
use super::variant::Variant;

/// All that was measured.
pub(crate) struct Report<'a> {
    /// What was measured.
    pub(crate) variants: &'a [Variant],
    /// CPU per request, nanoseconds, in the order of the variants.
    pub(crate) cpu: &'a [Spread],
    /// Latency of the main variants.
    pub(crate) latency: &'a [Latency],
    /// How cost grows.
    pub(crate) growth: &'a [Table],
    /// Start-up and memory.
    pub(crate) startup: &'a Startup,
    /// Instructions and host calls.
    pub(crate) emulated: &'a [Emulated],
    /// What host calls cost.
    pub(crate) prices: &'a Prices,
    /// What could not be made.
    pub(crate) missing: &'a [String],
    /// Requests a run.
    pub(crate) requests: usize,
    /// Whether it was a first look.
    pub(crate) quick: bool,
}

impl Report<'_> {
    /// Writes text and plot into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let bars: Vec<plot::Bar> = self
            .variants
            .iter()
            .zip(self.cpu)
            .skip(1)
            .map(|(variant, cpu)| plot::Bar {
                name: variant.name.clone(),
                value: self.added(*cpu),
            })
            .collect();
        for (name, text) in [
            ("benchmarks.md", self.text()),
            ("benchmarks.svg", plot::svg(&bars)),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {path:?}"))?;
            eprintln!("wrote {}", path.display());
        }
        Ok(())
    }

    /// What a variant adds to no filter, microseconds.
    fn added(&self, cpu: Spread) -> Spread {
        let none = self.of("no filter").map_or(0.0, |none| none.median);
        let added = |value: f64| (value - none) / 1000.0;
        Spread {
            low: added(cpu.low),
            median: added(cpu.median),
            high: added(cpu.high),
        }
    }

    fn of(&self, name: &str) -> Option<Spread> {
        self.variants
            .iter()
            .position(|variant| variant.name == name)
            .and_then(|index| self.cpu.get(index).copied())
    }

    pub(super) fn added_by(&self, name: &str) -> Option<f64> {
        self.of(name).map(|cpu| self.added(cpu).median)
    }

    fn text(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        let _ = writeln!(
            text,
            "\nThis run: {}, {} requests a run and variant, one worker{}.\n",
            machine(),
            self.requests,
            if self.quick {
                "; a first look (`QUICK=1`), neither growth nor start-up"
            } else {
                ""
            }
        );
        text.push_str("## CPU per request\n\n![Added CPU per request](benchmarks.svg)\n\n");
        text.push_str("| variant | CPU, µs | quartiles | added, µs | to the empty filter |\n| --- | ---: | ---: | ---: | ---: |\n");
        let empty = self.added_by("empty filter").filter(|added| *added > 0.0);
        for (variant, cpu) in self.variants.iter().zip(self.cpu) {
            let added = self.added(*cpu).median;
            let ratio =
                empty.map_or_else(|| "–".to_owned(), |empty| format!("{:.2}", added / empty));
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} to {:.1} | {added:.1} | {ratio} |",
                variant.name,
                cpu.median / 1000.0,
                cpu.low / 1000.0,
                cpu.high / 1000.0
            );
        }
        bars::write(self, &mut text);
        self.counted(&mut text);
        self.priced(&mut text);
        self.latencies(&mut text);
        self.grown(&mut text);
        self.starts(&mut text);
        self.left_out(&mut text);
        text
    }

    fn counted(&self, text: &mut String) {
        text.push_str("\n## Instructions and host calls\n\nOf one exchange, counted by the emulator: the same on every machine. A host call that returns bytes is the dear one.\n\n");
        text.push_str("| variant | instructions | host calls | bytes copied |\n| --- | ---: | ---: | ---: |\n");
        for Emulated {
            name,
            instructions,
            host_calls,
            bytes,
            ..
        } in self.emulated
        {
            let _ = writeln!(text, "| {name} | {instructions} | {host_calls} | {bytes} |");
        }
    }

    /// Microseconds that a variant's host calls cost by the table; `None` where one is not in it.
    pub(super) fn price_of(&self, name: &str) -> Option<f64> {
        let emulated = self.emulated.iter().find(|own| own.name == name)?;
        emulated.calls.iter().try_fold(0.0, |sum, (call, count)| {
            Some(sum + self.prices.get(call)? * *count as f64)
        })
    }

    fn priced(&self, text: &mut String) {
        text.push_str("\n## Where the time goes\n\nThe price of one host call on this Envoy, measured with modules that do nothing else, and what of an exchange's added cost\nthat explains. The rest is the crossing itself (the empty filter) and the module's own work. A reply of the gateway's own has no\nprice here.\n\n");
        text.push_str(
            "| host call | µs | times in an exchange of `suite` |\n| --- | ---: | ---: |\n",
        );
        let suite = self.emulated.iter().find(|own| own.name == "suite");
        for (call, price) in self.prices {
            let times = suite.and_then(|suite| suite.calls.get(call)).unwrap_or(&0);
            let _ = writeln!(text, "| `{call}` | {price:.2} | {times} |");
        }
        text.push_str("\n| variant | added, µs | host calls, µs | empty filter, µs | own work, µs |\n| --- | ---: | ---: | ---: | ---: |\n");
        let empty = self.added_by("empty filter").unwrap_or_default();
        for Emulated { name, .. } in self.emulated {
            if let (Some(added), Some(calls)) = (self.added_by(name), self.price_of(name)) {
                let own = added - calls - empty;
                let _ = writeln!(
                    text,
                    "| {name} | {added:.1} | {calls:.1} | {empty:.1} | {own:.1} |"
                );
            }
        }
    }

    fn latencies(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Latency at {RATE} requests a second\n\nFrom the moment at which a request was due, µs.\n\n| variant | p50 | p90 | p99 |\n| --- | ---: | ---: | ---: |\n"
        );
        for Latency {
            name,
            p50,
            p90,
            p99,
        } in self.latency
        {
            let _ = writeln!(text, "| {name} | {p50:.0} | {p90:.0} | {p99:.0} |");
        }
    }

    fn grown(&self, text: &mut String) {
        if self.growth.is_empty() {
            return;
        }
        text.push_str("\n## How cost grows\n\nCPU per request, µs, median of three runs.\n");
        for Table { title, sizes, rows } in self.growth {
            let _ = write!(text, "\n| {title} |");
            for size in sizes {
                let _ = write!(text, " {size} |");
            }
            let _ = writeln!(text, "\n| --- |{}", " ---: |".repeat(sizes.len()));
            for (name, values) in rows {
                let _ = write!(text, "| {name} |");
                for value in values {
                    let _ = write!(text, " {value:.1} |");
                }
                text.push('\n');
            }
        }
    }

    fn starts(&self, text: &mut String) {
        if self.startup.starts.is_empty() {
            return;
        }
        text.push_str("\n## Start-up and memory\n\nAn Envoy with that filter alone. The worker's share is what a second worker adds.\n\n");
        text.push_str("| variant | ready after, s | resident, MB | a worker more, MB |\n| --- | ---: | ---: | ---: |\n");
        for start in &self.startup.starts {
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.1} |",
                start.name,
                start.time.as_secs_f64(),
                start.resident as f64 / 1024.0,
                start.worker as f64 / 1024.0
            );
        }
    }

    fn left_out(&self, text: &mut String) {
        let reasons: Vec<String> = self
            .missing
            .iter()
            .cloned()
            .chain(
                self.startup
                    .refused
                    .iter()
                    .map(|(name, reason)| format!("{name}: {reason}")),
            )
            .collect();
        if reasons.is_empty() {
            return;
        }
        text.push_str("\n## Not measured in this run\n\n");
        for reason in reasons {
            let _ = writeln!(text, "- {}", reason.lines().next().unwrap_or_default());
        }
    }
}

const INTRODUCTION: &str = "# What every filter costs

Written by `make bench`; do not edit. One Envoy, one listener a variant, each answering by itself. The variants take turns round by
round, each on eight connections at once; measured is the CPU time of the Envoy process (`schedstat`), so that neither the client nor
the rest of the machine counts.
Numbers are medians over the rounds on five Envoys, one after the other, with quartiles. Absolute numbers are of this machine; look at the ratios.

*Passing* is a request that a plugin has nothing to do with: out of its scope, for `health` no health path, for `errors` no error.
*Acting* is one that it does its work on. The Lua filters are in `bench/lua`; they do less than the plugins (no checks behind the health
reply, no metrics, five leaking headers instead of 87, no search for secrets) and what they do in the usual way. Their record has none of
the ten fields that the plugin's has from attributes (sizes, route, upstream, attempts, client and the like): *suite, Lua's record* leaves
those out. Envoy's own filters are fixed answers and fixed headers.
";

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or("unknown CPU", str::trim);
    format!("{model}, {cpus} CPUs")
}
