//! Certificates of a test: an authority of its own, made anew each time, valid for what it is asked.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};

/// The two names that the shipped gateways serve.
const SHIPPED: [&str; 2] = ["shop.example.org", "api.example.org"];

/// Writes the files that the shipped bootstraps name into `folder`: an authority made anew (`ca.crt`), a certificate for each
/// of the two names, and one for a client.
pub fn write_shipped_certificates(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
    let authority = Authority::new("Launchgate demo")?;
    let file = folder.join("ca.crt");
    std::fs::write(&file, authority.pem()).with_context(|| format!("cannot write {file:?}"))?;
    for name in SHIPPED {
        authority.server(&[name])?.write(folder, name)?;
    }
    authority
        .client("client.example.org")?
        .write(folder, "client")?;
    Ok(())
}

/// A certificate authority that exists for one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .field("key", &"[redacted]")
            .finish()
    }
}

impl Authority {
    /// Makes an authority with the common name `name`.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for these DNS names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Result<Identity> {
        self.issue(names, None, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A server certificate that was valid in the year 2020.
    pub fn expired_server(&self, names: &[&str]) -> Result<Identity> {
        let mut params = parameters(names, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(&params)
    }

    /// A client certificate with this name (also its DNS SAN).
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.issue(&[name], None, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client certificate with this name and this URI SAN, such as a SPIFFE id.
    pub fn workload(&self, name: &str, uri: &str) -> Result<Identity> {
        self.issue(&[name], Some(uri), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        names: &[&str],
        uri: Option<&str>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        let mut params = parameters(names, usage)?;
        if let Some(uri) = uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn parameters(names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let owned: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(owned)?;
    params
        .distinguished_name
        .push(DnType::CommonName, *names.first().unwrap_or(&"test"));
    params.extended_key_usages = vec![usage];
    Ok(params)
}

impl Identity {
    /// Writes `<name>.crt` and `<name>.key` into `folder` and returns both paths.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let certificate = folder.join(format!("{name}.crt"));
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&certificate, &self.certificate)
            .with_context(|| format!("cannot write {certificate:?}"))?;
        std::fs::write(&key, &self.key).with_context(|| format!("cannot write {key:?}"))?;
        Ok((certificate, key))
    }
}
