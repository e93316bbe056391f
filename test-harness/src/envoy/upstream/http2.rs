//! The HTTP/2 side of a scripted server, with trailers as gRPC needs them.

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::{Answer, Received, Reply, Stage};

/// Serves one connection until the peer ends it or the script closes it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    stage: Stage,
) {
    let Ok(mut connection) = Builder::new().handshake::<_, Bytes>(stream).await else {
        return;
    };
    let (close, mut closing) = tokio::sync::mpsc::channel(1);
    let mut exchanges = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    exchanges.spawn(exchange(request, respond, stage.clone(), close.clone()));
                }
                _ => return,
            },
            _ = closing.recv() => return,
        }
    }
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    stage: Stage,
    close: tokio::sync::mpsc::Sender<()>,
) {
    let request = record(request).await;
    match stage.answer(request) {
        Answer::Respond(reply) => {
            tokio::time::sleep(reply.latency).await;
            let _ = send(&mut respond, &reply);
        }
        Answer::Hang => std::future::pending().await,
        Answer::Close => {
            let _ = close.send(()).await;
        }
        Answer::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
        Answer::ResetInBody(reply) => {
            tokio::time::sleep(reply.latency).await;
            if let Ok(mut body) = respond.send_response(head(&reply), false) {
                let half = reply.body.len() / 2;
                let _ = body.send_data(
                    Bytes::copy_from_slice(reply.body.get(..half).unwrap_or_default()),
                    false,
                );
                body.send_reset(Reason::INTERNAL_ERROR);
            }
        }
    }
}

async fn record(request: Request<RecvStream>) -> Received {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        let _ = stream.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.ok().flatten().unwrap_or_default();
    Received {
        method: parts.method.to_string(),
        path: parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        authority: parts
            .uri
            .authority()
            .map_or_else(String::new, ToString::to_string),
        headers: fields(&parts.headers),
        body,
        trailers: fields(&trailers),
        raw: Vec::new(),
    }
}

fn send(respond: &mut SendResponse<Bytes>, reply: &Reply) -> Result<(), h2::Error> {
    let ends = reply.body.is_empty() && reply.trailers.is_empty();
    let mut body = respond.send_response(head(reply), ends)?;
    if !reply.body.is_empty() {
        body.send_data(
            Bytes::copy_from_slice(&reply.body),
            reply.trailers.is_empty(),
        )?;
    }
    if !reply.trailers.is_empty() {
        body.send_trailers(map(&reply.trailers))?;
    }
    Ok(())
}

fn head(reply: &Reply) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
    *head.headers_mut() = map(&reply.headers);
    let sized = !reply.chunked
        && reply.trailers.is_empty()
        && !matches!(reply.status, 100..200 | 204 | 304);
    if sized && !head.headers().contains_key("content-length") {
        head.headers_mut()
            .insert("content-length", reply.body.len().into());
    }
    head
}

fn map(fields: &[(Vec<u8>, Vec<u8>)]) -> HeaderMap {
    let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
        Some((
            HeaderName::from_bytes(name).ok()?,
            HeaderValue::from_bytes(value).ok()?,
        ))
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(field) {
        map.append(name, value);
    }
    map
}

fn fields(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}
