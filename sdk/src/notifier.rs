//! Notices to people: Slack, a generic webhook (for a mail gateway and the like), Alertmanager.
//!
//! 1. A [`Notice`] says what happened in facts of the plugin's own: names, counts, route templates. The plugin gives no
//!    raw header value; whatever it gives is cleaned (no control characters, no direction overrides), escaped for its
//!    target and bounded.
//! 2. `slack`: an incoming webhook, `{"text": …}` with `&`, `<` and `>` escaped (Slack, "Escaping text"), formatting and
//!    link previews off, so that no value can mention a channel, style the text or hide a link.
//! 3. `webhook`: one JSON object, `{"version": 1, "source", "alert", "status", "severity", "subject", "text", …}`.
//! 4. `alertmanager`: `POST /api/v2/alerts`. A firing alert ends by itself at `until`, a resolved one at its end.

use crate::map::Map;

use crate::config::Decode;
use crate::json_tree::{Object, Value, json};

use crate::call::Call;
use crate::call_config::{CallConfig, CallTarget};
use crate::config::{ConfigErrors, Period};
use crate::secret::Secret;
use crate::time::Timestamp;

/// A notifier in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NotifierConfig {
    /// `slack`, `webhook` or `alertmanager`. Default: `webhook`.
    pub kind: NotifierKind,
    /// Cluster of the host's configuration that the call goes to. Required.
    pub cluster: String,
    /// An `http` or `https` address that fills `authority` and `path`.
    pub url: Secret,
    /// Host name sent. Default: that of `url`, else the name of the cluster.
    pub authority: String,
    /// Path with query. Default: that of `url`, else `/api/v2/alerts` for Alertmanager and `/` for the others.
    pub path: Secret,
    /// Further headers, such as `authorization`.
    pub headers: Map<String, Secret>,
    /// Time until the whole answer must be there, from 1ms to 60s. Default: 2s.
    pub timeout: Option<Period>,
    /// Alertmanager: further labels of each alert.
    pub labels: Map<String, String>,
}

/// What stands at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NotifierKind {
    /// A Slack incoming webhook, or what understands its JSON (Mattermost, Rocket.Chat).
    Slack,
    /// Anything that takes JSON.
    #[default]
    Webhook,
    /// Alertmanager's v2 API.
    Alertmanager,
}

/// A checked notifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifier {
    kind: NotifierKind,
    target: CallTarget,
    labels: Map<String, String>,
}

/// Whether something is wrong, or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is going on.
    Firing,
    /// It is over.
    Resolved,
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Who speaks, such as `errors` or `canary`.
    pub source: &'static str,
    /// Name of the alert, as configured.
    pub alert: String,
    /// Whether it is going on.
    pub status: Status,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// One sentence.
    pub summary: String,
    /// What tells this alert from others of its name; Alertmanager's labels.
    pub labels: Vec<(&'static str, String)>,
    /// Further facts in order, such as counts.
    pub facts: Vec<(&'static str, String)>,
    /// When it began.
    pub since: Timestamp,
    /// When it ended, or, while firing, until when it counts as going on if nothing more is heard.
    pub until: Timestamp,
}

/// Longest value of a notice, in characters.
pub const VALUE_LIMIT: usize = 256;
/// Longest text of a notice, in characters: Slack cuts a message at 4,000.
pub const TEXT_LIMIT: usize = 3_000;
const FACTS_LIMIT: usize = 32;

impl NotifierConfig {
    /// Checks the notifier at `at`. Notes every mistake.
    pub fn notifier(&self, at: &str, errors: &mut ConfigErrors) -> Option<Notifier> {
        let call = CallConfig {
            cluster: self.cluster.clone(),
            authority: self.authority.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            url: self.url.clone(),
        };
        let default_path = if self.kind == NotifierKind::Alertmanager {
            "/api/v2/alerts"
        } else {
            "/"
        };
        for name in self.labels.keys().filter(|name| !is_label_name(name)) {
            errors.push(
                format!("{at}.labels.{name}"),
                "expected a label name of letters, digits and \"_\"",
            );
        }
        let target = call.target(at, default_path, errors)?;
        Some(Notifier {
            kind: self.kind,
            target,
            labels: self.labels.clone(),
        })
    }
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Notifier {
    /// The call that delivers a notice.
    pub fn call(&self, notice: &Notice) -> Call {
        let body = match self.kind {
            NotifierKind::Slack => slack(notice),
            NotifierKind::Webhook => webhook(notice),
            NotifierKind::Alertmanager => self.alertmanager(notice),
        };
        self.target
            .post("application/json", body.to_string().into_bytes())
    }

    /// The cluster that the notices go to.
    pub fn cluster(&self) -> &str {
        self.target.cluster()
    }

    fn alertmanager(&self, notice: &Notice) -> Value {
        let mut labels: Object = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), clean(value, VALUE_LIMIT).into()))
            .collect();
        labels.extend(object(&notice.labels));
        labels.insert(
            "alertname".to_owned(),
            clean(&notice.alert, VALUE_LIMIT).into(),
        );
        labels.insert("severity".to_owned(), notice.severity.into());
        labels.insert(
            "source".to_owned(),
            format!("launchgate-{}", notice.source).into(),
        );
        let mut annotations = object(&notice.facts);
        annotations.insert(
            "summary".to_owned(),
            clean(&notice.summary, VALUE_LIMIT).into(),
        );
        json!([{"labels": labels, "annotations": annotations, "startsAt": notice.since.to_string(), "endsAt": notice.until.to_string()}])
    }
}

fn slack(notice: &Notice) -> Value {
    let text = text(notice)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({"text": text, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false})
}

fn webhook(notice: &Notice) -> Value {
    json!({
        "version": 1,
        "source": format!("launchgate-{}", notice.source),
        "alert": clean(&notice.alert, VALUE_LIMIT),
        "status": notice.status.as_str(),
        "severity": notice.severity,
        "subject": subject(notice),
        "summary": clean(&notice.summary, VALUE_LIMIT),
        "text": text(notice),
        "labels": object(&notice.labels),
        "facts": object(&notice.facts),
        "starts_at": notice.since.to_string(),
        "ends_at": (notice.status == Status::Resolved).then(|| notice.until.to_string()),
    })
}

impl Status {
    /// `firing` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

fn object(values: &[(&'static str, String)]) -> Object {
    let mut object = Object::new();
    for (name, value) in values.iter().take(FACTS_LIMIT) {
        object.insert((*name).to_owned(), clean(value, VALUE_LIMIT).into());
    }
    object
}

fn subject(notice: &Notice) -> String {
    clean(
        &format!(
            "[{}] {}: {}",
            notice.status.as_str().to_ascii_uppercase(),
            notice.alert,
            notice.summary
        ),
        VALUE_LIMIT,
    )
}

/// The subject and one line for each label and fact.
fn text(notice: &Notice) -> String {
    let mut text = subject(notice);
    for (name, value) in notice.labels.iter().chain(&notice.facts).take(FACTS_LIMIT) {
        text.push('\n');
        text.push_str(name);
        text.push_str(": ");
        text.push_str(&clean(value, VALUE_LIMIT));
    }
    cut(text, TEXT_LIMIT)
}

/// Text that is safe to show on one line: control characters and those that turn or hide text become blanks, and it is
/// cut at `limit` characters.
pub fn clean(text: &str, limit: usize) -> String {
    // Nearly every text is short, printable ASCII.
    if text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    cut(
        text.chars()
            .take(limit.saturating_add(1))
            .map(|letter| if hidden(letter) { ' ' } else { letter })
            .collect(),
        limit,
    )
}

fn cut(text: String, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text;
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests;
