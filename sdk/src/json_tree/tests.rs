use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn refused(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().to_string()
}

#[wasm_bindgen_test(unsupported = test)]
fn whole_numbers_are_integers_however_they_are_written() {
    for (text, number) in [
        ("5.0", 5),
        ("5e0", 5),
        ("0.5e1", 5),
        ("-1200E-2", -12),
        ("-0", 0),
        ("1e3", 1000),
    ] {
        assert_eq!(read(text.as_bytes()), Ok(number.into()), "{text}");
    }
    assert_eq!(read(b"18446744073709551615"), Ok(u64::MAX.into()));
    assert_eq!(read(b"-9223372036854775808"), Ok(i64::MIN.into()));
    for (text, number) in [
        ("0.1", 0.1),
        ("-2.5e-3", -0.0025),
        ("1.5e22", 1.5e22),
        ("99.9", 99.9),
        ("18446744073709551616", 18_446_744_073_709_551_616.0),
    ] {
        assert_eq!(read(text.as_bytes()), Ok(number.into()), "{text}");
    }
    let far = number("1e300").unwrap();
    assert!((far / 1e300 - 1.0).abs() < 1e-15, "{far:e}");
    assert_eq!(read(b"1e-4999"), Ok(0.into()));
}

#[wasm_bindgen_test(unsupported = test)]
fn escapes_are_resolved() {
    let text = r#""a\"\\\/\b\f\n\r\té\u20ac\ud83d\ude00""#;
    assert_eq!(
        read(text.as_bytes()),
        Ok("a\"\\/\u{8}\u{c}\n\r\té€😀".into())
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_no_json_is_refused_with_its_place() {
    for (text, message) in [
        (
            "{\"a\": 1,\n \"a\": 2}",
            "duplicate key \"a\" at line 2 column 4",
        ),
        ("", "EOF while reading a value at line 1 column 0"),
        ("{", "EOF where a key was expected at line 1 column 1"),
        ("[1 2]", "expected \",\" or \"]\" at line 1 column 3"),
        ("[1,]", "expected value at line 1 column 3"),
        ("{\"a\" 1}", "expected \":\" at line 1 column 5"),
        ("01", "expected no leading zero at line 1 column 2"),
        ("1.", "EOF where a digit was expected at line 1 column 2"),
        ("1e999", "expected a smaller number at line 1 column 5"),
        (
            "\"\\ud800\"",
            "expected no lone surrogate at line 1 column 7",
        ),
        (
            "\"\\ud800\\u0041\"",
            "expected no lone surrogate at line 1 column 13",
        ),
        (
            "\"a\nb\"",
            "expected no control character in a string at line 1 column 2",
        ),
        ("truth", "expected true at line 1 column 0"),
        ("1 x", "expected the end at line 1 column 2"),
    ] {
        assert_eq!(refused(text), message, "{text:?}");
    }
    assert_eq!(
        read(b"\"\xff\"").unwrap_err().to_string(),
        "expected UTF-8 at line 1 column 3"
    );
    assert!(
        read("[".repeat(128).as_bytes())
            .unwrap_err()
            .to_string()
            .starts_with("EOF")
    );
    assert!(refused(&"[".repeat(129)).starts_with("expected at most 128 levels"));
}

#[cfg(not(target_family = "wasm"))]
mod random {
    use super::super::read;
    use proptest::prelude::*;
    use serde_json::Value;

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1_000_000_i64..1_000_000, 1_u32..6).prop_map(|(digits, places)| format!(
                "{digits}e-{places}"
            )
            .parse::<f64>()
            .map_or(Value::Null, whole_or_not)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn whole_or_not(number: f64) -> Value {
        if number.fract() == 0.0 {
            (number as i64).into()
        } else {
            number.into()
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_writes_and_the_other_way_round(tree in tree()) {
            let pretty = serde_json::to_string_pretty(&tree).unwrap();
            let ours = read(pretty.as_bytes()).unwrap();
            prop_assert_eq!(&read(tree.to_string().as_bytes()).unwrap(), &ours);
            let written = ours.to_string();
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), tree);
            prop_assert_eq!(read(written.as_bytes()).unwrap(), ours);
        }

        #[test]
        fn it_refuses_what_serde_json_refuses(text in "[\\[\\]{}:,\" \\\\u0-9a-fA-F.eE+\\-tn]{0,12}") {
            let theirs = serde_json::from_str::<Value>(&text);
            // Two things are ours: duplicate keys are refused, and a number out of range is.
            match read(text.as_bytes()) {
                Ok(_) => prop_assert!(theirs.is_ok(), "{:?}", text),
                Err(error) => prop_assert!(theirs.is_err() || error.to_string().starts_with("duplicate key"), "{:?}: {}", text, error),
            }
        }

        #[test]
        fn no_bytes_stop_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
