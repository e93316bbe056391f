//! Prometheus' text format, as far as reading Envoy's statistics takes.

use std::collections::BTreeMap;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All samples of a text; comments and lines that are none are left out.
pub(crate) fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)),
        None => (series, BTreeMap::new()),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

fn labels(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                '"' => {
                    end = at + 1;
                    break;
                }
                other => value.push(other),
            }
        }
        found.insert(name.trim_start_matches(',').to_owned(), value);
        rest = after.get(end..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_values_are_read() {
        let read =
            parse("# TYPE a counter\na{b=\"c,\\\"d\\\"\",e=\"\"} 2\nf 0.5\nno sample here\n");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].name, "a");
        assert_eq!(read[0].labels["b"], "c,\"d\"");
        assert_eq!(read[0].labels["e"], "");
        assert_eq!(read[0].value, 2.0);
        assert_eq!((read[1].name.as_str(), read[1].value), ("f", 0.5));
    }
}
