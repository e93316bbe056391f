//! Blocking clients: any bytes over plain TCP, or over TLS with a chosen name, version and certificate.
//!
//! A [`Connection`] is one TCP connection, which Envoy binds to one worker: many short connections reach all workers, many
//! exchanges on one connection stay on one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::certificate::Identity;
use super::message::{Reader, Request, Response};

/// No single read or write of a test client waits longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// `GET path` on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    send(address, &Request::get(path))
}

/// One exchange on a connection of its own.
pub fn send(address: SocketAddr, request: &Request) -> Result<Response> {
    Connection::open(address)?.exchange(request)
}

/// One client connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    reader: Reader,
}

impl Connection {
    /// Connects over plain TCP.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(connect(address)?))
    }

    /// Over a stream that is already there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream: Box::new(stream),
            reader: Reader::default(),
        }
    }

    /// Connects and finishes a TLS handshake.
    pub fn open_tls(address: SocketAddr, tls: &TlsClient) -> Result<Self> {
        Self::over_tls(connect(address)?, tls)
    }

    /// Finishes a TLS handshake over a stream that is already there.
    pub(crate) fn over_tls(stream: TcpStream, tls: &TlsClient) -> Result<Self> {
        let stream = tls.handshake(stream)?;
        Ok(Self {
            stream: Box::new(stream),
            reader: Reader::default(),
        })
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one response.
    pub fn read(&mut self) -> io::Result<Response> {
        self.read_for(false)
    }

    /// Reads one response, without body when it answers a HEAD.
    pub(crate) fn read_for(&mut self, to_head: bool) -> io::Result<Response> {
        self.reader.response(&mut self.stream, to_head)
    }

    /// Sends a request and reads its response.
    pub fn exchange(&mut self, request: &Request) -> Result<Response> {
        self.write(&request.encode())
            .context("the request could not be sent")?;
        self.reader
            .response(&mut self.stream, request.is_head())
            .context("no response")
    }

    /// Reads whatever is still sent until the peer closes.
    pub fn drain(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// How a TLS client behaves. The default speaks 1.2 and 1.3, sends `name` as SNI and checks nothing.
#[derive(Debug, Clone)]
pub struct TlsClient {
    name: String,
    send_name: bool,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<Identity>,
    authority: Option<String>,
    alpn: Vec<Vec<u8>>,
}

impl TlsClient {
    /// A client that asks for the server `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let versions = vec![&rustls::version::TLS12, &rustls::version::TLS13];
        Self {
            name: name.to_owned(),
            send_name: true,
            versions,
            identity: None,
            authority: None,
            alpn: Vec::new(),
        }
    }

    /// Sends no SNI.
    #[must_use]
    pub fn without_sni(mut self) -> Self {
        self.send_name = false;
        self
    }

    /// Speaks this version only.
    #[must_use]
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Shows this client certificate.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Accepts only certificates of this authority (PEM).
    #[must_use]
    pub fn trust(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// Offers these protocols, best first.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self
    }

    /// The server's certificates, leaf first, as it sends them in a handshake.
    pub fn certificates(&self, address: SocketAddr) -> Result<Vec<CertificateDer<'static>>> {
        let stream = self.handshake(connect(address)?)?;
        let certificates = stream.conn.peer_certificates().context("no certificate")?;
        Ok(certificates.to_vec())
    }

    fn handshake(&self, stream: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(self.name.clone())
            .with_context(|| format!("{:?} is no server name", self.name))?;
        let session = ClientConnection::new(Arc::new(self.config()?), name)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .context("TLS handshake failed")?;
        }
        Ok(stream)
    }

    fn config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)?;
        let builder = match &self.authority {
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
                builder.with_root_certificates(roots)
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
        };
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(
                    identity.certificate.as_bytes(),
                )?],
                PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
            )?,
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.send_name;
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Accepts every certificate: a test that wants them checked says so with [`TlsClient::trust`].
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
