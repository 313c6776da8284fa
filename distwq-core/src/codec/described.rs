//! A value in a form that describes itself: MessagePack with the names of fields. The
//! only file that names the crate of that form.

use super::sites::Site;
use super::watched::{Kind, Watch, Watched};
use rmp_serde::{Deserializer as Decoder, Serializer as Encoder};
use serde::de::{DeserializeOwned, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A value that travels with the names of its fields, for types that need them: with
/// serde's `untagged`, `flatten`, `tag`, `skip_serializing_if` or `skip_serializing`, and
/// such as `serde_json::Value`. Everything else is smaller and faster without.
///
/// It is written as MessagePack, by the crate `rmp-serde`, in the form for people (an IP
/// address is a text). What that form cannot tell apart is refused when it is encoded:
/// `Some(None)` from `None`, and `Some(())` from it. A value that is nested more than
/// about 1,000 deep is encoded, but does not decode: the error says so where it is read.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
/// use distwq::Described;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Service {
///     #[serde(default, skip_serializing_if = "Option::is_none")]
///     level: Option<u8>,
///     port: Limit,
/// }
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// #[serde(untagged)]
/// enum Limit {
///     Number(u16),
///     Text(String),
/// }
///
/// #[remote]
/// fn port(service: Described<Service>) -> Described<Limit> {
///     assert_eq!(service.level, None); // it is used as what it holds
///     Described(service.into_inner().port)
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let service = Service { level: None, port: Limit::Number(80) };
///     let port = cluster.submit(port::call(Described(service)));
///     assert_eq!(port.get()?.into_inner(), Limit::Number(80));
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Described<T>(pub T);

impl<T> Described<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Described<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Described<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Described<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Serialize> Serialize for Described<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        // For people, because serde reads what is flattened, untagged or tagged as if it
        // were written so.
        let mut encoder = Encoder::new(&mut bytes).with_struct_map().with_human_readable();
        Watched(&self.0, Named { within_some: false })
            .serialize(&mut encoder)
            .map_err(|error| S::Error::custom(format_args!("`{}` cannot be described: {error}", type_name::<T>())))?;
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Described<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Description(PhantomData))
    }
}

/// Reads a value from its description.
struct Description<T>(PhantomData<fn() -> T>);

impl<T: DeserializeOwned> Visitor<'_> for Description<T> {
    type Value = Described<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the description of a {}", type_name::<T>())
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Described<T>, E> {
        let mut decoder = Decoder::from_read_ref(bytes).with_human_readable();
        T::deserialize(&mut decoder).map(Described).map_err(|error| {
            E::custom(format_args!("the description of a `{}` does not decode: {error}", type_name::<T>()))
        })
    }
}

/// The watch of a value that travels with names. It only looks for nothing within
/// something.
#[derive(Clone, Copy)]
struct Named {
    within_some: bool,
}

impl Watch for Named {
    type Part = ();
    const NAMES: bool = true;

    fn passes(self, _: Site) -> bool {
        true
    }

    fn edge(self) {}

    fn run(self) {}

    fn open(self, _: Kind, _: usize, _: &'static str) {}

    fn field(self, (): (), _: &'static str) {}

    fn close(self, (): ()) {}

    fn for_some(self) -> Self {
        Self { within_some: true }
    }

    fn for_part(self) -> Self {
        Self { within_some: false }
    }

    fn takes_nothing(self) -> bool {
        !self.within_some
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::net::IpAddr;

    #[derive(Serialize, Deserialize, Debug)]
    struct Flattened {
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }

    #[derive(Serialize, Deserialize, Debug)]
    struct Inner {
        address: IpAddr,
        number: u64,
    }

    #[derive(Serialize, Deserialize, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Real(f64),
        Text(String),
        Struct { x: Option<u8> },
        Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    }

    #[derive(Serialize, Deserialize, Debug)]
    #[serde(tag = "kind")]
    enum Tagged {
        Inner(Inner),
        Struct { x: Option<f64> },
        Unit,
    }

    #[derive(Serialize, Deserialize, Debug)]
    enum Plain {
        Unit,
        Newtype(Option<Box<Plain>>),
        Tuple(u8, ()),
        Struct { x: Option<u8> },
    }

    #[track_caller]
    fn travels<T: Serialize + DeserializeOwned + Debug>(value: T) {
        let value = Described(value);
        let payload = encode(&value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
        let back: Described<T> = decode(payload.as_slice()).unwrap_or_else(|error| panic!("{value:?}: {error}"));
        assert_eq!(format!("{back:?}"), format!("{value:?}"));
    }

    #[test]
    fn described_values_arrive_as_they_were() {
        let inner = || Inner { address: IpAddr::from([1, 2, 3, 4]), number: u64::MAX };
        travels(Flattened { inner: inner(), rest: [("x".to_owned(), json!([1, 1.0, null, {"y": i64::MIN}]))].into() });
        travels([Untagged::Number(-5), Untagged::Real(f64::NAN), Untagged::Real(2.0), Untagged::Text("x".into())]);
        travels((Untagged::Struct { x: None }, Untagged::Bytes(vec![1, 2, 255])));
        travels((Tagged::Inner(inner()), Tagged::Struct { x: Some(f64::INFINITY) }, Tagged::Unit));
        let some = |inner| Plain::Newtype(Some(Box::new(inner)));
        travels((some(Plain::Unit), some(Plain::Tuple(1, ())), Plain::Newtype(None), Plain::Struct { x: None }));
        travels((BTreeMap::from([((1_u8, 'x'), 1)]), i128::MIN, u128::MAX, Some(vec![None, Some(1_u8)])));
        travels((Vec::<u8>::new(), std::time::Duration::from_nanos(5), 0.1_f32, serde_bytes::ByteBuf::from([1])));
    }

    #[test]
    fn nothing_within_something_is_refused() {
        #[track_caller]
        fn is_refused<T: Serialize + DeserializeOwned>(value: T) {
            let error = encode(&Described(value)).expect_err("it would arrive as nothing").0;
            assert!(error.contains("within `Some`") && error.contains(type_name::<T>()), "{error}");
        }
        is_refused(Some(None::<u8>));
        is_refused(vec![(1, Some(()))]);
        is_refused(Some(Value::Null));
        is_refused(json!({"a": 1}).as_object().map(|_| Described(Some(None::<u8>))));
    }
}
