//! What one label set has counted: requests and distributions, exact.
//!
//! 1. A distribution keeps a count for each bucket, one for what is above the last bound, and the exact sum (nanoseconds
//!    or bytes).
//! 2. Cells of several workers add up; nothing is lost in between, since they are integers.
//! 3. A bucket of the request duration keeps its last exemplar.

use launchgate_sdk::map::Map;

use crate::wire::{Reader, Writer};

/// The distributions of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Duration,
    Upstream,
    Stream,
    RequestSize,
    ResponseSize,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Duration,
        Self::Upstream,
        Self::Stream,
        Self::RequestSize,
        Self::ResponseSize,
    ];
}

/// A trace that a bucket can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exemplar {
    pub(crate) trace: [u8; 16],
    /// Nanoseconds.
    pub(crate) value: u64,
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
}

/// Counts by bucket, and the sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// Empty, or one count a bound and one above the last.
    pub(crate) buckets: Vec<u64>,
    pub(crate) sum: u128,
    pub(crate) exemplars: Map<u8, Exemplar>,
}

impl Distribution {
    /// Observes a value; `unit` is how much of it a bound counts as one. Gives the bucket.
    pub(crate) fn observe(&mut self, value: u64, bounds: &[u64], unit: u64) -> u8 {
        if self.buckets.is_empty() {
            self.buckets = vec![0; bounds.len() + 1];
        }
        let bucket = bounds.partition_point(|bound| bound.saturating_mul(unit) < value);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += u128::from(value);
        u8::try_from(bucket).unwrap_or(u8::MAX)
    }

    /// How many values were observed.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets
            .iter_mut()
            .zip(&other.buckets)
            .for_each(|(own, other)| *own += other);
        self.sum += other.sum;
        for (bucket, exemplar) in &other.exemplars {
            let own = self.exemplars.or_insert_with(*bucket, || *exemplar);
            if own.at < exemplar.at {
                *own = *exemplar;
            }
        }
    }

    fn subtract(&mut self, other: &Self) {
        self.buckets
            .iter_mut()
            .zip(&other.buckets)
            .for_each(|(own, other)| *own = own.saturating_sub(*other));
        self.sum = self.sum.saturating_sub(other.sum);
        if self.buckets.iter().all(|count| *count == 0) {
            *self = Self::default();
        }
    }

    fn encode(&self, writer: &mut Writer) {
        writer.length(self.buckets.len());
        if self.buckets.is_empty() {
            return;
        }
        self.buckets.iter().for_each(|count| writer.number(*count));
        writer.number(self.sum);
        writer.length(self.exemplars.len());
        for (bucket, exemplar) in &self.exemplars {
            writer.number(*bucket);
            writer.bytes(&exemplar.trace);
            writer.number(exemplar.value);
            writer.number(exemplar.at);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut own = Self::default();
        let buckets = reader.length()?;
        if buckets == 0 {
            return Some(own);
        }
        own.buckets = (0..buckets)
            .map(|_| reader.number())
            .collect::<Option<_>>()?;
        own.sum = reader.wide()?;
        for _ in 0..reader.length()? {
            let bucket = u8::try_from(reader.number()?).ok()?;
            let trace = <[u8; 16]>::try_from(reader.bytes()?).ok()?;
            own.exemplars.insert(
                bucket,
                Exemplar {
                    trace,
                    value: reader.number()?,
                    at: reader.number()?,
                },
            );
        }
        Some(own)
    }
}

/// What one label set has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) requests: u64,
    distributions: [Distribution; 5],
}

impl Cell {
    pub(crate) fn of(&self, kind: Kind) -> &Distribution {
        let [duration, upstream, stream, request, response] = &self.distributions;
        match kind {
            Kind::Duration => duration,
            Kind::Upstream => upstream,
            Kind::Stream => stream,
            Kind::RequestSize => request,
            Kind::ResponseSize => response,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut Distribution {
        let [duration, upstream, stream, request, response] = &mut self.distributions;
        match kind {
            Kind::Duration => duration,
            Kind::Upstream => upstream,
            Kind::Stream => stream,
            Kind::RequestSize => request,
            Kind::ResponseSize => response,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.distributions
            .iter_mut()
            .zip(&other.distributions)
            .for_each(|(own, other)| own.merge(other));
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.distributions
            .iter_mut()
            .zip(&other.distributions)
            .for_each(|(own, other)| own.subtract(other));
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.number(self.requests);
        self.distributions.iter().for_each(|own| own.encode(writer));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut cell = Self {
            requests: reader.number()?,
            ..Self::default()
        };
        for own in &mut cell.distributions {
            *own = Distribution::decode(reader)?;
        }
        Some(cell)
    }
}
