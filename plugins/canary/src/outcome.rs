//! What an exchange says about the version that served it.
//!
//! 1. The version is told by the cluster really used, as Envoy knows it at the end, not by what was chosen.
//! 2. Left out: probes, users sent by a rule, clients that left, other clusters, replies of the gateway's own filters.
//! 3. An **error** is a final 5xx of the cluster (its own, or Envoy's because the cluster failed), or a gRPC call that ends
//!    with UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS: what maps to a 5xx. 4xx are
//!    the client's. With retries only the final outcome counts, once.
//! 4. **Slow** is what took longer than the limit, strictly. Upgraded connections (101) are not slow.
//! 5. A **connection failure** is a cluster without healthy host, a refused connection, an unknown cluster, a failed DNS.
//!
//! Flags are those of Envoy's `CoreResponseFlag` (envoy/stream_info/stream_info.h), a bit each.

use std::time::Duration;

use launchgate_sdk::{Attribute, EndView};

use crate::config::ClustersConfig;
use crate::steer::Variant;

const NO_HEALTHY_UPSTREAM: u64 = 1 << 1;
const UPSTREAM_CONNECTION_FAILURE: u64 = 1 << 5;
const NO_CLUSTER_FOUND: u64 = 1 << 24;
const DNS_FAILURE: u64 = 1 << 26;
const CONNECTION_FAILURE: u64 =
    NO_HEALTHY_UPSTREAM | UPSTREAM_CONNECTION_FAILURE | NO_CLUSTER_FOUND | DNS_FAILURE;

/// Client disconnect (DC), client protocol error (DPE), client reset (DR).
const CLIENT_LEFT: u64 = 1 << 14 | 1 << 18 | 1 << 28;
/// UH, UT, LR, UR, UF, UC, UO, URX, UMSDR, UPE, NC, DF, DO: the upstream's or its cluster's doing.
const UPSTREAM: u64 = CONNECTION_FAILURE
    | 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 6
    | 1 << 7
    | 1 << 15
    | 1 << 19
    | 1 << 23
    | 1 << 27;

const GRPC_ERRORS: [u64; 6] = [2, 4, 12, 13, 14, 15];

/// What an exchange says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Which version served it.
    pub(crate) variant: Variant,
    /// Whether its cluster could be reached.
    pub(crate) reached: bool,
    /// What is judged, or why nothing is.
    pub(crate) judged: Result<Judged, Unjudged>,
}

/// What is judged of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Whether it failed.
    pub(crate) error: bool,
    /// Whether it was slow.
    pub(crate) slow: bool,
}

/// Why an exchange is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unjudged {
    /// The client left before the end.
    ClientLeft,
    /// A filter of the gateway answered.
    LocalReply,
    /// The user was sent by a rule.
    Forced,
    /// A probe.
    Probe,
    /// Another cluster served it.
    OtherCluster,
}

/// All reasons, with their label values.
pub(crate) const UNJUDGED: [(Unjudged, &str); 5] = [
    (Unjudged::ClientLeft, "client_left"),
    (Unjudged::LocalReply, "local_reply"),
    (Unjudged::Forced, "forced"),
    (Unjudged::Probe, "probe"),
    (Unjudged::OtherCluster, "other_cluster"),
];

impl Outcome {
    /// Reads the end of an exchange that was sent to `sent`. `slow`: the limit, zero for none.
    pub(crate) fn read(
        view: &EndView<'_>,
        clusters: &ClustersConfig,
        sent: Variant,
        grpc: bool,
        slow: Duration,
    ) -> Result<Self, Unjudged> {
        let flags = view.flags();
        let cluster = view.attribute(Attribute::ClusterName);
        let variant = match cluster.as_deref() {
            Some(name) if name == clusters.canary.as_bytes() => Variant::Canary,
            Some(name) if name == clusters.stable.as_bytes() => Variant::Stable,
            // An unknown cluster has no name to go by.
            _ if flags & NO_CLUSTER_FOUND != 0 => sent,
            _ => return Err(Unjudged::OtherCluster),
        };
        let judged = judge(view, flags, grpc, slow);
        Ok(Self {
            variant,
            reached: flags & CONNECTION_FAILURE == 0,
            judged,
        })
    }
}

fn judge(view: &EndView<'_>, flags: u64, grpc: bool, slow: Duration) -> Result<Judged, Unjudged> {
    let status = view
        .status()
        .filter(|_| flags & CLIENT_LEFT == 0)
        .ok_or(Unjudged::ClientLeft)?;
    let server_error = status >= 500
        || (grpc
            && view
                .integer(Attribute::ResponseGrpcStatus)
                .is_some_and(|code| GRPC_ERRORS.contains(&code)));
    // Only an answer that did not come from upstream needs the reason; asking costs a host call.
    if server_error && flags & UPSTREAM == 0 && !is_from_upstream(view) {
        return Err(Unjudged::LocalReply);
    }
    let is_slow = !slow.is_zero() && status != 101 && view.duration() > slow;
    Ok(Judged {
        error: server_error,
        slow: is_slow,
    })
}

/// `via_upstream`, or one of the router's own reasons for a failed upstream.
fn is_from_upstream(view: &EndView<'_>) -> bool {
    let details = view.attribute(Attribute::ResponseCodeDetails);
    details.as_deref().is_none_or(|details| {
        details == b"via_upstream"
            || details.starts_with(b"upstream_")
            || details.starts_with(b"no_healthy_upstream")
            || details.starts_with(b"cluster_not_found")
    })
}
