//! Types that cannot travel between ranks, as far as one can see it in how they are
//! written. What is left is said by the bounds that generated code has on the types.

use crate::function::bare;
use crate::refusals::Refusals;
use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypePath};

/// Refuses what cannot travel anywhere within `ty`.
pub(crate) fn refuse_unportable(ty: &Type, refusals: &mut Refusals) {
    match bare(ty) {
        Type::Array(array) => refuse_unportable(&array.elem, refusals),
        Type::Slice(slice) => refuse_unportable(&slice.elem, refusals),
        Type::Tuple(tuple) => {
            for element in &tuple.elems {
                refuse_unportable(element, refusals);
            }
        }
        Type::Path(path) => refuse_within_path(path, refusals),
        other => {
            if let Some(message) = reason(other) {
                refusals.refuse(other, message);
            }
        }
    }
}

/// Why a type that is not made of others cannot travel.
fn reason(ty: &Type) -> Option<&'static str> {
    Some(match ty {
        Type::Reference(_) => {
            "a reference within a type cannot be decoded on another rank: use the owned type, of a slice `Vec`, of \
             text `String`"
        }
        Type::ImplTrait(_) => {
            "`impl Trait` names no type, and the other ranks have to decode one: write which type it is, or collect \
             into a `Vec`"
        }
        Type::TraitObject(_) => {
            "a trait object cannot be decoded on another rank: use the type itself, or an enum of the types that \
             there are"
        }
        Type::FnPtr(_) => {
            "a function pointer means nothing on another rank: use an enum that says which function to call"
        }
        Type::Ptr(_) => "a pointer means nothing on another rank: use the value itself",
        Type::Never(_) => "a task has to end: return `()` or a value",
        Type::Infer(_) => "the type has to be written out, because the other ranks decode it",
        _ => return None,
    })
}

fn refuse_within_path(path: &TypePath, refusals: &mut Refusals) {
    if path.path.segments.last().is_some_and(is_rc) {
        return refusals.refuse(
            path,
            "an `Rc` cannot leave its thread: for `Rc<T>` write `T`, or `&T` for a parameter, because the tasks of a \
             worker share what is behind a reference",
        );
    }
    if path.path.segments.first().is_some_and(|first| first.ident == "Self") {
        refusals
            .refuse(path, "a remote function is a free function, outside of any `impl`: write the name of the type");
    }
    if let Some(qself) = &path.qself {
        refuse_unportable(&qself.ty, refusals);
    }
    for segment in &path.path.segments {
        match &segment.arguments {
            PathArguments::None => {}
            PathArguments::AngleBracketed(arguments) => {
                for argument in &arguments.args {
                    refuse_argument(argument, refusals);
                }
            }
            PathArguments::Parenthesized(arguments) => {
                for input in &arguments.inputs {
                    refuse_unportable(&input.ty, refusals);
                }
                if let ReturnType::Type(_, output) = &arguments.output {
                    refuse_unportable(output, refusals);
                }
            }
        }
    }
}

/// Not `Send` whatever is in it, with serde's feature `rc` too.
fn is_rc(segment: &PathSegment) -> bool {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return false;
    };
    segment.ident == "Rc" && matches!(arguments.args.first(), Some(GenericArgument::Type(_)))
}

fn refuse_argument(argument: &GenericArgument, refusals: &mut Refusals) {
    match argument {
        GenericArgument::Type(ty) => refuse_unportable(ty, refusals),
        // A declared lifetime is refused where it is declared; `'static` is no obstacle,
        // as in `Cow<'static, str>`.
        GenericArgument::Lifetime(lifetime) if lifetime.ident == "_" => {
            refusals.refuse(
                lifetime,
                "a type that borrows cannot be decoded on another rank: use an owned type, or `'static` where it can \
                 own, as in `Cow<'static, str>`",
            );
        }
        _ => {}
    }
}
