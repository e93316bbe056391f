//! `tls`: HTTPS enforced.
//!
//! 1. **Secure** is a request whose connection has TLS, or that a peer proven to be in `trusted_proxies` got over TLS
//!    (`x-forwarded-proto`, every value read, the last one counts). Claims of others change nothing, are counted and logged.
//! 2. **Plaintext** is redirected to the same URL with https; preflights and exempt paths pass, gRPC gets a status.
//! 3. **TLS below `min_version`** is refused with a clear 403.
//! 4. **Misdirected** requests (server name and host belong to different listeners) get 421.
//! 5. **Client certificates** are demanded by path, from the connection alone; headers that speak of one are stripped.
//! 6. **Responses** get HSTS (secure transport and names only, exactly once), security headers, no leaking headers, hardened
//!    cookies, and a `Location` that does not lead back to plaintext.
//! 7. In mode `report` nothing changes; `would_…` counters tell.

mod authority;
mod certificate_headers;
mod changes;
mod client_cert;
mod config;
mod cookies;
mod hsts;
mod leaks;
mod listener;
mod location;
mod metrics;
mod minute;
mod policy;
mod presets;
mod redirect;
mod security_headers;
mod transport;

pub use config::Config;
pub use policy::Tls;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Tls>()
}
