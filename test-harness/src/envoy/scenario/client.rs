//! The clients of a scenario: one connection a request, with the address that the scenario gives it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::envoy::client::{Connection, TlsClient};
use crate::scenario::host::Response;
use crate::scenario::step::{Request, Tls};

/// The emulator's addresses, for requests that name none.
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);
const DESTINATION: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10_000);
/// How long a client waits unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(17);

/// A connection that has sent its request.
pub(super) struct Sent {
    connection: Connection,
    is_head: bool,
}

impl Sent {
    /// Connects and sends.
    pub(super) fn send(listener: SocketAddr, request: &Request) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&listener, PATIENCE).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(request.timeout.map_or(PATIENCE, |span| span.0)))?;
        std::io::Write::write_all(
            &mut &stream,
            proxy_line(&request.source, &request.destination)?.as_bytes(),
        )?;
        let mut connection = match &request.tls {
            None => Connection::over(stream),
            Some(tls) => Connection::over_tls(stream, &tls_client(tls))?,
        };
        // A client that is refused in mid-request still reads the answer.
        let _ = write(&mut connection, request);
        Ok(Self {
            connection,
            is_head: request.method.0 == b"HEAD",
        })
    }

    /// Reads the response; `None` where the stream ended without a whole one.
    pub(super) fn receive(mut self) -> Option<Response> {
        let response = self.connection.read_for(self.is_head).ok()?;
        let lower = |fields: Vec<(Vec<u8>, Vec<u8>)>| {
            fields
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect()
        };
        Some(Response {
            status: response.status,
            headers: lower(response.headers),
            body: response.body,
            trailers: lower(response.trailers),
        })
    }
}

fn write(connection: &mut Connection, request: &Request) -> std::io::Result<()> {
    let mut head = [
        &request.method.0[..],
        b" ",
        &request.path.0,
        b" HTTP/1.1\r\n",
    ]
    .concat();
    if !request.authority.is_empty() {
        head.extend([&b"host: "[..], &request.authority.0, b"\r\n"].concat());
    }
    for (name, value) in &request.headers.0 {
        head.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    if !request.chunks.is_empty() {
        head.extend(b"transfer-encoding: chunked\r\n");
    } else if let Some(body) = &request.body {
        head.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    head.extend(b"\r\n");
    head.extend(
        request
            .body
            .as_ref()
            .map(|body| body.0.clone())
            .unwrap_or_default(),
    );
    connection.write(&head)?;
    for chunk in &request.chunks {
        // A chunk in a packet of its own is a body callback of its own.
        std::thread::sleep(Duration::from_millis(20));
        connection.write(
            &[
                format!("{:x}\r\n", chunk.len()).as_bytes(),
                &chunk.0,
                b"\r\n",
            ]
            .concat(),
        )?;
    }
    if request.chunks.is_empty() {
        Ok(())
    } else {
        connection.write(b"0\r\n\r\n")
    }
}

/// PROXY protocol version 1: the connection's addresses as the scenario has them.
pub(super) fn proxy_line(source: &Option<String>, destination: &Option<String>) -> Result<String> {
    let parse = |text: &Option<String>, default: SocketAddr| match text {
        None => Ok(default),
        Some(text) => text
            .parse()
            .with_context(|| format!("{text:?} is no address with port")),
    };
    let (source, destination) = (parse(source, SOURCE)?, parse(destination, DESTINATION)?);
    let (family, destination_ip) = match (source.ip(), destination.ip()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => ("TCP6", IpAddr::V6(v4.to_ipv6_mapped())),
        (IpAddr::V6(_), ip) => ("TCP6", ip),
        (IpAddr::V4(_), ip) => ("TCP4", ip),
    };
    Ok(format!(
        "PROXY {family} {} {destination_ip} {} {}\r\n",
        source.ip(),
        source.port(),
        destination.port()
    ))
}

fn tls_client(tls: &Tls) -> TlsClient {
    let client = TlsClient::new(tls.sni.as_deref().unwrap_or("gateway.example.org"));
    let client = if tls.sni.is_none() {
        client.without_sni()
    } else {
        client
    };
    client.version(if tls.version == "TLSv1.2" {
        &rustls::version::TLS12
    } else {
        &rustls::version::TLS13
    })
}
