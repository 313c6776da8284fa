//! What `#[distwq::main]` makes: a `main` that launches the cluster, with the user's
//! function as its body.

use crate::args::MainArgs;
use crate::body;
use crate::function::Function;
use crate::refusals::Refusals;
use proc_macro2::TokenStream;
use quote::quote;

/// Refuses what this cannot stand on.
pub(crate) fn check(function: &Function, refusals: &mut Refusals) {
    let name = &function.signature.ident;
    if name != "main" {
        refusals.refuse(
            name,
            "this makes the `main` of a program, so the function has that name; from another one call \
             `distwq::launch(config, |cluster| …)`",
        );
    }
    body::refuse_other_forms(function, refusals);
}

pub(crate) fn expand(function: &Function, args: &MainArgs) -> TokenStream {
    let library = &args.library;
    let config = match &args.config {
        Some(config) => quote!(#config),
        None => quote!(#library::Config::new()),
    };
    let attributes = body::outer_attributes(function);
    let visibility = &function.visibility;
    let name = function.generated_name();
    let inner = body::inner(function);
    let returned = body::returned(function);
    quote! {
        #(#attributes)*
        #visibility fn #name() -> ::std::process::ExitCode {
            #inner
            #library::launch::<#returned>(#config, #name)
        }
    }
}
