//! The function that an attribute stands on. Its body passes through unread: what the
//! user wrote stays as it is, half-typed code included, and the compiler alone speaks of
//! it.

use crate::refusals::Refusals;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, Ident, Lit, Meta, Safety, Signature, Token, Type, Visibility};

/// A function, read as far as its body.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: {
                if input.peek(Token![;]) {
                    return Err(input.error("this has to be a function with a body"));
                }
                input.parse()?
            },
        })
    }
}

impl Function {
    /// The function that `item` is; `attribute` names the attribute in the error if it is
    /// something else.
    pub(crate) fn parse(item: TokenStream, attribute: &str) -> syn::Result<Self> {
        let is_function =
            item.clone().into_iter().any(|token| matches!(token, proc_macro2::TokenTree::Ident(word) if word == "fn"));
        if is_function {
            syn::parse2(item)
        } else {
            let message = format!("`#[{attribute}]` stands on a free function, `fn name(…) {{ … }}`");
            Err(syn::Error::new_spanned(first_line(item), message))
        }
    }

    /// The name without `r#`.
    pub(crate) fn name(&self) -> String {
        self.signature.ident.unraw().to_string()
    }

    /// The name as generated code writes it: errors point at the user's name, but it
    /// belongs to the attribute, so that lints about names speak of the function once.
    pub(crate) fn generated_name(&self) -> Ident {
        generated(&self.signature.ident)
    }

    /// The first paragraph of the doc comment. Not all of it, because the examples in it
    /// would be tested twice.
    pub(crate) fn summary(&self) -> Vec<String> {
        let lines = self.attributes.iter().filter_map(doc_line);
        let paragraph = lines.flat_map(|line| line.split('\n').map(str::to_owned).collect::<Vec<_>>());
        paragraph
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| !line.trim().is_empty() && !line.trim().starts_with("```"))
            .collect()
    }

    /// Whether it is left out of the documentation.
    pub(crate) fn is_hidden(&self) -> bool {
        self.attributes.iter().any(|attribute| {
            let is_list = matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("doc"));
            is_list && attribute.parse_args::<Ident>().is_ok_and(|word| word == "hidden")
        })
    }

    /// The attributes of one name.
    pub(crate) fn attributes_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Attribute> {
        self.attributes.iter().filter(move |attribute| attribute.path().is_ident(name))
    }

    /// Refuses what no function that this crate calls may have; `calls_it` says who calls
    /// it.
    pub(crate) fn refuse_qualifiers(&self, calls_it: &str, refusals: &mut Refusals) {
        let signature = &self.signature;
        if let Safety::Unsafe(token) = &signature.safety {
            let message = format!(
                "{calls_it} calls this function and knows nothing of its conditions: make it safe, with an `unsafe` \
                 block inside that says why they hold"
            );
            refusals.refuse(token, &message);
        }
        if let Some(abi) = &signature.abi {
            refusals.refuse(
                abi,
                "this has to be an ordinary Rust function: leave `extern` out, or call the foreign function from one",
            );
        }
        if let Some(variadic) = &signature.variadic {
            refusals.refuse(variadic, "the number of parameters has to be fixed: take a `Vec`");
        }
        for attribute in self.attributes_named("target_feature") {
            refusals.refuse(
                attribute,
                "a function with `target_feature` can only be called where the feature is known to be there: move its \
                 body into one that this function calls after `is_x86_feature_detected!` or the like",
            );
        }
    }
}

/// The same word at the same location, but belonging to the attribute.
pub(crate) fn generated(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(ident.span().resolved_at(Span::call_site()));
    ident
}

/// Where `tokens` begin.
pub(crate) fn first_span(tokens: impl ToTokens) -> Span {
    let first = tokens.into_token_stream().into_iter().next();
    first.map_or_else(Span::call_site, |token| token.span())
}

/// The type without the invisible parentheses of macro variables and without visible
/// ones.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        other => other,
    }
}

/// The last part of the path that `ty` is, if it is one.
pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match bare(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Whether `ty` is a path that ends in `name`.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name)
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("doc") => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The tokens up to the first group, to underline an item without its insides.
fn first_line(item: TokenStream) -> TokenStream {
    let is_word = |token: &proc_macro2::TokenTree| matches!(token, proc_macro2::TokenTree::Ident(_));
    let mut words = item.into_iter().skip_while(|token| !is_word(token)).peekable();
    if words.peek().is_none() {
        return TokenStream::new();
    }
    words.take_while(is_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn function(item: TokenStream) -> Function {
        Function::parse(item, "remote").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_summary_is_the_first_paragraph_without_examples() {
        let both = function(quote! {
            ///
            /// The mean
            /// of all.
            ///
            /// More.
            fn mean() {}
        });
        assert_eq!(both.summary(), [" The mean", " of all."]);
        let example = function(quote! {
            /// The mean.
            /// ```
            /// mean();
            /// ```
            fn mean() {}
        });
        assert_eq!(example.summary(), [" The mean."]);
        assert!(
            function(quote!(
                fn mean() {}
            ))
            .summary()
            .is_empty()
        );
    }

    #[test]
    fn only_doc_hidden_hides() {
        assert!(
            function(quote!(
                #[doc(hidden)]
                fn mean() {}
            ))
            .is_hidden()
        );
        assert!(
            !function(quote!(
                #[doc(alias = "average")]
                #[doc = "hidden"]
                fn mean() {}
            ))
            .is_hidden()
        );
    }

    #[test]
    fn a_half_typed_body_is_no_business_of_the_attribute() {
        let mean = function(quote!(fn mean(x: f64) -> f64 { let y = ; x. }));
        assert_eq!(mean.name(), "mean");
    }

    #[test]
    fn what_is_no_function_or_has_no_body_is_refused() {
        let error = |item| Function::parse(item, "remote").err().expect("refused").to_string();
        assert_eq!(
            error(quote!(
                pub struct Mean;
            )),
            "`#[remote]` stands on a free function, `fn name(…) { … }`"
        );
        assert_eq!(
            error(quote!(
                fn mean();
            )),
            "this has to be a function with a body"
        );
    }
}
