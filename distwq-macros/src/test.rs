//! What `#[distwq::test]` makes: an ordinary test that runs the user's function on each
//! backend.

use crate::args::TestArgs;
use crate::body;
use crate::function::Function;
use crate::refusals::Refusals;
use proc_macro2::TokenStream;
use quote::quote;

/// Refuses what this cannot stand on.
pub(crate) fn check(function: &Function, refusals: &mut Refusals) {
    refuse_attributes(function, refusals);
    body::refuse_other_forms(function, refusals);
}

pub(crate) fn expand(function: &Function, args: &TestArgs) -> TokenStream {
    let library = &args.library;
    let attributes = body::outer_attributes(function);
    let visibility = &function.visibility;
    let name = function.generated_name();
    let inner = body::inner(function);
    let returned = body::returned(function);
    let case = case(function, args);
    quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            #inner
            #library::testing::run::<#returned>(&#case, #name)
        }
    }
}

fn refuse_attributes(function: &Function, refusals: &mut Refusals) {
    for attribute in function.attributes_named("should_panic") {
        refusals.refuse(
            attribute,
            "a panic of the body ends the run on all ranks: let a task fail instead, and check the error that its \
             handle gives",
        );
    }
    for attribute in function.attributes_named("test") {
        refusals.refuse(attribute, "`#[distwq::test]` makes the function a test already: leave this out");
    }
}

/// The case; what is not said is as the library has it.
fn case(function: &Function, args: &TestArgs) -> TokenStream {
    let library = &args.library;
    // As the test harness writes it, `r#` included.
    let name = function.signature.ident.to_string();
    let ranks = args.ranks.iter().map(|ranks| quote!(ranks: &#ranks));
    let workers = some("workers", args.workers.as_ref().map(|workers| quote!(#workers)));
    let time_limit = args.time_limit.as_ref();
    let time_limit = some("time_limit", time_limit.map(|seconds| quote!(::core::time::Duration::from_secs(#seconds))));
    let every = args.every.then(|| quote!(every: true));
    let repeat = args.repeat.iter().map(|repeat| quote!(repeat: #repeat));
    let config = some("config", args.config.as_ref().map(|config| quote!(|| #library::testing::untyped(#config))));
    let said = ranks.chain(workers).chain(time_limit).chain(every).chain(repeat).chain(config);
    quote! {
        #library::testing::Case {
            #(#said,)*
            ..#library::testing::Case::new(::core::concat!(::core::module_path!(), "::", #name))
        }
    }
}

fn some(field: &str, value: Option<TokenStream>) -> Option<TokenStream> {
    let field = quote::format_ident!("{field}");
    value.map(|value| quote!(#field: ::core::option::Option::Some(#value)))
}
