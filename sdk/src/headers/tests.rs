use super::*;
use wasm_bindgen_test::wasm_bindgen_test;

fn sample() -> Headers {
    Headers::decode(encode(&[
        (":path", &b"/a"[..]),
        ("X-Tag", b"1"),
        ("x-tag", b"\xff\xfe"),
        ("empty", b""),
    ]))
}

#[wasm_bindgen_test(unsupported = test)]
fn all_values_of_a_name_are_there_as_bytes() {
    let headers = sample();
    assert_eq!(
        headers.all("x-tag").collect::<Vec<_>>(),
        [&b"1"[..], b"\xff\xfe"]
    );
    assert_eq!(
        (
            headers.first("x-tag"),
            headers.only("x-tag"),
            headers.only(":path")
        ),
        (Some(&b"1"[..]), None, Some(&b"/a"[..]))
    );
    assert_eq!(
        (headers.first("empty"), headers.first("none")),
        (Some(&b""[..]), None)
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn only_the_difference_is_written_back() {
    type Case = (&'static str, fn(&mut Headers), Vec<Edit>);
    let cases: [Case; 7] = [
        ("nothing changed", |_| {}, vec![]),
        (
            "set to what it was",
            |h| h.set(":path", "/a").unwrap(),
            vec![],
        ),
        (
            "set",
            |h| h.set(":path", "/b").unwrap(),
            vec![Edit::Set(":path".into(), b"/b".to_vec())],
        ),
        (
            "removed and set again",
            |h| {
                h.remove(":path");
                h.set(":path", "/a").unwrap()
            },
            vec![],
        ),
        (
            "removed",
            |h| h.remove("x-tag"),
            vec![Edit::Remove("x-tag".into())],
        ),
        ("removed though absent", |h| h.remove("none"), vec![]),
        (
            "added to two",
            |h| h.add("x-tag", "3").unwrap(),
            vec![Edit::Add("x-tag".into(), b"3".to_vec())],
        ),
    ];
    for (name, edit, expected) in cases {
        let mut headers = sample();
        edit(&mut headers);
        assert_eq!(headers.take_edits(), expected, "{name}");
        assert_eq!(headers.take_edits(), [], "{name}: twice");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_later_reader_sees_the_edit() {
    let mut headers = sample();
    headers.set("x-tag", "new").unwrap();
    assert_eq!(headers.all("X-TAG").collect::<Vec<_>>(), [b"new"]);
}

#[wasm_bindgen_test(unsupported = test)]
fn line_breaks_and_bad_names_are_refused_and_counted() {
    let mut headers = sample();
    for value in [&b"a\r\nset-cookie: x"[..], b"a\n", b"a\0"] {
        assert_eq!(headers.set("x", value), Err(InvalidHeader::Value));
    }
    for name in ["", ":", "a b", "a:b", "\u{e4}", "a\r"] {
        assert_eq!(headers.add(name, "v"), Err(InvalidHeader::Name), "{name:?}");
    }
    assert_eq!((headers.take_refused(), headers.take_edits()), (9, vec![]));
    assert_eq!(headers.set("x", b"\x01\x7f\xff"), Ok(()));
}

#[wasm_bindgen_test(unsupported = test)]
fn grpc_is_told_by_the_content_type() {
    for (value, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;x=1", true),
        ("application/grpc-web", false),
        ("application/json", false),
        ("", false),
    ] {
        assert_eq!(
            Headers::from_pairs([("content-type", value)]).is_grpc(),
            expected,
            "{value}"
        );
    }
}

#[cfg(not(target_family = "wasm"))]
proptest::proptest! {
    #[test]
    fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let headers = Headers::decode(bytes);
        proptest::prop_assert!(headers.iter().count() == headers.len());
    }

    #[test]
    fn what_is_encoded_is_decoded(pairs in proptest::collection::vec(("[a-z-]{1,9}", proptest::collection::vec(proptest::num::u8::ANY, 0..20)), 0..20)) {
        let headers = Headers::decode(encode(&pairs));
        let back: Vec<_> = headers.iter().map(|(n, v)| (String::from_utf8(n.to_vec()).unwrap(), v.to_vec())).collect();
        proptest::prop_assert_eq!(back, pairs);
    }
}
