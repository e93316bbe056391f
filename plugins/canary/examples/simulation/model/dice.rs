//! splitmix64: the same sequence for the same seed.

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether something of this chance, in millionths, happens.
    pub(crate) fn happens(&mut self, chance: u32) -> bool {
        chance > 0 && self.roll() % 1_000_000 < u64::from(chance)
    }

    /// How often it happens in so many tries.
    pub(crate) fn count(&mut self, tries: u32, chance: u32) -> u64 {
        (0..tries).filter(|_| self.happens(chance)).count() as u64
    }
}
