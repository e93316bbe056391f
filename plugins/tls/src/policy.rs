//! Decides about an exchange: who passes, who is redirected or refused, and what a response gets.

use launchgate_sdk::path::RequestPath;
use launchgate_sdk::{
    Attribute, ConfigErrors, Counter, Family, Headers, Level, Mode, Phases, Policy, Reply,
    RequestView, ResponseView, Setup, StreamContext, Verdict,
};

use crate::authority::Authority;
use crate::certificate_headers::{CertificateHeaders, ENVOYS};
use crate::changes::Changes;
use crate::client_cert::ClientCert;
use crate::config::{Config, FloorAction, TlsVersion};
use crate::cookies::Cookies;
use crate::hsts::Hsts;
use crate::listener::Listeners;
use crate::metrics::{Cause, Edit, Exemption, FAMILIES, Metrics, Refusal};
use crate::minute::Minute;
use crate::redirect::{Plaintext, Redirect};
use crate::security_headers::SecurityHeaders;
use crate::transport::{Transport, Trust, Version};

/// The policy.
pub struct Tls {
    mode: Mode,
    trust: Trust,
    redirect: Option<Redirect>,
    pub(crate) hsts: Option<Hsts>,
    floor: Option<TlsVersion>,
    floor_action: FloorAction,
    listeners: Option<Listeners>,
    client_cert: Vec<ClientCert>,
    certificate_headers: CertificateHeaders,
    certificate_headers_from_proxies: bool,
    listener_validates: bool,
    pub(crate) headers: SecurityHeaders,
    pub(crate) cookies: Option<Cookies>,
    rewrites_location: bool,
    metrics: Metrics,
    untrusted_logged: Minute,
}

/// What the response needs to know of the request.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Whether the request was secure.
    pub(crate) secure: bool,
    /// Whether the host is a name: browsers keep no HSTS for an address.
    pub(crate) named: bool,
    /// `:authority`, where the response's `Location` may have to be compared with it.
    pub(crate) authority: Vec<u8>,
}

/// What is to become of a request.
enum Decision {
    Continue,
    Redirect(Cause, u16, Vec<u8>),
    Refuse(Refusal),
}

impl Policy for Tls {
    const NAME: &'static str = "tls";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        request: true,
        response: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = FAMILIES;
    type Config = Config;
    type Exchange = Exchange;
    type Tag = ();

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut warnings = Vec::new();
        errors.check(
            config.redirect.port != 0,
            "redirect.port",
            "expected a port from 1 to 65535",
        );
        if let Some(misdirected) = &config.misdirected {
            errors.check(
                !misdirected.listeners.is_empty(),
                "misdirected.listeners",
                "expected at least one host such as \"example.org\" or \"*\"",
            );
        }
        let policy = Self {
            mode: setup.mode(),
            trust: Trust {
                proxies: config.trusted_proxies,
                envoy_xff: setup.common.trust_envoy_xff,
            },
            redirect: Redirect::new(config.redirect),
            hsts: Hsts::new(&config.hsts, &mut errors, &mut warnings),
            floor: config.min_version,
            floor_action: config.min_version_action,
            listeners: config
                .misdirected
                .map(|misdirected| Listeners::new(misdirected.listeners)),
            client_cert: ClientCert::rules(config.client_cert, &mut errors, &mut warnings),
            certificate_headers: CertificateHeaders::new(
                &config.certificate_headers.strip,
                &mut errors,
            ),
            certificate_headers_from_proxies: config.certificate_headers.from_trusted_proxies,
            listener_validates: config.certificate_headers.listener_validates,
            headers: SecurityHeaders::new(&config.headers, &mut errors, &mut warnings),
            cookies: Cookies::new(config.cookies, &mut errors),
            rewrites_location: config.rewrite_location,
            metrics: Metrics::new(setup.mode(), setup.metrics),
            untrusted_logged: Minute::new("untrusted_proto_logged"),
        };
        setup.warnings.extend(warnings);
        errors.into_result(policy)
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let transport = self.trust.transport(view);
        count(cx, self.metrics.requests.of(transport.into()));
        *exchange = self.remember(view.headers(), transport);
        if transport
            == (Transport::Plaintext {
                untrusted_claim: true,
            })
        {
            self.note_untrusted_claim(view, cx);
        }
        let decision = self.decide(view, transport, cx);
        let counter = match &decision {
            Decision::Continue => None,
            Decision::Redirect(cause, ..) => self.metrics.redirects.of(*cause),
            Decision::Refuse(refusal) => self.metrics.refusals.of(*refusal),
        };
        count(cx, counter);
        match decision {
            Decision::Redirect(_, status, location) if self.mode != Mode::Report => {
                Verdict::Reply(Reply::new(status, "tls_redirect").header("location", location))
            }
            Decision::Refuse(refusal) if self.mode != Mode::Report => {
                Verdict::Reply(self.refuse(refusal))
            }
            _ => {
                self.strip_certificate_headers(view, cx);
                Verdict::Continue
            }
        }
    }

    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        let changes = Changes::of(self, view.headers(), exchange, cx);
        for (changed, kind) in changes.kinds() {
            count(cx, self.metrics.edits.of(kind).filter(|_| changed));
        }
        if self.mode != Mode::Report {
            changes.apply(view);
        }
    }
}

impl Tls {
    fn remember(&self, request: &Headers, transport: Transport) -> Exchange {
        let secure = transport.is_secure();
        let authority = request.authority();
        let wanted = secure && self.rewrites_location;
        Exchange {
            secure,
            named: secure
                && Authority::parse(authority).is_some_and(|authority| !authority.is_ip()),
            authority: if wanted {
                authority.to_vec()
            } else {
                Vec::new()
            },
        }
    }

    fn decide(
        &self,
        view: &RequestView<'_>,
        transport: Transport,
        cx: &mut StreamContext<'_>,
    ) -> Decision {
        if let Transport::Tls(version) = transport {
            if self
                .floor
                .is_some_and(|floor| version < Version::Known(floor))
            {
                match self.floor_action {
                    FloorAction::Reject => return Decision::Refuse(Refusal::Version),
                    FloorAction::Report => cx.fx.count(self.metrics.reported_version),
                }
            }
            if self.is_misdirected(view, cx) {
                return Decision::Refuse(Refusal::Misdirected);
            }
        }
        if let (Transport::Plaintext { untrusted_claim }, Some(redirect)) =
            (transport, &self.redirect)
        {
            let cause = if untrusted_claim {
                Cause::UntrustedProto
            } else {
                Cause::Plaintext
            };
            match redirect.decide(view.headers()) {
                Plaintext::Preflight => count(cx, self.metrics.exempt.of(Exemption::Preflight)),
                Plaintext::Exempt => count(cx, self.metrics.exempt.of(Exemption::Path)),
                Plaintext::Redirect(status, location) => {
                    return Decision::Redirect(cause, status, location);
                }
                Plaintext::UnsafeMethod => return Decision::Refuse(Refusal::UnsafeMethod),
                Plaintext::Grpc => return Decision::Refuse(Refusal::PlaintextGrpc),
                Plaintext::Invalid => return Decision::Refuse(Refusal::InvalidUrl),
            }
        }
        if self.lacks_client_cert(view) {
            Decision::Refuse(Refusal::ClientCert)
        } else {
            Decision::Continue
        }
    }

    fn is_misdirected(&self, view: &RequestView<'_>, cx: &mut StreamContext<'_>) -> bool {
        let Some(listeners) = &self.listeners else {
            return false;
        };
        let Some(server_name) = view.text(Attribute::RequestedServerName) else {
            cx.fx.count(self.metrics.unknown_sni);
            return false;
        };
        Authority::parse(view.headers().authority())
            .is_some_and(|authority| listeners.is_misdirected(&server_name, authority.name()))
    }

    fn lacks_client_cert(&self, view: &RequestView<'_>) -> bool {
        if self.client_cert.is_empty() {
            return false;
        }
        let path = RequestPath::read(view.headers().path());
        self.client_cert
            .iter()
            .any(|rule| rule.protects(path) && !rule.is_satisfied(view))
    }

    fn strip_certificate_headers(&self, view: &mut RequestView<'_>, cx: &mut StreamContext<'_>) {
        let mut found = self.certificate_headers.found(view.headers());
        if found.is_empty()
            || (self.certificate_headers_from_proxies && self.trust.is_trusted(view))
        {
            return;
        }
        if found.iter().any(|name| name.eq_ignore_ascii_case(ENVOYS))
            && self.has_proven_certificate(view)
        {
            found.retain(|name| !name.eq_ignore_ascii_case(ENVOYS));
        }
        if found.is_empty() {
            return;
        }
        count(cx, self.metrics.edits.of(Edit::CertificateHeader));
        if self.mode != Mode::Report {
            for name in &found {
                view.remove(name);
            }
        }
    }

    fn has_proven_certificate(&self, view: &RequestView<'_>) -> bool {
        view.flag(Attribute::Mtls)
            && (self.listener_validates || self.client_cert.iter().any(|rule| rule.proves(view)))
    }

    /// Counts, and logs once a minute and proxy, so that a load balancer left out of `trusted_proxies` is found at once.
    fn note_untrusted_claim(&mut self, view: &RequestView<'_>, cx: &mut StreamContext<'_>) {
        cx.fx.count(self.metrics.untrusted);
        let now = cx.now.mono;
        if self.untrusted_logged.is_due(now, &mut cx.state()) {
            let peer = self.trust.claimed_peer(view);
            cx.log(Level::Warn, || format!("ignored x-forwarded-proto https of a peer outside of trusted_proxies: peer={peer}"));
        }
    }

    fn refuse(&self, refusal: Refusal) -> Reply {
        let (status, grpc, details, text) = match refusal {
            Refusal::Version => (403, PERMISSION_DENIED, "tls_version", self.version_text()),
            Refusal::Misdirected => (
                421,
                UNAVAILABLE,
                "tls_misdirected",
                "this connection is not for this host, open another one",
            ),
            Refusal::UnsafeMethod => (403, PERMISSION_DENIED, "tls_unsafe_method", HTTPS),
            Refusal::PlaintextGrpc => (403, FAILED_PRECONDITION, "tls_plaintext_grpc", HTTPS),
            Refusal::InvalidUrl => (
                400,
                INVALID_ARGUMENT,
                "tls_invalid_url",
                "the request's URL is not valid",
            ),
            Refusal::ClientCert => (
                403,
                PERMISSION_DENIED,
                "tls_client_cert",
                "a client certificate is required",
            ),
        };
        Reply::new(status, details)
            .grpc_status(grpc)
            .body("text/plain; charset=utf-8", text)
    }

    fn version_text(&self) -> &'static str {
        match self.floor {
            Some(TlsVersion::V1_3) => "TLS 1.3 or later is required",
            Some(TlsVersion::V1_1) => "TLS 1.1 or later is required",
            Some(TlsVersion::V1_0) => "TLS 1.0 or later is required",
            Some(TlsVersion::V1_2) | None => "TLS 1.2 or later is required",
        }
    }
}

const HTTPS: &str = "https is required";

// Codes of the gRPC status code list.
const INVALID_ARGUMENT: u32 = 3;
const PERMISSION_DENIED: u32 = 7;
const FAILED_PRECONDITION: u32 = 9;
const UNAVAILABLE: u32 = 14;

fn count(cx: &mut StreamContext<'_>, counter: Option<Counter>) {
    if let Some(counter) = counter {
        cx.fx.count(counter);
    }
}
