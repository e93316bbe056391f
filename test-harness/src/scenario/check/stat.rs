//! Stats: how much they have changed.

use crate::scenario::expect::MetricMatch;
use crate::scenario::host::{BlindSpots, Stat};

pub(super) fn amount(stat: Option<Stat>) -> u64 {
    match stat {
        Some(Stat::Counter(value) | Stat::Gauge(value)) => value,
        Some(Stat::Histogram { count, .. }) => count,
        None => 0,
    }
}

pub(super) fn broken(
    rule: &MetricMatch,
    was: Option<Stat>,
    now: Option<Stat>,
    blind: BlindSpots,
) -> Option<(String, String)> {
    let delta = amount(now).wrapping_sub(amount(was)).cast_signed();
    let detail = match rule {
        MetricMatch::Delta(expected) => {
            return (*expected != delta).then(|| (signed(*expected), signed(delta)));
        }
        MetricMatch::Detail(detail) => detail,
    };
    if let Some(value) = detail.value.filter(|value| *value != amount(now)) {
        return Some((format!("value {value}"), format!("value {}", amount(now))));
    }
    if detail.min.is_some_and(|min| delta < min) || detail.max.is_some_and(|max| delta > max) {
        let bound = |bound: Option<i64>| bound.map_or("…".to_owned(), |b| b.to_string());
        return Some((
            format!("change of {} to {}", bound(detail.min), bound(detail.max)),
            signed(delta),
        ));
    }
    let sum = |stat: Option<Stat>| match stat {
        Some(Stat::Histogram { sum, .. }) => sum,
        _ => 0,
    };
    let grown = sum(now).wrapping_sub(sum(was));
    let wrong = detail
        .sum
        .filter(|wanted| !blind.histogram_sums && *wanted != grown);
    wrong.map(|wanted| (format!("sum {wanted}"), format!("sum {grown}")))
}

pub(super) fn signed(number: i64) -> String {
    format!("{number:+}")
}
