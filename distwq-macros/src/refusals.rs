//! Everything that is wrong with what an attribute stands on, so that one build tells all
//! of it.

use proc_macro2::Span;
use quote::ToTokens;

/// Errors with their locations, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Option<syn::Error>);

impl Refusals {
    /// Refuses `tokens`, all of them underlined.
    pub(crate) fn refuse(&mut self, tokens: impl ToTokens, message: &str) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Refuses what stands at `span`.
    pub(crate) fn refuse_at(&mut self, span: Span, message: &str) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds an error that was found elsewhere.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Keeps the value of `result`, or its error.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// What was read, if nothing was refused.
    pub(crate) fn finish<T>(self, read: Option<T>) -> syn::Result<T> {
        match self.0 {
            Some(errors) => Err(errors),
            None => Ok(read.expect("what could not be read was refused")),
        }
    }
}
