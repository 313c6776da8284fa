//! How generated code asks the invocation for what it reads or writes: through
//! `distwq_core::travels`, so that a type that cannot travel is one error, with the way
//! out.

use crate::expand::{generated_at, located};
use crate::function::{first_span, last_segment};
use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// `invocation`, about to read or write a value of type `ty`.
pub(crate) fn travelling(invocation: &Ident, ty: &Type, private: &TokenStream) -> TokenStream {
    let location = generated_at(first_span(ty));
    let mut checks = Vec::new();
    checks_within(ty, &mut checks);
    let start = quote_spanned!(location=> #invocation);
    let checked = checks.into_iter().fold(start, |invocation, (ty, check)| {
        let location = generated_at(first_span(ty));
        let (private, check) = (located(private, location), Ident::new(check, location));
        quote_spanned!(location=> #private::Written::<#ty>::#check(&mut *#invocation))
    });
    quote_spanned!(location=> #checked.of::<#ty>())
}

/// The types within `ty` that are written like one of which there is more to say if it
/// cannot travel.
fn checks_within<'a>(ty: &'a Type, checks: &mut Vec<(&'a Type, &'static str)>) {
    if let Some(check) = last_segment(ty).and_then(check) {
        checks.push((ty, check));
        return;
    }
    match ty {
        Type::Group(group) => checks_within(&group.elem, checks),
        Type::Paren(paren) => checks_within(&paren.elem, checks),
        Type::Array(array) => checks_within(&array.elem, checks),
        Type::Slice(slice) => checks_within(&slice.elem, checks),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|element| checks_within(element, checks)),
        Type::Path(path) => {
            let arguments = path.path.segments.iter().filter_map(|segment| match &segment.arguments {
                PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
                _ => None,
            });
            for argument in arguments.flatten() {
                if let GenericArgument::Type(ty) = argument {
                    checks_within(ty, checks);
                }
            }
        }
        _ => {}
    }
}

/// The check for a type that is written like this; another type of that name passes it if
/// it can travel.
fn check(written: &PathSegment) -> Option<&'static str> {
    let has_arguments = matches!(written.arguments, PathArguments::AngleBracketed(_));
    match (written.ident.to_string().as_str(), has_arguments) {
        ("Arc", true) => Some("as_arc"),
        ("Cluster", false) => Some("as_cluster"),
        _ => None,
    }
}
