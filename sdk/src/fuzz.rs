//! Mutated input for the tests of parsers, of the SDK's and of a plugin's own.
//!
//! 1. The seeds are the lines of a corpus, which is kept beside the test: `tests/corpus/<parser>.txt`. A mutant is a seed with one to
//!    nine changes: a bit, a byte, a cut, a repetition, a piece of another seed, a piece from a list of awkward ones.
//! 2. The draws are seeded, so that a run repeats: what fails once fails each time. `FUZZ_MUTANTS=` makes more.

#![allow(
    clippy::expect_used,
    reason = "only tests use it, where a panic is the message"
)]

const MUTANTS: u64 = 20_000;
const LONGEST: usize = 4096;
const AWKWARD: &[&[u8]] = &[
    b"\xff\xfe",
    b"\0",
    b"\r\n",
    b"%",
    b"%zz",
    b"${",
    b"}",
    b"\\u",
    b"=",
    b";",
    b",",
    b":",
    b"@",
    b"-",
    b"9999999999999999999999",
    b"1e999",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    b"\"",
    b"[",
    b"..",
];

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn one_of<'a>(&mut self, pieces: &[&'a [u8]]) -> &'a [u8] {
        pieces
            .get(self.below(pieces.len()))
            .copied()
            .unwrap_or_default()
    }
}

/// Gives the parser every line of the corpus as it is, then thousands of mutants.
///
/// # Panics
/// When the corpus has fewer than five lines, or the parser panics.
pub fn fuzz(corpus: &str, parser: impl FnMut(&[u8])) {
    let seeds: Vec<&[u8]> = corpus.lines().map(str::as_bytes).collect();
    fuzz_bytes(&seeds, parser);
}

/// The same with seeds that are no lines of text.
///
/// # Panics
/// When there are fewer than five seeds, or the parser panics.
pub fn fuzz_bytes(seeds: &[&[u8]], mut parser: impl FnMut(&[u8])) {
    assert!(seeds.len() >= 5, "{} seeds", seeds.len());
    seeds.iter().for_each(|seed| parser(seed));
    let mutants = std::env::var("FUZZ_MUTANTS").map_or(MUTANTS, |text| {
        text.parse().expect("FUZZ_MUTANTS is a number")
    });
    let mut draw = Draw(7);
    for _ in 0..mutants {
        parser(&mutate(seeds, &mut draw));
    }
}

fn mutate(seeds: &[&[u8]], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = draw.one_of(seeds).to_vec();
    for _ in 0..=draw.below(8) {
        let at = draw.below(bytes.len() + 1);
        let tail = bytes.get(at..).unwrap_or_default().to_vec();
        match draw.below(6) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw.below(8);
                }
            }
            1 => bytes.insert(at, draw.next().to_le_bytes()[0]),
            2 => bytes.truncate(at),
            3 => bytes.extend(tail),
            4 => {
                let other = draw.one_of(seeds);
                bytes.extend(other.iter().skip(draw.below(other.len())));
            }
            _ => {
                bytes.truncate(at);
                bytes.extend(draw.one_of(AWKWARD));
                bytes.extend(tail);
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}
