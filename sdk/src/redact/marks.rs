//! What a text may hold, from one look at each of its bytes. Most texts hold nothing that any rule looks for, and need no second
//! look: that is most of what redaction costs.

use super::Detector;

/// A `J`, which every `eyJ` has.
const J: u8 = 1;
/// A blank, which follows every `Bearer`.
const BLANK: u8 = 2;
/// `@`: an e-mail address, user info.
const AT: u8 = 4;
/// `%` or `+`: the text may read otherwise once it is decoded.
const CODED: u8 = 8;
/// `=` or `:`: something may be assigned to a name.
const ASSIGNS: u8 = 16;
const DIGIT: u8 = 32;

/// The shortest card number.
const CARD: usize = 13;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = match byte as u8 {
            b'J' => J,
            b' ' | b'\t' => BLANK,
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
    digits: usize,
}

impl Marks {
    pub(super) fn of(text: &[u8]) -> Self {
        let (mut seen, mut digits) = (0, 0);
        for byte in text {
            let mark = MARKS.get(usize::from(*byte)).copied().unwrap_or(0);
            seen |= mark;
            digits += usize::from(mark / DIGIT);
        }
        Self { seen, digits }
    }

    /// Whether a detector may find something.
    pub(super) fn allow(self, detector: Detector) -> bool {
        match detector {
            Detector::Jwt => self.seen & J != 0,
            Detector::Bearer => self.seen & BLANK != 0,
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
        self.seen & (J | BLANK | AT | CODED | ASSIGNS) == 0 && self.digits < CARD
    }
}
