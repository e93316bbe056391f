//! The ports of [`crate::ports`] over host calls.

use super::abi;
use crate::metric::{Counter, Gauge};
use crate::ports::Ports;

/// Ports of a running module; knows the host's ids of the series.
pub(super) struct HostPorts<'a> {
    pub(super) ids: &'a [Option<u32>],
}

impl HostPorts<'_> {
    fn read(&self, number: u32) -> u64 {
        self.ids
            .get(number as usize)
            .copied()
            .flatten()
            .map_or(0, abi::metric)
    }
}

impl Ports for HostPorts<'_> {
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        abi::shared_data(key)
    }

    fn compare_and_set(&mut self, key: &str, version: Option<u32>, value: &[u8]) -> bool {
        // On an absent key Envoy ignores the version, so any but zero is as good; zero would overwrite a faster worker.
        abi::set_shared_data(key, value, version.unwrap_or(u32::MAX)).is_ok()
    }

    fn overwrite(&mut self, key: &str, value: &[u8]) -> bool {
        abi::set_shared_data(key, value, 0).is_ok()
    }

    fn counter(&mut self, counter: Counter) -> u64 {
        self.read(counter.0)
    }

    fn gauge(&mut self, gauge: Gauge) -> u64 {
        self.read(gauge.0)
    }

    fn random(&mut self) -> u64 {
        abi::random()
    }
}
