//! The function that gets the cluster: what `#[distwq::main]` and `#[distwq::test]` stand
//! on.

use crate::function::{Function, bare, is_named};
use crate::refusals::Refusals;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Pat, ReturnType, Type};

/// The attributes that belong to the function which the attribute makes; all others stay
/// with the user's.
const OUTER: [&str; 2] = ["doc", "ignore"];

/// Refuses what is not `fn name(cluster: &Cluster) -> R`.
pub(crate) fn refuse_other_forms(function: &Function, refusals: &mut Refusals) {
    let signature = &function.signature;
    function.refuse_qualifiers("distwq", refusals);
    if let Some(token) = &signature.asyncness {
        refusals.refuse(
            token,
            "the body is called as an ordinary function: write a plain `fn`, and block on the future inside",
        );
    }
    if !signature.generics.params.is_empty() {
        refusals.refuse(
            &signature.generics,
            "distwq calls this function, and nobody says for which types: leave the parameters out",
        );
    } else if let Some(clause) = &signature.generics.where_clause {
        refusals.refuse(clause, "the types of this function are fixed: leave the `where` clause out");
    }
    refuse_other_parameters(function, refusals);
}

fn refuse_other_parameters(function: &Function, refusals: &mut Refusals) {
    let signature = &function.signature;
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        None => {
            let name = &signature.ident;
            refusals.refuse(name, &format!("the body gets the cluster: write `fn {name}(cluster: &Cluster)`"));
        }
        Some(FnArg::Receiver(receiver)) => {
            refusals.refuse(receiver, "this has to be a free function: write `cluster: &Cluster` instead of `self`");
        }
        Some(FnArg::Typed(first)) if !is_cluster_reference(&first.ty) => {
            refusals.refuse(&first.ty, "the body gets the cluster by reference: write `cluster: &Cluster`");
        }
        Some(FnArg::Typed(first)) => refuse_pattern(&first.pat, refusals),
    }
    for surplus in inputs {
        refusals.refuse(
            surplus,
            "the body gets the cluster and nothing else: leave this out, and make what it needs inside",
        );
    }
}

fn is_cluster_reference(ty: &Type) -> bool {
    let Type::Reference(reference) = bare(ty) else {
        return false;
    };
    reference.mutability.is_none() && is_named(&reference.elem, "Cluster")
}

fn refuse_pattern(pattern: &Pat, refusals: &mut Refusals) {
    if !matches!(pattern, Pat::Ident(_) | Pat::Wild(_)) {
        refusals.refuse(pattern, "write a name: `cluster: &Cluster`");
    }
}

/// The user's function as it stands inside the one that the attribute makes.
pub(crate) fn inner(function: &Function) -> TokenStream {
    let attributes = function.attributes.iter().filter(|attribute| !is_outer(attribute));
    let (signature, body) = (&function.signature, &function.body);
    quote!(#(#attributes)* #signature #body)
}

/// The attributes of the function that the attribute makes.
pub(crate) fn outer_attributes(function: &Function) -> impl Iterator<Item = &Attribute> {
    function.attributes.iter().filter(|attribute| is_outer(attribute))
}

fn is_outer(attribute: &Attribute) -> bool {
    OUTER.iter().any(|name| attribute.path().is_ident(name))
}

/// What the body returns, to be named where a bound is on it, so that its errors stand on
/// the type.
pub(crate) fn returned(function: &Function) -> TokenStream {
    match &function.signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) if matches!(bare(ty), Type::ImplTrait(_)) => quote!(_),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    }
}
