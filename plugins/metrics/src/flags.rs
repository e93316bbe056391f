//! The label `flags`: Envoy's response flags as one text.

use launchgate_sdk::response_flags::{DC, DR, NAMES, names};

/// Whether the client left before the response was whole: the connection ended, or the client reset the stream.
pub(crate) fn client_left(flags: u64) -> bool {
    flags & (DC | DR) != 0
}

/// Short names joined by `.`, `-` where there are none; bits without a name are `_OTHER`, once.
pub(crate) fn text(flags: u64) -> String {
    let unknown = flags >> NAMES.len() != 0;
    let names: Vec<&str> = names(flags).chain(unknown.then_some("_OTHER")).collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(".")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn flags_have_the_names_of_envoys_access_log() {
        for (flags, text, left) in [
            (0, "-", false),
            (1 << 14, "DC", true),
            (1 << 28, "DR", true),
            (1 << 5 | 1 << 15, "UF.URX", false),
            (1 << 63, "_OTHER", false),
            (1 << 2 | 1 << 40, "UT._OTHER", false),
        ] {
            assert_eq!(
                (super::text(flags).as_str(), super::client_left(flags)),
                (text, left),
                "{flags:x}"
            );
        }
    }
}
