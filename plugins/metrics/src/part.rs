//! What one worker has counted since it began, or all workers together.
//!
//! 1. Cells stand under their label values joined by NUL (no label value holds one: values are escaped).
//! 2. Objectives stand under `<slo>NUL<objective>NUL<route>`.
//! 3. Parts add up; a part that was folded into the total is taken off again from what its worker goes on with.

use launchgate_sdk::map::Map;

use crate::cell::Cell;
use crate::wire::{Reader, Writer};

/// Events of an objective, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Events {
    pub(crate) all: u64,
    pub(crate) bad: u64,
}

/// A worker's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) cells: Map<Box<[u8]>, Cell>,
    pub(crate) events: Map<Box<[u8]>, Events>,
    /// Requests counted in the overflow series.
    pub(crate) dropped: u64,
}

impl Part {
    pub(crate) fn merge(&mut self, other: &Self) {
        for (labels, cell) in &other.cells {
            match self.cells.get_mut(labels) {
                Some(own) => own.merge(cell),
                None => drop(self.cells.insert(labels.clone(), cell.clone())),
            }
        }
        for (name, events) in &other.events {
            let own = self.events.or_insert_with(name.clone(), Default::default);
            own.all += events.all;
            own.bad += events.bad;
        }
        self.dropped += other.dropped;
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        for (labels, cell) in &other.cells {
            if let Some(own) = self.cells.get_mut(labels) {
                own.subtract(cell);
            }
        }
        for (name, events) in &other.events {
            if let Some(own) = self.events.get_mut(name) {
                own.all = own.all.saturating_sub(events.all);
                own.bad = own.bad.saturating_sub(events.bad);
            }
        }
        self.dropped = self.dropped.saturating_sub(other.dropped);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer =
            Writer::with_capacity(64 + self.cells.len() * 160 + self.events.len() * 48);
        writer.number(self.dropped);
        writer.length(self.cells.len());
        for (labels, cell) in &self.cells {
            writer.bytes(labels);
            cell.encode(&mut writer);
        }
        writer.length(self.events.len());
        for (name, events) in &self.events {
            writer.bytes(name);
            writer.number(events.all);
            writer.number(events.bad);
        }
        writer.finish()
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::open(value)?;
        let mut part = Self {
            dropped: reader.number()?,
            ..Self::default()
        };
        for _ in 0..reader.length()? {
            let labels = reader.bytes()?.into();
            part.cells.insert(labels, Cell::decode(&mut reader)?);
        }
        for _ in 0..reader.length()? {
            let name = reader.bytes()?.into();
            part.events.insert(
                name,
                Events {
                    all: reader.number()?,
                    bad: reader.number()?,
                },
            );
        }
        reader.is_empty().then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Exemplar, Kind};

    fn part(seed: u64) -> Part {
        let mut part = Part {
            dropped: seed,
            ..Part::default()
        };
        for label in [b"GET\0/a".as_slice(), b"POST\0_OTHER"] {
            let mut cell = Cell::default();
            cell.requests = 1 + seed;
            let bucket = cell
                .of_mut(Kind::Duration)
                .observe(seed * 7_000_000, &[5, 10], 1_000_000);
            cell.of_mut(Kind::Duration).exemplars.insert(
                bucket,
                Exemplar {
                    trace: [seed as u8; 16],
                    value: seed,
                    at: seed,
                },
            );
            cell.of_mut(Kind::ResponseSize).observe(u64::MAX, &[100], 1);
            part.cells.insert(label.into(), cell);
        }
        part.events.insert(
            b"default\0latency\0/a".as_slice().into(),
            Events {
                all: 5 + seed,
                bad: seed,
            },
        );
        part
    }

    #[test]
    fn a_part_reads_back_and_anything_else_counts_as_absent() {
        let bytes = part(3).encode();
        assert_eq!(Part::decode(&bytes), Some(part(3)));
        for length in 0..bytes.len() {
            assert_eq!(Part::decode(&bytes[..length]), None, "cut at {length}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert_eq!(Part::decode(&longer), None);
        let mut other_version = bytes.clone();
        other_version[0] = 9;
        assert_eq!(Part::decode(&other_version), None);
    }

    #[test]
    fn parts_add_up_and_a_folded_part_is_taken_off_exactly() {
        let mut sum = part(2);
        sum.merge(&part(3));
        assert_eq!(sum.cells.get(b"GET\0/a".as_slice()).unwrap().requests, 7);
        assert_eq!(
            sum.cells
                .get(b"GET\0/a".as_slice())
                .unwrap()
                .of(Kind::Duration)
                .buckets,
            [0, 0, 2]
        );
        assert_eq!(
            sum.cells
                .get(b"GET\0/a".as_slice())
                .unwrap()
                .of(Kind::ResponseSize)
                .sum,
            2 * u128::from(u64::MAX)
        );
        sum.subtract(&part(3));
        assert_eq!(
            (sum.dropped, sum.events.values().next().unwrap().all),
            (2, 7)
        );
        let cell = sum.cells.get(b"GET\0/a".as_slice()).unwrap();
        assert_eq!(
            (cell.requests, cell.of(Kind::Duration).sum),
            (3, 14_000_000)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(0_u8..=255, 0..80)) {
            let mut framed = vec![1];
            framed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            framed.extend_from_slice(&bytes);
            let _ = (Part::decode(&bytes), Part::decode(&framed));
        }
    }
}
