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

fn edits(headers: &mut Headers) -> Vec<String> {
    let mut lines = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.write_edits(|edit| {
        lines.push(match edit {
            Edit::Set(name, value) => format!("set {} {}", text(name), text(value)),
            Edit::Add(name, value) => format!("add {} {}", text(name), text(value)),
            Edit::Remove(name) => format!("remove {}", text(name)),
        });
    });
    lines
}

#[wasm_bindgen_test(unsupported = test)]
fn only_the_difference_is_written_back() {
    type Case = (&'static str, fn(&mut Headers), &'static [&'static str]);
    let cases: [Case; 9] = [
        ("nothing changed", |_| {}, &[]),
        ("set to what it was", |h| h.set(":path", "/a").unwrap(), &[]),
        ("set", |h| h.set(":path", "/b").unwrap(), &["set :path /b"]),
        (
            "removed and set again",
            |h| {
                h.remove(":path");
                h.set(":path", "/a").unwrap()
            },
            &[],
        ),
        ("removed", |h| h.remove("x-tag"), &["remove X-Tag"]),
        ("removed though absent", |h| h.remove("none"), &[]),
        (
            "added to two",
            |h| h.add("x-tag", "3").unwrap(),
            &["add x-tag 3"],
        ),
        (
            "two names in turn, one of them twice",
            |h| {
                h.set("X-New", "1").unwrap();
                h.remove("x-tag");
                h.set("x-new", "2").unwrap();
                h.add("x-tag", "4").unwrap();
                h.add("x-tag", "5").unwrap();
            },
            &["set X-Tag 4", "add X-Tag 5", "set x-new 2"],
        ),
        (
            "set and removed again",
            |h| {
                h.set("x-new", "1").unwrap();
                h.remove("x-new");
            },
            &[],
        ),
    ];
    for (name, edit, expected) in cases {
        let mut headers = sample();
        edit(&mut headers);
        assert_eq!(edits(&mut headers), expected, "{name}");
        assert!(edits(&mut headers).is_empty(), "{name}: twice");
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
    assert_eq!(
        (headers.take_refused(), edits(&mut headers)),
        (9, Vec::new())
    );
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
