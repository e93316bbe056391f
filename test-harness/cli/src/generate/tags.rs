//! How Envoy and Istio tell labels from names, and which buckets they keep.
//!
//! 1. A stat name carries its labels as `k=.=v;.;`; one tag regex a label takes them out (Istio writes the same regex for each
//!    name in `extraStatTags`).
//! 2. Envoy matches buckets on the name before tags are taken out, that is with `wasmcustom.` in front; the first match wins.

use launchgate_metrics::Settings;
use launchgate_sdk::Family;
use serde_json::{Value, json};

/// `stats_config` of Envoy's bootstrap.
pub(super) fn stats_config(settings: &Settings) -> Value {
    let tag =
        |name: &String| json!({"tag_name": name, "regex": format!("({name}=\\.=(.*?);\\.;)")});
    let bounds = |(prefix, bounds): &(String, Vec<u64>)| json!({"match": {"prefix": prefix}, "buckets": bounds});
    json!({"stats_config": {
        "stats_tags": labels(settings).iter().map(tag).collect::<Vec<_>>(),
        "histogram_bucket_settings": buckets(settings).iter().map(bounds).collect::<Vec<_>>(),
    }})
}

/// Annotations of a gateway's pod in Istio.
pub(super) fn istio_annotations(settings: &Settings) -> Value {
    let bounds: serde_json::Map<String, Value> = buckets(settings)
        .into_iter()
        .map(|(prefix, bounds)| (prefix, json!(bounds)))
        .collect();
    json!({"metadata": {"annotations": {
        "sidecar.istio.io/extraStatTags": labels(settings).join(","),
        "sidecar.istio.io/statsHistogramBuckets": Value::Object(bounds).to_string(),
    }}})
}

/// The configured labels, and those of the plugin's other families.
pub(super) fn labels(settings: &Settings) -> Vec<String> {
    let mut labels: Vec<String> = settings
        .label_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let vocabulary = launchgate_metrics::families::REQUESTS.labels;
    let own = launchgate_metrics::describe().metrics;
    for label in own.iter().flat_map(|family: &Family| family.labels) {
        // The family of objectives has the label `route` in any case.
        let is_optional = vocabulary.contains(label) && *label != "route";
        if !is_optional && !labels.iter().any(|known| known == label) {
            labels.push((*label).to_owned());
        }
    }
    labels
}

fn buckets(settings: &Settings) -> Vec<(String, Vec<u64>)> {
    use launchgate_metrics::families::{DURATION, REQUEST_SIZE, RESPONSE_SIZE, STREAM, UPSTREAM};
    [
        (DURATION, &settings.buckets),
        (UPSTREAM, &settings.buckets),
        (STREAM, &settings.stream_buckets),
        (REQUEST_SIZE, &settings.size_buckets),
        (RESPONSE_SIZE, &settings.size_buckets),
    ]
    .map(|(family, bounds)| (format!("wasmcustom.{}", family.name), bounds.clone()))
    .to_vec()
}
