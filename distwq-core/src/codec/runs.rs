//! Bytes and texts on their way into memory of their own. A layer between the decoder and
//! the types that are decoded: it takes a run as it lies in the input, so that no length
//! is believed beyond the input, and copies it once into memory that is right for its
//! size. All else passes through.

use crate::memory::buffers;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::fmt;

/// Around a deserializer, visitor, seed or access: what it hands on is wrapped as well,
/// so that the layer is there at every depth.
pub(super) struct Runs<T>(pub(super) T);

/// A visitor that is shown a run as it lies in the input.
struct Copied<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Copied<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<V::Value, E> {
        self.0.visit_byte_buf(buffers::copy_of(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        // No bytes are a text, so the room is kept.
        let mut copy = String::from_utf8(buffers::fresh(text.len())).unwrap_or_default();
        copy.push_str(text);
        self.0.visit_string(copy)
    }
}

/// Methods of a deserializer that call nothing of the visitor but one `visit_*` with a
/// plain value.
macro_rules! plain {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

/// Methods of a deserializer that hand the visitor something to go on with.
macro_rules! wrapped {
    ($($method:ident($($name:ident: $kind:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Runs(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Runs<D> {
    type Error = D::Error;

    plain! {
        deserialize_bool deserialize_char deserialize_str deserialize_bytes deserialize_unit deserialize_identifier
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    wrapped! {
        deserialize_any()
        deserialize_ignored_any()
        deserialize_option()
        deserialize_seq()
        deserialize_map()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_str(Copied(visitor))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_bytes(Copied(visitor))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Runs<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Runs(deserializer))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Runs(deserializer))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Runs(access))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Runs(access))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Runs(access))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Runs<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Runs(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Runs<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Runs(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Runs<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Runs(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Runs(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Runs<A> {
    type Error = A::Error;
    type Variant = Runs<A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Runs(seed))?;
        Ok((value, Runs(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Runs<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Runs(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Runs(visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Runs(visitor))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use serde::{Deserialize, Serialize};
    use serde_bytes::ByteBuf;
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Nothing;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Newtype(ByteBuf);

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Shape {
        Unit,
        Newtype(ByteBuf),
        Tuple(u8, ByteBuf),
        Struct { text: String, bytes: ByteBuf },
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Everything {
        nothing: (Nothing, ()),
        numbers: (i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64),
        others: (bool, char),
        shapes: Vec<Shape>,
        named: BTreeMap<String, Newtype>,
        perhaps: [Option<Box<[u8]>>; 2],
        #[serde(with = "serde_bytes")]
        plain: Vec<u8>,
    }

    fn some(len: usize) -> ByteBuf {
        (0..len).map(|index| (index % 251) as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn runs_are_found_at_every_depth() {
        let large = 5 << 20;
        let value = Everything {
            nothing: (Nothing, ()),
            numbers: (-1, -2, -3, -4, -5, 1, 2, 3, 4, 5, 0.5, -0.25),
            others: (true, 'ß'),
            shapes: vec![
                Shape::Unit,
                Shape::Newtype(some(0)),
                Shape::Tuple(7, some(large)),
                Shape::Struct { text: "ü".repeat(large), bytes: some(1) },
            ],
            named: [("".to_owned(), Newtype(some(3))), ("large".to_owned(), Newtype(some(large)))].into(),
            perhaps: [None, Some(some(300).into_vec().into())],
            plain: some(200_000).into_vec(),
        };
        let payload = encode(&value).expect("it encodes");
        let back: Everything = decode(payload.as_slice()).expect("it decodes");
        assert!(back == value);
    }

    #[test]
    fn a_run_takes_as_much_memory_as_it_has_bytes() {
        for len in [0, 1, 1_000, 1 << 20, 9 << 20] {
            let payload = encode(&some(len)).expect("bytes encode");
            let bytes: ByteBuf = decode(payload.as_slice()).expect("bytes decode");
            assert_eq!(bytes.into_vec().capacity(), len);
            let payload = encode(&"x".repeat(len)).expect("a text encodes");
            let text: String = decode(payload.as_slice()).expect("a text decodes");
            assert_eq!(text.capacity(), len);
        }
    }

    /// The bytes of a run of three whose length was changed to `len`, decoded.
    fn with_length<T: for<'de> Deserialize<'de> + Debug>(len: u64) -> String {
        let bytes = [&len.to_le_bytes()[..], b"abc"].concat();
        decode::<T>(&bytes).expect_err("the run is shorter than it says").0
    }

    #[test]
    fn a_length_beyond_the_input_is_an_error_and_takes_no_memory() {
        for len in [4, 1 << 40, u64::MAX / 2, u64::MAX] {
            with_length::<ByteBuf>(len);
            with_length::<String>(len);
            with_length::<Newtype>(len);
            with_length::<Vec<u64>>(len);
            with_length::<Vec<ByteBuf>>(len);
            with_length::<BTreeMap<ByteBuf, u8>>(len);
        }
    }

    #[test]
    fn torn_input_is_an_error_wherever_it_ends() {
        let value = (Some(some(3)), "text".to_owned(), Shape::Struct { text: "a".into(), bytes: some(2) });
        let payload = encode(&value).expect("it encodes");
        for len in 0..payload.len() {
            let torn = &payload.as_slice()[..len];
            decode::<(Option<ByteBuf>, String, Shape)>(torn).expect_err("something is missing");
        }
    }

    #[test]
    fn a_text_that_is_none_is_an_error() {
        let payload = encode(&ByteBuf::from([0xff, 0xfe])).expect("bytes encode");
        let error = decode::<String>(payload.as_slice()).expect_err("it is no text");
        assert!(error.0.to_lowercase().contains("utf8"), "{error}");
    }
}
