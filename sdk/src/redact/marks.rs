//! What a text may hold, from one look at each of its bytes. Most texts hold nothing that any rule looks for, and need no second
//! look: that is most of what redaction costs.

use super::Detector;

/// A `J`, which every `eyJ` has.
const J: u8 = 1;
/// `Bearer` or `Basic` ends where a blank follows these letters.
const SCHEME: u8 = 2;
/// `@`: an e-mail address, user info.
const AT: u8 = 4;
/// `%` or `+`: the text may read otherwise once it is decoded.
const CODED: u8 = 8;
/// `=` or `:`: something may be assigned to a name.
const ASSIGNS: u8 = 16;
const DIGIT: u8 = 32;
/// What may stand between two groups of a card number's digits.
const JOINT: u8 = 64;
/// A blank.
const BLANK: u8 = 128;

/// The shortest card number.
const CARD: usize = 13;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = match byte as u8 {
            b'J' => J,
            b' ' => BLANK | JOINT,
            b'\t' => BLANK,
            b'-' | b'.' => JOINT,
            b'@' => AT,
            b'%' | b'+' => CODED,
            b'=' | b':' => ASSIGNS,
            b'0'..=b'9' => DIGIT,
            _ => 0,
        };
        byte += 1;
    }
    marks
};

/// Which bytes a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    seen: u8,
    /// The most digits with nothing but joints between them.
    digits: usize,
}

impl Marks {
    pub(super) fn of(text: &[u8]) -> Self {
        let (mut seen, mut digits, mut most) = (0, 0, 0);
        let mut before = [0; 2];
        for byte in text {
            let mark = MARKS.get(usize::from(*byte)).copied().unwrap_or(0);
            seen |= mark;
            if mark & DIGIT != 0 {
                digits += 1;
                most = digits.max(most);
            } else if mark & JOINT == 0 {
                digits = 0;
            }
            if mark & BLANK != 0 && ends_scheme(before) {
                seen |= SCHEME;
            }
            before = [before[1], *byte];
        }
        Self { seen, digits: most }
    }

    /// Whether a detector may find something.
    pub(super) fn allow(self, detector: Detector) -> bool {
        match detector {
            Detector::Jwt => self.seen & J != 0,
            Detector::Bearer => self.seen & SCHEME != 0,
            Detector::Card => self.digits >= CARD,
            Detector::Email => self.seen & AT != 0,
        }
    }

    /// Whether decoding may change it.
    pub(super) fn is_coded(self) -> bool {
        self.seen & CODED != 0
    }

    /// Whether something may be assigned to a name.
    pub(super) fn assigns(self) -> bool {
        self.seen & ASSIGNS != 0
    }

    /// Whether no rule can find anything, in the text or in what it decodes to.
    pub(super) fn is_plain(self) -> bool {
        self.seen & (J | SCHEME | AT | CODED | ASSIGNS) == 0 && self.digits < CARD
    }
}

/// The last letters of `bearer` and `basic`.
fn ends_scheme(before: [u8; 2]) -> bool {
    let [first, last] = before;
    matches!((first | 0x20, last | 0x20), (b'e', b'r') | (b'i', b'c'))
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;
    use proptest::strategy::Strategy as _;

    #[test]
    fn a_browsers_name_holds_nothing() {
        let text = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
        let marks = Marks::of(text);
        assert!(Detector::ALL.iter().all(|detector| !marks.allow(*detector)));
    }

    // What no mark allows, no detector finds: nothing is missed for the sake of speed.
    proptest::proptest! {
        #[test]
        fn what_a_detector_finds_is_allowed(parts in proptest::collection::vec(proptest::prop_oneof![
            proptest::sample::select(vec!["eyJ", ".", "Bearer", "BASIC", "basic ", "bearer\t", " ", "4111", "1111", "-", "@", "a@b.c", "4111111111111111", "é"]).prop_map(str::to_owned),
            "[ -~]{0,4}",
        ], 0..12)) {
            let text = parts.concat();
            let marks = Marks::of(text.as_bytes());
            for detector in Detector::ALL {
                proptest::prop_assert!(marks.allow(detector) || detector.find(text.as_bytes(), 0).is_none(), "{:?} in {}", detector, text);
            }
        }
    }
}
