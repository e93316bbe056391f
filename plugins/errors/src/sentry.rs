//! Where events go: the DSN and the cluster that leads to its host.

use launchgate_sdk::{Call, CallConfig, CallTarget, ConfigErrors, Secret};

use crate::config::Config;
use crate::dsn::Dsn;

/// Name and version in events and in the `User-Agent`.
pub(crate) const CLIENT: &str = concat!("launchgate.errors/", env!("CARGO_PKG_VERSION"));

const ANSWER_LIMIT: usize = 4096;

/// Sentry, as far as it can be reached.
pub(crate) struct Sentry {
    /// The DSN.
    pub dsn: Dsn,
    target: CallTarget,
}

impl Sentry {
    /// Checks the keys of Sentry; `None` where nothing is sent.
    pub(crate) fn check(config: &Config, errors: &mut ConfigErrors) -> Option<Self> {
        if config.dsn.is_empty() {
            return None;
        }
        let dsn = Dsn::parse(config.dsn.expose());
        if dsn.is_none() {
            errors.push_hidden(
                "dsn",
                "expected a DSN such as \"https://<key>@<host>/<project>\"",
            );
        }
        let authority = dsn
            .as_ref()
            .map_or("sentry.invalid", |dsn| &dsn.authority)
            .to_owned();
        let path = dsn.as_ref().map_or("/", |dsn| &dsn.path);
        let call = CallConfig {
            cluster: config.cluster.clone(),
            authority,
            path: Secret::new(path),
            timeout: Some(config.timeout),
            ..CallConfig::default()
        };
        let target = call.target("", "/", errors)?;
        Some(Self { dsn: dsn?, target })
    }

    /// The call that delivers an envelope.
    pub(crate) fn call(&self, envelope: Vec<u8>) -> Call {
        self.target
            .post("application/x-sentry-envelope", envelope)
            .header("x-sentry-auth", &self.dsn.auth(CLIENT))
            .header("user-agent", CLIENT)
            .body_limit(ANSWER_LIMIT)
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &str {
        self.target.cluster()
    }
}
