//! Configuration of `tls`, as it is spelled in JSON.

use launchgate_sdk::map::Map;

use launchgate_sdk::config::{Decode, Json, Mistakes};
use launchgate_sdk::cookie::SameSite;
use launchgate_sdk::path::PathRule;
use launchgate_sdk::scope::HostRule;
use launchgate_sdk::{Cidr, Period, Timestamp};

/// The configuration. `{}` redirects plaintext, sends HSTS and the header preset `api`.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address ranges of the proxies in front whose `x-forwarded-proto` counts. Default: none, so that only the connection's
    /// own TLS makes a request secure.
    pub trusted_proxies: Vec<Cidr>,
    /// What happens with plaintext.
    pub redirect: RedirectConfig,
    /// HTTP Strict Transport Security (RFC 6797).
    pub hsts: HstsConfig,
    /// Lowest TLS version of a connection: `1.0`, `1.1`, `1.2` or `1.3`. Default: none beyond the listener's own.
    pub min_version: Option<TlsVersion>,
    /// What happens below `min_version`: `reject` (default) answers 403, `report` only counts.
    pub min_version_action: FloorAction,
    /// Detection of requests that came on a connection made for another listener. Default: off.
    pub misdirected: Option<MisdirectedConfig>,
    /// Paths that need a client certificate. Default: none.
    pub client_cert: Vec<ClientCertConfig>,
    /// Request headers that speak of a client certificate.
    pub certificate_headers: CertificateHeadersConfig,
    /// Security headers of responses.
    pub headers: HeadersConfig,
    /// Cookies of responses. Default: left alone.
    pub cookies: CookiesConfig,
    /// Whether `Location: http://` to the request's own host becomes `https://` on a secure request. Default: true.
    pub rewrite_location: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            redirect: RedirectConfig::default(),
            hsts: HstsConfig::default(),
            min_version: None,
            min_version_action: FloorAction::default(),
            misdirected: None,
            client_cert: Vec::new(),
            certificate_headers: CertificateHeadersConfig::default(),
            headers: HeadersConfig::default(),
            cookies: CookiesConfig::default(),
            rewrite_location: true,
        }
    }
}

/// What happens with plaintext.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RedirectConfig {
    /// Whether plaintext is redirected to https at all. Default: true.
    pub enabled: bool,
    /// `"auto"` (default): 301 for GET and HEAD, 308 for every other method; or 301, 302, 307 or 308 for all.
    pub status: RedirectStatus,
    /// Port of the https URL; 443 (default) is left out of it.
    pub port: u16,
    /// Methods that are not safe (RFC 9110 section 9.2.1): `redirect` (default) or `reject` with 403, so that nobody goes on
    /// sending bodies and credentials in plaintext without noticing.
    pub unsafe_methods: UnsafeMethods,
    /// Paths that are served in plaintext; a trailing `/` means prefix. Default: ACME challenges and the health paths.
    pub exempt_paths: Vec<PathRule>,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        let exempt = [
            "/.well-known/acme-challenge/",
            "/livez",
            "/healthz",
            "/readyz",
            "/startupz",
        ];
        Self {
            enabled: true,
            status: RedirectStatus::Auto,
            port: 443,
            unsafe_methods: UnsafeMethods::default(),
            exempt_paths: exempt.into_iter().filter_map(PathRule::parse).collect(),
        }
    }
}

/// Status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectStatus {
    /// By method.
    Auto,
    /// Always this one.
    Fixed(u16),
}

impl Decode for RedirectStatus {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        let status = match (json.as_str(), json.as_u64()) {
            (Some("auto"), _) => Some(Self::Auto),
            (_, Some(code @ (301 | 302 | 307 | 308))) => Some(Self::Fixed(code as u16)),
            _ => None,
        };
        mistakes.noted(status, "expected one of \"auto\", 301, 302, 307, 308")
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for RedirectStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RedirectStatus".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"enum": ["auto", 301, 302, 307, 308]})
    }
}

/// What happens with methods that are not safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnsafeMethods {
    /// Redirected as the others.
    #[default]
    Redirect,
    /// Answered 403.
    Reject,
}

/// HTTP Strict Transport Security.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HstsConfig {
    /// Whether the header is sent. Default: true. Without it, an upstream's goes through on secure requests.
    pub enabled: bool,
    /// For how long a browser remembers, in whole seconds. Default: `365d`.
    pub max_age: Period,
    /// Whether it holds for all subdomains. Default: true.
    pub include_subdomains: bool,
    /// Whether the domain may go into the browsers' preload lists. Default: false. Refused unless the header is eligible:
    /// subdomains included and `max_age`, also of each `ramp` stage, at least `365d`.
    pub preload: bool,
    /// Stages by date, in order: from its date on, a stage's `max_age` replaces the one before. Default: none.
    pub ramp: Vec<RampStage>,
    /// Sends `max-age=0`, so that browsers forget the host. Default: false.
    pub kill: bool,
    /// An upstream's own header: `replace` (default) or `keep` (its first one, since browsers read no other).
    pub upstream: UpstreamHsts,
}

impl Default for HstsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_age: Period::seconds(365 * 86_400),
            include_subdomains: true,
            preload: false,
            ramp: Vec::new(),
            kill: false,
            upstream: UpstreamHsts::default(),
        }
    }
}

/// A stage of a ramp.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RampStage {
    /// When it begins (RFC 3339).
    pub from: Date,
    /// `max_age` from then on.
    pub max_age: Period,
}

/// A point in time, RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Decode)]
#[serde(try_from = "String")]
pub struct Date(pub Timestamp);

impl TryFrom<String> for Date {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Timestamp::parse_rfc3339(&text)
            .map(Self)
            .ok_or("expected a time such as \"2026-12-01T00:00:00Z\" (RFC 3339)")
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "A time such as `2026-12-01T00:00:00Z` (RFC 3339)."})
    }
}

/// What happens with an upstream's HSTS header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpstreamHsts {
    /// The plugin's own takes its place.
    #[default]
    Replace,
    /// It stays.
    Keep,
}

/// A TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub enum TlsVersion {
    /// TLS 1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// TLS 1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// What happens below the lowest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FloorAction {
    /// Answered 403.
    #[default]
    Reject,
    /// Counted.
    Report,
}

/// Detection of misdirected requests.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MisdirectedConfig {
    /// Host names of the listeners on this port: `example.org`, `*.example.org` (all below), `*` (all others). At least one.
    pub listeners: Vec<HostRule>,
}

/// Paths that need a client certificate. At least one of `sha256`, `uri_san` and `listener_validates`; all that are set must
/// hold.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientCertConfig {
    /// Path; a trailing `/` means prefix. An ambiguous request path counts as inside.
    pub path: PathRule,
    /// SHA-256 digests of the allowed certificates, in hex, with or without `:`. Default: any.
    #[serde(default)]
    pub sha256: Vec<String>,
    /// Allowed first URI SANs, such as a SPIFFE id. Default: any. A name proves something only where the listener validates.
    #[serde(default)]
    pub uri_san: Vec<String>,
    /// The operator's word that the listener validates client certificates against an authority. Default: false. Envoy's
    /// `connection.mtls` alone is also true for an unverified certificate under `ACCEPT_UNTRUSTED`.
    #[serde(default)]
    pub listener_validates: bool,
}

/// Request headers that speak of a client certificate.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CertificateHeadersConfig {
    /// Names that a client must not set; a trailing `*` means all that begin so, `_` counts as `-`. Default: those of Envoy,
    /// nginx, Traefik, AWS, Google Cloud, Azure and RFC 9440. `[]`: nothing is stripped.
    pub strip: Vec<String>,
    /// Whether a peer in `trusted_proxies` may set them. Default: false.
    pub from_trusted_proxies: bool,
    /// The operator's word that the listener validates client certificates and sets `x-forwarded-client-cert` itself
    /// (`SANITIZE_SET`): it then stays on connections with a certificate. Default: false; a `client_cert` rule that says so, or
    /// whose `sha256` holds the connection's certificate, has the same effect.
    pub listener_validates: bool,
}

impl Default for CertificateHeadersConfig {
    fn default() -> Self {
        let strip = crate::certificate_headers::KNOWN
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        Self {
            strip,
            from_trusted_proxies: false,
            listener_validates: false,
        }
    }
}

/// Security headers of responses.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HeadersConfig {
    /// `api` (default), `web`, `strict` or `none`. A preset adds what is missing, replaces what is invalid, and (except
    /// `none`) removes the headers of OWASP's list of leaking ones.
    pub preset: Preset,
    /// Headers that replace whatever an upstream set, by name.
    pub set: Map<String, String>,
    /// Headers that are added where missing, by name. They take the place of the preset's.
    pub add_if_absent: Map<String, String>,
    /// Names that are removed, and left out of the preset.
    pub remove: Vec<String>,
    /// Names on OWASP's list that stay. Default: none.
    pub keep: Vec<String>,
    /// The operator's word that the connection manager has `server_header_transformation: PASS_THROUGH`, without which Envoy
    /// writes `server` after the plugin. Default: false, which gives one warning at load.
    pub server_pass_through: bool,
}

/// A set of security headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For services whose answers are no pages: nothing may be loaded or framed.
    #[default]
    Api,
    /// For pages that load from their own origin, with inline styles.
    Web,
    /// For pages that load from their own origin only, isolated from others.
    Strict,
    /// Nothing.
    None,
}

/// Cookies of responses.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CookiesConfig {
    /// Adds `Secure` where missing. Default: false.
    pub secure: bool,
    /// Adds `HttpOnly` where missing. Default: false.
    pub http_only: bool,
    /// Adds `SameSite` where missing or unknown: `Strict`, `Lax` or `None` (which needs `secure`). Default: not.
    pub same_site: Option<SameSite>,
    /// Cookies that are hardened, by name; `*` stands for any text at the begin or end. Default: all.
    pub names: Vec<String>,
    /// Cookies that are left alone, such as one that a script must read. Default: none.
    pub except: Vec<String>,
}

impl Default for CookiesConfig {
    fn default() -> Self {
        Self {
            secure: false,
            http_only: false,
            same_site: None,
            names: vec!["*".to_owned()],
            except: Vec::new(),
        }
    }
}
