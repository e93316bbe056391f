//! From a configuration to the parts of the policy, with every mistake noted.

use std::time::Duration;

use launchgate_sdk::hash::Key as HmacKey;
use launchgate_sdk::map::Set;
use launchgate_sdk::redact::Redaction;
use launchgate_sdk::{ConfigErrors, Setup};

use crate::config::Config;
use crate::field::Field;
use crate::name::{Name, Names};
use crate::observe::{Observer, Rules};
use crate::render::{Resource, ecs};
use crate::sink::Sink;

pub(crate) fn resource(config: &Config, errors: &mut ConfigErrors) -> Resource {
    for (key, text, first) in [
        ("service", &config.service, 1),
        ("version", &config.version, 0),
        ("environment", &config.environment, 0),
    ] {
        let fits = (first..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte));
        errors.check(
            fits,
            key,
            format!("expected {first} to 128 printable ASCII characters without \\ and quotes"),
        );
    }
    Resource {
        service: config.service.clone(),
        version: config.version.clone(),
        environment: config.environment.clone(),
    }
}

pub(crate) fn observer(config: &Config, setup: &Setup<'_>, errors: &mut ConfigErrors) -> Observer {
    let secret = &config.hmac_key;
    let long_enough = secret.is_empty() || secret.expose().len() >= 16;
    if !long_enough {
        errors.push_hidden("hmac_key", "expected at least 16 bytes");
    }
    let key = (!secret.is_empty()).then(|| HmacKey::new(secret.expose().as_bytes()));
    errors.check(
        config.user_id.mode != Redaction::Hmac || key.is_some(),
        "user_id.mode",
        "expected hmac_key beside the mode hmac",
    );
    if let Some(claim) = &config.user_id.jwt {
        claim.check("user_id.jwt", errors);
    }
    let mut fields = Vec::new();
    let mut labels = Set::new();
    errors.check(
        config.fields.len() <= 64,
        "fields",
        "expected at most 64 fields",
    );
    for (name, field) in &config.fields {
        let at = format!("fields.{name}");
        errors.check(
            labels.insert(ecs::label_key(name)),
            &at,
            "expected a name that differs from the others by more than \".\" and \"_\"",
        );
        fields.extend(Field::read(name, field, &at, errors));
    }
    let mut omit = Names::default();
    for (position, name) in config.omit.iter().enumerate() {
        match Name::parse(name) {
            Some(name) => omit.insert(name),
            None => errors.push(
                format!("omit[{position}]"),
                "expected the name of a field of the model such as \"referer\"",
            ),
        }
    }
    let redactor = config.redact.redactor(key, "redact", errors);
    Observer {
        rules: Rules::new(&redactor),
        redactor,
        fields,
        omit,
        trace: config.trace.clone(),
        user_id: config.user_id.clone(),
        trust_envoy_xff: setup.common.trust_envoy_xff,
    }
}

pub(crate) fn sinks(
    config: &Config,
    resource: &Resource,
    setup: &mut Setup<'_>,
    errors: &mut ConfigErrors,
) -> Vec<Sink> {
    errors.check(config.sinks.len() <= 8, "sinks", "expected at most 8 sinks");
    let mut names = Set::new();
    let mut sinks = Vec::new();
    for (position, sink) in config.sinks.iter().enumerate() {
        let at = format!("sinks[{position}]");
        errors.check(
            names.insert(sink.name()),
            format!("{at}.name"),
            "expected a name that no other sink has",
        );
        sinks.extend(Sink::read(sink, &at, resource, setup.metrics, errors));
    }
    sinks
}

pub(crate) fn check_bounds(config: &Config, errors: &mut ConfigErrors) {
    errors.check(
        (1024..=1_048_576).contains(&config.max_line_bytes),
        "max_line_bytes",
        "expected a number from 1024 to 1048576",
    );
    let window = config.storm.window.0;
    errors.check(
        window >= Duration::from_secs(1) && window <= Duration::from_secs(3600),
        "storm.window",
        "expected a duration from 1s to 1h",
    );
    errors.check(
        (1..=4096).contains(&config.storm.max_keys),
        "storm.max_keys",
        "expected a number from 1 to 4096",
    );
    errors.check(
        config.filter_state_key.len() <= 128 && !config.filter_state_key.contains('\0'),
        "filter_state_key",
        "expected at most 128 characters",
    );
    let header = &config.user_id.header;
    let valid =
        header.is_empty() || launchgate_sdk::headers::InvalidHeader::check(header, b"").is_ok();
    errors.check(valid, "user_id.header", "expected a header name");
    errors.check(
        !config.filter_state_key.is_empty() || !config.sinks.is_empty(),
        "filter_state_key",
        "expected a key, or at least one sink",
    );
}
