//! The HTTP/1.1 side of a scripted server.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Received, Reply, Stage};
use crate::envoy::message::{find, header_lines};

/// How a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In the ordinary way.
    Closed,
    /// With RST.
    Reset,
}

/// Serves a TCP connection; the only kind that can be reset.
pub(super) async fn serve_plain(mut stream: TcpStream, stage: Stage) {
    if let Ok(End::Reset) = serve(&mut stream, &stage).await {
        // Zero linger makes close send RST in place of FIN.
        let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// Serves requests one after another until the peer or the script ends it.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    stage: &Stage,
) -> io::Result<End> {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let to_head = request.method == "HEAD";
        match stage.answer(request) {
            Answer::Respond(reply) => {
                tokio::time::sleep(reply.latency).await;
                stream.write_all(&encode(&reply, to_head)).await?;
            }
            Answer::Hang => std::future::pending().await,
            Answer::Close => return Ok(End::Closed),
            Answer::Reset => return Ok(End::Reset),
            Answer::ResetInBody(reply) => {
                tokio::time::sleep(reply.latency).await;
                let wire = encode(&reply, false);
                let cut = wire
                    .len()
                    .saturating_sub(reply.body.len().div_ceil(2).max(1));
                stream.write_all(wire.get(..cut).unwrap_or(&wire)).await?;
                stream.flush().await?;
                // The peer must have read the head before the reset, which throws away what is still under way.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                return Ok(End::Reset);
            }
        }
        stream.flush().await?;
    }
    Ok(End::Closed)
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Received>> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let mut request = parse_head(buffer.get(..head_end).unwrap_or_default());
    let length = body_length(stream, buffer, head_end, &mut request).await?;
    request.raw = buffer
        .drain(..(head_end + length).min(buffer.len()))
        .collect();
    Ok(Some(request))
}

fn parse_head(head: &[u8]) -> Received {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line
        .split(|byte| *byte == b' ')
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut request = Received {
        method,
        path,
        headers: header_lines(head),
        ..Received::default()
    };
    request.authority = request.header("host").unwrap_or_default();
    request
}

/// Reads the body into the request and returns how many bytes it took on the wire.
async fn body_length(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    start: usize,
    request: &mut Received,
) -> io::Result<usize> {
    if request.header("transfer-encoding").is_some() {
        let mut at = start;
        loop {
            let mut line = line_end(stream, buffer, at).await?;
            let size = String::from_utf8_lossy(buffer.get(at..line).unwrap_or_default())
                .trim()
                .to_owned();
            let size = usize::from_str_radix(&size, 16)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            at = line + 2;
            if size == 0 {
                // Trailers, then an empty line.
                loop {
                    line = line_end(stream, buffer, at).await?;
                    let empty = line == at;
                    at = line + 2;
                    if empty {
                        return Ok(at - start);
                    }
                }
            }
            fill(stream, buffer, at + size + 2).await?;
            request
                .body
                .extend_from_slice(buffer.get(at..at + size).unwrap_or_default());
            at += size + 2;
        }
    }
    let length = request
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    fill(stream, buffer, start + length).await?;
    request.body = buffer
        .get(start..start + length)
        .unwrap_or_default()
        .to_vec();
    Ok(length)
}

async fn line_end(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    from: usize,
) -> io::Result<usize> {
    loop {
        if let Some(at) = buffer.get(from..).and_then(|rest| find(rest, b"\r\n")) {
            return Ok(from + at);
        }
        let more = buffer.len() + 1;
        fill(stream, buffer, more).await?;
    }
}

async fn fill(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn encode(reply: &Reply, to_head: bool) -> Vec<u8> {
    let mut wire = format!("HTTP/1.1 {} Scripted\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        wire.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    let named = |wanted: &[u8]| {
        reply
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let no_body = matches!(reply.status, 100..200 | 204 | 304);
    if reply.chunked || !reply.trailers.is_empty() {
        wire.extend(b"transfer-encoding: chunked\r\n\r\n");
        if !reply.body.is_empty() {
            wire.extend(
                [
                    format!("{:x}\r\n", reply.body.len()).as_bytes(),
                    &reply.body,
                    b"\r\n",
                ]
                .concat(),
            );
        }
        wire.extend(b"0\r\n");
        for (name, value) in &reply.trailers {
            wire.extend([&name[..], b": ", value, b"\r\n"].concat());
        }
        wire.extend(b"\r\n");
        return wire;
    }
    if !no_body && !named(b"content-length") {
        wire.extend(format!("content-length: {}\r\n", reply.body.len()).into_bytes());
    }
    wire.extend(b"\r\n");
    if !to_head && !no_body {
        wire.extend(&reply.body);
    }
    wire
}
