//! The `#[serde(…)]` attributes that count. Those that only concern writing are passed over.

use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Field, LitStr, Path, Result, Token, Variant};

use crate::case::Case;

/// Of a struct or enum.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) default: bool,
    pub(crate) strict: bool,
    pub(crate) try_from_string: bool,
    case: Option<Case>,
}

/// Of a field.
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) absent: Absent,
}

/// What an absent field is.
pub(crate) enum Absent {
    Mistake,
    Default,
    Function(Path),
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut container = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("default") && !meta.input.peek(Token![=]) {
                container.default = true;
            } else if meta.path.is_ident("deny_unknown_fields") {
                container.strict = true;
            } else if meta.path.is_ident("rename_all") {
                let text: LitStr = meta.value()?.parse()?;
                container.case =
                    Some(Case::named(&text.value()).ok_or_else(|| {
                        meta.error("expected lowercase, snake_case or camelCase")
                    })?);
            } else if meta.path.is_ident("try_from") {
                let text: LitStr = meta.value()?.parse()?;
                if text.value() != "String" {
                    return Err(meta.error("expected try_from = \"String\""));
                }
                container.try_from_string = true;
            } else {
                return Err(meta.error("derive(Decode) does not know this attribute"));
            }
            Ok(())
        })?;
        Ok(container)
    }
}

impl Member {
    pub(crate) fn read(field: &Field, container: &Container) -> Result<Self> {
        let name = field
            .ident
            .as_ref()
            .map_or(String::new(), |name| name.unraw().to_string());
        let mut member = Self {
            key: container
                .case
                .map_or(name.clone(), |case| case.of_field(&name)),
            absent: Absent::Mistake,
        };
        each(&field.attrs, |meta| {
            if meta.path.is_ident("rename") {
                member.key = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("default") {
                member.absent = if meta.input.peek(Token![=]) {
                    Absent::Function(meta.value()?.parse::<LitStr>()?.parse()?)
                } else {
                    Absent::Default
                };
            } else if meta.path.is_ident("skip_serializing_if") {
                meta.value()?.parse::<LitStr>()?;
            } else {
                return Err(meta.error("derive(Decode) does not know this attribute"));
            }
            Ok(())
        })?;
        Ok(member)
    }
}

pub(crate) fn variant_key(variant: &Variant, container: &Container) -> Result<String> {
    let name = variant.ident.to_string();
    let mut key = container
        .case
        .map_or(name.clone(), |case| case.of_variant(&name));
    each(&variant.attrs, |meta| {
        if !meta.path.is_ident("rename") {
            return Err(meta.error("derive(Decode) does not know this attribute"));
        }
        key = meta.value()?.parse::<LitStr>()?.value();
        Ok(())
    })?;
    Ok(key)
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
    {
        attribute.parse_nested_meta(&mut read)?;
    }
    Ok(())
}
