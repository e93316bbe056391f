//! What a policy sees of an exchange, phase by phase.
//!
//! 1. Reading is lazy: nothing is fetched that nobody asks for, and nothing twice. Headers come as one snapshot (the host
//!    gives all of them for the price of one).
//! 2. Request headers are gone in the response phase (Envoy answers as if there were none): keep what you need in the
//!    policy's `Exchange`. At the end they are readable again, but there they are what later filters made of them.
//! 3. Edits go through the view; the edge writes the difference once, after the last policy.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::attribute::{Attribute, Phase};
use crate::headers::{Headers, InvalidHeader};
use crate::time::{Now, Time};

/// Which header map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderMap {
    /// Request headers.
    Request,
    /// Response headers.
    Response,
    /// Response trailers.
    ResponseTrailers,
}

/// The host's side of a view. Implemented by the edge and, natively, by [`crate::fake::Exchange`].
pub trait Source {
    /// A header map; empty where the host has none.
    fn headers(&self, map: HeaderMap) -> Headers;
    /// The first value of one header: cheaper than the map where nothing else of it is needed.
    fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>>;
    /// An attribute by its path.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
}

/// An attribute that was asked for, and what the host answered.
type KnownAttribute = (Attribute, Option<Rc<[u8]>>);

/// What is kept of an exchange between its phases, for all policies of a module together.
#[derive(Debug, Default)]
pub struct Kept {
    request: OnceCell<Rc<Headers>>,
    response: OnceCell<Rc<Headers>>,
    trailers: OnceCell<Headers>,
    attributes: RefCell<Vec<KnownAttribute>>,
    /// The headers that a scope asks for, where the snapshot was not taken yet.
    path: OnceCell<Option<Vec<u8>>>,
    authority: OnceCell<Option<Vec<u8>>>,
    /// When the request began; absent where it never reached a policy that looks at the end.
    pub started: Option<Time>,
    /// Status of the response headers, where it was read.
    status: Cell<Option<u16>>,
}

impl Kept {
    /// Drops what the next phase must read anew.
    pub fn enter(&mut self, phase: Phase) {
        self.attributes
            .borrow_mut()
            .retain(|(attribute, _)| is_constant(*attribute));
        match phase {
            Phase::Request => {}
            Phase::Response => drop(self.request.take()),
            Phase::End => {
                self.request.take();
                self.response.take();
            }
        }
    }

    /// The request snapshot, if a policy edited it, for the edge to write the edits back.
    pub fn edited_request(&mut self) -> Option<&mut Headers> {
        edited(&mut self.request)
    }

    /// The response snapshot, if a policy edited it.
    pub fn edited_response(&mut self) -> Option<&mut Headers> {
        edited(&mut self.response)
    }

    fn attribute(
        &self,
        source: &dyn Source,
        phase: Phase,
        attribute: Attribute,
    ) -> Option<Rc<[u8]>> {
        if !attribute.is_available(phase) {
            return None;
        }
        if let Some((_, value)) = self
            .attributes
            .borrow()
            .iter()
            .find(|(known, _)| *known == attribute)
        {
            return value.clone();
        }
        let value: Option<Rc<[u8]>> = source.property(attribute.path()).map(Rc::from);
        self.attributes
            .borrow_mut()
            .push((attribute, value.clone()));
        value
    }
}

/// Facts of the connection do not change within an exchange.
fn is_constant(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::SourceAddress
            | Attribute::TlsVersion
            | Attribute::RequestedServerName
            | Attribute::Mtls
            | Attribute::ConnectionId
            | Attribute::DestinationPort
            | Attribute::RequestId
            | Attribute::RequestProtocol
            | Attribute::NodeId
            | Attribute::NodeCluster
    )
}

macro_rules! attribute_readers {
    ($phase:expr) => {
        /// An attribute as bytes.
        pub fn attribute(&self, attribute: Attribute) -> Option<Rc<[u8]>> {
            self.kept.attribute(self.source, $phase, attribute)
        }

        /// An attribute as text, where it is UTF-8 and not empty.
        pub fn text(&self, attribute: Attribute) -> Option<String> {
            let value = self.attribute(attribute)?;
            std::str::from_utf8(&value)
                .ok()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        }

        /// A numeric attribute (64 bits little-endian).
        pub fn integer(&self, attribute: Attribute) -> Option<u64> {
            let value = self.attribute(attribute)?;
            <[u8; 8]>::try_from(&*value).ok().map(u64::from_le_bytes)
        }

        /// A numeric attribute, asked for only where `wanted`.
        pub fn integer_if(&self, wanted: bool, attribute: Attribute) -> Option<u64> {
            wanted.then(|| self.integer(attribute)).flatten()
        }

        /// A boolean attribute (one byte).
        pub fn flag(&self, attribute: Attribute) -> bool {
            self.attribute(attribute)
                .is_some_and(|value| value.first().is_some_and(|byte| *byte != 0))
        }

        /// Any property by its path, not cached: dynamic metadata, filter state.
        pub fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
            self.source.property(path)
        }
    };
}

/// The request, before it goes upstream.
pub struct RequestView<'a> {
    source: &'a dyn Source,
    kept: &'a mut Kept,
    /// Whether the request has no body.
    pub end_of_stream: bool,
}

impl<'a> RequestView<'a> {
    /// A view over a source.
    pub fn new(source: &'a dyn Source, kept: &'a mut Kept, end_of_stream: bool) -> Self {
        Self {
            source,
            kept,
            end_of_stream,
        }
    }

    attribute_readers!(Phase::Request);

    /// Remembers when the request began, for the end of the exchange.
    pub(crate) fn begin(&mut self, now: &Now) {
        self.kept.started.get_or_insert(**now);
    }

    /// All request headers, with the edits so far.
    pub fn headers(&self) -> &Headers {
        self.kept
            .request
            .get_or_init(|| Rc::new(self.source.headers(HeaderMap::Request)))
    }

    /// The first value of a request header, by a read of that one alone where the snapshot was not taken yet: for a question
    /// that most requests answer with no. What has several values, and whatever else is asked, is in [`Self::headers`].
    pub fn peek(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if let Some(headers) = self.kept.request.get() {
            return headers.first(name).map(Cow::Borrowed);
        }
        let read = || self.source.header(HeaderMap::Request, name);
        let known = match name {
            ":path" => &self.kept.path,
            ":authority" => &self.kept.authority,
            _ => return read().map(Cow::Owned),
        };
        known.get_or_init(read).as_deref().map(Cow::Borrowed)
    }

    /// The request headers as they are now, to be kept beyond this callback. Not copied unless they are edited later.
    pub fn snapshot(&self) -> Rc<Headers> {
        self.headers();
        self.kept.request.get().map(Rc::clone).unwrap_or_default()
    }

    /// Replaces all values of a request header by one. Any write makes Envoy choose the route anew.
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.edit(|headers| headers.set(name, value))
    }

    /// Removes a request header with all its values.
    pub fn remove(&mut self, name: &str) {
        if self.peek(name).is_some() {
            self.edit(|headers| headers.remove(name));
        }
    }

    /// Edits the request headers.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Headers) -> R) -> R {
        edit(
            &mut self.kept.request,
            || self.source.headers(HeaderMap::Request),
            change,
        )
    }
}

/// The response headers, on their way to the client.
pub struct ResponseView<'a> {
    source: &'a dyn Source,
    kept: &'a mut Kept,
    /// Whether the response has no body.
    pub end_of_stream: bool,
}

impl<'a> ResponseView<'a> {
    /// A view over a source.
    pub fn new(source: &'a dyn Source, kept: &'a mut Kept, end_of_stream: bool) -> Self {
        Self {
            source,
            kept,
            end_of_stream,
        }
    }

    attribute_readers!(Phase::Response);

    /// All response headers, with the edits so far.
    pub fn headers(&self) -> &Headers {
        self.kept
            .response
            .get_or_init(|| Rc::new(self.source.headers(HeaderMap::Response)))
    }

    /// Edits the response headers.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Headers) -> R) -> R {
        edit(
            &mut self.kept.response,
            || self.source.headers(HeaderMap::Response),
            change,
        )
    }

    /// Replaces all values of a response header by one.
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        self.edit(|headers| headers.set(name, value))
    }

    /// Removes a response header with all its values.
    pub fn remove(&mut self, name: &str) {
        self.edit(|headers| headers.remove(name));
    }

    /// Status of the response; remembered for the end of the exchange.
    pub fn status(&mut self) -> Option<u16> {
        let status = self.headers().status();
        self.kept.status.set(status);
        status
    }
}

/// The exchange when it is over. Runs exactly once a request, also where no filter saw the request (codec errors).
pub struct EndView<'a> {
    source: &'a dyn Source,
    kept: &'a Kept,
    started: Option<Time>,
    now: &'a Now,
}

impl<'a> EndView<'a> {
    /// A view over a source.
    pub fn new(source: &'a dyn Source, kept: &'a Kept, now: &'a Now) -> Self {
        Self {
            source,
            kept,
            started: kept.started,
            now,
        }
    }

    /// The same end for a part of a composition that never saw the request, because one before it replied.
    pub fn unseen(&self) -> Self {
        Self {
            started: None,
            ..*self
        }
    }

    attribute_readers!(Phase::End);

    /// Request headers as they went upstream, later filters' changes included. Prefer what you kept at the request.
    pub fn request(&self) -> &Headers {
        self.kept
            .request
            .get_or_init(|| Rc::new(self.source.headers(HeaderMap::Request)))
    }

    /// Response headers as they were sent, empty where there was no response.
    pub fn response(&self) -> &Headers {
        self.kept
            .response
            .get_or_init(|| Rc::new(self.source.headers(HeaderMap::Response)))
    }

    /// Response trailers; gRPC has its status there.
    pub fn trailers(&self) -> &Headers {
        self.kept
            .trailers
            .get_or_init(|| self.source.headers(HeaderMap::ResponseTrailers))
    }

    /// Status that was sent; `None` where the client left before there was one. From the response headers, and where there
    /// are none (a codec error) from the attribute, which costs more.
    pub fn status(&self) -> Option<u16> {
        if let Some(status) = self.kept.status.get() {
            return Some(status);
        }
        let sent = match self.kept.response.get() {
            Some(headers) => headers.status(),
            None => self
                .source
                .header(HeaderMap::Response, ":status")
                .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()),
        };
        let status = sent.or_else(|| {
            self.integer(Attribute::ResponseCode)
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| *code > 0)
        });
        self.kept.status.set(status);
        status
    }

    /// Whether the request reached this policy: not after a codec error, nor after a reply by a filter before it.
    pub fn reached(&self) -> bool {
        self.started.is_some()
    }

    /// When the request began, on both clocks; `None` where it never reached the filters.
    pub fn started(&self) -> Option<Time> {
        self.started
    }

    /// From the request headers to the end, by the clock; where the request never reached the filters, as the host says.
    pub fn duration(&self) -> Duration {
        match self.started {
            Some(started) => self.now.mono.saturating_sub(started.mono),
            None => Duration::from_nanos(self.integer(Attribute::RequestDuration).unwrap_or(0)),
        }
    }

    /// Envoy's response flags, zero where there are none.
    pub fn flags(&self) -> u64 {
        self.integer(Attribute::ResponseFlags).unwrap_or(0)
    }
}

/// Takes the snapshot out, changes it and puts it back: a lazily filled cell gives no mutable reference. A snapshot that a
/// policy keeps stays as it was.
fn edit<R>(
    cell: &mut OnceCell<Rc<Headers>>,
    load: impl FnOnce() -> Headers,
    change: impl FnOnce(&mut Headers) -> R,
) -> R {
    let mut headers = cell.take().unwrap_or_else(|| Rc::new(load()));
    let result = change(Rc::make_mut(&mut headers));
    let _ = cell.set(headers);
    result
}

fn edited(cell: &mut OnceCell<Rc<Headers>>) -> Option<&mut Headers> {
    cell.get_mut()
        .filter(|headers| headers.is_edited())
        .map(Rc::make_mut)
}
