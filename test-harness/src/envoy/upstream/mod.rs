//! Servers that answer by script and remember what they were asked.
//!
//! 1. A script maps each [`Received`] request to an [`Answer`]; it can be replaced while the server runs.
//! 2. [`Upstream::refuse`] closes the listening socket, so that connects are refused, and keeps the port: a second socket
//!    holds it, bound with `SO_REUSEPORT` and never listening.
//! 3. Every request is recorded before its answer is chosen, hanging ones too.

mod http1;
mod http2;
mod script;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::certificate::Identity;
use super::runtime::runtime;
pub use script::{Answer, Received, Reply};

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge, as for gRPC.
    Http2,
}

type Script = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

/// State shared with the connections of one server.
#[derive(Clone)]
struct Stage {
    script: Arc<Mutex<Script>>,
    received: Arc<(Mutex<Vec<Received>>, Condvar)>,
}

impl Stage {
    /// Records the request and asks the script.
    fn answer(&self, request: Received) -> Answer {
        let script = self
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let answer = script(&request);
        self.received
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        self.received.1.notify_all();
        answer
    }
}

/// A scripted server. Dropping it closes everything.
pub struct Upstream {
    reservation: Socket,
    address: SocketAddr,
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    stage: Stage,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Upstream {
    /// A server on a free port of 127.0.0.1 that answers by `script`.
    pub fn start(
        protocol: Protocol,
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::launch(protocol, None, Arc::new(script))
    }

    /// An HTTP/1.1 server that always gives this answer.
    pub fn always(answer: impl Into<Answer>) -> Result<Self> {
        let answer = answer.into();
        Self::start(Protocol::Http1, move |_| answer.clone())
    }

    /// An HTTP/2 server that always gives this answer.
    pub fn always_http2(answer: impl Into<Answer>) -> Result<Self> {
        let answer = answer.into();
        Self::start(Protocol::Http2, move |_| answer.clone())
    }

    /// A TLS server with this certificate.
    pub fn start_tls(
        protocol: Protocol,
        identity: &Identity,
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Self::launch(protocol, Some(Arc::new(config)), Arc::new(script))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Replaces the script; requests already being answered keep theirs.
    pub fn script(&self, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self
            .stage
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Gives this answer from now on.
    pub fn answer(&self, answer: impl Into<Answer>) {
        let answer = answer.into();
        self.script(move |_| answer.clone());
    }

    /// Refuses connections from now on and cuts those that exist.
    pub fn refuse(&self) {
        if let Some(task) = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
            // The socket closes when the task is dropped, which abort does not wait for.
            let _ = runtime().block_on(task);
        }
    }

    /// Accepts connections again after [`Upstream::refuse`], on the same port.
    pub fn accept(&self) -> Result<()> {
        let mut accepting = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if accepting.is_none() {
            *accepting = Some(self.listen()?);
        }
        Ok(())
    }

    /// Every request so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.stage
            .received
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until there are `count` requests and returns all.
    pub fn await_received(&self, count: usize, limit: Duration) -> Result<Vec<Received>> {
        let (received, arrived) = &*self.stage.received;
        let received = received.lock().unwrap_or_else(PoisonError::into_inner);
        let few = |received: &mut Vec<Received>| received.len() < count;
        let (received, _) = arrived
            .wait_timeout_while(received, limit, few)
            .unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(
            received.len() >= count,
            "{} of {count} requests came within {limit:?}",
            received.len()
        );
        Ok(received.clone())
    }

    /// Forgets what was received.
    pub fn forget(&self) {
        self.stage
            .received
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn launch(protocol: Protocol, tls: Option<Arc<ServerConfig>>, script: Script) -> Result<Self> {
        let reservation = shared_socket((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = reservation
            .local_addr()?
            .as_socket()
            .context("the socket has no address")?;
        let stage = Stage {
            script: Arc::new(Mutex::new(script)),
            received: Arc::default(),
        };
        let upstream = Self {
            reservation,
            address,
            protocol,
            tls,
            stage,
            accepting: Mutex::new(None),
        };
        upstream.accept()?;
        Ok(upstream)
    }

    fn listen(&self) -> Result<JoinHandle<()>> {
        let socket = shared_socket(
            self.reservation
                .local_addr()?
                .as_socket()
                .context("the socket has no address")?,
        )?;
        socket.listen(1024)?;
        socket.set_nonblocking(true)?;
        let _context = runtime().enter();
        let listener = tokio::net::TcpListener::from_std(socket.into())?;
        let (stage, protocol, tls) = (
            self.stage.clone(),
            self.protocol,
            self.tls.clone().map(TlsAcceptor::from),
        );
        Ok(runtime().spawn(async move {
            // Connections live in the set, so that they are cut when this task is aborted.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, tls.clone(), protocol, stage.clone()));
            }
        }))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(task) = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("address", &self.address)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// An address of this machine that refuses connections for as long as the process lives.
pub(crate) fn closed_port() -> SocketAddr {
    static RESERVATION: OnceLock<Option<(Socket, SocketAddr)>> = OnceLock::new();
    let reserve = || {
        let socket = shared_socket((Ipv4Addr::LOCALHOST, 0).into()).ok()?;
        let address = socket.local_addr().ok()?.as_socket()?;
        Some((socket, address))
    };
    let reserved = RESERVATION.get_or_init(reserve);
    reserved
        .as_ref()
        .map_or((Ipv4Addr::LOCALHOST, 1).into(), |(_, address)| *address)
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, protocol: Protocol, stage: Stage) {
    let _ = stream.set_nodelay(true);
    match (tls, protocol) {
        (None, Protocol::Http1) => http1::serve_plain(stream, stage).await,
        (None, Protocol::Http2) => http2::serve(stream, stage).await,
        (Some(tls), protocol) => {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            match protocol {
                Protocol::Http1 => drop(http1::serve(stream, &stage).await),
                Protocol::Http2 => http2::serve(stream, stage).await,
            }
        }
    }
}

fn shared_socket(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
