//! The plugin's counters.

use launchgate_sdk::{Counter, Family, Mode, Registry};

use crate::config::TlsVersion;
use crate::transport::{Transport, Version};

const REQUESTS: Family = Family::counter(
    "launchgate_tls_requests_total",
    &["version"],
    "Requests by TLS version of the connection; none is plaintext, forwarded is TLS that ended at a trusted proxy.",
);
const REDIRECTS: Family = Family::counter(
    "launchgate_tls_redirects_total",
    &["reason"],
    "Requests redirected to https.",
);
const WOULD_REDIRECT: Family = Family::counter(
    "launchgate_tls_would_redirect_total",
    &["reason"],
    "Requests that would be redirected, in mode report.",
);
const REJECTED: Family = Family::counter(
    "launchgate_tls_rejected_total",
    &["reason"],
    "Requests refused.",
);
const WOULD_REJECT: Family = Family::counter(
    "launchgate_tls_would_reject_total",
    &["reason"],
    "Requests that would be refused, in mode report or with min_version_action report.",
);
const EXEMPT: Family = Family::counter(
    "launchgate_tls_exempt_total",
    &["reason"],
    "Plaintext requests that passed as exempt.",
);
const UNTRUSTED: Family = Family::counter(
    "launchgate_tls_untrusted_proto_total",
    &[],
    "Plaintext requests whose peer claimed https without being in trusted_proxies.",
);
const UNKNOWN_SNI: Family = Family::counter(
    "launchgate_tls_unknown_sni_total",
    &[],
    "TLS requests whose server name was not known, so that they could not be checked for misdirection.",
);
const EDITS: Family = Family::counter(
    "launchgate_tls_edits_total",
    &["kind"],
    "Requests and responses whose headers were changed, by kind of change.",
);
const WOULD_EDIT: Family = Family::counter(
    "launchgate_tls_would_edit_total",
    &["kind"],
    "Requests and responses whose headers would be changed, in mode report.",
);

/// All families.
pub(crate) const FAMILIES: &[Family] = &[
    REQUESTS,
    REDIRECTS,
    WOULD_REDIRECT,
    REJECTED,
    WOULD_REJECT,
    EXEMPT,
    UNTRUSTED,
    UNKNOWN_SNI,
    EDITS,
    WOULD_EDIT,
];

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $label),)+];
        }
    };
}

labelled! {
    /// Why a request was refused.
    Refusal {
        /// Below the lowest TLS version.
        Version = "version",
        /// On a connection for another listener.
        Misdirected = "misdirected",
        /// Plaintext, by a method that is not safe.
        UnsafeMethod = "unsafe_method",
        /// Plaintext gRPC.
        PlaintextGrpc = "plaintext_grpc",
        /// Plaintext, with a URL that cannot be repeated.
        InvalidUrl = "invalid_url",
        /// Without the client certificate that the path needs.
        ClientCert = "client_cert",
    }
}

labelled! {
    /// Why a request was redirected.
    Cause {
        /// It came in plaintext.
        Plaintext = "plaintext",
        /// So did it, and its peer claimed https without being trusted.
        UntrustedProto = "untrusted_proto",
    }
}

labelled! {
    /// Why a plaintext request passed.
    Exemption {
        /// Its path is exempt.
        Path = "path",
        /// It is a preflight.
        Preflight = "preflight",
    }
}

labelled! {
    /// What was changed.
    Edit {
        /// Certificate headers stripped from a request.
        CertificateHeader = "certificate_header",
        /// HSTS set or removed.
        Hsts = "hsts",
        /// Security headers set.
        SecurityHeader = "security_header",
        /// Leaking headers removed.
        Leak = "leak",
        /// Cookies hardened.
        Cookie = "cookie",
        /// Location rewritten.
        Location = "location",
    }
}

labelled! {
    /// TLS version as a label.
    Label {
        /// TLS 1.0.
        V1_0 = "1.0",
        /// TLS 1.1.
        V1_1 = "1.1",
        /// TLS 1.2.
        V1_2 = "1.2",
        /// TLS 1.3.
        V1_3 = "1.3",
        /// One that is not known.
        Other = "other",
        /// TLS that ended at a trusted proxy.
        Forwarded = "forwarded",
        /// Plaintext.
        None = "none",
    }
}

impl From<Transport> for Label {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tls(Version::Known(TlsVersion::V1_0)) => Self::V1_0,
            Transport::Tls(Version::Known(TlsVersion::V1_1)) => Self::V1_1,
            Transport::Tls(Version::Known(TlsVersion::V1_2)) => Self::V1_2,
            Transport::Tls(Version::Known(TlsVersion::V1_3)) => Self::V1_3,
            Transport::Tls(Version::Other) => Self::Other,
            Transport::Forwarded => Self::Forwarded,
            Transport::Plaintext { .. } => Self::None,
        }
    }
}

/// The series of one family by its only label.
#[derive(Debug)]
pub(crate) struct Series<L>(Vec<(L, Counter)>);

impl<L: Copy + PartialEq> Series<L> {
    fn new(family: &Family, labels: &[(L, &str)], registry: &mut Registry) -> Self {
        Self(
            labels
                .iter()
                .map(|(label, text)| (*label, registry.counter(family, &[text.as_bytes()])))
                .collect(),
        )
    }

    /// The counter of a label.
    pub(crate) fn of(&self, label: L) -> Option<Counter> {
        self.0
            .iter()
            .find(|(own, _)| *own == label)
            .map(|(_, counter)| *counter)
    }
}

/// Handles of all series, made once. In mode report those of what is done are those of what would be done.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By TLS version.
    pub(crate) requests: Series<Label>,
    /// By cause.
    pub(crate) redirects: Series<Cause>,
    /// By reason.
    pub(crate) refusals: Series<Refusal>,
    /// Below the lowest version with `min_version_action` report, in any mode.
    pub(crate) reported_version: Counter,
    /// By reason.
    pub(crate) exempt: Series<Exemption>,
    /// By kind.
    pub(crate) edits: Series<Edit>,
    /// Claims of https by untrusted peers.
    pub(crate) untrusted: Counter,
    /// TLS requests without known server name.
    pub(crate) unknown_sni: Counter,
}

impl Metrics {
    /// Numbers all series.
    pub(crate) fn new(mode: Mode, registry: &mut Registry) -> Self {
        let acts = mode != Mode::Report;
        let either = |done, would| if acts { done } else { would };
        Self {
            requests: Series::new(&REQUESTS, Label::ALL, registry),
            redirects: Series::new(&either(REDIRECTS, WOULD_REDIRECT), Cause::ALL, registry),
            refusals: Series::new(&either(REJECTED, WOULD_REJECT), Refusal::ALL, registry),
            reported_version: registry.counter(&WOULD_REJECT, &[b"version"]),
            exempt: Series::new(&EXEMPT, Exemption::ALL, registry),
            edits: Series::new(&either(EDITS, WOULD_EDIT), Edit::ALL, registry),
            untrusted: registry.counter(&UNTRUSTED, &[]),
            unknown_sni: registry.counter(&UNKNOWN_SNI, &[]),
        }
    }
}
