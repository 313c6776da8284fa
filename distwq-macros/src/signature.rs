//! What `#[remote]` takes, and all that it refuses: from the signature of a function to
//! what a call of it needs. Each refusal stands on the tokens it is about and says what
//! to write instead.

use crate::args::RemoteArgs;
use crate::function::{Function, bare, first_span, is_named, last_segment};
use crate::portable::refuse_unportable;
use crate::refusals::Refusals;
use proc_macro2::Span;
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::{
    FnArg, GenericArgument, GenericParam, Ident, Pat, PatType, PathArguments, ReturnType, Signature, Type,
    TypeReference,
};

/// Each parameter has a bit in the mask of those that are shared.
const PARAMETERS_MAX: usize = 64;

/// What a call of a remote function needs to know of it.
pub(crate) struct Remote {
    /// The type of the first parameter, if that is the context, which is no argument of a
    /// call.
    pub(crate) context: Option<Type>,
    /// The type of the next one of a collective function, which is no argument either.
    pub(crate) group: Option<Type>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

/// One parameter.
pub(crate) struct Parameter {
    /// Its name in `call`.
    pub(crate) name: Ident,
    /// The type that travels.
    pub(crate) travels: Type,
    /// Whether the function takes it by reference, so that the tasks of a worker share
    /// it.
    pub(crate) shared: bool,
}

/// What the function returns.
pub(crate) enum Output {
    /// Nothing.
    Unit,
    /// A value.
    Value(Type),
    /// A `Result` of this value.
    Fallible {
        value: Type,
        /// Where it is written.
        result: Span,
        /// Where its error is written, if it is, or else the `Result`.
        error: Span,
    },
}

impl Remote {
    /// Reads a signature; what it gives is meant only for a signature of which nothing
    /// was refused.
    pub(crate) fn read(function: &Function, args: &RemoteArgs, refusals: &mut Refusals) -> Self {
        let signature = &function.signature;
        function.refuse_qualifiers("a worker", refusals);
        refuse_shape(signature, refusals);

        let mut inputs = typed(signature).peekable();
        let context = inputs.next_if(|input| is_context_reference(&input.ty));
        check_context(signature, context, refusals);
        let group = inputs.next_if(|input| is_group_reference(&input.ty));
        check_group(signature, group, args, refusals);
        Self {
            context: context.map(|input| (*input.ty).clone()),
            group: group.map(|input| (*input.ty).clone()),
            parameters: read_parameters(inputs.collect(), refusals),
            output: read_output(&signature.output, refusals),
        }
    }
}

/// The parameters but `self`.
fn typed(signature: &Signature) -> impl Iterator<Item = &PatType> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    })
}

fn refuse_shape(signature: &Signature, refusals: &mut Refusals) {
    if let Some(token) = &signature.asyncness {
        refusals.refuse(
            token,
            "a task runs to its end on a thread of its worker: write a plain `fn`, and block on the future inside",
        );
    }
    refuse_generics(signature, refusals);
    if let Some(receiver) = signature.receiver() {
        refusals.refuse(
            receiver,
            "a method cannot be remote: write a free function that takes the value as a parameter, `this: &Type`, and \
             call it from the method",
        );
    }
}

fn refuse_generics(signature: &Signature, refusals: &mut Refusals) {
    for parameter in &signature.generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) => refusals.refuse(lifetime, LIFETIME),
            _ => refusals.refuse(
                parameter,
                "a remote function cannot be generic, because every rank has to know each function before the run: \
                 write one for each type that is needed, which calls the generic one",
            ),
        }
    }
    match &signature.generics.where_clause {
        // With parameters it goes together with them.
        Some(clause) if signature.generics.params.is_empty() => {
            refusals
                .refuse(clause, "a remote function cannot have a `where` clause: its types are fixed, so leave it out");
        }
        _ => {}
    }
}

const LIFETIME: &str = "a remote function cannot have lifetimes, because what it borrows lives on its worker: \
    write `&T` without one, or take the value";

fn is_context_reference(ty: &Type) -> bool {
    is_reference_to(ty, "Context")
}

/// Refuses a context in the wrong position or of the wrong form.
fn check_context(signature: &Signature, first: Option<&PatType>, refusals: &mut Refusals) {
    if let Some(Type::Reference(reference)) = first.map(|input| bare(&input.ty)) {
        if reference.mutability.is_some() {
            refusals.refuse(reference, "write `&Context`: all its methods take it by shared reference");
        }
        refuse_named_lifetime(reference, refusals);
    }
    for input in typed(signature).filter(|input| is_context(&input.ty)) {
        if !first.is_some_and(|first| std::ptr::eq(first, input)) {
            refusals.refuse(
                &input.ty,
                "a context cannot be an argument of a call: a function takes `ctx: &Context` once, as its first \
                 parameter, before a `&Group`, and gets that of its task. If this is another type of that name, import \
                 it under a name of its own",
            );
        }
    }
}

fn is_context(ty: &Type) -> bool {
    is_context_reference(ty) || is_named(ty, "Context")
}

fn is_group_reference(ty: &Type) -> bool {
    is_reference_to(ty, "Group")
}

fn is_reference_to(ty: &Type, name: &str) -> bool {
    matches!(bare(ty), Type::Reference(reference) if is_named(&reference.elem, name))
}

/// Refuses a group that is missing, in the wrong position or of the wrong form.
fn check_group(signature: &Signature, group: Option<&PatType>, args: &RemoteArgs, refusals: &mut Refusals) {
    match (group, args.collective) {
        (Some(group), None) => refusals.refuse(
            &group.ty,
            "a function of a `Group` runs on several ranks at once: declare it `#[remote(collective)]`. If this is \
             another type of that name, import it under a name of its own",
        ),
        (Some(group), Some(_)) => match bare(&group.ty) {
            Type::Reference(reference) if reference.mutability.is_some() => {
                refusals.refuse(&group.ty, "write `&Group`: all its operations take it by shared reference");
            }
            Type::Reference(reference) => refuse_named_lifetime(reference, refusals),
            _ => {}
        },
        (None, Some(_)) if typed(signature).any(|input| is_group(&input.ty)) => {}
        (None, Some(collective)) => refusals.refuse_at(
            collective,
            "a collective function takes the group of its ranks: make `group: &Group` its first parameter, or the one \
             behind `ctx: &Context`",
        ),
        (None, None) => {}
    }
    for input in typed(signature).filter(|input| is_group(&input.ty)) {
        if group.is_some_and(|group| std::ptr::eq(group, input)) {
            continue;
        }
        refusals.refuse(
            &input.ty,
            "a group cannot be an argument of a call: a collective function, `#[remote(collective)]`, takes `group: \
             &Group` as its first parameter or right behind `ctx: &Context`, and gets the one of its own ranks. If this \
             is another type of that name, import it under a name of its own",
        );
    }
}

fn is_group(ty: &Type) -> bool {
    is_group_reference(ty) || is_named(ty, "Group")
}

fn read_parameters(inputs: Vec<&PatType>, refusals: &mut Refusals) -> Vec<Parameter> {
    if let Some(surplus) = inputs.get(PARAMETERS_MAX) {
        refusals.refuse(surplus, "a remote function has at most 64 parameters: put some of them together in a struct");
    }
    let mut taken: HashSet<String> =
        inputs.iter().filter_map(|input| own_name(&input.pat)).map(|name| name.unraw().to_string()).collect();
    inputs
        .into_iter()
        .enumerate()
        .filter_map(|(index, input)| {
            refuse_conditional(input, refusals);
            let name = own_name(&input.pat).cloned();
            let name = name.unwrap_or_else(|| made_up_name(index, &mut taken, &input.pat));
            read_parameter(name, &input.ty, refusals)
        })
        .collect()
}

fn refuse_conditional(input: &PatType, refusals: &mut Refusals) {
    let conditional =
        |attribute: &&syn::Attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr");
    for attribute in input.attrs.iter().filter(conditional) {
        refusals.refuse(
            attribute,
            "a parameter of a remote function cannot depend on the configuration: write two functions, each with its \
             `#[cfg]`",
        );
    }
}

/// The name that a parameter has by itself; patterns such as `(a, b)` and `_` have none.
fn own_name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(name) => Some(&name.ident),
        Pat::Paren(paren) => own_name(&paren.pat),
        _ => None,
    }
}

fn made_up_name(index: usize, taken: &mut HashSet<String>, pattern: &Pat) -> Ident {
    let mut name = format!("argument{}", index + 1);
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    Ident::new(&name, first_span(pattern))
}

/// The type that travels for a parameter of this type, and whether it is shared.
fn read_parameter(mut name: Ident, ty: &Type, refusals: &mut Refusals) -> Option<Parameter> {
    // A variable of the attribute: it must not hide a function of its own name, as in `fn
    // f(f: f64)`.
    name.set_span(name.span().resolved_at(Span::mixed_site()));
    if is_group(ty) || is_context(ty) {
        // Refused already.
        return None;
    }
    let (travels, shared) = match bare(ty) {
        Type::Reference(reference) => {
            refuse_named_lifetime(reference, refusals);
            if reference.mutability.is_some() {
                refusals.refuse(
                    ty,
                    "a change behind `&mut` would stay on the worker: take the value, change it and return it",
                );
                return None;
            }
            (behind_reference(&reference.elem), true)
        }
        other => (other.clone(), false),
    };
    refuse_unportable(&travels, refusals);
    Some(Parameter { name, travels, shared })
}

fn refuse_named_lifetime(reference: &TypeReference, refusals: &mut Refusals) {
    // A lifetime that is declared is refused where it is declared.
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|l| l.ident == "static") {
        refusals.refuse(lifetime, LIFETIME);
    }
}

/// What is decoded for a reference to `ty`: slices and text have no size, so their owners
/// travel.
fn behind_reference(ty: &Type) -> Type {
    match bare(ty) {
        Type::Slice(slice) => {
            let element = &slice.elem;
            syn::parse_quote!(::std::vec::Vec<#element>)
        }
        Type::Path(path) if path.qself.is_none() && path.path.is_ident("str") => {
            syn::parse_quote!(::std::string::String)
        }
        other => other.clone(),
    }
}

fn read_output(output: &ReturnType, refusals: &mut Refusals) -> Output {
    let ReturnType::Type(_, declared) = output else {
        return Output::Unit;
    };
    let Some(segment) = last_segment(declared).filter(|segment| segment.ident == "Result") else {
        refuse_returned(declared, refusals);
        return Output::Value(bare(declared).clone());
    };
    let mut arguments = types(&segment.arguments);
    match arguments.next() {
        Some(value) => {
            refuse_returned(value, refusals);
            let result = segment.ident.span();
            let error = arguments.next().map_or(result, first_span);
            Output::Fallible { value: value.clone(), result, error }
        }
        None => {
            refusals.refuse(
                declared,
                "the type of the value has to be seen here, because it is the type of the handle: write \
                 `Result<Value, Error>`",
            );
            Output::Unit
        }
    }
}

fn refuse_returned(ty: &Type, refusals: &mut Refusals) {
    match bare(ty) {
        Type::Reference(_) => {
            refusals.refuse(
                ty,
                "a reference cannot leave its rank: return the value, of a slice as a `Vec`, of text as a `String`",
            );
        }
        _ => refuse_unportable(ty, refusals),
    }
}

fn types(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let arguments = match arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};

    fn remote(item: proc_macro2::TokenStream) -> Remote {
        let mut refusals = Refusals::default();
        let args = RemoteArgs::read(proc_macro2::TokenStream::new(), &mut refusals);
        let function = refusals.keep(Function::parse(item, "remote"));
        let remote = function.map(|function| Remote::read(&function, &args, &mut refusals));
        refusals.finish(remote).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn made_up_names_meet_no_name_of_the_user() {
        let remote = remote(quote!(
            fn f((a, b): (u8, u8), _: u8, argument1: u8, argument2: u8, r#argument2_: u8) {}
        ));
        let names: Vec<_> = remote.parameters.iter().map(|parameter| parameter.name.to_string()).collect();
        assert_eq!(names, ["argument1_", "argument2__", "argument1", "argument2", "r#argument2_"]);
    }

    #[test]
    fn what_travels_for_a_reference_is_its_owner() {
        let remote = remote(quote!(
            fn f(a: &[u8], b: &str, c: &(Vec<u8>), d: &[u8; 3], e: Vec<u8>) {}
        ));
        let travels = |parameter: &Parameter| (parameter.travels.to_token_stream().to_string(), parameter.shared);
        let travels: Vec<_> = remote.parameters.iter().map(travels).collect();
        let expected = [
            (":: std :: vec :: Vec < u8 >", true),
            (":: std :: string :: String", true),
            ("Vec < u8 >", true),
            ("[u8 ; 3]", true),
            ("Vec < u8 >", false),
        ];
        assert_eq!(travels, expected.map(|(ty, shared)| (ty.to_owned(), shared)));
    }

    #[test]
    fn the_value_of_a_result_is_its_first_argument() {
        let value = |item| match remote(item).output {
            Output::Fallible { value, .. } => value.to_token_stream().to_string(),
            _ => panic!("not known as a `Result`"),
        };
        assert_eq!(
            value(quote!(
                fn f() -> Result<u8, String> {}
            )),
            "u8"
        );
        assert_eq!(
            value(quote!(
                fn f() -> std::io::Result<Vec<u8>> {}
            )),
            "Vec < u8 >"
        );
        assert!(matches!(
            remote(quote!(
                fn f() -> Results<u8> {}
            ))
            .output,
            Output::Value(_)
        ));
        assert!(matches!(
            remote(quote!(
                fn f() {}
            ))
            .output,
            Output::Unit
        ));
    }
}
