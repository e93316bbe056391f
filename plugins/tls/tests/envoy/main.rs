//! The built module in the real Envoy, over real TLS where TLS matters. Needs `make build` and `make deps`.

mod client_cert;
mod connection;
mod gateway;
mod plaintext;
mod responses;
mod trust;
