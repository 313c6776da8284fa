//! Values on their way back, while they are compared with what was written: a layer
//! between bincode and the types that reads a value where it was just encoded. What it
//! finds is kept aside, because a type may turn errors into others of its own.
//!
//! A struct, a tuple struct and a variant that begins where one of its name was written
//! is compared with that, by the names of its fields and by where it ends; all else by
//! where values begin and end. So types that write one thing and read another of the same
//! form pass.

use super::record::{Part, Record};
use super::refused;
use super::watched::Kind;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::any::type_name;
use std::cell::{Cell, OnceCell};
use std::fmt;

/// A value that is being compared.
pub(super) struct Comparison<'a> {
    record: &'a Record,
    bytes: &'a [u8],
    /// How many bytes were read.
    read: &'a Cell<usize>,
    /// The first part that has not begun.
    next: Cell<usize>,
    /// The Rust type that is read.
    ty: Cell<&'static str>,
    /// What does not fit. The first that names fields or variants, or else the first.
    found: OnceCell<String>,
    found_in_general: OnceCell<String>,
}

impl<'a> Comparison<'a> {
    /// Of the `bytes` that `record` tells of, of which `read` says how many have been
    /// read.
    pub(super) fn new(record: &'a Record, bytes: &'a [u8], read: &'a Cell<usize>) -> Self {
        let (found, found_in_general) = (OnceCell::new(), OnceCell::new());
        Self { record, bytes, read, next: Cell::new(0), ty: Cell::new(""), found, found_in_general }
    }

    /// Why the value cannot travel.
    pub(super) fn into_finding(self) -> Option<String> {
        self.found.into_inner().or(self.found_in_general.into_inner())
    }

    fn has_finding(&self) -> bool {
        self.found.get().is_some()
    }

    fn found<E: Error>(&self, text: String) -> E {
        let error = E::custom(&text);
        // The first one counts: what is read behind it is shifted.
        let _ = self.found.set(text);
        error
    }

    fn other_kind<E: Error>(&self, kind: &str) -> E {
        let text = refused::other_kind(refused::peeled(self.ty.get()), kind);
        let error = E::custom(&text);
        let _ = self.found_in_general.set(text);
        error
    }

    /// A value begins or ends here, when a `kind` is read.
    fn at_edge<E: Error>(&self, kind: &str) -> Result<(), E> {
        if self.record.is_edge(self.read.get()) { Ok(()) } else { Err(self.other_kind(kind)) }
    }

    /// A run begins here, and its length is none that leads beyond the bytes.
    fn run_fits<E: Error>(&self, kind: &str) -> Result<(), E> {
        self.at_edge(kind)?;
        let rest = self.bytes.get(self.read.get()..).unwrap_or_default();
        let len = rest.split_first_chunk().map(|(len, rest)| (u64::from_le_bytes(*len), rest.len() as u64));
        if len.is_some_and(|(len, left)| len <= left) { Ok(()) } else { Err(self.other_kind(kind)) }
    }

    /// The part that begins here and is such a kind.
    fn begin(&self, is_it: impl Fn(&Kind) -> bool) -> Option<Part> {
        let (index, part) = self.record.find(self.next.get(), self.read.get(), is_it)?;
        self.next.set(index + 1);
        Some(part)
    }

    /// Reads a part with named fields and compares it with what was written.
    fn fields<T, E: Error>(
        &self,
        name: &str,
        part: Option<Part>,
        fields: &[&str],
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(part) = part else { return read() };
        let unread = refused::names_beyond(&part.names_with_room(), fields);
        let unwritten = refused::names_beyond(fields, &part.names());
        let other_fields = || self.found(refused::other_fields(&part.title(name), &unread, &unwritten));
        if !unread.is_empty() {
            return Err(other_fields());
        }
        let result = read();
        let fits = match &result {
            Ok(_) => self.read.get() == part.end,
            // The names that are read include aliases, so that there are more of them
            // says nothing by itself.
            Err(_) => unwritten.is_empty(),
        };
        if fits || self.has_finding() { result } else { Err(other_fields()) }
    }

    /// Reads a part of `len` fields without names and compares where it ends. A field
    /// that takes no room may be missing.
    fn length<T, E: Error>(
        &self,
        name: &str,
        part: Option<Part>,
        len: usize,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(part) = part else { return read() };
        let result = read();
        let fits = match &result {
            Ok(_) => self.read.get() == part.end,
            Err(_) => len == part.len,
        };
        if fits || self.has_finding() {
            return result;
        }
        Err(self.found(refused::other_length(&part.title(name))))
    }

    /// The variant that was written here, if it is one that is read by its number.
    fn variant<E: Error>(&self, name: &str, read: &[&str]) -> Result<Option<Part>, E> {
        let is_it = |kind: &Kind| matches!(kind, Kind::Variant { name: written, .. } if *written == name);
        let Some(part) = self.begin(is_it) else { return Ok(None) };
        let Kind::Variant { index, variant, .. } = part.kind else { return Ok(None) };
        // Aliases stand among the names that are read, so a variant may stand further
        // behind than its number. One in front of it may have a name that differs in case
        // alone (`m`, `M`).
        if read.iter().skip(index as usize).any(|name| refused::same_name(name, variant)) {
            return Ok(Some(part));
        }
        Err(self.found(refused::other_variants(refused::shown(name, part.written_by), variant, read)))
    }
}

/// Around a deserializer, visitor, seed or access.
pub(super) struct Compared<'c, T>(pub(super) T, pub(super) &'c Comparison<'c>);

/// The variants of an enum, with the one that was written.
struct Variants<'c, A> {
    inner: A,
    comparison: &'c Comparison<'c>,
    name: &'static str,
    part: Option<Part>,
}

/// Values without parts. Where one ends is where the next begins, so that needs no look
/// of its own.
macro_rules! plain {
    ($($method:ident($kind:literal))*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.1.at_edge($kind)?;
            self.0.$method(visitor)
        }
    )*};
}

macro_rules! counted {
    ($($method:ident($kind:literal))*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.1.at_edge($kind)?;
            self.0.$method(Compared(visitor, self.1))
        }
    )*};
}

macro_rules! runs {
    ($($method:ident($kind:literal))*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.1.run_fits($kind)?;
            self.0.$method(visitor)
        }
    )*};
}

macro_rules! wrapped {
    ($($method:ident($($name:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Compared(visitor, self.1))
        }
    )*};
}

macro_rules! undescribed {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, D::Error> {
            Err(self.1.found(refused::undescribed(refused::peeled(self.1.ty.get()))))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Compared<'_, D> {
    type Error = D::Error;

    plain! {
        deserialize_bool("bool") deserialize_char("char") deserialize_f32("f32") deserialize_f64("f64")
        deserialize_i8("i8") deserialize_i16("i16") deserialize_i32("i32") deserialize_i64("i64")
        deserialize_i128("i128") deserialize_u8("u8") deserialize_u16("u16") deserialize_u32("u32")
        deserialize_u64("u64") deserialize_u128("u128")
    }

    counted! { deserialize_option("option") deserialize_seq("sequence") deserialize_map("map") }

    runs! {
        deserialize_str("text") deserialize_string("text") deserialize_bytes("byte string")
        deserialize_byte_buf("byte string")
    }

    wrapped! {
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
    }

    undescribed! { deserialize_any deserialize_ignored_any deserialize_identifier }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let part = self.1.begin(|kind| *kind == Kind::TupleStruct { name });
        self.1.length(name, part, len, || self.0.deserialize_tuple_struct(name, len, Compared(visitor, self.1)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let part = self.1.begin(|kind| *kind == Kind::Struct { name });
        self.1.fields(name, part, fields, || self.0.deserialize_struct(name, fields, Compared(visitor, self.1)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.1.at_edge("variant")?;
        let part = self.1.variant(name, variants)?;
        let (whole, len) = (part.clone(), part.as_ref().map_or(0, |part| part.len));
        let visitor = Variants { inner: visitor, comparison: self.1, name, part };
        self.1.length(name, whole, len, || self.0.deserialize_enum(name, variants, visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Variants<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let Self { inner, comparison, name, part } = self;
        inner.visit_enum(Variants { inner: access, comparison, name, part })
    }
}

impl<'de, 'c, A: EnumAccess<'de>> EnumAccess<'de> for Variants<'c, A> {
    type Error = A::Error;
    type Variant = Variants<'c, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let Self { inner, comparison, name, part } = self;
        // The seed only takes the number.
        let (value, inner) = inner.variant_seed(seed)?;
        Ok((value, Variants { inner, comparison, name, part }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variants<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Compared(seed, self.comparison))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let Self { inner, comparison, name, part } = self;
        comparison.length(name, part, len, || inner.tuple_variant(len, Compared(visitor, comparison)))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let Self { inner, comparison, name, part } = self;
        comparison.fields(name, part, fields, || inner.struct_variant(fields, Compared(visitor, comparison)))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Compared<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Compared(deserializer, self.1))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Compared(deserializer, self.1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Compared(access, self.1))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Compared(access, self.1))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Compared<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let around = self.1.ty.replace(type_name::<S>());
        let value = self.0.deserialize(Compared(deserializer, self.1))?;
        self.1.ty.set(around);
        Ok(value)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Compared<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Compared(seed, self.1))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Compared<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Compared(seed, self.1))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Compared(seed, self.1))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests;
