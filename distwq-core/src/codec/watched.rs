//! Values on their way to the encoder: a layer between the types and bincode. It refuses
//! what could not be read back, because values travel without names and marks, and tells
//! a [`Watch`] what passes. All of it is inlined; what a watch does not look at costs
//! nothing.

use super::refused;
use super::sites::Site;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::any::type_name;
use std::cell::Cell;
use std::fmt::Display;
use std::marker::PhantomData;

/// Who is told of the parts of a value. An opened part is closed when all of it has been
/// written.
pub(super) trait Watch: Copy {
    /// What an opened part is known by until it is closed.
    type Part: Copy;

    /// Whether the values are written with names, so that nothing is refused for want of
    /// them.
    const NAMES: bool = false;

    /// Whether the value may go on with this site.
    fn passes(self, site: Site) -> bool;
    /// A value begins or ends here.
    fn edge(self);
    /// Text or bytes were written since the last edge.
    fn run(self);
    /// A struct, a tuple struct or a variant of so many fields begins here.
    fn open(self, part: Kind, len: usize, written_by: &'static str) -> Self::Part;
    /// A field of it begins here.
    fn field(self, part: Self::Part, name: &'static str);
    /// It ends here.
    fn close(self, part: Self::Part);

    /// The watch of what an option holds.
    #[inline(always)]
    fn for_some(self) -> Self {
        self
    }

    /// The watch of a part of a value.
    #[inline(always)]
    fn for_part(self) -> Self {
        self
    }

    /// Whether there may be a value without content here.
    #[inline(always)]
    fn takes_nothing(self) -> bool {
        true
    }
}

/// What a part is, by the names that its type gives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    Struct { name: &'static str },
    TupleStruct { name: &'static str },
    Variant { name: &'static str, index: u32, variant: &'static str },
}

/// The watch of types that have been compared: it looks at nothing but whether they have.
#[derive(Clone, Copy)]
pub(super) struct Known;

thread_local! {
    /// Whether [`Known`] met a site that is not.
    static UNKNOWN_MET: Cell<bool> = const { Cell::new(false) };
}

/// Whether the value that was not encoded has a site that was not compared. Asked once.
pub(super) fn met_unknown() -> bool {
    UNKNOWN_MET.take()
}

#[cold]
#[inline(never)]
fn meet_unknown() -> bool {
    UNKNOWN_MET.set(true);
    false
}

impl Watch for Known {
    type Part = ();

    #[inline(always)]
    fn passes(self, site: Site) -> bool {
        site.is_known() || meet_unknown()
    }

    #[inline(always)]
    fn edge(self) {}

    #[inline(always)]
    fn run(self) {}

    #[inline(always)]
    fn open(self, _: Kind, _: usize, _: &'static str) {}

    #[inline(always)]
    fn field(self, (): (), _: &'static str) {}

    #[inline(always)]
    fn close(self, (): ()) {}
}

/// A value whose parts are watched.
pub(super) struct Watched<'a, T: ?Sized, W>(pub(super) &'a T, pub(super) W);

impl<T: Serialize + ?Sized, W: Watch> Serialize for Watched<'_, T, W> {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.1.edge();
        let done = self.0.serialize(Watching::<S, T, W> { inner: serializer, watch: self.1, of: PhantomData })?;
        self.1.edge();
        Ok(done)
    }
}

/// Around the encoder while it is lent to a `T`.
struct Watching<S, T: ?Sized, W> {
    inner: S,
    watch: W,
    of: PhantomData<fn(&T)>,
}

/// Around the encoder of a part of a `T`.
struct Part<C, T: ?Sized, W: Watch> {
    inner: C,
    watch: W,
    part: Option<W::Part>,
    name: &'static str,
    variant: Option<&'static str>,
    /// The next element is the first: a sequence and a map have one type of element as a
    /// rule.
    first: bool,
    of: PhantomData<fn(&T)>,
}

impl<S: Serializer, T: ?Sized, W: Watch> Watching<S, T, W> {
    /// Goes on if the watch lets it.
    #[inline(always)]
    fn pass(&self, site: Site) -> Result<(), S::Error> {
        pass(self.watch, site)
    }

    #[inline(always)]
    fn take_nothing(&self) -> Result<(), S::Error> {
        if self.watch.takes_nothing() { Ok(()) } else { Err(refused::nothing_within_something(type_name::<T>())) }
    }

    #[inline(always)]
    fn variant(&self, name: &'static str, index: u32, variant: &'static str, len: usize) -> Result<W::Part, S::Error> {
        self.pass(Site::variant::<T>(index))?;
        Ok(self.watch.open(Kind::Variant { name, index, variant }, len, type_name::<T>()))
    }
}

/// A part that the watch is told of, or not.
#[inline(always)]
fn part<C, T: ?Sized, W: Watch>(inner: C, watch: W, part: Option<W::Part>, name: &'static str) -> Part<C, T, W> {
    Part { inner, watch: watch.for_part(), part, name, variant: None, first: true, of: PhantomData }
}

#[inline(always)]
fn pass<W: Watch, E: Error>(watch: W, site: Site) -> Result<(), E> {
    if watch.passes(site) { Ok(()) } else { Err(not_yet()) }
}

/// Seen by nobody: the value is encoded anew while it is compared.
#[cold]
#[inline(never)]
fn not_yet<E: Error>() -> E {
    E::custom("this type has not been compared yet")
}

macro_rules! plain {
    ($($method:ident($kind:ty))*) => {$(
        #[inline(always)]
        fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<S: Serializer, T: ?Sized, W: Watch> Serializer for Watching<S, T, W> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Part<S::SerializeSeq, T, W>;
    type SerializeTuple = Part<S::SerializeTuple, T, W>;
    type SerializeTupleStruct = Part<S::SerializeTupleStruct, T, W>;
    type SerializeTupleVariant = Part<S::SerializeTupleVariant, T, W>;
    type SerializeMap = Part<S::SerializeMap, T, W>;
    type SerializeStruct = Part<S::SerializeStruct, T, W>;
    type SerializeStructVariant = Part<S::SerializeStructVariant, T, W>;

    plain! {
        serialize_bool(bool) serialize_char(char) serialize_f32(f32) serialize_f64(f64)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    #[inline(always)]
    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        let done = self.inner.serialize_str(text)?;
        self.watch.run();
        Ok(done)
    }

    #[inline(always)]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let done = self.inner.serialize_bytes(bytes)?;
        self.watch.run();
        Ok(done)
    }

    #[inline(always)]
    fn collect_str<D: Display + ?Sized>(self, text: &D) -> Result<S::Ok, S::Error> {
        let done = self.inner.collect_str(text)?;
        self.watch.run();
        Ok(done)
    }

    #[inline(always)]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.take_nothing()?;
        self.inner.serialize_none()
    }

    #[inline(always)]
    fn serialize_some<V: Serialize + ?Sized>(self, value: &V) -> Result<S::Ok, S::Error> {
        self.pass(Site::of::<V>())?;
        self.inner.serialize_some(&Watched(value, self.watch.for_some()))
    }

    #[inline(always)]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.take_nothing()?;
        self.inner.serialize_unit()
    }

    #[inline(always)]
    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_struct(name)
    }

    #[inline(always)]
    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        let part = self.variant(name, index, variant, 0)?;
        let done = self.inner.serialize_unit_variant(name, index, variant)?;
        self.watch.close(part);
        Ok(done)
    }

    #[inline(always)]
    fn serialize_newtype_struct<V: Serialize + ?Sized>(self, name: &'static str, value: &V) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Watched(value, self.watch))
    }

    #[inline(always)]
    fn serialize_newtype_variant<V: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &V,
    ) -> Result<S::Ok, S::Error> {
        let part = self.variant(name, index, variant, 1)?;
        let done =
            self.inner.serialize_newtype_variant(name, index, variant, &Watched(value, self.watch.for_part()))?;
        self.watch.close(part);
        Ok(done)
    }

    #[inline(always)]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        match len {
            None if !W::NAMES => Err(refused::sequence_of_unknown_length(type_name::<T>())),
            len => Ok(part(self.inner.serialize_seq(len)?, self.watch, None, "")),
        }
    }

    #[inline(always)]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(part(self.inner.serialize_tuple(len)?, self.watch, None, ""))
    }

    #[inline(always)]
    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        let opened = self.watch.open(Kind::TupleStruct { name }, len, type_name::<T>());
        Ok(part(self.inner.serialize_tuple_struct(name, len)?, self.watch, Some(opened), name))
    }

    #[inline(always)]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let opened = self.variant(name, index, variant, len)?;
        let inner = self.inner.serialize_tuple_variant(name, index, variant, len)?;
        Ok(part(inner, self.watch, Some(opened), name))
    }

    #[inline(always)]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        match len {
            None if !W::NAMES => Err(refused::map_of_unknown_length(type_name::<T>())),
            len => Ok(part(self.inner.serialize_map(len)?, self.watch, None, "")),
        }
    }

    #[inline(always)]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let opened = self.watch.open(Kind::Struct { name }, len, type_name::<T>());
        Ok(part(self.inner.serialize_struct(name, len)?, self.watch, Some(opened), name))
    }

    #[inline(always)]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let opened = self.variant(name, index, variant, len)?;
        let inner = self.inner.serialize_struct_variant(name, index, variant, len)?;
        Ok(Part { variant: Some(variant), ..part(inner, self.watch, Some(opened), name) })
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<C, T: ?Sized, W: Watch> Part<C, T, W> {
    /// Lets the first element pass if its type does.
    #[inline(always)]
    fn pass_first<V: ?Sized, E: Error>(&self) -> Result<(), E> {
        if self.first { pass(self.watch, Site::of::<V>()) } else { Ok(()) }
    }

    #[inline(always)]
    fn end<Ok, E>(self, end: impl FnOnce(C) -> Result<Ok, E>) -> Result<Ok, E> {
        let done = end(self.inner)?;
        if let Some(part) = self.part {
            self.watch.close(part);
        }
        Ok(done)
    }

    #[inline(always)]
    fn field(&self, name: &'static str) {
        if let Some(part) = self.part {
            self.watch.field(part, name);
        }
    }
}

impl<C: SerializeSeq, T: ?Sized, W: Watch> SerializeSeq for Part<C, T, W> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline(always)]
    fn serialize_element<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), C::Error> {
        self.pass_first::<V, C::Error>()?;
        self.first = false;
        self.inner.serialize_element(&Watched(value, self.watch))
    }

    #[inline(always)]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.end(C::end)
    }
}

impl<C: SerializeMap, T: ?Sized, W: Watch> SerializeMap for Part<C, T, W> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline(always)]
    fn serialize_key<V: Serialize + ?Sized>(&mut self, key: &V) -> Result<(), C::Error> {
        self.pass_first::<V, C::Error>()?;
        self.inner.serialize_key(&Watched(key, self.watch))
    }

    #[inline(always)]
    fn serialize_value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), C::Error> {
        self.pass_first::<V, C::Error>()?;
        self.first = false;
        self.inner.serialize_value(&Watched(value, self.watch))
    }

    #[inline(always)]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.end(C::end)
    }
}

macro_rules! tuples {
    ($($trait:ident::$method:ident)*) => {$(
        impl<C: $trait, T: ?Sized, W: Watch> $trait for Part<C, T, W> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline(always)]
            fn $method<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), C::Error> {
                self.inner.$method(&Watched(value, self.watch))
            }

            #[inline(always)]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.end(C::end)
            }
        }
    )*};
}

tuples! { SerializeTuple::serialize_element SerializeTupleStruct::serialize_field SerializeTupleVariant::serialize_field }

macro_rules! structs {
    ($($trait:ident)*) => {$(
        impl<C: $trait, T: ?Sized, W: Watch> $trait for Part<C, T, W> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline(always)]
            fn serialize_field<V: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &V,
            ) -> Result<(), C::Error> {
                self.field(name);
                self.inner.serialize_field(name, &Watched(value, self.watch))
            }

            #[inline(always)]
            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                if W::NAMES {
                    return self.inner.skip_field(name);
                }
                Err(refused::skipped_field(self.name, self.variant, type_name::<T>(), name))
            }

            #[inline(always)]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.end(C::end)
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }
