//! What the presets add, held against what others ask for.

#![allow(clippy::panic, reason = "in a test a panic is the message")]

mod support;

use support::{HSTS, all, gateway, response};

#[test]
fn every_preset_adds_what_is_missing_once() {
    for (preset, names) in [
        (
            "api",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-resource-policy",
            ][..],
        ),
        (
            "web",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-opener-policy",
                "cross-origin-resource-policy",
                "x-permitted-cross-domain-policies",
            ],
        ),
        (
            "strict",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-opener-policy",
                "cross-origin-embedder-policy",
                "cross-origin-resource-policy",
                "permissions-policy",
                "cache-control",
                "x-dns-prefetch-control",
                "x-permitted-cross-domain-policies",
            ],
        ),
        ("none", &[]),
    ] {
        let mut gateway = gateway(&format!(r#"{{"headers": {{"preset": "{preset}"}}}}"#));
        for tls in [true, false] {
            let response = response(&mut gateway, "example.org", tls, &[]);
            let added: Vec<&str> = response
                .iter()
                .map(|(name, _)| name.as_str())
                .filter(|name| !matches!(*name, ":status" | HSTS))
                .collect();
            assert_eq!(added, names, "{preset} {tls}");
        }
    }
}

/// What Mozilla's HTTP Observatory looks at (its rules of 2026-08): a policy without `unsafe` whose `default-src` is `'none'`
/// alone, framing forbidden by it, a private referrer policy, and for isolation the three cross-origin policies.
#[test]
fn observatory_s_rules_hold_for_api_and_strict() {
    for preset in ["api", "strict"] {
        let response = response(
            &mut gateway(&format!(r#"{{"headers": {{"preset": "{preset}"}}}}"#)),
            "example.org",
            true,
            &[],
        );
        let [policy] = all(&response, "content-security-policy")[..] else {
            panic!("one policy")
        };
        let directives: Vec<Vec<&str>> = policy
            .split(';')
            .map(|directive| directive.split_whitespace().collect())
            .collect();
        let names: std::collections::BTreeSet<&str> =
            directives.iter().map(|directive| directive[0]).collect();
        assert_eq!(names.len(), directives.len(), "no directive twice");
        assert!(directives.contains(&vec!["default-src", "'none'"]));
        assert!(directives.contains(&vec!["frame-ancestors", "'none'"]));
        for directive in &directives {
            assert!(
                directive[1..]
                    .iter()
                    .all(|source| matches!(*source, "'none'" | "'self'")),
                "{directive:?}"
            );
        }
        assert_eq!(all(&response, "referrer-policy"), ["no-referrer"]);
        assert_eq!(all(&response, "x-content-type-options"), ["nosniff"]);
        assert_eq!(all(&response, "x-frame-options"), ["DENY"]);
        assert_eq!(
            all(&response, "cross-origin-resource-policy"),
            ["same-origin"]
        );
        assert_eq!(
            all(&response, HSTS),
            ["max-age=31536000; includeSubDomains"]
        );
        if preset == "strict" {
            assert_eq!(
                all(&response, "cross-origin-opener-policy"),
                ["same-origin"]
            );
            assert_eq!(
                all(&response, "cross-origin-embedder-policy"),
                ["require-corp"]
            );
        }
    }
}

/// OWASP Secure Headers Project, `ci/headers_add.json` of 2026-07-19. Left out: `Clear-Site-Data`, which is for a logout, and the
/// policy, which is stricter here.
#[test]
fn strict_has_what_owasp_recommends() {
    const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), cross-origin-isolated=(), display-capture=(), encrypted-media=(), \
        fullscreen=(), geolocation=(), gyroscope=(), keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), \
        picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), sync-xhr=(self), usb=(), web-share=(), \
        xr-spatial-tracking=(), clipboard-read=(), clipboard-write=(), gamepad=(), hid=(), idle-detection=(), interest-cohort=(), \
        serial=(), unload=()";
    let mut gateway = gateway(r#"{"headers": {"preset": "strict"}, "hsts": {"max_age": "730d"}}"#);
    let response = response(&mut gateway, "example.org", true, &[]);
    for (name, value) in [
        ("cache-control", "no-store, max-age=0"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        (HSTS, "max-age=63072000; includeSubDomains"),
        ("x-content-type-options", "nosniff"),
        ("x-dns-prefetch-control", "off"),
        ("x-frame-options", "DENY"),
        ("x-permitted-cross-domain-policies", "none"),
    ] {
        assert_eq!(all(&response, name), [value]);
    }
    let sorted = |policy: &str| {
        let mut features: Vec<String> = policy.split(", ").map(str::to_owned).collect();
        features.sort();
        features
    };
    let [own] = all(&response, "permissions-policy")[..] else {
        panic!("one policy")
    };
    assert_eq!(sorted(own), sorted(PERMISSIONS));
}

#[test]
fn an_upstream_s_own_policy_stays_where_it_is_one() {
    for (name, upstream, expected) in [
        (
            "content-security-policy",
            &["default-src 'self'"][..],
            &["default-src 'self'"][..],
        ),
        (
            "content-security-policy",
            &["default-src 'self'", "script-src 'self'"],
            &["default-src 'self'", "script-src 'self'"],
        ),
        (
            "content-security-policy",
            &["default-src 'self'", "default-src 'self'"],
            &["default-src 'self'"],
        ),
        ("x-content-type-options", &["nosniff"], &["nosniff"]),
        (
            "x-content-type-options",
            &["nosniff", "nosniff"],
            &["nosniff"],
        ),
        (
            "x-content-type-options",
            &["nosniff, nosniff"],
            &["nosniff"],
        ),
        ("x-content-type-options", &["none"], &["nosniff"]),
        ("x-frame-options", &["SAMEORIGIN"], &["SAMEORIGIN"]),
        ("x-frame-options", &["DENY", "DENY"], &["DENY"]),
        ("x-frame-options", &["SAMEORIGIN", "DENY"], &["DENY"]),
        (
            "x-frame-options",
            &["ALLOW-FROM https://a.example"],
            &["DENY"],
        ),
        (
            "cross-origin-resource-policy",
            &["cross-origin"],
            &["cross-origin"],
        ),
        ("cross-origin-resource-policy", &["bogus"], &["same-origin"]),
        ("referrer-policy", &["origin"], &["origin"]),
    ] {
        let fields: Vec<_> = upstream.iter().map(|value| (name, *value)).collect();
        assert_eq!(
            all(
                &response(&mut gateway("{}"), "example.org", true, &fields),
                name
            ),
            expected,
            "{name} {upstream:?}"
        );
    }
}
