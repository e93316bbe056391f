//! Replies that say no, and the words of all of them.

use launchgate_sdk::Reply;

/// Media types and methods of the endpoints.
pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const READ_METHODS: &str = "GET, HEAD";
pub(crate) const DRAIN_METHODS: &str = "GET, HEAD, PUT, DELETE";
/// gRPC status codes OK, NOT_FOUND, UNIMPLEMENTED and UNAVAILABLE.
pub(crate) const GRPC_OK: u32 = 0;
pub(crate) const GRPC_NOT_FOUND: u32 = 5;
pub(crate) const GRPC_UNIMPLEMENTED: u32 = 12;
pub(crate) const GRPC_UNAVAILABLE: u32 = 14;

/// 405 with what is allowed.
pub(crate) fn wrong_method(allowed: &str) -> Reply {
    let reply = Reply::new(405, "launchgate_health_method").header("allow", allowed);
    reply
        .body(JSON, r#"{"error":"method not allowed"}"#)
        .grpc_status(GRPC_UNIMPLEMENTED)
}

/// 404.
pub(crate) fn not_found() -> Reply {
    Reply::new(404, "launchgate_health_not_found")
        .body(JSON, r#"{"error":"not found"}"#)
        .grpc_status(GRPC_NOT_FOUND)
}
