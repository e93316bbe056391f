//! What TLS handshakes show: versions, chain, name, expiry.
//!
//! 1. 1.2 and 1.3 are finished by rustls with that version alone.
//! 2. 1.0 and 1.1, which rustls does not speak, are asked for by a ClientHello written here; a ServerHello of that version is a yes.
//! 3. End and names are what the verifier says when it refuses the leaf in the far future and for a name of nobody: no second parser.
//! 4. The chain is judged at a time at which the leaf is valid, so that an expired certificate is one finding and not two.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use launchgate_harness::envoy::TlsClient;
use rustls::{
    CertificateError, Error, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
    version::{TLS12, TLS13},
};

use super::{PATIENCE, now, target::Target};
use crate::preflight::facts::Tls;

/// Later than any certificate ends (the year 9999 is the last that X.509 can write).
const FAR_FUTURE: Duration = Duration::from_secs(253_402_300_799);

pub(super) fn gather(target: &Target) -> anyhow::Result<Tls> {
    let mut versions = Vec::new();
    for (name, version) in [("1.0", 1_u8), ("1.1", 2)] {
        if speaks_legacy(target, version).unwrap_or(false) {
            versions.push(name);
        }
    }
    let mut certificates = Vec::new();
    for (name, version) in [("1.2", &TLS12), ("1.3", &TLS13)] {
        // Every certificate is taken here: it is judged afterwards, point by point.
        let client = TlsClient::new(&target.host).version(version);
        if let Ok(found) = client.certificates(target.address) {
            versions.push(name);
            certificates = found;
        }
    }
    let (leaf, intermediates) = certificates.split_first().with_context(|| {
        format!(
            "{}: no TLS 1.2 or 1.3 handshake succeeded",
            target.authority
        )
    })?;
    let leaf = ParsedCertificate::try_from(leaf).context("the certificate cannot be read")?;
    let server =
        ServerName::try_from(target.host.as_str()).context("the host is no server name")?;
    let roots = roots(target)?;
    let not_after = end(&leaf, &roots).context("the certificate's end cannot be read")?;
    // A minute before the end, where that is over.
    let within = not_after.min(now()) - Duration::from_secs(60);
    Ok(Tls {
        versions,
        not_after,
        names: names(&leaf),
        name: verify_server_name(&leaf, &server).map_err(|e| e.to_string()),
        chain: verify(&leaf, &roots, intermediates, within)
            .map(|()| intermediates.len() + 1)
            .map_err(|e| e.to_string()),
    })
}

/// Whether the chain leads to a root, at this time.
fn verify(
    leaf: &ParsedCertificate<'_>,
    roots: &RootCertStore,
    intermediates: &[CertificateDer<'_>],
    at: SystemTime,
) -> Result<(), Error> {
    let at = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    verify_server_cert_signed_by_trust_anchor(
        leaf,
        roots,
        intermediates,
        UnixTime::since_unix_epoch(at),
        ring::default_provider()
            .signature_verification_algorithms
            .all,
    )
}

fn end(leaf: &ParsedCertificate<'_>, roots: &RootCertStore) -> Option<SystemTime> {
    let far = SystemTime::UNIX_EPOCH + FAR_FUTURE;
    match verify(leaf, roots, &[], far).err()? {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        _ => Some(far),
    }
}

fn names(leaf: &ParsedCertificate<'_>) -> Vec<String> {
    let nobody = ServerName::try_from("nobody.invalid").map(|name| verify_server_name(leaf, &name));
    match nobody {
        Ok(Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        }))) => {
            // `DnsName("shop.example.org")`
            let inner = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
            presented.iter().map(inner).collect()
        }
        _ => Vec::new(),
    }
}

fn roots(target: &Target) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = &target.ca {
        let found = CertificateDer::pem_file_iter(file)
            .with_context(|| format!("{}: cannot be read", file.display()))?;
        for certificate in found {
            roots.add(certificate.with_context(|| format!("{}: no PEM", file.display()))?)?;
        }
    }
    Ok(roots)
}

/// Whether a ServerHello of TLS 1.`minor - 1` comes back.
fn speaks_legacy(target: &Target, minor: u8) -> std::io::Result<bool> {
    let mut stream = connect(target).map_err(std::io::Error::other)?;
    stream.write_all(&client_hello(&target.host, minor))?;
    let mut answer = [0_u8; 11];
    stream.read_exact(&mut answer)?;
    // Record type handshake (22), message ServerHello (2), and its version.
    Ok(matches!(answer, [22, _, _, _, _, 2, _, _, _, 3, spoken] if spoken == minor))
}

/// A ClientHello of TLS 1.0 or 1.1 (RFC 4346, section 7.4.1.2) with SNI and the suites that servers of that time had.
fn client_hello(host: &str, minor: u8) -> Vec<u8> {
    let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let extension = |kind: u16, data: &[u8]| [&kind.to_be_bytes()[..], &with_length(data)].concat();
    let name = [&[0][..], &with_length(host.as_bytes())].concat();
    let extensions = [
        extension(0, &with_length(&name)),
        // Curves X25519, P-256, P-384; points uncompressed.
        extension(10, &with_length(&[0, 29, 0, 23, 0, 24])),
        extension(11, &[1, 0]),
    ]
    .concat();
    // ECDHE and RSA with AES-CBC and SHA-1, for ECDSA and RSA certificates.
    let suites = [
        0xC0, 0x09, 0xC0, 0x0A, 0xC0, 0x13, 0xC0, 0x14, 0x00, 0x2F, 0x00, 0x35, 0x00, 0x0A,
    ];
    let body = [
        &[3, minor][..],
        &[0x4C; 32],
        &[0],
        &with_length(&suites),
        &[1, 0],
        &with_length(&extensions),
    ]
    .concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &with_length(&message)].concat()
}

fn connect(target: &Target) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.address, PATIENCE)
        .with_context(|| format!("{}: cannot be reached", target.authority))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
