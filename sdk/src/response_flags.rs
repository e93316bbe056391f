//! Envoy's response flags: why an exchange ended as it did.
//!
//! 1. `response.flags` is a bit set; the short names are those of Envoy's access log (`%RESPONSE_FLAGS%`).
//! 2. Source: Envoy 1.40, `envoy/stream_info/stream_info.h`; bits have only ever been appended.

/// Short names, the flag of the lowest bit first.
pub const NAMES: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

/// No healthy upstream.
pub const UH: u64 = 1 << 1;
/// Upstream request time-out.
pub const UT: u64 = 1 << 2;
/// Upstream remote reset.
pub const UR: u64 = 1 << 4;
/// Upstream connection failure.
pub const UF: u64 = 1 << 5;
/// Upstream connection termination.
pub const UC: u64 = 1 << 6;
/// Upstream overflow (circuit breaking).
pub const UO: u64 = 1 << 7;
/// Downstream connection termination: the client left.
pub const DC: u64 = 1 << 14;
/// Upstream retry limit exceeded.
pub const URX: u64 = 1 << 15;
/// Upstream cluster not found.
pub const NC: u64 = 1 << 24;
/// Downstream remote reset: the client left.
pub const DR: u64 = 1 << 28;

/// The short names of the flags that are set, in the order of their bits. Bits that this list does not know are left out.
pub fn names(flags: u64) -> impl Iterator<Item = &'static str> {
    NAMES
        .iter()
        .enumerate()
        .filter(move |(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn bits_have_their_names() {
        for (flags, expected) in [
            (0, ""),
            (UF | URX, "UF URX"),
            (DC, "DC"),
            (16_384, "DC"),
            (32_768, "URX"),
            (UH, "UH"),
            (NC, "NC"),
            (DR, "DR"),
            (1 << 63, ""),
        ] {
            assert_eq!(
                names(flags).collect::<Vec<_>>().join(" "),
                expected,
                "{flags}"
            );
        }
    }
}
