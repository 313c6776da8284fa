//! What `#[remote]` puts beside the function: a braced struct of the same name, which
//! lives in the namespace of types and so does not get into the function's way, with the
//! constructor `call`.
//!
//! The entry of the registry stands inside `call`, which refers to it: so the linker
//! keeps it as long as anybody can call the function, and functions in blocks work like
//! all others.
//!
//! Generated tokens belong to the attribute even where they have the user's location
//! (`located_at`, `resolved_at`), so that lints judge the user's function only once.
//! Types alone keep their own spans: their errors belong to them.

use crate::args::RemoteArgs;
use crate::checked::travelling;
use crate::function::{Function, first_span};
use crate::signature::{Output, Parameter, Remote};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Meta, Type};

pub(crate) fn expand(function: &Function, remote: &Remote, args: &RemoteArgs) -> TokenStream {
    let library = &args.library;
    let private = quote!(#library::__private);
    let name = function.generated_name();
    let visibility = visibility(function);
    let lints = lints(function);
    let hidden = function.is_hidden().then(|| quote!(#[doc(hidden)]));
    let deprecated = function.attributes_named("deprecated");
    let (struct_doc, call_doc) = docs(function);
    let parameters = remote.parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.travels);
        quote!(#name: impl #private::IntoArg<#ty>)
    });
    let arguments = remote.parameters.iter().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.travels);
        quote!(__distwq_call.argument::<#ty>(#name);)
    });
    let output = output_type(&remote.output);
    let entry = entry(function, remote, &private);
    quote! {
        #(#[doc = #struct_doc])*
        #hidden
        #lints
        #visibility struct #name {}

        #lints
        impl #name {
            #(#[doc = #call_doc])*
            #(#deprecated)*
            #visibility fn call(#(#parameters),*) -> #private::Call<#output> {
                #entry
                let mut __distwq_call = #private::Call::<#output>::of(&__DISTWQ_ENTRY);
                #(#arguments)*
                __distwq_call
            }
        }
    }
}

/// The visibility of the function. `pub` belongs to the attribute here, so that the lint
/// about a `pub` that nobody can reach speaks of the function alone; a path keeps its
/// span, by which it is resolved.
fn visibility(function: &Function) -> TokenStream {
    match &function.visibility {
        syn::Visibility::Public(token) => {
            let span = token.span.resolved_at(Span::call_site());
            quote_spanned!(span=> pub)
        }
        other => other.to_token_stream(),
    }
}

/// What the user allows on the function is allowed on what is made of it.
fn lints(function: &Function) -> TokenStream {
    let allowed = function.attributes.iter().filter_map(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return None;
        };
        let path = &list.path;
        let lints = &list.tokens;
        (path.is_ident("allow") || path.is_ident("expect")).then(|| quote!(#[allow(#lints)]))
    });
    // Calling and naming it here is no use of the user's.
    let deprecated = function.attributes_named("deprecated").next().map(|_| quote!(#[allow(deprecated)]));
    quote!(#(#allowed)* #deprecated)
}

/// The documentation of the struct and of `call`.
fn docs(function: &Function) -> (Vec<String>, Vec<String>) {
    let name = function.name();
    let struct_doc = vec![format!(" Remote calls of [`{name}`](fn@{name}).")];
    let mut call_doc = function.summary();
    if !call_doc.is_empty() {
        call_doc.push(String::new());
    }
    call_doc.push(format!(
        " Describes a call of [`{name}`](fn@{name}) that a worker is to make. Each argument is a value, a reference \
         to one, or the handle of a task that makes it."
    ));
    (struct_doc, call_doc)
}

fn output_type(output: &Output) -> TokenStream {
    match output {
        Output::Unit => quote!(()),
        Output::Value(ty) | Output::Fallible { value: ty, .. } => ty.to_token_stream(),
    }
}

/// The entry of the registry.
fn entry(function: &Function, remote: &Remote, private: &TokenStream) -> TokenStream {
    let name = function.name();
    // Where the name stands, not where the attribute does: a macro can make several
    // functions under one attribute.
    let location = function.signature.ident.span();
    let line = quote_spanned!(location=> ::core::line!());
    let column = quote_spanned!(location=> ::core::column!());
    let shared = shared_mask(&remote.parameters);
    let body = body(function, remote, private);
    quote! {
        #[#private::linkme::distributed_slice(#private::DISTWQ_REMOTES)]
        #[linkme(crate = #private::linkme)]
        static __DISTWQ_ENTRY: #private::Remote = #private::Remote {
            path: ::core::concat!(::core::module_path!(), "::", #name),
            file: ::core::file!(),
            line: #line,
            column: #column,
            body: #body,
            shared: #shared,
        };
    }
}

fn shared_mask(parameters: &[Parameter]) -> u64 {
    let bits = parameters.iter().enumerate();
    bits.filter(|(_, parameter)| parameter.shared).map(|(index, _)| 1 << index).sum()
}

/// The closure that reads the arguments, calls the function and writes its output. It
/// captures nothing and so is a plain function; unlike a named one it can hide none of
/// the user's.
fn body(function: &Function, remote: &Remote, private: &TokenStream) -> TokenStream {
    let context = remote.context.as_ref().map(|ty| variable("context", first_span(ty)));
    let group = remote.group.as_ref().map(|ty| variable("group", first_span(ty)));
    let kind = match group {
        Some(_) => quote!(Collective),
        None => quote!(Single),
    };
    let invocation = variable("invocation", Span::call_site());
    let closure_parameters = group.iter().chain([&invocation]);
    let argument = |(index, parameter)| argument(index, parameter, private);
    let (read, given): (Vec<_>, Vec<_>) = remote.parameters.iter().enumerate().map(argument).unzip();
    let contexts = context.iter().map(|context| quote_spanned!(generated_at(context.span())=> &#context));
    let passed = contexts.chain(group.iter().map(ToTokens::to_token_stream)).chain(given);
    let context = context.as_ref().map(|context| quote!(let #context = #invocation.context();));
    let name = function.generated_name();
    let call = quote_spanned!(name.span()=> #name(#(#passed),*));
    let finish = finish(&remote.output, &call, private);
    quote! {
        #private::Body::#kind(|#(#closure_parameters),*| {
            #[allow(unused_imports)]
            use #private::{Unencodable as _, UnencodableAsWritten as _};
            #(#read)*
            #invocation.all_read()?;
            #context
            #finish
        })
    }
}

/// How an argument is read, and how it is given to the function.
fn argument(index: usize, parameter: &Parameter, private: &TokenStream) -> (TokenStream, TokenStream) {
    let ty = &parameter.travels;
    let location = first_span(ty);
    let argument = variable(&format!("argument{index}"), location);
    let travelling = travelling(&variable("invocation", location), ty, private);
    let location = generated_at(location);
    if parameter.shared {
        let read = quote_spanned!(location=> let #argument = #travelling.shared()?;);
        (read, quote_spanned!(location=> &#argument))
    } else {
        let read = quote_spanned!(location=> let #argument = #travelling.owned()?;);
        (read, argument.to_token_stream())
    }
}

/// Calls the function and writes what it returns.
fn finish(output: &Output, call: &TokenStream, private: &TokenStream) -> TokenStream {
    match output {
        Output::Unit => {
            let invocation = variable("invocation", Span::call_site());
            quote! {
                #call;
                #invocation.finish::<()>(&())
            }
        }
        Output::Value(ty) => {
            let value = variable("value", first_span(ty));
            let check = check_that_no_alias_is_returned(ty, private);
            let finish = finish_with(ty, private);
            quote! {
                #check
                let #value: #ty = #call;
                #finish
            }
        }
        Output::Fallible { value: ty, result, error } => {
            let value = variable("value", first_span(ty));
            let finish = finish_with(ty, private);
            let fail = fail_with(*error, private);
            let declared = quote_spanned!(generated_at(*result)=> ::core::result::Result<#ty, _>);
            quote! {
                let #value: #declared = #call;
                match #value {
                    ::core::result::Result::Ok(#value) => #finish,
                    #fail
                }
            }
        }
    }
}

fn finish_with(ty: &Type, private: &TokenStream) -> TokenStream {
    let location = first_span(ty);
    let travelling = travelling(&variable("invocation", location), ty, private);
    let value = variable("value", location);
    quote_spanned!(generated_at(location)=> #travelling.finish(&#value))
}

/// An alias of `Result` would travel as a value, and its error would be no failure of the
/// task.
fn check_that_no_alias_is_returned(ty: &Type, private: &TokenStream) -> TokenStream {
    let location = generated_at(first_span(ty));
    let here = located(private, location);
    let check = quote_spanned!(location=> #here::Returned::<#ty>::check());
    quote! {{
        use #private::IsNoResult as _;
        #check;
    }}
}

/// The arm of the `match` for an error that is written at `location`.
fn fail_with(location: Span, private: &TokenStream) -> TokenStream {
    let error = variable("error", location);
    let location = generated_at(location);
    let here = located(private, location);
    let tellable = quote_spanned!(location=> #here::tellable(&#error));
    quote! {
        ::core::result::Result::Err(#error) => {
            use #private::{
                BoxedErrorText as _, DisplayText as _, PlainErrorText as _, UntoldText as _,
            };
            #tellable;
            ::core::result::Result::Err((&&&#private::ErrorText(&#error)).failure())
        }
    }
}

/// A variable that no name of the user's can meet, at a location of the user's.
fn variable(name: &str, location: Span) -> Ident {
    Ident::new(name, Span::mixed_site().located_at(location))
}

/// A location of the user's for tokens of the attribute, so that errors about them stand
/// there.
pub(crate) fn generated_at(location: Span) -> Span {
    Span::call_site().located_at(location)
}

/// The same path at another location, resolved as before.
pub(crate) fn located(path: &TokenStream, location: Span) -> TokenStream {
    path.clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(location));
            token
        })
        .collect()
}
