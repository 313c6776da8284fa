//! Why a type cannot travel as it is: the texts, each with the type, the field and the
//! way out.

use super::error::CodecError;
use serde::ser::Error;

const WAY_OUT: &str = "wrap the value in `distwq::Described`, which keeps the names";

#[cold]
#[inline(never)]
pub(super) fn skipped_field<E: Error>(name: &str, variant: Option<&str>, written_by: &str, field: &str) -> E {
    E::custom(format_args!(
        "`{}` leaves out its field `{field}` (serde's `skip_serializing_if`), and values travel without the names of \
         their fields, so the fields behind it would shift: always write the field, or {WAY_OUT}",
        title(name, variant, written_by)
    ))
}

#[cold]
#[inline(never)]
pub(super) fn sequence_of_unknown_length<E: Error>(written_by: &str) -> E {
    E::custom(format_args!(
        "`{}` is written as a sequence that does not know its length before its end, and values travel with the length \
         in front: collect it into a `Vec`, or {WAY_OUT}",
        peeled(written_by)
    ))
}

#[cold]
#[inline(never)]
pub(super) fn map_of_unknown_length<E: Error>(written_by: &str) -> E {
    E::custom(format_args!(
        "`{}` is written as a map that does not know its length before its end, as serde's `flatten` does, and values \
         travel with the length in front and without names: write its fields in place, or {WAY_OUT}",
        peeled(written_by)
    ))
}

#[cold]
#[inline(never)]
pub(super) fn nothing_within_something<E: Error>(written_by: &str) -> E {
    E::custom(format_args!(
        "a `{written_by}` without content stands within `Some`, and a described value cannot tell that from `None`: say \
         what is meant by an enum of two variants"
    ))
}

/// Those of `these` names that are none of `those`.
pub(super) fn names_beyond<'a>(these: &[&'a str], those: &[&str]) -> Vec<&'a str> {
    these.iter().copied().filter(|name| those.iter().all(|other| !same_name(name, other))).collect()
}

/// A struct, or a variant with fields, that writes fields that it does not read, or reads
/// some that it does not write.
pub(super) fn other_fields(ty: &str, unread: &[&str], unwritten: &[&str]) -> String {
    let difference = match (unread.is_empty(), unwritten.is_empty()) {
        (true, false) => format!("reads {}, which it does not write", fields(unwritten)),
        (false, true) => format!("writes {}, which it does not read", fields(unread)),
        (false, false) => format!("writes {} where it reads {}", fields(unread), fields(unwritten)),
        (true, true) => "reads its fields otherwise than it writes them".to_owned(),
    };
    // A name that differs does so in a description too.
    let way_out = if unread.is_empty() || unwritten.is_empty() {
        format!("(`skip` for both), or {WAY_OUT}")
    } else {
        format!("(one name, `skip` for both), or, if no name differs, {WAY_OUT}")
    };
    format!(
        "`{ty}` {difference} (serde's `skip_serializing` or `skip_deserializing` alone, or a `rename` that differs), and \
         values travel without the names of their fields, so one would be taken for another: treat the field alike in \
         both directions {way_out}"
    )
}

fn fields(names: &[&str]) -> String {
    let noun = if names.len() == 1 { "field" } else { "fields" };
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("its {noun} {}", names.join(", "))
}

/// A variant that is not read, or not by its number.
pub(super) fn other_variants(ty: &str, variant: &str, read: &[&str]) -> String {
    let read: Vec<_> = read.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "`{ty}` writes its variant `{variant}` by a number under which it reads another (it reads {}; serde's \
         `skip_deserializing`, `skip` or a `rename` that differs), and variants travel by number: move the skipped \
         variants behind the others, name them alike in both directions, or {WAY_OUT}",
        read.join(", ")
    )
}

/// A part without named fields that reads more or less than it writes.
pub(super) fn other_length(ty: &str) -> String {
    format!(
        "`{ty}` reads more or less than it writes (serde's `skip_serializing` or `skip_deserializing` alone, or a \
         `Deserialize` that does not fit its `Serialize`): treat its fields alike in both directions, or {WAY_OUT}"
    )
}

/// A value of which bytes are left over.
pub(super) fn other_length_whole<R>() -> String {
    other_length(peeled(std::any::type_name::<R>()))
}

/// A value that is read as something of another size.
pub(super) fn other_kind(ty: &str, read: &str) -> String {
    format!(
        "`{ty}` reads a {read} where its `Serialize` wrote something else: the two do not fit each other; write and read \
         the same kinds in the same order, or {WAY_OUT}"
    )
}

/// A type that asks what comes next.
pub(super) fn undescribed(ty: &str) -> String {
    format!(
        "`{ty}`, or a type in it, decides what it is by looking at what was written, as types with serde's `untagged`, \
         `flatten` or `tag` and `serde_json::Value` do, and values travel without marks that would tell: \
         {WAY_OUT}"
    )
}

/// The error of a type that asks what comes next, where it is decoded.
pub(super) fn undescribed_whole<T>() -> CodecError {
    CodecError(undescribed(peeled(std::any::type_name::<T>())))
}

/// How to call a struct, or a variant with fields, of what serde calls `name`.
pub(super) fn title(name: &str, variant: Option<&str>, written_by: &str) -> String {
    let ty = shown(name, written_by);
    variant.map_or_else(|| ty.to_owned(), |variant| format!("{ty}::{variant}"))
}

/// How to call what serde calls `name` and is written by the Rust type `written_by`: by
/// its path, where that is the type itself and not one around it.
pub(super) fn shown<'a>(name: &'a str, written_by: &'a str) -> &'a str {
    let peeled = peeled(written_by);
    let path = peeled.split('<').next().unwrap_or(peeled);
    if path.rsplit("::").next() == Some(name) { peeled } else { name }
}

/// A Rust type without what only points to it or may hold it.
pub(super) fn peeled(mut ty: &str) -> &str {
    const AROUND: [&str; 5] = [
        "core::marker::PhantomData<",
        "core::option::Option<",
        "alloc::boxed::Box<",
        "alloc::sync::Arc<",
        "alloc::rc::Rc<",
    ];
    loop {
        // What serde derives for the names of variants is a type within a function of the
        // trait.
        if let Some((inner, _)) = ty.split_once("> for ").and_then(|(_, rest)| rest.rsplit_once(">::deserialize::")) {
            ty = inner;
        }
        let inner = AROUND.iter().find_map(|around| ty.strip_prefix(around)?.strip_suffix('>'));
        match inner.or_else(|| ty.strip_prefix('&')) {
            Some(inner) => ty = inner,
            None => return ty,
        }
    }
}

/// Whether two names are one in different conventions (`maxSize`, `max_size`): a
/// `rename_all` that differs moves nothing.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
    };
    one == other || letters(one) == letters(other)
}
