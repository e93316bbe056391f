//! `#[derive(Decode)]`: how a type is read from JSON, for `launchgate_sdk::config::Decode`.
//!
//! 1. It reads the `#[serde(…)]` attributes that schemars reads too, so that a type and its schema cannot differ: `default`,
//!    `default = "path"`, `deny_unknown_fields`, `rename`, `rename_all`, `try_from = "String"`.
//! 2. A struct becomes a table of names and places, and the SDK fills it; an enum becomes a list of names. serde's own derive
//!    writes a state machine for each struct instead, which was half of a module.
//! 3. What it cannot express is an error at compile time: enums with data, generic types, tuple structs.

mod attributes;
mod case;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Error, Fields, FieldsNamed, Result, Type};

use attributes::{Absent, Container, Member};

/// Derives `launchgate_sdk::config::Decode`.
#[proc_macro_derive(Decode, attributes(serde))]
pub fn derive_decode(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    implementation(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn implementation(input: &DeriveInput) -> Result<TokenStream> {
    let container = Container::read(&input.attrs)?;
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "expected a type without parameters",
        ));
    }
    let body = match &input.data {
        _ if container.try_from_string => quote! {
            mistakes.parsed(json, |text| <Self as ::core::convert::TryFrom<::std::string::String>>::try_from(text.to_owned()))
        },
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if container.default => with_defaults(fields, &container)?,
            Fields::Named(fields) => with_required(fields, &container)?,
            other => return Err(Error::new_spanned(other, "expected named fields")),
        },
        Data::Enum(data) => choice(data, &container)?,
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "expected a struct or an enum",
            ));
        }
    };
    let name = &input.ident;
    Ok(quote! {
        impl ::launchgate_sdk::config::Decode for #name {
            fn decode(
                json: &::launchgate_sdk::config::Json,
                mistakes: &mut ::launchgate_sdk::config::Mistakes,
            ) -> ::core::option::Option<Self> {
                #body
            }
        }
    })
}

/// `#[serde(default)]` on the struct: what is absent is as in its `Default`.
fn with_defaults(fields: &FieldsNamed, container: &Container) -> Result<TokenStream> {
    let mut slots = Vec::new();
    for field in &fields.named {
        let member = Member::read(field, container)?;
        let (key, name) = (member.key, &field.ident);
        slots.push(quote!((#key, &mut value.#name)));
    }
    let strict = container.strict;
    Ok(quote! {
        #[allow(unused_mut, reason = "a struct without fields")]
        let mut value = <Self as ::core::default::Default>::default();
        mistakes.object(json, #strict, &mut [#(#slots),*]).then_some(value)
    })
}

/// Fields without a default of their own are required.
fn with_required(fields: &FieldsNamed, container: &Container) -> Result<TokenStream> {
    let (mut places, mut slots, mut taken, mut whole) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in &fields.named {
        let member = Member::read(field, container)?;
        let (key, ty, name) = (&member.key, &field.ty, &field.ident);
        let place = format_ident!(
            "place_{}",
            name.as_ref()
                .map_or(String::new(), |name| name.unraw().to_string())
        );
        match &member.absent {
            Absent::Default => {
                places.push(quote!(let mut #place: #ty = ::core::default::Default::default();))
            }
            Absent::Function(path) => places.push(quote!(let mut #place: #ty = #path();)),
            Absent::Mistake if is_option(ty) => {
                places.push(quote!(let mut #place: #ty = ::core::option::Option::None;))
            }
            Absent::Mistake => {
                places.push(
                    quote!(let mut #place = ::launchgate_sdk::config::Wanted::<#ty>::default();),
                );
                taken.push(quote!(let #place = #place.take(#key, mistakes);));
                slots.push(quote!((#key, &mut #place)));
                whole.push(quote!(#name: #place?));
                continue;
            }
        }
        slots.push(quote!((#key, &mut #place)));
        whole.push(quote!(#name: #place));
    }
    let strict = container.strict;
    Ok(quote! {
        #(#places)*
        if !mistakes.object(json, #strict, &mut [#(#slots),*]) {
            return ::core::option::Option::None;
        }
        #(#taken)*
        ::core::option::Option::Some(Self { #(#whole),* })
    })
}

fn choice(data: &syn::DataEnum, container: &Container) -> Result<TokenStream> {
    let (mut names, mut arms) = (Vec::new(), Vec::new());
    for (position, variant) in data.variants.iter().enumerate() {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "expected a variant without data",
            ));
        }
        names.push(attributes::variant_key(variant, container)?);
        let name = &variant.ident;
        arms.push(quote!(#position => ::core::option::Option::Some(Self::#name),));
    }
    Ok(quote! {
        match mistakes.choice(json, &[#(#names),*])? {
            #(#arms)*
            _ => ::core::option::Option::None,
        }
    })
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
