//! A response with a user's cookie is kept by no shared cache.

/// What `cache-control` must become so that no shared cache keeps a response with a user's cookie; `None` where it
/// already says so (RFC 9111 section 5.2.2).
pub(crate) fn private<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let joined = values.collect::<Vec<_>>().join(&b","[..]);
    let directives: Vec<&[u8]> = joined
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty())
        .collect();
    let is = |directive: &[u8], name: &str| directive.eq_ignore_ascii_case(name.as_bytes());
    if directives
        .iter()
        .any(|directive| is(directive, "private") || is(directive, "no-store"))
    {
        return None;
    }
    let shared = |directive: &[u8]| {
        is(directive, "public")
            || directive
                .get(..9)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"s-maxage="))
    };
    let mut kept: Vec<&[u8]> = vec![b"private"];
    kept.extend(
        directives
            .into_iter()
            .filter(|directive| !shared(directive)),
    );
    Some(kept.join(&b", "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_control_becomes_private_and_keeps_the_rest() {
        for (before, after) in [
            (&[][..], Some("private")),
            (&["public, max-age=60"], Some("private, max-age=60")),
            (
                &["max-age=60", "S-MAXAGE=5, must-revalidate"],
                Some("private, max-age=60, must-revalidate"),
            ),
            (&["Private"], None),
            (&["no-store"], None),
            (&["no-cache=\"x\""], Some("private, no-cache=\"x\"")),
        ] {
            let made = private(before.iter().map(|value| value.as_bytes()));
            assert_eq!(made.as_deref(), after.map(str::as_bytes), "{before:?}");
        }
    }
}
