//! The admin interface, spoken to over the socket file that [`super::Bootstrap`] gives it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::copy_bidirectional;

use super::message::{Reader, Request, Response};
use super::runtime::runtime;

/// Counters and gauges by Envoy's own names.
pub type Stats = BTreeMap<String, u64>;

/// A client of one Envoy's admin interface.
#[derive(Debug, Clone)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// `GET path`, any status.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.send("GET", path)
    }

    /// `POST path`, any status.
    pub fn post(&self, path: &str) -> Result<Response> {
        self.send("POST", path)
    }

    /// All counters and gauges. Text readouts and histograms are left out.
    pub fn stats(&self) -> Result<Stats> {
        self.matching_stats(".*")
    }

    /// The counters and gauges whose name matches the RE2 expression `filter`.
    pub fn matching_stats(&self, filter: &str) -> Result<Stats> {
        let text = self.text(&format!("/stats?filter={}", percent_encode(filter)))?;
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(number).collect())
    }

    /// One counter or gauge; 0 when Envoy does not know it (it makes most of them at first use).
    pub fn stat(&self, name: &str) -> Result<u64> {
        let filter = format!("^{}$", escape_expression(name));
        Ok(self
            .matching_stats(&filter)?
            .get(name)
            .copied()
            .unwrap_or(0))
    }

    /// The Prometheus exposition.
    pub fn prometheus(&self) -> Result<String> {
        self.text("/stats/prometheus")
    }

    /// `/config_dump` as JSON.
    pub fn config_dump(&self) -> Result<Value> {
        self.get("/config_dump")?.json()
    }

    /// `/clusters` as JSON.
    pub fn clusters(&self) -> Result<Value> {
        self.get("/clusters?format=json")?.json()
    }

    /// The address on which each named listener really listens.
    pub fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let answer = self.get("/listeners?format=json")?.json()?;
        let mut found = BTreeMap::new();
        for status in answer["listener_statuses"].as_array().into_iter().flatten() {
            let socket = &status["local_address"]["socket_address"];
            let (Some(name), Some(port)) = (status["name"].as_str(), socket["port_value"].as_u64())
            else {
                continue;
            };
            let address = socket["address"]
                .as_str()
                .unwrap_or_default()
                .parse()
                .unwrap_or(Ipv4Addr::LOCALHOST.into());
            found.insert(
                name.to_owned(),
                SocketAddr::new(address, u16::try_from(port)?),
            );
        }
        Ok(found)
    }

    /// A TCP port that forwards to the admin interface, for programs that cannot open a socket file (a Prometheus server).
    /// It lives as long as the process.
    pub fn forward(&self) -> Result<SocketAddr> {
        let listener =
            runtime().block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let socket = self.socket.clone();
        runtime().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let socket = socket.clone();
                tokio::spawn(async move {
                    if let Ok(mut admin) = tokio::net::UnixStream::connect(socket).await {
                        let _ = copy_bidirectional(&mut client, &mut admin).await;
                    }
                });
            }
        });
        Ok(address)
    }

    fn text(&self, path: &str) -> Result<String> {
        let answer = self.get(path)?;
        if answer.status != 200 {
            bail!("admin {path} answered {}: {}", answer.status, answer.text());
        }
        Ok(answer.text())
    }

    fn send(&self, method: &str, path: &str) -> Result<Response> {
        let mut stream =
            UnixStream::connect(&self.socket).context("the admin interface is not there")?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let request = Request::new(method, path).header("connection", "close");
        std::io::Write::write_all(&mut stream, &request.encode())?;
        Reader::default()
            .response(&mut stream, false)
            .with_context(|| format!("admin {path} did not answer"))
    }
}

fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn escape_expression(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
    name.chars()
        .map(|c| {
            if plain(c) {
                c.to_string()
            } else {
                format!("\\{c}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_name_is_matched_letter_by_letter() {
        assert_eq!(escape_expression("a.b=.=c;.;"), r"a\.b\=\.\=c\;\.\;");
        assert_eq!(percent_encode("a b&=%"), "a%20b%26%3D%25");
    }
}
