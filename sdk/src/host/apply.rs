//! Effects, edits and replies, as host calls.

use super::abi;
use super::core::Core;
use crate::effects::{Level, Sample};
use crate::headers::{Edit, Headers, encode};
use crate::member::Module;
use crate::reply::Reply;

impl<M: Module> Core<M> {
    /// Emits what the callback wanted done.
    pub(super) fn emit(&mut self) {
        self.define_series();
        for index in 0..self.fx.samples.len() {
            if let Some(sample) = self.fx.samples.get(index).copied() {
                self.sample(sample);
            }
        }
        for (key, value) in &self.fx.records {
            let _ = abi::set_property(key, value);
        }
        for (level, line) in &self.fx.lines {
            abi::log(number(*level), line);
        }
        self.fx.clear();
    }

    fn sample(&self, sample: Sample) {
        let _ = match sample {
            Sample::Add(counter, amount) => {
                let amount = i64::try_from(amount).unwrap_or(i64::MAX);
                self.id(counter.0)
                    .map(|id| abi::increment_metric(id, amount))
            }
            Sample::Set(gauge, value) => self.id(gauge.0).map(|id| abi::record_metric(id, value)),
            Sample::Observe(histogram, value) => {
                self.id(histogram.0).map(|id| abi::record_metric(id, value))
            }
            Sample::Move(gauge, amount) => self.id(gauge.0).map(|id| move_gauge(id, amount)),
        };
    }

    /// Writes header edits back, one host call for each changed name.
    pub(super) fn write_back(&mut self, map: u32, headers: Option<&mut Headers>) {
        let Some(headers) = headers else { return };
        let mut refused = u64::from(headers.take_refused());
        headers.write_edits(|edit| {
            let written = match edit {
                Edit::Set(name, value) => abi::replace_header(map, name, value),
                Edit::Add(name, value) => abi::add_header(map, name, value),
                Edit::Remove(name) => abi::remove_header(map, name),
            };
            refused += u64::from(written.is_err());
        });
        self.fx.add(self.refused, refused);
    }

    /// Sends a local reply.
    pub(super) fn reply(&mut self, reply: &Reply) {
        self.fx.add(self.refused, u64::from(reply.refused));
        let headers = encode(&reply.headers);
        if let Err(abi::Refused(status)) = abi::local_reply(
            reply.status,
            reply.details,
            &reply.body,
            &headers,
            reply.grpc_status,
        ) {
            self.fx.log(Level::Error, || {
                format!(
                    "local reply {} was refused by the host: status {status}",
                    reply.status
                )
            });
        }
    }
}

/// Never below zero: Envoy would wrap to 1.8e19.
fn move_gauge(id: u32, amount: i64) -> Result<(), abi::Refused> {
    if amount < 0 && abi::metric(id) < amount.unsigned_abs() {
        return abi::record_metric(id, 0);
    }
    abi::increment_metric(id, amount)
}

fn number(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}
