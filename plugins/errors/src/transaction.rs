//! Transactions: exchanges as Sentry's tracing sees them (Sentry SDK specification, "Transaction Payloads").

use launchgate_sdk::json_tree::{Object, Value, json};
use launchgate_sdk::notifier::clean;

use crate::event::{Story, insert, request, response, sdk, server_name, trace, user};
use crate::failure;
use crate::losses::Reason;
use crate::policy::Errors;
use crate::rate_limit::Category;
use crate::sender::Item;
use crate::settings::Settings;
use crate::trace::Trace;

/// Transactions between two ticks.
const TRANSACTIONS: usize = 256;

impl Errors {
    /// The transaction of an exchange; `None` where it is sampled out or not to be sent.
    pub(crate) fn transaction(
        &self,
        id: String,
        status: Option<u16>,
        story: &Story<'_>,
    ) -> Option<Item> {
        let rate = self.settings.traces_sample_rate?;
        if self.settings.sentry.is_none()
            || self.transactions.len() >= TRANSACTIONS
            || !story.trace.is_sampled(rate)
        {
            return None;
        }
        let route = failure::route(&self.settings, story.request);
        let method = failure::method(story.request);
        let templated = self.settings.templates.contains(&route);
        let payload = transaction(&id, &route, method, status, templated, story)
            .to_string()
            .into_bytes();
        let name = format!("{method} {route}");
        Some(Item {
            category: Category::Transaction,
            id,
            trace: Some(self.sampling_context(story.trace, Some(&name), Some(true))),
            payload,
        })
    }

    /// Notes it for the next tick, or its loss.
    pub(crate) fn note_transaction(&mut self, item: Option<Item>) {
        let full = self.transactions.len() >= TRANSACTIONS;
        match item {
            Some(item) => self.transactions.push(item),
            None if self.settings.sentry.is_some() => {
                let reason = if full {
                    Reason::QueueOverflow
                } else {
                    Reason::SampleRate
                };
                *self
                    .losses
                    .or_insert_with((reason, Category::Transaction), Default::default) += 1;
            }
            None => {}
        }
    }

    /// The context of an envelope's header.
    pub(crate) fn sampling_context(
        &self,
        trace: &Trace,
        name: Option<&str>,
        sampled: Option<bool>,
    ) -> Value {
        let key = self
            .settings
            .sentry
            .as_ref()
            .map_or("", |sentry| sentry.dsn.public_key.expose());
        let sampled = sampled.unwrap_or_else(|| {
            self.settings
                .traces_sample_rate
                .is_some_and(|rate| trace.is_sampled(rate))
        });
        trace.context(|| sampling_context(&self.settings, key, name, sampled))
    }
}

/// A transaction of an exchange; it has no spans besides its own.
fn transaction(
    id: &str,
    route: &str,
    method: &str,
    status: Option<u16>,
    templated: bool,
    story: &Story<'_>,
) -> Value {
    let identity = &story.settings.identity;
    let start = story
        .view
        .started()
        .map_or(story.now, |started| started.wall);
    let end = start.plus(story.view.duration());
    let mut payload = json!({
        "type": "transaction",
        "event_id": id,
        "transaction": clean(&format!("{method} {route}"), 200),
        "transaction_info": {"source": if templated { "route" } else { "url" }},
        "start_timestamp": start.to_string(),
        "timestamp": end.to_string(),
        "platform": "other",
        "environment": &identity.environment,
        "tags": identity.tags.clone(),
        "sdk": sdk(),
        "spans": [],
        "contexts": {"trace": trace(story, status), "response": response(story, status)},
    });
    insert(&mut payload, "release", identity.release.clone().into());
    insert(&mut payload, "dist", identity.dist.clone().into());
    insert(&mut payload, "server_name", server_name(story));
    insert(&mut payload, "request", request(story));
    insert(&mut payload, "user", user(story));
    payload
}

/// The own dynamic sampling context.
fn sampling_context(
    settings: &Settings,
    public_key: &str,
    name: Option<&str>,
    sampled: bool,
) -> Object {
    let mut context = Object::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            context.insert(key.to_owned(), value.into());
        }
    };
    put("public_key", public_key);
    put("environment", &settings.identity.environment);
    put("release", &settings.identity.release);
    put(
        "org_id",
        settings.continuation.org_id.as_deref().unwrap_or_default(),
    );
    if let Some(rate) = settings.traces_sample_rate {
        put("sample_rate", &rate.to_string());
        put("sampled", if sampled { "true" } else { "false" });
        put("transaction", name.unwrap_or_default());
    }
    context
}
