//! Wrong rules, one at a time: what other hosts believe, and what a careless change would bring. They exist for the test that
//! proves that the golden traces catch each.

/// A wrong rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// `cas` must match on an absent key too.
    StrictCas,
    /// A compare-and-set with an old number succeeds.
    BlindCas,
    /// Adding a header that is there replaces it.
    AddReplaces,
    /// Replacing a header leaves its duplicates.
    ReplaceKeepsDuplicates,
    /// Only workers tick, not the main thread.
    LostTick,
    /// Request headers can still be read in response callbacks.
    HeadersStay,
}
