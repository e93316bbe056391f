//! Response headers that tell an attacker what runs behind the gateway.
//!
//! The names are those of OWASP's Secure Headers Project, "Prevent information disclosure via HTTP headers", of 2026-07-19.

/// In lower case, by length and then in order: a search tells most headers apart without comparing a byte.
static LEAKING: [&str; 87] = [
    "$wsep",
    "x-cms",
    "server",
    "product",
    "pega-host",
    "sourcemap",
    "powered-by",
    "x-beserver",
    "x-diaginfo",
    "x-feserver",
    "host-header",
    "x-b3-spanid",
    "x-dtagentid",
    "x-framework",
    "x-generator",
    "x-sourcemap",
    "x-b3-sampled",
    "x-b3-traceid",
    "x-page-speed",
    "x-powered-by",
    "x-gitlab-meta",
    "x-nextjs-page",
    "x-owa-version",
    "x-php-version",
    "x-powered-cms",
    "x-redirect-by",
    "x-sourcefiles",
    "liferay-portal",
    "x-datadog-tags",
    "x-generated-by",
    "x-nextjs-cache",
    "x-tyk-trace-id",
    "k-proxy-request",
    "x-cf-powered-by",
    "x-dthealthcheck",
    "x-jitsi-release",
    "x-litespeed-tag",
    "x-mod-pagespeed",
    "x-aspnet-version",
    "x-cocoon-version",
    "x-datadog-origin",
    "x-envoy-internal",
    "x-joomla-version",
    "x-litespeed-vary",
    "x-ruxit-js-agent",
    "x-varnish-server",
    "x-b3-parentspanid",
    "x-kong-request-id",
    "x-litespeed-cache",
    "x-litespeed-purge",
    "x-nextjs-redirect",
    "x-umbraco-version",
    "x-varnish-backend",
    "x-atmosphere-error",
    "x-datadog-trace-id",
    "x-powered-by-plesk",
    "x-turbo-charged-by",
    "x-aspnetmvc-version",
    "x-datadog-parent-id",
    "x-dtinjectedservlet",
    "x-server-powered-by",
    "x-backside-transport",
    "x-calculatedbetarget",
    "x-content-encoded-by",
    "x-kong-admin-latency",
    "x-kong-proxy-latency",
    "x-kong-total-latency",
    "x-old-content-length",
    "x-woodpecker-version",
    "x-envoy-attempt-count",
    "x-kong-client-latency",
    "x-nextjs-matched-path",
    "x-kong-upstream-status",
    "x-kong-response-latency",
    "x-kong-upstream-latency",
    "x-oneagent-js-injection",
    "x-atmosphere-tracking-id",
    "x-envoy-external-address",
    "x-envoy-original-dst-host",
    "x-litespeed-cache-control",
    "x-atmosphere-first-request",
    "x-kong-third-party-latency",
    "oraclecommercecloud-version",
    "x-datadog-sampling-priority",
    "x-envoy-upstream-service-time",
    "x-kubernetes-pf-flowschema-ui",
    "x-kubernetes-pf-prioritylevel-uid",
];

/// Whether a header in lower case is on the list.
pub(crate) fn is_leaking(name: &[u8]) -> bool {
    let compare = |known: &&str| {
        let by_length = known.len().cmp(&name.len());
        by_length.then_with(|| known.as_bytes().cmp(name))
    };
    LEAKING.binary_search_by(compare).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_found() {
        assert!(LEAKING.is_sorted_by_key(|name| (name.len(), *name)));
        for name in LEAKING {
            assert!(is_leaking(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "content-type",
            "x-powered",
            "x-powered-by-me",
            "x-frame-options",
            "zzz",
        ] {
            assert!(!is_leaking(name.as_bytes()), "{name}");
        }
    }
}
