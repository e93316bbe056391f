//! The foreign functions `sign` and `verify_signature`.
//!
//! 1. Arguments are protobuf: hash function (1), key in DER or in PEM, text, signature. Both keys or none: bad argument.
//! 2. The result is protobuf too: `result`, then `signature`, then `error`, with Envoy's words. A key that cannot be read is an
//!    error of the result, not a status.
//! 3. Hashes are SHA-1, 224, 256, 384 and 512, in any case. Keys are RSA (PKCS #1 v1.5) and P-256; others fail loudly.

use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::pkcs8::{Document, PrivateKeyInfo};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha256::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::emulator::memory::Fail;
use crate::emulator::protobuf::{field, fields, put_bytes, put_flag};
use crate::emulator::status::Status;

/// `verify_signature`: key (2, PEM 5), signature (3), text (4).
pub fn verify(arguments: &[u8]) -> Result<Vec<u8>, Fail> {
    let arguments = fields(arguments).ok_or(Status::BadArgument)?;
    let of = |number| field(&arguments, number);
    let key = public_key(one_of(of(2), of(5))?)?;
    let outcome = match (hash(of(1), of(4)), key) {
        (Err(error), _) => Err(error),
        (_, None) => Err("Failed to initialize digest verify.".into()),
        (Ok(hashed), Some(key)) if key.holds(&hashed, of(3)) => Ok(()),
        _ => Err("Failed to verify digest. Error code: 0".into()),
    };
    let mut out = Vec::new();
    put_flag(&mut out, 1, outcome.is_ok());
    put_bytes(&mut out, 2, outcome.err().unwrap_or_default().as_bytes());
    Ok(out)
}

/// `sign`: key (2, PEM 4), text (3).
pub fn sign(arguments: &[u8]) -> Result<Vec<u8>, Fail> {
    let arguments = fields(arguments).ok_or(Status::BadArgument)?;
    let of = |number| field(&arguments, number);
    let key = private_key(one_of(of(2), of(4))?)?;
    let outcome = match (hash(of(1), of(3)), key) {
        (Err(error), _) => Err(error),
        (_, None) => Err("Invalid key type: private key required for signing operation.".into()),
        (Ok(hashed), Some(key)) => key
            .sign(&hashed)
            .ok_or_else(|| "Failed to create signature.".into()),
    };
    let mut out = Vec::new();
    put_flag(&mut out, 1, outcome.is_ok());
    match outcome {
        Ok(signature) => put_bytes(&mut out, 2, &signature),
        Err(error) => put_bytes(&mut out, 3, error.as_bytes()),
    }
    Ok(out)
}

/// A key as it was given.
enum Given<'a> {
    Der(&'a [u8]),
    Pem(&'a str),
}

fn one_of<'a>(der: &'a [u8], pem: &'a [u8]) -> Result<Given<'a>, Status> {
    match (der, pem) {
        ([], []) => Err(Status::BadArgument),
        ([], pem) => Ok(Given::Pem(std::str::from_utf8(pem).unwrap_or_default())),
        (der, []) => Ok(Given::Der(der)),
        _ => Err(Status::BadArgument),
    }
}

/// A digest, with the prefix that names its function in an RSA signature.
struct Hashed {
    digest: Vec<u8>,
    prefix: Vec<u8>,
}

impl Hashed {
    fn scheme(&self) -> Pkcs1v15Sign {
        Pkcs1v15Sign {
            hash_len: Some(self.digest.len()),
            prefix: self.prefix.clone().into(),
        }
    }
}

fn hash(name: &[u8], text: &[u8]) -> Result<Hashed, String> {
    let name = String::from_utf8_lossy(name);
    let (digest, identifier): (Vec<u8>, &[u8]) = match name.to_ascii_lowercase().as_str() {
        "sha1" => (sha1::Sha1::digest(text).to_vec(), &[0x2b, 14, 3, 2, 26]),
        "sha224" => (
            Sha224::digest(text).to_vec(),
            &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4],
        ),
        "sha256" => (
            Sha256::digest(text).to_vec(),
            &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        ),
        "sha384" => (
            Sha384::digest(text).to_vec(),
            &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
        ),
        "sha512" => (
            Sha512::digest(text).to_vec(),
            &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        ),
        _ => return Err(format!("{name} is not supported.")),
    };
    // DigestInfo (RFC 8017, 9.2): a sequence of the algorithm (identifier, null) and the digest.
    let size = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or(0);
    let algorithm = size(identifier) + 4;
    let mut prefix = vec![
        0x30,
        algorithm + 4 + size(&digest),
        0x30,
        algorithm,
        0x06,
        size(identifier),
    ];
    prefix.extend_from_slice(identifier);
    prefix.extend([0x05, 0, 0x04, size(&digest)]);
    Ok(Hashed { digest, prefix })
}

enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    fn holds(&self, hashed: &Hashed, signature: &[u8]) -> bool {
        match self {
            PublicKey::Rsa(key) => key
                .verify(hashed.scheme(), &hashed.digest, signature)
                .is_ok(),
            PublicKey::P256(key) => p256::ecdsa::DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify_prehash(&hashed.digest, &signature).is_ok()),
        }
    }
}

fn public_key(given: Given<'_>) -> Result<Option<PublicKey>, Fail> {
    let der = match given {
        Given::Der(der) => der.to_vec(),
        Given::Pem(pem) => match Document::from_pem(pem) {
            Ok(("PUBLIC KEY", document)) => document.as_bytes().to_vec(),
            _ => return Ok(None),
        },
    };
    if let Ok(key) = RsaPublicKey::from_public_key_der(&der) {
        return Ok(Some(PublicKey::Rsa(key)));
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(&der) {
        return Ok(Some(PublicKey::P256(key)));
    }
    match SubjectPublicKeyInfoRef::try_from(der.as_slice()) {
        Ok(_) => Err(unknown_kind()),
        Err(_) => Ok(None),
    }
}

enum PrivateKey {
    Rsa(RsaPrivateKey),
    P256(p256::ecdsa::SigningKey),
}

impl PrivateKey {
    fn sign(&self, hashed: &Hashed) -> Option<Vec<u8>> {
        match self {
            PrivateKey::Rsa(key) => key.sign(hashed.scheme(), &hashed.digest).ok(),
            PrivateKey::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign_prehash(&hashed.digest).ok()?;
                Some(signature.as_bytes().to_vec())
            }
        }
    }
}

fn private_key(given: Given<'_>) -> Result<Option<PrivateKey>, Fail> {
    let der = match given {
        Given::Der(der) => der.to_vec(),
        Given::Pem(pem) => match Document::from_pem(pem) {
            Ok(("PRIVATE KEY", document)) => document.as_bytes().to_vec(),
            Ok(("RSA PRIVATE KEY", document)) => {
                return Ok(RsaPrivateKey::from_pkcs1_der(document.as_bytes())
                    .ok()
                    .map(PrivateKey::Rsa));
            }
            _ => return Ok(None),
        },
    };
    if let Ok(key) = RsaPrivateKey::from_pkcs8_der(&der) {
        return Ok(Some(PrivateKey::Rsa(key)));
    }
    if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(&der) {
        return Ok(Some(PrivateKey::P256(key)));
    }
    match PrivateKeyInfo::try_from(der.as_slice()) {
        Ok(_) => Err(unknown_kind()),
        Err(_) => Ok(None),
    }
}

fn unknown_kind() -> Fail {
    let reason =
        "a key that is neither RSA nor P-256 can be used in Envoy, but not in the emulator";
    wasmtime::Error::msg(reason).into()
}
