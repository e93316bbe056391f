//! The built module in the real Envoy: nothing is lost, doubled or forged. Needs `make build` and `make deps`.

mod gateway;
mod hostile;
mod identity;
mod ways_out;
