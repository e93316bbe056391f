//! Check 1: what runs is what was built, signed and tested.

use super::{
    facts::Facts,
    rule::{Area, Judged, Rule, Severity, not_checked, unless},
};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Build,
        "build.digest",
        Severity::Error,
        "Every module is the one of the index",
        "Load the module of the index, or take the index of the release that is loaded; pin images with `launchgate registry pin`.",
        "docs/how-to/ship-a-plugin.md",
        digest,
    ),
    Rule::new(
        Area::Build,
        "build.signature",
        Severity::Error,
        "What is shipped is signed with the given key",
        "Sign with `launchgate push --key`, or the index with `cosign sign-blob`; make sure that it is the release's public key.",
        "docs/how-to/ship-a-plugin.md",
        signature,
    ),
    Rule::new(
        Area::Build,
        "build.schema",
        Severity::Error,
        "Every configuration fits its plugin's JSON Schema",
        "Correct the configuration; the schema beside the index belongs to the module's version.",
        "docs/reference/README.md",
        schema,
    ),
];

fn digest(facts: &Facts) -> Judged {
    let index = &facts.index()?.index;
    let (mut broken, mut known, mut unknown) = (Vec::new(), 0, Vec::new());
    for plugin in facts.admin.iter().flat_map(|admin| &admin.plugins) {
        let Some(entry) = index.plugin(&plugin.plugin) else {
            broken.push(format!(
                "{}: {} is not in the index",
                plugin.name, plugin.plugin
            ));
            continue;
        };
        match &plugin.digest {
            Ok(digest) if *digest == entry.sha256 => known += 1,
            Ok(digest) => broken.push(format!(
                "{}: the module is {digest}, the index has {}",
                plugin.name, entry.sha256
            )),
            Err(why) => unknown.push(format!("{}: {why}", plugin.name)),
        }
    }
    for (plugin, digest) in facts.manifests.iter().flat_map(|m| &m.images) {
        match index.plugin(plugin).and_then(|entry| entry.manifest_hex()) {
            None => unknown.push(format!("{plugin}: the index has no image of it")),
            Some(expected) if expected == *digest => known += 1,
            Some(expected) => broken.push(format!(
                "{plugin}: the manifests pin {digest}, the index has {expected}"
            )),
        }
    }
    let nothing = known == 0 && broken.is_empty();
    match unknown.first() {
        _ if !broken.is_empty() => unless(broken, ""),
        Some(why) => not_checked(why),
        None if nothing => not_checked("needs --admin or --manifests"),
        None => unless(
            broken,
            format!("{known} modules have the digest of the index"),
        ),
    }
}

fn signature(facts: &Facts) -> Judged {
    let Some(signatures) = &facts.signatures else {
        return not_checked("needs --key, and --index or --manifests");
    };
    if signatures.is_empty() {
        return not_checked("needs --index or --manifests with images");
    }
    let broken = signatures.iter().filter_map(|s| {
        let reason = s.valid.as_ref().err()?;
        Some(format!("{}: {reason}", s.of))
    });
    let of: Vec<_> = signatures.iter().map(|s| s.of.as_str()).collect();
    unless(broken.collect(), format!("signed: {}", of.join(", ")))
}

fn schema(facts: &Facts) -> Judged {
    let (admin, index) = (facts.admin()?, facts.index()?);
    let mut broken = Vec::new();
    for plugin in &admin.plugins {
        let Some(schema) = index.schemas.get(&plugin.plugin) else {
            return not_checked(format!(
                "needs {}.schema.json beside the index",
                plugin.plugin
            ));
        };
        let validator = match jsonschema::validator_for(schema) {
            Ok(validator) => validator,
            Err(error) => return not_checked(format!("{}: schema: {error}", plugin.plugin)),
        };
        // The message would quote the value, which may be a secret: the path and the kind of rule tell enough.
        broken.extend(validator.iter_errors(&plugin.config).map(|error| {
            let rule = error.schema_path.to_string();
            format!(
                "{}: {}: breaks {rule} of the schema",
                plugin.name,
                at(&error.instance_path.to_string())
            )
        }));
    }
    unless(
        broken,
        format!("{} configurations fit", admin.plugins.len()),
    )
}

fn at(pointer: &str) -> &str {
    match pointer {
        "" => "(whole)",
        other => other,
    }
}
