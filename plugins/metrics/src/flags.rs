//! Envoy's response flags: which bits mean that the client left, and their short names (Envoy's access log reference,
//! `%RESPONSE_FLAGS%`; bits as in `stream_info.h` of Envoy 1.36 to 1.40).

const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE", "UMSDR",
    "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];
/// `DC` (the connection ended) and `DR` (the stream was reset by the client).
const CLIENT_LEFT: u64 = 1 << 14 | 1 << 28;

/// Whether the client left before the response was whole.
pub(crate) fn client_left(flags: u64) -> bool {
    flags & CLIENT_LEFT != 0
}

/// Short names joined by `.`, `-` where there are none; a bit without a name is `_OTHER`, once.
pub(crate) fn text(flags: u64) -> String {
    let mut names: Vec<&str> = NAMES.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name).collect();
    if flags >> NAMES.len() != 0 {
        names.push("_OTHER");
    }
    if names.is_empty() { "-".to_owned() } else { names.join(".") }
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
            assert_eq!((super::text(flags).as_str(), super::client_left(flags)), (text, left), "{flags:x}");
        }
    }
}
