//! One check: the call that makes it and what its answer means.

use launchgate_sdk::{Answer, Call};

use crate::dependency::{Dependency, Probe, Target};
use crate::record::Outcome;
use crate::{clusters, grpc};

/// The call that checks a dependency; `None` for a passive one, which needs none.
pub(crate) fn call(dependency: &Dependency) -> Option<Call> {
    let get = |target: &Target, path: &str| {
        Call::get(&target.cluster, &target.authority, path).timeout(target.timeout)
    };
    let call = match &dependency.probe {
        Probe::Http { target, path, .. } => get(target, path),
        Probe::Envoy {
            target, cluster, ..
        } => get(target, &clusters::path(cluster)),
        Probe::Grpc { target, service } => {
            let body = grpc::request(service);
            let call = Call::post(
                &target.cluster,
                &target.authority,
                grpc::METHOD,
                "application/grpc",
                body,
            );
            call.header("te", "trailers").timeout(target.timeout)
        }
        Probe::Passive { .. } => return None,
    };
    Some(call.header(
        "user-agent",
        concat!("launchgate-health/", env!("CARGO_PKG_VERSION")),
    ))
}

/// What an answer means.
pub(crate) fn outcome(dependency: &Dependency, answer: &Answer) -> Outcome {
    let Answer::Response {
        status,
        headers,
        body,
        trailers,
    } = answer
    else {
        return Outcome::Failure(answer.reason().to_owned());
    };
    match &dependency.probe {
        Probe::Http { expected, .. } if is_expected(*status, expected) => Outcome::Success,
        Probe::Http { .. } | Probe::Passive { .. } => Outcome::Failure(format!("status_{status}")),
        Probe::Grpc { .. } => grpc::read(*status, headers, body, trailers),
        Probe::Envoy {
            cluster,
            min_healthy,
            ..
        } => clusters::read(*status, body, cluster, *min_healthy),
    }
}

fn is_expected(status: u16, expected: &[u16]) -> bool {
    if expected.is_empty() {
        (200..300).contains(&status)
    } else {
        expected.contains(&status)
    }
}
