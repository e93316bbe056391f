//! The plugins' stats as the admin interface tells them.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::envoy::admin::Admin;
use crate::scenario::host::Stat;

const PREFIX: &str = "wasmcustom.";

/// All stats of plugins, by name without Envoy's prefix.
pub(super) fn read(admin: &Admin) -> Result<BTreeMap<String, Stat>> {
    let mut stats = BTreeMap::new();
    for (kind, make) in [
        ("Counters", Stat::Counter as fn(u64) -> Stat),
        ("Gauges", Stat::Gauge),
    ] {
        for line in lines(admin, &format!("type={kind}"))? {
            if let Some((name, value)) = line.rsplit_once(": ") {
                stats.insert(name.to_owned(), make(value.trim().parse()?));
            }
        }
    }
    for line in lines(admin, "type=Histograms&histogram_buckets=cumulative")? {
        if let Some((name, buckets)) = line.rsplit_once(": ") {
            stats.insert(
                name.to_owned(),
                Stat::Histogram {
                    count: count(buckets),
                    sum: 0,
                },
            );
        }
    }
    Ok(stats)
}

fn lines(admin: &Admin, query: &str) -> Result<Vec<String>> {
    let text = admin
        .get(&format!("/stats?{query}&filter=%5Ewasmcustom%5C."))?
        .text();
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix(PREFIX))
        .map(str::to_owned)
        .collect())
}

/// The samples of a histogram since the start: the second number of the last bucket, as in `B5(0,2) B10(1,3)`.
fn count(buckets: &str) -> u64 {
    let last = buckets.rsplit(',').next().unwrap_or_default();
    last.trim_end().trim_end_matches(')').parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_counted_by_its_last_bucket() {
        assert_eq!(count("B0.5(0,0) B1(0,2) B3.6e+06(1,7)"), 7);
        assert_eq!(count("No recorded values"), 0);
    }
}
