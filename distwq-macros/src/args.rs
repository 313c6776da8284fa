//! The arguments of the attributes: what stands in the brackets behind their names.

use crate::library;
use crate::refusals::Refusals;
use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprArray, Ident, Lit, Path, Token};

/// The arguments of `#[remote]`.
pub(crate) struct RemoteArgs {
    /// Where it says `collective`.
    pub(crate) collective: Option<Span>,
    pub(crate) library: Path,
}

/// The arguments of `#[distwq::main]`.
pub(crate) struct MainArgs {
    pub(crate) config: Option<Expr>,
    pub(crate) library: Path,
}

/// The arguments of `#[distwq::test]`.
pub(crate) struct TestArgs {
    pub(crate) ranks: Option<ExprArray>,
    pub(crate) workers: Option<Expr>,
    pub(crate) time_limit: Option<Expr>,
    pub(crate) every: bool,
    pub(crate) repeat: Option<Expr>,
    pub(crate) config: Option<Expr>,
    pub(crate) library: Path,
}

impl RemoteArgs {
    pub(crate) fn read(tokens: TokenStream, refusals: &mut Refusals) -> Self {
        let mut arguments = Arguments::read(tokens, refusals);
        let args = Self { collective: arguments.flag("collective"), library: arguments.library() };
        arguments.refuse_unknown("`collective` and `crate = path`");
        args
    }
}

impl MainArgs {
    pub(crate) fn read(tokens: TokenStream, refusals: &mut Refusals) -> Self {
        let mut arguments = Arguments::read(tokens, refusals);
        let args = Self { config: arguments.value("config"), library: arguments.library() };
        arguments.refuse_unknown("`config = expression` and `crate = path`");
        args
    }
}

impl TestArgs {
    pub(crate) fn read(tokens: TokenStream, refusals: &mut Refusals) -> Self {
        let mut arguments = Arguments::read(tokens, refusals);
        let args = Self {
            ranks: arguments.ranks(),
            workers: arguments.value("workers"),
            time_limit: arguments.value("time_limit"),
            every: arguments.flag("every").is_some(),
            repeat: arguments.value("repeat"),
            config: arguments.value("config"),
            library: arguments.library(),
        };
        arguments.refuse_unknown(
            "`ranks = [1, 2, 4]`, `workers = 3`, `time_limit = 60`, `every`, `repeat = 100`, `config = expression` \
             and `crate = path`",
        );
        args
    }
}

/// One argument: `name` or `name = value`.
struct Argument {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for Argument {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let equals: Option<Token![=]> = input.parse()?;
        let value = equals.map(|_| input.parse()).transpose()?;
        Ok(Self { name, value })
    }
}

/// The arguments that nobody has asked for yet; those left at the end are unknown.
struct Arguments<'a> {
    left: Vec<Argument>,
    refusals: &'a mut Refusals,
}

impl<'a> Arguments<'a> {
    fn read(tokens: TokenStream, refusals: &'a mut Refusals) -> Self {
        let arguments = Punctuated::<Argument, Token![,]>::parse_terminated.parse2(tokens);
        let left = refusals.keep(arguments).into_iter().flatten().collect();
        Self { left, refusals }
    }

    fn take(&mut self, name: &str) -> Option<Argument> {
        let index = self.left.iter().position(|argument| argument.name == name)?;
        let found = self.left.remove(index);
        while let Some(index) = self.left.iter().position(|argument| argument.name == name) {
            let again = self.left.remove(index);
            self.refusals.refuse(&again.name, "this is said twice: leave one out");
        }
        Some(found)
    }

    fn flag(&mut self, name: &str) -> Option<Span> {
        let found = self.take(name)?;
        if let Some(value) = &found.value {
            let message = format!("`{name}` stands alone: leave the value out");
            self.refusals.refuse(value, &message);
        }
        Some(found.name.span())
    }

    fn value(&mut self, name: &str) -> Option<Expr> {
        let found = self.take(name)?;
        if found.value.is_none() {
            let message = format!("`{name}` needs a value: `{name} = …`");
            self.refusals.refuse(&found.name, &message);
        }
        found.value
    }

    fn library(&mut self) -> Path {
        // After `crate` without a value, which is refused, there is nothing to look for.
        let is_said = self.left.iter().any(|argument| argument.name == "crate");
        match self.value("crate") {
            Some(Expr::Path(path)) if path.qself.is_none() => path.path,
            None if is_said => library::under_its_own_name(),
            None => library::find().unwrap_or_else(|message| {
                self.refusals.refuse_at(Span::call_site(), &message);
                library::under_its_own_name()
            }),
            Some(other) => {
                self.refusals
                    .refuse(other, "this has to be the path of the crate `distwq`, such as `crate = my_crate::distwq`");
                library::under_its_own_name()
            }
        }
    }

    fn ranks(&mut self) -> Option<ExprArray> {
        const FORM: &str = "this has to be a list of how many ranks to run on, such as `ranks = [1, 2, 4]`";
        match self.value("ranks")? {
            Expr::Array(array) if !array.elems.is_empty() => {
                for zero in array.elems.iter().filter(|element| is_zero(element)) {
                    self.refusals.refuse(zero, "a run has at least 1 rank");
                }
                Some(array)
            }
            other => {
                self.refusals.refuse(other, FORM);
                None
            }
        }
    }

    /// Refuses what is left; `known` are those that there are, for people.
    fn refuse_unknown(self, known: &str) {
        for unknown in &self.left {
            let message = format!("unknown argument; there are {known}");
            self.refusals.refuse(&unknown.name, &message);
        }
    }
}

fn is_zero(expression: &Expr) -> bool {
    let Expr::Lit(literal) = expression else {
        return false;
    };
    matches!(&literal.lit, Lit::Int(number) if number.base10_parse::<u64>().is_ok_and(|n| n == 0))
}
