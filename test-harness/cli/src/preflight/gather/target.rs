//! Where the gateway is: name, addresses, path.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use crate::preflight::Args;

/// The gateway to be asked.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) path: String,
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
    /// As the `host` header has it.
    pub(super) authority: String,
    /// Authority and address without TLS.
    pub(super) plain: Option<(String, SocketAddr)>,
    pub(super) ca: Option<PathBuf>,
}

impl Target {
    pub(super) fn parse(args: &Args) -> anyhow::Result<Self> {
        let url = Url::parse(&args.url)?;
        let plain = match &args.plain {
            Some(text) => {
                let plain = Url::parse(text)?;
                anyhow::ensure!(!plain.is_tls, "--plain {text}: expected an http:// URL");
                Some((plain.authority(), plain.address(args.resolve)?))
            }
            // Nothing listens on port 80 of a gateway on odd ports, and something else may.
            None if url.is_tls && url.port == 443 => {
                let plain = Url {
                    is_tls: false,
                    port: 80,
                    ..url.clone()
                };
                Some((plain.authority(), plain.address(args.resolve)?))
            }
            None => None,
        };
        Ok(Self {
            address: url.address(args.resolve)?,
            authority: url.authority(),
            is_tls: url.is_tls,
            host: url.host,
            path: url.path,
            plain,
            ca: args.ca.clone(),
        })
    }
}

#[derive(Debug, Clone)]
struct Url {
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let uri: ureq::http::Uri = text
            .parse()
            .with_context(|| format!("{text:?} is no URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("{text:?}: expected a URL that begins with https:// or http://"),
        };
        let host = uri
            .host()
            .with_context(|| format!("{text:?} has no host"))?;
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    fn address(&self, resolve: Option<IpAddr>) -> anyhow::Result<SocketAddr> {
        if let Some(ip) = resolve {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let name = self.host.trim_matches(['[', ']']);
        (name, self.port)
            .to_socket_addrs()
            .with_context(|| format!("{name}: cannot be resolved"))?
            .next()
            .with_context(|| format!("{name}: has no address"))
    }
}
