//! The line budget: what is too long is cut, and named.
//!
//! 1. The longest texts are cut first, all to the same width, so that one huge header does not cost the others.
//! 2. If that is not enough, fields are left out from the end, those of the configuration first, `method`, `path`,
//!    `status`, `duration_ms` and the user last.
//! 3. `truncated` names what was cut or left out, at most [`NAMED`] names and then `…`.

use crate::name::Name;
use crate::record::{Key, Record, Value};

/// How many names `truncated` holds.
const NAMED: usize = 6;
/// A text is not cut below this width.
const SHORTEST: usize = 16;
/// Room for `truncated` itself.
const ROOM: usize = 160;

const LAST: [Name; 6] = [
    Name::Method,
    Name::Path,
    Name::Status,
    Name::Duration,
    Name::UserId,
    Name::UserIdVerified,
];

/// The record as a line of at most `limit` bytes, and whether something was cut.
pub(crate) fn fit(
    record: &mut Record,
    limit: usize,
    render: impl Fn(&Record) -> String,
) -> (String, bool) {
    let mut line = render(record);
    if line.len() <= limit {
        return (line, false);
    }
    cut_texts(record, line.len() - limit + ROOM);
    line = render(record);
    while line.len() > limit && drop_field(record) {
        line = render(record);
    }
    (line, true)
}

fn cut_texts(record: &mut Record, excess: usize) {
    let widths: Vec<usize> = texts(record).map(|(_, text)| width(text)).collect();
    let saved = |cap: usize| {
        widths
            .iter()
            .map(|width| width.saturating_sub(cap))
            .sum::<usize>()
    };
    let longest = widths.iter().copied().max().unwrap_or(0);
    // The largest cap that saves enough, by bisection; at least the shortest.
    let (mut low, mut high) = (SHORTEST, longest.max(SHORTEST));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if saved(middle) >= excess {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let mut cut = Vec::new();
    for (name, text) in texts_mut(record) {
        if width(text) > low {
            *text = shorten(text, low);
            cut.push(name);
        }
    }
    cut.into_iter().for_each(|name| note(record, &name));
}

fn texts(record: &Record) -> impl Iterator<Item = (&str, &Vec<u8>)> {
    let fields = record.fields.iter().filter_map(|(key, value)| match value {
        Value::Text(text) => Some((key.flat(), text)),
        _ => None,
    });
    std::iter::once(("message", &record.message)).chain(fields)
}

fn texts_mut(record: &mut Record) -> impl Iterator<Item = (String, &mut Vec<u8>)> {
    let fields = record
        .fields
        .iter_mut()
        .filter_map(|(key, value)| match value {
            Value::Text(text) => Some((key.flat().to_owned(), text)),
            _ => None,
        });
    std::iter::once(("message".to_owned(), &mut record.message)).chain(fields)
}

fn drop_field(record: &mut Record) -> bool {
    let is_last = |key: &Key| matches!(key, Key::Known(name) if LAST.contains(name));
    let at = record
        .fields
        .iter()
        .rposition(|(key, _)| !is_last(key))
        .or_else(|| record.fields.len().checked_sub(1));
    let Some(at) = at else { return false };
    let (key, _) = record.fields.remove(at);
    note(record, key.flat());
    true
}

fn note(record: &mut Record, name: &str) {
    if record.truncated.iter().any(|known| known == name) {
        return;
    }
    match record.truncated.len() {
        0..NAMED => record.truncated.push(name.to_owned()),
        NAMED => record.truncated.push("…".to_owned()),
        _ => {}
    }
}

/// Bytes that a text takes in JSON, without quotes: never fewer than it really takes.
fn width(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| {
            chunk.valid().chars().map(letter_width).sum::<usize>()
                + if chunk.invalid().is_empty() { 0 } else { 3 }
        })
        .sum()
}

fn letter_width(letter: char) -> usize {
    match letter {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        '\u{a0}'..='\u{2027}' | '\u{202a}'.. => letter.len_utf8(),
        _ => 6,
    }
}

/// The beginning of a text that takes at most `limit` bytes in JSON.
fn shorten(text: &[u8], limit: usize) -> Vec<u8> {
    let whole = String::from_utf8_lossy(text);
    let mut used = 0;
    let fitting = whole.chars().take_while(|letter| {
        used += letter_width(*letter);
        used <= limit
    });
    fitting.collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;
    use crate::record::Severity;
    use crate::render::{self, Resource};
    use launchgate_sdk::Timestamp;
    use proptest::prelude::*;

    const FORMATS: [Format; 3] = [Format::Launchgate, Format::Ecs, Format::Otlp];

    fn record(fields: Vec<(Key, Value)>) -> Record {
        Record {
            time: Timestamp::from_seconds(1_795_348_800),
            observed: Timestamp::from_seconds(1_795_348_800),
            severity: Severity::Info,
            message: b"GET / 200".to_vec(),
            trace_id: None,
            span_id: None,
            sampled: None,
            fields,
            truncated: Vec::new(),
        }
    }

    fn text(name: Name, value: Vec<u8>) -> (Key, Value) {
        (Key::Known(name), Value::Text(value))
    }

    fn fitted(record: &mut Record, limit: usize, format: Format) -> (String, bool) {
        let resource = Resource {
            service: "s".repeat(128),
            ..Resource::default()
        };
        fit(record, limit, |record| {
            render::line(format, &resource, record)
        })
    }

    #[test]
    fn the_longest_texts_are_cut_and_named() {
        let mut record = record(vec![
            text(Name::Path, vec![b'p'; 3000]),
            text(Name::Query, vec![1; 3000]),
            text(Name::Host, b"example.org".to_vec()),
        ]);
        let (line, cut) = fitted(&mut record, 2048, Format::Launchgate);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(
            cut && line.len() <= 2048 && line.len() > 1700,
            "{}",
            line.len()
        );
        assert_eq!(read["truncated"], serde_json::json!(["path", "query"]));
        assert_eq!(read["host"], "example.org");
    }

    #[test]
    fn what_fits_is_not_touched() {
        let mut record = record(vec![text(Name::Path, vec![b'p'; 100])]);
        let (line, cut) = fitted(&mut record, 1024, Format::Launchgate);
        assert!(!cut && !line.contains("truncated"));
    }

    #[test]
    fn fields_of_the_configuration_go_first() {
        let custom = (0..64).map(|number| {
            (
                Key::Custom(format!("{}{number}", "f".repeat(60)).into()),
                Value::Integer(1),
            )
        });
        let mut record = record(
            [text(Name::Path, b"/a".to_vec())]
                .into_iter()
                .chain(custom)
                .collect(),
        );
        let (line, _) = fitted(&mut record, 1024, Format::Otlp);
        assert!(line.len() <= 1024 && line.contains("url.path"), "{line}");
        assert_eq!(record.truncated.len(), NAMED + 1);
    }

    proptest! {
        #[test]
        fn any_record_fits_the_smallest_budget_and_stays_json(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), Name::ALL.len()),
            limit in 1024_usize..4096,
            message in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            for format in FORMATS {
                let fields = Name::ALL.iter().zip(&texts).map(|(name, value)| text(*name, value.clone())).collect();
                let mut record = record(fields);
                record.message.clone_from(&message);
                let (line, _) = fitted(&mut record, limit, format);
                prop_assert!(line.len() <= limit, "{} > {}", line.len(), limit);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{}", line);
                let broken = line.contains('\n');
                prop_assert!(!broken);
            }
        }
    }
}
