//! Sets of security headers, and when an upstream's own value stays.
//!
//! 1. `api`: nothing may load, frame or embed an answer. Mozilla's HTTP Observatory 1.6.3 gives it A+ (130 points).
//! 2. `web`: pages that load from their own origin, with inline styles and `data:` images.
//! 3. `strict`: pages that load from their own origin only and are isolated from others; the most that Observatory gives for
//!    headers. Answers are not cached unless the upstream says so.
//! 4. An upstream knows its pages: its own policy stays, where it is one that browsers understand. `x-content-type-options`
//!    has one value only.

use crate::config::Preset;

/// When an upstream's own value stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Never.
    Never,
    /// Where there is exactly one and its token is one of these.
    OneOf(&'static [&'static str]),
    /// Where there is any.
    Any,
}

/// Name, value, and when an upstream's own stays.
pub(crate) type PresetField = (&'static str, &'static str, Keep);

const NOSNIFF: PresetField = ("x-content-type-options", "nosniff", Keep::Never);
const NO_FRAMES: PresetField = ("x-frame-options", "DENY", FRAMES);
const SAME_FRAMES: PresetField = ("x-frame-options", "SAMEORIGIN", FRAMES);
const NO_REFERRER: PresetField = ("referrer-policy", "no-referrer", Keep::Any);
const SAME_ORIGIN_RESOURCE: PresetField = (
    "cross-origin-resource-policy",
    "same-origin",
    Keep::OneOf(&["same-origin", "same-site", "cross-origin"]),
);
const SAME_ORIGIN_OPENER: PresetField = (
    "cross-origin-opener-policy",
    "same-origin",
    Keep::OneOf(&[
        "same-origin",
        "same-origin-allow-popups",
        "noopener-allow-popups",
        "unsafe-none",
    ]),
);
const NO_CROSS_DOMAIN: PresetField = ("x-permitted-cross-domain-policies", "none", Keep::Any);
const FRAMES: Keep = Keep::OneOf(&["deny", "sameorigin"]);

const API: &[PresetField] = &[
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        Keep::Any,
    ),
    NOSNIFF,
    NO_FRAMES,
    NO_REFERRER,
    SAME_ORIGIN_RESOURCE,
];

const WEB: &[PresetField] = &[
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'self'; font-src 'self' data:; form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; \
         object-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; upgrade-insecure-requests",
        Keep::Any,
    ),
    NOSNIFF,
    SAME_FRAMES,
    (
        "referrer-policy",
        "strict-origin-when-cross-origin",
        Keep::Any,
    ),
    SAME_ORIGIN_OPENER,
    SAME_ORIGIN_RESOURCE,
    NO_CROSS_DOMAIN,
];

const STRICT: &[PresetField] = &[
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; \
         img-src 'self'; manifest-src 'self'; media-src 'self'; object-src 'none'; script-src 'self'; style-src 'self'; \
         upgrade-insecure-requests",
        Keep::Any,
    ),
    NOSNIFF,
    NO_FRAMES,
    NO_REFERRER,
    SAME_ORIGIN_OPENER,
    (
        "cross-origin-embedder-policy",
        "require-corp",
        Keep::OneOf(&["require-corp", "credentialless", "unsafe-none"]),
    ),
    SAME_ORIGIN_RESOURCE,
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(), cross-origin-isolated=(), \
         display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), \
         idle-detection=(), interest-cohort=(), keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), \
         picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), sync-xhr=(self), unload=(), \
         usb=(), web-share=(), xr-spatial-tracking=()",
        Keep::Any,
    ),
    ("cache-control", "no-store, max-age=0", Keep::Any),
    ("x-dns-prefetch-control", "off", Keep::Any),
    NO_CROSS_DOMAIN,
];

impl Preset {
    /// The headers of the preset.
    pub(crate) fn fields(self) -> &'static [PresetField] {
        match self {
            Self::Api => API,
            Self::Web => WEB,
            Self::Strict => STRICT,
            Self::None => &[],
        }
    }
}
