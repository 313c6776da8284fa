//! Where generated code finds this library, unless `crate = path` says it.

use proc_macro_crate::{Error, FoundCrate};
use proc_macro2::Span;
use syn::{Ident, Path};

/// The name of the package in manifests, whatever the name of the dependency.
const PACKAGE: &str = "distwq";

/// The library under the name that the manifest of the package gives it.
///
/// # Errors
/// In words for the user, if the manifest names no such dependency.
pub(crate) fn find() -> Result<Path, String> {
    path(proc_macro_crate::crate_name(PACKAGE))
}

/// The library under its own name.
pub(crate) fn under_its_own_name() -> Path {
    named(PACKAGE)
}

fn path(found: Result<FoundCrate, Error>) -> Result<Path, String> {
    match found {
        Ok(FoundCrate::Name(name)) => Ok(named(&name)),
        Err(Error::CrateNotFound { path, .. }) => Err(format!(
            "`distwq` is not among the dependencies in {}: add it there, or say by which path it is to be found, \
             such as `crate = my_crate::distwq` in the brackets of this attribute",
            path.display()
        )),
        // The examples and documentation of the package itself see it as any other crate
        // does. Without a manifest that can be read, because no cargo builds this, it has
        // the name that nearly everybody gives it.
        Ok(FoundCrate::Itself) | Err(_) => Ok(under_its_own_name()),
    }
}

fn named(name: &str) -> Path {
    let name = Ident::new(name, Span::call_site());
    syn::parse_quote!(::#name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;
    use std::path::PathBuf;

    fn written(found: Result<FoundCrate, Error>) -> Result<String, String> {
        path(found).map(|path| path.to_token_stream().to_string())
    }

    #[test]
    fn the_name_is_that_of_the_manifest_and_otherwise_its_own() {
        assert_eq!(written(Ok(FoundCrate::Name("other_name".into()))), Ok(":: other_name".into()));
        assert_eq!(written(Ok(FoundCrate::Itself)), Ok(":: distwq".into()));
        assert_eq!(written(Err(Error::CargoManifestDirNotSet)), Ok(":: distwq".into()));
    }

    #[test]
    fn a_manifest_without_it_is_named_with_the_way_out() {
        let missing = Error::CrateNotFound { crate_name: PACKAGE.into(), path: PathBuf::from("some/Cargo.toml") };
        let said = written(Err(missing)).expect_err("it is not there");
        assert!(said.starts_with("`distwq` is not among the dependencies in some/Cargo.toml"), "{said}");
        assert!(said.contains("`crate = my_crate::distwq`"), "{said}");
    }
}
