//! `launchgate seal`: a secret as ciphertext for a manifest, `${sealed:v1.…}`, opened by a module that was built with the feature
//! `sealed`. The form is described, and opened again in the test, by `launchgate_sdk::config::sealed`.

use std::{io::Read, process::ExitCode};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, AeadCore, KeyInit, OsRng, Payload},
};
use anyhow::{Context, anyhow, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use launchgate_sdk::config::sealed::{KEY_VARIABLE, PURPOSE};

/// Seal a secret for a manifest: the text from standard input, the key from LAUNCHGATE_SEAL_KEY.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print a new key instead.
    #[arg(long)]
    new_key: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.new_key {
        println!("{}", STANDARD.encode(Aes256Gcm::generate_key(OsRng)));
        return Ok(ExitCode::SUCCESS);
    }
    let key = std::env::var(KEY_VARIABLE)
        .map_err(|_| anyhow!("{KEY_VARIABLE} is missing: `launchgate seal --new-key` makes one"))?;
    let mut secret = String::new();
    std::io::stdin()
        .read_to_string(&mut secret)
        .context("standard input")?;
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    ensure!(
        !secret.is_empty(),
        "standard input is empty, expected the secret"
    );
    println!("{}", seal(secret, &key)?);
    Ok(ExitCode::SUCCESS)
}

fn seal(secret: &str, key: &str) -> anyhow::Result<String> {
    // Reasons are left out: they must not quote the key.
    let key = STANDARD
        .decode(key.trim())
        .ok()
        .filter(|key| key.len() == 32);
    let key = key.with_context(|| format!("{KEY_VARIABLE}: expected 32 bytes in base64"))?;
    let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| anyhow!("{KEY_VARIABLE}: no key"))?;
    let nonce = Aes256Gcm::generate_nonce(OsRng);
    let payload = Payload {
        msg: secret.as_bytes(),
        aad: PURPOSE,
    };
    let ciphertext = cipher
        .encrypt(&nonce, payload)
        .map_err(|_| anyhow!("the secret is too long"))?;
    let bytes = [nonce.as_slice(), &ciphertext].concat();
    Ok(format!("${{sealed:v1.{}}}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_the_sdk_opens_and_no_two_are_alike() {
        let key = STANDARD.encode([7; 32]);
        let (one, two) = (
            seal("hunter2", &key).unwrap(),
            seal("hunter2", &key).unwrap(),
        );
        assert_ne!(one, two);
        let inner = one
            .strip_prefix("${sealed:")
            .and_then(|text| text.strip_suffix('}'))
            .unwrap();
        assert_eq!(
            launchgate_sdk::config::sealed::open(inner, Some(&key)).as_deref(),
            Ok("hunter2")
        );
    }

    #[test]
    fn a_bad_key_is_refused_without_being_quoted() {
        let error = seal("hunter2", "c2hvcnQ=").unwrap_err().to_string();
        assert_eq!(error, "LAUNCHGATE_SEAL_KEY: expected 32 bytes in base64");
    }
}
