//! Which names may have a series of their own: the first so many that any worker of the proxy met.
//!
//! 1. A new name is admitted by compare-and-set in shared state, so that all workers together stay within the cap.
//! 2. Every worker keeps the list that it read last. Once the list is full it never changes again, and a stranger costs a
//!    look into this worker's own copy, no host call: so a flood of new names is cheap.
//! 3. Names are kept whole, not hashed: nobody can slip past the cap by a collision.

use launchgate_sdk::map::Set;

use launchgate_sdk::State;

use crate::wire::{Reader, Writer};

/// A list of admitted names, one per proxy.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    key: String,
    most: usize,
    known: Set<Box<[u8]>>,
}

impl Admission {
    pub(crate) fn new(key: String, most: usize) -> Self {
        Self {
            key,
            most,
            known: Set::new(),
        }
    }

    /// Whether `name` is on the list, where it is put while there is room. `None`: shared state took no write.
    pub(crate) fn admit(&mut self, state: &mut State<'_>, name: &[u8]) -> Option<bool> {
        if self.known.contains(name) {
            return Some(true);
        }
        if self.known.len() >= self.most {
            return Some(false);
        }
        let mut settled = false;
        let Self { key, most, known } = self;
        let written = state.update(key, |old| {
            *known = old.and_then(decode).unwrap_or_default();
            settled = known.contains(name) || known.len() >= *most;
            (!settled).then(|| {
                let mut grown = known.clone();
                grown.insert(name.into());
                encode(&grown)
            })
        });
        if written.is_some() {
            known.insert(name.into());
        }
        (settled || written.is_some()).then(|| known.contains(name))
    }
}

fn encode(names: &Set<Box<[u8]>>) -> Vec<u8> {
    let mut writer = Writer::with_capacity(names.len() * 48);
    writer.length(names.len());
    names.iter().for_each(|name| writer.bytes(name));
    writer.finish()
}

fn decode(value: &[u8]) -> Option<Set<Box<[u8]>>> {
    let mut reader = Reader::open(value)?;
    let names = (0..reader.length()?)
        .map(|_| reader.bytes().map(Into::into))
        .collect::<Option<_>>()?;
    reader.is_empty().then_some(names)
}
