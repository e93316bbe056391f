//! What an end counts as.

use super::*;

#[test]
fn outcomes_are_told_apart_by_what_really_happened() {
    let tally = |proxy: &Proxy, what: &str, variant: &str| {
        proxy.number(&format!(
            "launchgate_canary_{what}_totalrollout=.=r;.;variant=.={variant};.;"
        ))
    };
    let unjudged = |proxy: &Proxy| {
        let reasons = [
            "client_left",
            "local_reply",
            "forced",
            "probe",
            "other_cluster",
        ];
        reasons.into_iter().find(|reason| {
            proxy.number(&format!(
                "launchgate_canary_unjudged_totalreason=.={reason};.;"
            )) > 0
        })
    };
    for (name, cluster, status, flags, details, expected) in [
        ("a 200", "canary", 200, 0, "via_upstream", Ok(("canary", 0))),
        (
            "a 404 is the client's",
            "canary",
            404,
            0,
            "via_upstream",
            Ok(("canary", 0)),
        ),
        ("a 500", "canary", 500, 0, "via_upstream", Ok(("canary", 1))),
        (
            "a 500 of stable",
            "stable",
            500,
            0,
            "via_upstream",
            Ok(("stable", 1)),
        ),
        (
            "a refused connection",
            "canary",
            503,
            1 << 5,
            "upstream_reset_before_response_started",
            Ok(("canary", 1)),
        ),
        (
            "a time-out",
            "canary",
            504,
            1 << 2,
            "response_timeout",
            Ok(("canary", 1)),
        ),
        (
            "an authorisation filter's 503",
            "canary",
            503,
            0,
            "ext_authz_error",
            Err("local_reply"),
        ),
        (
            "the client left with a 200 half sent",
            "canary",
            200,
            1 << 14,
            "downstream_remote_disconnect",
            Err("client_left"),
        ),
        (
            "the client left before any answer",
            "canary",
            0,
            1 << 14,
            "downstream_remote_disconnect",
            Err("client_left"),
        ),
        (
            "another cluster",
            "admin",
            500,
            0,
            "via_upstream",
            Err("other_cluster"),
        ),
    ] {
        let mut proxy = Proxy::start(HALF);
        end(&mut proxy, cluster, status, flags, details);
        match expected {
            Ok((variant, errors)) => {
                assert_eq!(
                    (
                        tally(&proxy, "requests", variant),
                        tally(&proxy, "errors", variant)
                    ),
                    (1, errors),
                    "{name}"
                );
                assert_eq!(unjudged(&proxy), None, "{name}");
            }
            Err(reason) => {
                assert_eq!(unjudged(&proxy), Some(reason), "{name}");
                assert_eq!(
                    tally(&proxy, "requests", "canary") + tally(&proxy, "requests", "stable"),
                    0,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn probes_and_grpc_and_slowness_are_seen() {
    let tally = |proxy: &Proxy, what: &str| {
        proxy.number(&format!(
            "launchgate_canary_{what}_totalrollout=.=r;.;variant=.=canary;.;"
        ))
    };
    for (name, headers, grpc_status, millis, expected) in [
        ("plain", &[][..], None, 800, [1, 0, 0]),
        ("slower than 800 ms", &[], None, 801, [1, 0, 1]),
        (
            "a kubelet",
            &[("user-agent", "kube-probe/1.31")],
            None,
            900,
            [0, 0, 0],
        ),
        (
            "gRPC that fails",
            &[("content-type", "application/grpc+proto")],
            Some(14),
            5,
            [1, 1, 0],
        ),
        (
            "gRPC that is not found",
            &[("content-type", "application/grpc")],
            Some(5),
            5,
            [1, 0, 0],
        ),
        (
            "no gRPC, whatever the attribute says",
            &[("content-type", "application/json")],
            Some(2),
            5,
            [1, 0, 0],
        ),
    ] {
        let mut proxy = Proxy::start(HALF);
        let mut exchange = Exchange::get("/")
            .header("x-user-id", "1")
            .with(Attribute::ClusterName, "canary")
            .with_integer(Attribute::ResponseCode, 200);
        for (header, value) in headers {
            exchange = exchange.header(header, value);
        }
        if let Some(code) = grpc_status {
            exchange = exchange.with_integer(Attribute::ResponseGrpcStatus, code);
        }
        proxy.0[0].request(&mut exchange);
        proxy.0[0].advance(Duration::from_millis(millis));
        proxy.0[0].end(&mut exchange);
        assert_eq!(
            [
                tally(&proxy, "requests"),
                tally(&proxy, "errors"),
                tally(&proxy, "slow")
            ],
            expected,
            "{name}"
        );
    }
}
