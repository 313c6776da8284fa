//! Types that travel, and types that do not and are told so.

use super::super::{CodecError, PayloadWriter, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroI128, NonZeroU8, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// It arrives as it was, the first time and later.
#[track_caller]
fn travels<T: Serialize + DeserializeOwned + Debug>(value: T) {
    for time in 1..=2 {
        let payload = encode(&value).unwrap_or_else(|error| panic!("{value:?}, time {time}: {error}"));
        let back: T = decode(payload.as_slice()).unwrap_or_else(|error| panic!("{value:?}, time {time}: {error}"));
        assert_eq!(format!("{value:?}"), format!("{back:?}"));
    }
}

/// It is refused each time, alone, in a sequence and in an option, with all of `texts`.
#[track_caller]
fn is_refused<T: Serialize + DeserializeOwned + Clone>(value: T, texts: &[&str]) {
    for _ in 0..2 {
        has_texts(encode(&value), texts);
        has_texts(encode(&vec![value.clone()]), texts);
        has_texts(encode(&(1_u8, Some(value.clone()))), texts);
        has_texts(encode(&HashMap::from([(1_u8, value.clone())])), texts);
        has_texts(encode(&Ok::<T, u8>(value.clone())), texts);
    }
}

#[track_caller]
fn has_texts<T: Debug>(result: Result<T, CodecError>, texts: &[&str]) {
    let error = result.expect_err("it would arrive as something else").0;
    assert!(texts.iter().chain(&["distwq::Described"]).all(|text| error.contains(text)), "{error}");
}

#[test]
fn types_of_the_standard_library_travel() {
    travels(((), true, 'ß', "text".to_owned(), 1_u8, -1_i16, 2_u32, -2_i64, 3_u64, i128::MIN, u128::MAX, 0.5_f32));
    travels((f64::INFINITY, [1_u8, 2, 3], [(); 3], [0_u64; 32]));
    travels((None::<u8>, Some(1_u8), Some(None::<u8>), Some(Some(2_u8)), Some(())));
    travels(vec![Ok::<u8, String>(1), Err("no".to_owned())]);
    travels(HashMap::from([(1_u8, "one".to_owned())]));
    travels(BTreeMap::from([((1_u8, 'x'), vec![Some(1_u64)]), ((2, 'y'), vec![])]));
    travels((BTreeSet::from([1, 2]), HashSet::from(["a".to_owned()]), VecDeque::from([1]), LinkedList::from([2])));
    travels(BinaryHeap::from([1]));
    travels((Duration::from_nanos(1_000_000_001), SystemTime::UNIX_EPOCH + Duration::from_millis(1)));
    travels::<(IpAddr, IpAddr)>((Ipv4Addr::LOCALHOST.into(), "::1".parse().expect("an address")));
    travels::<SocketAddr>("1.2.3.4:5".parse().expect("an address"));
    travels::<(Range<u8>, RangeInclusive<i64>, RangeFrom<u16>, RangeTo<u16>)>((1..2, 3..=4, 5.., ..6));
    travels([Bound::Included(1), Bound::Excluded(2), Bound::Unbounded]);
    travels((PathBuf::from("/a/b"), Cow::<str>::Owned("cow".to_owned()), Box::<[u16]>::from([1, 2])));
    travels::<(Box<str>, Box<u8>)>(("boxed".into(), Box::new(1)));
    travels((NonZeroU8::MIN, NonZeroI128::MAX, Wrapping(1_u8), Saturating(2_u8), std::cmp::Reverse(3)));
    travels((PhantomData::<u8>, std::cell::Cell::new(1), std::cell::RefCell::new(2)));
    travels((std::ffi::CString::from(c"text"), std::ffi::OsString::from("text")));
    travels((1, (2, (3, (4,)))));
    travels(((1_u8, 2_u8, 3_u8, 4_u8, 5_u8, 6_u8, 7_u8, 8_u8, 9_u8, 10_u8, 11_u8, 12_u8), 1));
    travels((ByteBuf::from([1, 2, 3]), ByteBuf::new(), vec![1_u8, 2]));
}

mod plain {
    use super::*;

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Unit;

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Newtype(u8);

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Tuple(u8, String, Unit);

    #[derive(Serialize, Deserialize, Clone, Debug, Default)]
    struct Empty {}

    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum Shape {
        Unit,
        Newtype(u8),
        Tuple(u8, u16),
        Struct { a: u8, b: Option<Box<Shape>> },
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Outer<T> {
        value: T,
        inner: Inner<T>,
        rest: Vec<Inner<T>>,
        unit: Unit,
        empty: Empty,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Inner<T> {
        value: T,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Node {
        name: String,
        left: Option<Box<Node>>,
        right: Option<Box<Node>>,
    }

    #[test]
    fn derived_types_travel() {
        travels((Unit, Newtype(1), Tuple(2, "x".to_owned(), Unit), Empty {}));
        let shapes = [Shape::Unit, Shape::Newtype(1), Shape::Tuple(2, 3), Shape::Struct { a: 4, b: None }];
        shapes.iter().cloned().for_each(travels);
        travels(shapes.to_vec());
        travels(Shape::Struct { a: 1, b: Some(Box::new(Shape::Struct { a: 2, b: Some(Box::new(Shape::Unit)) })) });
        let outer = |value: u8| Outer {
            value,
            inner: Inner { value },
            rest: vec![Inner { value }; 40],
            unit: Unit,
            empty: Empty {},
        };
        travels(outer(1));
        travels(vec![outer(1), outer(2)]);
        travels(Outer { value: outer(1), inner: Inner { value: outer(2) }, rest: vec![], unit: Unit, empty: Empty {} });
        let leaf = |name: &str| Some(Box::new(Node { name: name.to_owned(), left: None, right: None }));
        travels(Node { name: "root".to_owned(), left: leaf("left"), right: leaf("right") });
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(default, rename = "Renamed", rename_all = "camelCase", deny_unknown_fields)]
    struct Attributes {
        #[serde(rename = "first")]
        one_field: u8,
        #[serde(alias = "another", alias = "aaa")]
        two_field: u16,
        #[serde(skip)]
        skipped: String,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        #[serde(serialize_with = "serde_bytes::serialize")]
        written_as_bytes: Vec<u8>,
        #[serde(deserialize_with = "serde_bytes::deserialize")]
        read_as_bytes: Vec<u8>,
        #[serde(skip_serializing)]
        takes_no_room: PhantomData<u8>,
        #[serde(skip_deserializing)]
        takes_none_either: (),
        text: Cow<'static, str>,
    }

    impl Default for Attributes {
        fn default() -> Self {
            Self {
                one_field: 1,
                two_field: 2,
                skipped: String::new(),
                bytes: vec![3; 3],
                written_as_bytes: vec![4; 4],
                read_as_bytes: vec![5; 5],
                takes_no_room: PhantomData,
                takes_none_either: (),
                text: "cow".into(),
            }
        }
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
    struct Conventions {
        first_field: u8,
        second_field: u16,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(rename_all(serialize = "camelCase", deserialize = "SCREAMING-KEBAB-CASE"))]
    enum VariantConventions {
        FirstOne,
        #[serde(alias = "aaa", alias = "zzz")]
        SecondOne(u8),
        ThirdOne {
            x: u8,
        },
        #[serde(skip)]
        #[expect(dead_code, reason = "a skipped variant behind all others moves none")]
        Skipped(u8),
    }

    /// Names that differ in case alone.
    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum Prefix {
        #[serde(rename = "m")]
        Milli,
        #[serde(rename = "M")]
        Mega,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(transparent)]
    struct Transparent {
        inner: Newtype,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(from = "(u8, u16)", into = "(u8, u16)")]
    struct Converted {
        a: u8,
        b: u16,
    }

    impl From<(u8, u16)> for Converted {
        fn from((a, b): (u8, u16)) -> Self {
            Self { a, b }
        }
    }

    impl From<Converted> for (u8, u16) {
        fn from(value: Converted) -> Self {
            (value.a, value.b)
        }
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(try_from = "String", into = "String")]
    struct Checked(String);

    impl TryFrom<String> for Checked {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            if text.len() == 7 { Ok(Self(text)) } else { Err(format!("{text} has not seven letters")) }
        }
    }

    impl From<Checked> for String {
        fn from(value: Checked) -> Self {
            value.0
        }
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(tag = "tag", content = "content")]
    enum Adjacent {
        Unit,
        Newtype(u8),
        Tuple(u8, u16),
        Struct { x: String },
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(tag = "type")]
    struct Tagged {
        value: u8,
    }

    #[test]
    fn types_with_attributes_that_fit_travel() {
        travels(Attributes::default());
        travels(Conventions { first_field: 1, second_field: 2 });
        travels(vec![
            VariantConventions::FirstOne,
            VariantConventions::SecondOne(1),
            VariantConventions::ThirdOne { x: 1 },
        ]);
        travels(vec![Prefix::Mega, Prefix::Milli]);
        travels(Transparent { inner: Newtype(1) });
        travels(Converted { a: 1, b: 2 });
        travels(Checked("letters".to_owned()));
    }

    #[test]
    fn a_tagged_type_is_named() {
        for value in [Adjacent::Unit, Adjacent::Newtype(1), Adjacent::Tuple(1, 2), Adjacent::Struct { x: "x".into() }] {
            is_refused(value, &["plain::Adjacent`", "`tag`"]);
        }
        // Its tag is written and not read.
        is_refused(Tagged { value: 1 }, &["plain::Tagged`", "`type`"]);
    }

    /// Written and read by hand: as one struct, as a tuple and a struct, as two structs
    /// of other names.
    #[derive(Clone, Debug)]
    struct ByHand(u8, u16);

    impl Serialize for ByHand {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (self.0, self.1).serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for ByHand {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            #[derive(Deserialize)]
            struct Fields {
                first: u8,
                second: u16,
            }
            Fields::deserialize(deserializer).map(|fields| Self(fields.first, fields.second))
        }
    }

    #[test]
    fn types_that_write_and_read_other_forms_of_the_same_travel() {
        travels(ByHand(1, 2));
        let mut writer = PayloadWriter::new();
        writer.append::<String, str>("text").expect("a text is read as one");
        writer.append::<Vec<Newtype>, [Newtype]>(&[Newtype(1)]).expect("a slice is read as a vector");
        assert_eq!(writer.finish().len(), 8 + 4 + 8 + 1);
    }

    #[test]
    fn what_a_type_reports_when_it_is_read_is_told_where_it_is_read() {
        #[derive(Serialize, Clone, Debug)]
        struct Elsewhere(u8);
        impl<'de> Deserialize<'de> for Elsewhere {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom("only there"))
            }
        }
        #[derive(Serialize, Clone, Debug)]
        struct Panics(u8);
        impl<'de> Deserialize<'de> for Panics {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                panic!("not here")
            }
        }
        #[derive(Serialize, Deserialize, Clone, Debug)]
        struct Marked {
            value: Elsewhere,
            takes_no_room: PhantomData<u8>,
        }
        for _ in 0..2 {
            encode(&Elsewhere(1)).expect("it is written");
            encode(&Marked { value: Elsewhere(1), takes_no_room: PhantomData }).expect("it is written");
            encode(&vec![Panics(1)]).expect("it is written");
        }
    }
}

#[allow(dead_code, reason = "some fields are there for serde alone")]
mod skipping {
    use super::*;

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsIf {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u8>,
        port: Option<u16>,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum SkipsIfInVariant {
        Struct {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            level: Option<u8>,
            port: Option<u16>,
        },
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsSerializing {
        #[serde(default, skip_serializing)]
        level: Option<u8>,
        port: Option<u8>,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsDeserializing {
        #[serde(skip_deserializing)]
        level: Option<u8>,
        port: Option<u16>,
    }

    /// As many fields are written as are read, of the same type.
    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsBoth {
        #[serde(default, skip_serializing)]
        level: Option<u8>,
        #[serde(skip_deserializing)]
        port: Option<u8>,
        rest: u8,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct OtherNames {
        #[serde(rename(serialize = "level", deserialize = "height"))]
        level: u8,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsInTuple(
        #[serde(skip_serializing, default)] Option<u8>,
        #[serde(default)] Option<u8>,
        #[serde(default)] u8,
    );

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct SkipsBehindAlias {
        #[serde(alias = "a", alias = "z")]
        first: u8,
        #[serde(skip_serializing, default)]
        level: u8,
        #[serde(alias = "b")]
        last: u16,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum SkipsInVariant {
        Unit,
        Struct {
            #[serde(default, skip_serializing)]
            level: Option<u8>,
            port: Option<u16>,
        },
        Tuple(u8, #[serde(skip_serializing, default)] u8, #[serde(default)] u8),
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum SkipsVariant {
        First,
        #[serde(skip)]
        Skipped,
        Second,
        Third,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum SkipsReadingVariant {
        #[serde(skip_deserializing)]
        First,
        Second,
    }

    #[test]
    fn a_field_that_is_left_out_is_named() {
        let texts = ["skipping::SkipsIf`", "`level`", "skip_serializing_if"];
        is_refused(SkipsIf { level: None, port: Some(80) }, &texts);
        let value = SkipsIfInVariant::Struct { level: None, port: Some(80) };
        is_refused(value, &["Struct", "`level`"]);
        travels(SkipsIf { level: Some(1), port: Some(80) });
        travels(SkipsIfInVariant::Struct { level: Some(1), port: Some(80) });
    }

    #[test]
    fn a_field_that_is_skipped_in_one_direction_is_named() {
        for level in [None, Some(1)] {
            is_refused(SkipsSerializing { level, port: Some(80) }, &["skipping::SkipsSerializing`", "`level`"]);
            is_refused(SkipsSerializing { level, port: None }, &["skipping::SkipsSerializing`", "`level`"]);
            is_refused(SkipsDeserializing { level, port: Some(80) }, &["skipping::SkipsDeserializing`", "`level`"]);
            is_refused(SkipsBoth { level, port: Some(80), rest: 1 }, &["SkipsBoth`", "`level`", "`port`"]);
            is_refused(SkipsInVariant::Struct { level, port: None }, &["skipping::SkipsInVariant::Struct`", "`level`"]);
            is_refused(SkipsInTuple(level, Some(80), 1), &["SkipsInTuple`"]);
        }
        is_refused(
            OtherNames { level: 1 },
            &["skipping::OtherNames`", "`level`", "`height`", "if no name differs, wrap"],
        );
        is_refused(SkipsBehindAlias { first: 1, level: 2, last: 3 }, &["SkipsBehindAlias`", "`level`"]);
        is_refused(SkipsInVariant::Tuple(1, 2, 3), &["skipping::SkipsInVariant::Tuple`"]);
        travels(SkipsInVariant::Unit);
    }

    #[test]
    fn a_variant_behind_a_skipped_one_is_named() {
        is_refused(SkipsVariant::Second, &["skipping::SkipsVariant`", "`Second`"]);
        is_refused(SkipsVariant::Third, &["skipping::SkipsVariant`", "`Third`"]);
        is_refused(SkipsReadingVariant::First, &["skipping::SkipsReadingVariant`", "`First`"]);
        is_refused(SkipsReadingVariant::Second, &["skipping::SkipsReadingVariant`", "`Second`"]);
        travels(SkipsVariant::First);
    }

    /// What was not met in the first value is compared when it is.
    #[test]
    fn what_comes_later_is_compared_too() {
        #[derive(Serialize, Deserialize, Clone, Debug, Default)]
        struct Late {
            some: Option<SkipsBoth>,
            several: Vec<SkipsBoth>,
            named: BTreeMap<u8, SkipsBoth>,
            result: Option<Result<u8, SkipsBoth>>,
        }
        let bad = SkipsBoth { level: None, port: None, rest: 0 };
        travels(Late::default());
        travels(Late { result: Some(Ok(1)), ..Late::default() });
        let texts = ["SkipsBoth`", "`level`"];
        is_refused(Late { some: Some(bad.clone()), ..Late::default() }, &texts);
        is_refused(Late { several: vec![bad.clone()], ..Late::default() }, &texts);
        is_refused(Late { named: [(1, bad.clone())].into(), ..Late::default() }, &texts);
        is_refused(Late { result: Some(Err(bad)), ..Late::default() }, &texts);
        travels(Late::default());
    }

    #[test]
    fn what_was_written_before_stays_when_a_value_is_refused_or_compared_late() {
        type Numbers = Vec<Option<u64>>;
        let mut writer = PayloadWriter::new();
        let first = vec![Some(7_u64); 9];
        writer.append::<Numbers, Numbers>(&vec![]).expect("nothing is written");
        writer.append::<Numbers, Numbers>(&first).expect("numbers are written");
        writer.append::<u8, u8>(&3).expect("a number is written");
        let payload = writer.finish();
        assert_eq!(decode::<(Numbers, Numbers, u8)>(payload.as_slice()), Ok((vec![], first, 3)));
    }
}

mod undescribed {
    use super::*;

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Text(String),
        Struct { x: u8 },
        Unit,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    #[serde(tag = "kind")]
    enum Internal {
        Struct { x: u8 },
        Unit,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Flattened {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }

    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct Holds {
        value: Option<Untagged>,
    }

    #[derive(Deserialize, Clone, Debug)]
    struct Filtered(Vec<u8>);

    impl Serialize for Filtered {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().filter(|number| **number > 1))
        }
    }

    #[test]
    fn types_that_look_at_what_was_written_are_named() {
        let untagged = [Untagged::Number(1), Untagged::Text("x".into()), Untagged::Struct { x: 1 }, Untagged::Unit];
        for value in untagged {
            is_refused(value, &["undescribed::Untagged`", "untagged"]);
        }
        for value in [Internal::Unit, Internal::Struct { x: 1 }] {
            is_refused(value, &["undescribed::Internal`", "tag"]);
        }
        for value in [json!(null), json!(1), json!("text"), json!([1]), json!({"a": 1})] {
            is_refused::<Value>(value, &["Value`", "serde_json::Value"]);
        }
        is_refused(Flattened { a: 1, rest: [("b".to_owned(), 2)].into() }, &["undescribed::Flattened`", "flatten"]);
        is_refused(Filtered(vec![1, 2]), &["undescribed::Filtered`", "length"]);
        travels(Holds { value: None });
        is_refused(Holds { value: Some(Untagged::Number(1)) }, &["undescribed::Untagged`"]);
    }

    #[test]
    fn a_type_that_is_only_read_is_named() {
        let error = decode::<Untagged>(&[1; 8]).expect_err("it asks what comes next").0;
        assert!(error.contains("undescribed::Untagged`") && error.contains("distwq::Described"), "{error}");
    }
}
