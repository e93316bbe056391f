//! An HTTP/1.1 message as bytes, for clients that must be able to send nonsense and see everything that comes back.
//!
//! Deliberately not a general HTTP library: names and values are bytes, duplicates and order are kept, nothing is
//! normalised, nothing is refused on the way out.

use std::io::{self, Read};

/// Limits what a peer may make a test hold in memory, bytes.
const LARGEST_MESSAGE: usize = 64 << 20;

/// A request, encoded exactly as told.
#[derive(Debug, Clone)]
pub struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request of `method` for `target`, with `host: gateway.test` and nothing else.
    pub fn new(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::without_host(method, target).header("host", "gateway.test")
    }

    /// The same without a `host` line.
    pub fn without_host(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.as_ref().to_vec(),
            target: target.as_ref().to_vec(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET target`.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// Adds one header line; never replaces, never checks.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Replaces the host line.
    #[must_use]
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
        self.header("host", host)
    }

    /// Sets the body and its `content-length`.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        let mut request = self.header("content-length", length);
        request.body = body.as_ref().to_vec();
        request
    }

    /// Whether the answer to it has no body by definition.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut wire = [&self.method[..], b" ", &self.target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.headers {
            wire.extend([&name[..], b": ", value, b"\r\n"].concat());
        }
        wire.extend(b"\r\n");
        wire.extend(&self.body);
        wire
    }
}

/// A response, or the answer of a scripted exchange, as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines in order of arrival, names as sent.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, transfer coding removed.
    pub body: Vec<u8>,
    /// Trailers of a chunked body.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Response {
    /// The first value of a header, as text (bytes that are not UTF-8 become `�`).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// All values of a header in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let wanted = |(key, _): &&(Vec<u8>, Vec<u8>)| key.eq_ignore_ascii_case(name.as_bytes());
        self.headers
            .iter()
            .filter(wanted)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .map_err(|e| anyhow::anyhow!("body {:?} is no JSON: {e}", self.text()))
    }
}

/// Reads HTTP/1.1 messages off a blocking stream, keeping what belongs to the next one.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads one final response (interim 1xx are skipped).
    pub(crate) fn response(
        &mut self,
        stream: &mut dyn Read,
        to_head: bool,
    ) -> io::Result<Response> {
        loop {
            let head = self.until(stream, b"\r\n\r\n")?;
            let (status, headers) = response_head(&head)?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
                trailers: Vec::new(),
            };
            if !to_head && !matches!(status, 101 | 204 | 304) {
                self.body(stream, &mut response)?;
            }
            return Ok(response);
        }
    }

    fn body(&mut self, stream: &mut dyn Read, response: &mut Response) -> io::Result<()> {
        if response
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return self.chunks(stream, response);
        }
        match response.header("content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .map_err(|_| invalid("content-length is no number"))?;
                response.body = self.exactly(stream, length)?;
            }
            None => {
                while self.fill(stream)? > 0 {}
                response.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(())
    }

    fn chunks(&mut self, stream: &mut dyn Read, response: &mut Response) -> io::Result<()> {
        loop {
            let line = self.until(stream, b"\r\n")?;
            let size = String::from_utf8_lossy(&line);
            let size = size.trim().split(';').next().unwrap_or_default();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| invalid("chunk size is no number"))?;
            if size == 0 {
                break;
            }
            response.body.extend(self.exactly(stream, size)?);
            self.exactly(stream, 2)?;
        }
        loop {
            let line = self.until(stream, b"\r\n")?;
            if line == b"\r\n" {
                return Ok(());
            }
            response.trailers.extend(header_line(&line));
        }
    }

    /// Takes bytes up to and with `end`.
    fn until(&mut self, stream: &mut dyn Read, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            if self.fill(stream)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed before the message ended",
                ));
            }
        }
    }

    fn exactly(&mut self, stream: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill(stream)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed inside the body",
                ));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self, stream: &mut dyn Read) -> io::Result<usize> {
        if self.buffer.len() > LARGEST_MESSAGE {
            return Err(invalid("message is too large"));
        }
        let mut chunk = [0; 16 << 10];
        let read = stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }
}

/// Position of `needle` in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The header lines of a message head, first line left out.
pub(crate) fn header_lines(head: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rest = head;
    let mut lines = Vec::new();
    while let Some(at) = find(rest, b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.into_iter().skip(1).filter_map(header_line).collect()
}

fn header_line(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = &line[colon + 1..];
    Some((line[..colon].to_vec(), trim(value).to_vec()))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

type Head = (u16, Vec<(Vec<u8>, Vec<u8>)>);

fn response_head(head: &[u8]) -> io::Result<Head> {
    let status = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match status {
        Some(status) if head.starts_with(b"HTTP/1.") => Ok((status, header_lines(head))),
        _ => Err(invalid("no HTTP/1 status line")),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], to_head: bool) -> io::Result<Response> {
        Reader::default().response(&mut &wire[..], to_head)
    }

    #[test]
    fn any_byte_goes_out_as_given() {
        let wire = Request::without_host("GET", b"/\xff")
            .header(b"x\x01", b"\x00\r")
            .encode();
        assert_eq!(wire, b"GET /\xff HTTP/1.1\r\nx\x01: \x00\r\r\n\r\n");
    }

    #[test]
    fn reads_chunks_and_trailers() {
        let got = read(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: 1\r\n\r\n",
            false,
        )
        .unwrap();
        assert_eq!(
            (got.status, got.text(), got.trailers.len()),
            (200, "abc".to_owned(), 1)
        );
    }

    #[test]
    fn skips_interim_responses_and_keeps_duplicates() {
        let got = read(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\na: 1\r\nA:  2 \r\n\r\n",
            false,
        )
        .unwrap();
        assert_eq!(
            (got.status, got.all("a")),
            (204, vec!["1".to_owned(), "2".to_owned()])
        );
    }

    #[test]
    fn a_cut_body_is_an_error_and_head_has_none() {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
        assert_eq!(
            read(cut, false).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(read(cut, true).unwrap().body, b"");
    }
}
