//! From the end of an exchange to a record.
//!
//! 1. Level: 5xx, a failed gRPC status of the server's, and no response at all are errors; 4xx and other gRPC statuses
//!    are warnings; the rest is info, a client that left included.
//! 2. Every text is redacted here; nothing is cut before.
//! 3. The client's address is that of the connection, see [`Peer`]; one that a header claims is recorded as claimed.

use std::time::Duration;

use launchgate_sdk::claim::{Claim, ClaimSource};
use launchgate_sdk::redact::{HeaderRule, Redaction, Redactor};
use launchgate_sdk::response_flags::{self, DC, DR};
use launchgate_sdk::scope::without_port;
use launchgate_sdk::trace::{TraceContext, TraceFormat, TraceId};
use launchgate_sdk::{Attribute, EndView, Headers, Peer, Time};

use crate::config::UserIdConfig;
use crate::field::Field;
use crate::name::{Name, Names};
use crate::record::{Key, Record, Severity, Value};

/// Makes records.
#[derive(Debug)]
pub(crate) struct Observer {
    /// Redacts.
    pub(crate) redactor: Redactor,
    /// Fields of the configuration.
    pub(crate) fields: Vec<Field>,
    /// Fields of the model that are left out.
    pub(crate) omit: Names,
    /// Rules of the headers that every record has.
    pub(crate) rules: Rules,
    /// Formats of trace headers.
    pub(crate) trace: Vec<TraceFormat>,
    /// Where the user id comes from.
    pub(crate) user_id: UserIdConfig,
    /// Whether an address that Envoy took from a header counts.
    pub(crate) trust_envoy_xff: bool,
}

/// Rules of the headers that every record has.
#[derive(Debug)]
pub(crate) struct Rules {
    request_id: HeaderRule,
    user_agent: HeaderRule,
    referer: HeaderRule,
}

impl Rules {
    pub(crate) fn new(redactor: &Redactor) -> Self {
        Self {
            request_id: redactor.header_rule("x-request-id"),
            user_agent: redactor.header_rule("user-agent"),
            referer: redactor.header_rule("referer"),
        }
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Status that was sent.
    pub(crate) status: Option<u16>,
    /// gRPC status, of gRPC only.
    pub(crate) grpc_status: Option<u64>,
    /// Envoy's response flags.
    pub(crate) flags: u64,
    /// From the request to the end.
    pub(crate) duration: Duration,
}

impl Ending {
    /// Reads what sampling must know.
    pub(crate) fn read(request: &Headers, view: &EndView<'_>) -> Self {
        Self {
            status: view.status(),
            grpc_status: view.integer_if(request.is_grpc(), Attribute::ResponseGrpcStatus),
            flags: view.flags(),
            duration: view.duration(),
        }
    }

    fn client_left(self) -> bool {
        self.flags & (DC | DR) != 0
    }

    /// Severity of the record.
    pub(crate) fn severity(self) -> Severity {
        // The statuses that OpenTelemetry counts as errors of a server: unknown, deadline exceeded, unimplemented,
        // internal, unavailable, data loss.
        match (self.status, self.grpc_status) {
            _ if self.client_left() => Severity::Info,
            (None | Some(500..), _) | (_, Some(2 | 4 | 12 | 13 | 14 | 15)) => Severity::Error,
            (Some(400..), _) | (_, Some(1..)) => Severity::Warn,
            _ => Severity::Info,
        }
    }

    /// Whether sampling always keeps it.
    pub(crate) fn is_error(self) -> bool {
        self.severity() == Severity::Error || self.status.is_none()
    }

    fn outcome(self) -> &'static str {
        if self.client_left() || self.severity() != Severity::Info {
            "failure"
        } else {
            "success"
        }
    }

    fn reason(self) -> Option<&'static str> {
        match self.status {
            _ if self.client_left() => Some("client_abort"),
            None => Some("no_response"),
            Some(_) => None,
        }
    }
}

/// The trace of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    /// What the client's headers say.
    pub(crate) context: Option<TraceContext>,
    /// The trace id, generated where they say nothing.
    pub(crate) id: Option<TraceId>,
}

/// What is known only when the record is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// Rate of sampling in millionths.
    pub(crate) rate: u32,
    /// Number of the record in its worker.
    pub(crate) seq: u64,
    /// The worker.
    pub(crate) worker: &'a str,
    /// Now.
    pub(crate) now: Time,
}

impl Observer {
    /// The trace that the client's headers name, else one of the random numbers given.
    pub(crate) fn trace(&self, request: &Headers, random: impl FnOnce() -> [u8; 16]) -> Trace {
        let context = TraceContext::read(request, &self.trace);
        Trace {
            context,
            id: context
                .map(|context| context.trace_id)
                .or_else(|| TraceId::new(random())),
        }
    }

    /// The whole record.
    pub(crate) fn record(
        &self,
        request: &Headers,
        view: &EndView<'_>,
        ending: Ending,
        trace: Trace,
        stamp: Stamp<'_>,
    ) -> Record {
        let url = self.redactor.url(request.path());
        let mark = url
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'))
            .unwrap_or(url.len());
        let (path, query) = url.split_at_checked(mark).unwrap_or((&url, b""));
        let time = match view.started() {
            Some(started) => started.wall,
            None => launchgate_sdk::Timestamp::from_nanos(
                stamp
                    .now
                    .wall
                    .nanos()
                    .saturating_sub(nanos(ending.duration)),
            ),
        };
        let mut record = Record {
            time,
            observed: stamp.now.wall,
            severity: ending.severity(),
            message: message(&self.redactor.text(request.method()), path, ending),
            trace_id: trace.id,
            span_id: trace.context.map(|context| context.span_id),
            sampled: trace.context.and_then(|context| context.sampled),
            fields: Vec::with_capacity(32),
            truncated: Vec::new(),
        };
        let mut out = Out {
            record: &mut record,
            omit: self.omit,
        };
        self.identify(&mut out, request, view, trace);
        self.describe_request(
            &mut out,
            request,
            view,
            path,
            query.get(1..).unwrap_or_default(),
        );
        self.describe_ending(&mut out, view, ending);
        self.describe_client(&mut out, request, view);
        out.push(Name::SampleRate, || Some(Value::Percent(stamp.rate)));
        out.push(Name::Worker, || text(stamp.worker));
        out.push(Name::Seq, || Some(Value::Integer(stamp.seq)));
        for field in &self.fields {
            if let Some(value) = field.value(request, view, &self.redactor) {
                record.fields.push((Key::Custom(field.name.clone()), value));
            }
        }
        record
    }

    fn identify(&self, out: &mut Out<'_>, request: &Headers, view: &EndView<'_>, trace: Trace) {
        out.push(Name::RequestId, || {
            self.header(request, "x-request-id", self.rules.request_id)
        });
        out.push(Name::TraceSource, || {
            text(match trace.context.map(|context| context.format) {
                Some(TraceFormat::Traceparent) => "traceparent",
                Some(TraceFormat::B3) => "b3",
                Some(TraceFormat::SentryTrace) => "sentry_trace",
                None => "generated",
            })
        });
        if let Some(claim) = self.user(request, view)
            && let Some(id) = self
                .redactor
                .apply(self.user_id.mode, claim.value.as_bytes())
        {
            out.push(Name::UserId, || Some(Value::Text(id)));
            out.push(Name::UserIdVerified, || Some(Value::Flag(claim.verified)));
        }
    }

    fn user(&self, request: &Headers, view: &EndView<'_>) -> Option<Claim> {
        if self.omit.contains(Name::UserId) || self.user_id.mode == Redaction::Drop {
            return None;
        }
        let claim = self
            .user_id
            .jwt
            .as_ref()
            .and_then(|claim| match claim.source {
                ClaimSource::Metadata => claim.read_metadata(|path| view.property(path)),
                ClaimSource::Header => claim.read_header(request),
            });
        claim.or_else(|| {
            let value = request
                .only(&self.user_id.header)
                .filter(|value| !value.is_empty())?;
            Some(Claim {
                value: String::from_utf8_lossy(value).into_owned(),
                verified: false,
            })
        })
    }

    fn describe_request(
        &self,
        out: &mut Out<'_>,
        request: &Headers,
        view: &EndView<'_>,
        path: &[u8],
        query: &[u8],
    ) {
        let shown = |value: &[u8]| owned(self.redactor.text(value).into_owned());
        out.push(Name::Method, || shown(request.method()));
        out.push(Name::Scheme, || {
            shown(request.first(":scheme").unwrap_or_default())
        });
        out.push(Name::Host, || {
            owned(self.redactor.url(without_port(request.authority())))
        });
        out.push(Name::Path, || text(path));
        out.push(Name::Query, || text(query));
        out.push(Name::HttpVersion, || {
            let protocol = view.text(Attribute::RequestProtocol)?;
            text(protocol.strip_prefix("HTTP/").unwrap_or(&protocol))
        });
    }

    fn describe_ending(&self, out: &mut Out<'_>, view: &EndView<'_>, ending: Ending) {
        let integer = |attribute| view.integer(attribute).map(Value::Integer);
        let shown = |attribute| {
            view.attribute(attribute)
                .and_then(|value| owned(self.redactor.text(&value).into_owned()))
        };
        out.push(Name::Status, || {
            ending.status.map(|status| Value::Integer(status.into()))
        });
        out.push(Name::GrpcStatus, || ending.grpc_status.map(Value::Integer));
        out.push(Name::Outcome, || text(ending.outcome()));
        out.push(Name::Reason, || ending.reason().and_then(text));
        out.push(Name::Duration, || Some(Value::Duration(ending.duration)));
        out.push(Name::RequestBytes, || integer(Attribute::RequestTotalSize));
        out.push(Name::ResponseBytes, || {
            integer(Attribute::ResponseTotalSize)
        });
        out.push(Name::Route, || shown(Attribute::RouteName));
        out.push(Name::Cluster, || shown(Attribute::ClusterName));
        out.push(Name::Upstream, || shown(Attribute::UpstreamAddress));
        out.push(Name::Attempts, || integer(Attribute::UpstreamAttempts));
        out.push(Name::Flags, || {
            text(
                response_flags::names(ending.flags)
                    .collect::<Vec<_>>()
                    .join(","),
            )
        });
        out.push(Name::Details, || shown(Attribute::ResponseCodeDetails));
    }

    fn describe_client(&self, out: &mut Out<'_>, request: &Headers, view: &EndView<'_>) {
        if !(self.omit.contains(Name::ClientIp) && self.omit.contains(Name::ClientIpClaimed)) {
            let peer = Peer::read(
                view.attribute(Attribute::SourceAddress).as_deref(),
                self.trust_envoy_xff,
            );
            let name = if peer.ip().is_some() {
                Name::ClientIp
            } else {
                Name::ClientIpClaimed
            };
            out.push(name, || {
                peer.claimed_ip()
                    .and_then(|ip| self.redactor.ip(ip))
                    .and_then(text)
            });
        }
        out.push(Name::UserAgent, || {
            self.header(request, "user-agent", self.rules.user_agent)
        });
        out.push(Name::Referer, || {
            self.header(request, "referer", self.rules.referer)
        });
    }

    fn header(&self, request: &Headers, name: &str, rule: HeaderRule) -> Option<Value> {
        owned(self.redactor.by_rule(rule, request.first(name)?)?)
    }
}

/// A record that takes no field that is to be left out.
struct Out<'a> {
    record: &'a mut Record,
    omit: Names,
}

impl Out<'_> {
    /// Adds a field. `value` runs only where the field is wanted, since it may cost a host call.
    fn push(&mut self, name: Name, value: impl FnOnce() -> Option<Value>) {
        if !self.omit.contains(name)
            && let Some(value) = value()
        {
            self.record.push(name, value);
        }
    }
}

/// A text, where it is not empty: an absent value is left out, never written as `""` or `-`.
fn text(value: impl AsRef<[u8]>) -> Option<Value> {
    owned(value.as_ref().to_vec())
}

fn owned(value: Vec<u8>) -> Option<Value> {
    (!value.is_empty()).then_some(Value::Text(value))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `GET /path 200`.
fn message(method: &[u8], path: &[u8], ending: Ending) -> Vec<u8> {
    let end = match ending.status {
        _ if ending.client_left() => "client left".to_owned(),
        Some(status) => status.to_string(),
        None => "no response".to_owned(),
    };
    if method.is_empty() && path.is_empty() {
        return format!("request not understood {end}").into_bytes();
    }
    [method, path, end.as_bytes()].join(&b' ')
}
