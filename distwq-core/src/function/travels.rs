//! What generated code asks of a type before it reads or writes values of it. Bounds
//! alone would tell of each trait that is missing, twice for a type without serde's; here
//! one is asked for after another, and the first that is missing is the one error. Common
//! mistakes (`Arc`, `&Cluster`) have messages of their own.
//!
//! All of it rests on how methods are found: an inherent one whose bounds do not hold is
//! passed over, and the one of a trait in scope is found, which is there for its error
//! alone.

use crate::codec::{Portable, Shareable};
use crate::function::remote::{Failure, Invocation};
use serde::Serialize;
use std::marker::PhantomData;
use std::sync::Arc;

/// An invocation that is about to read or write a `T`.
#[derive(Debug)]
pub struct Travelling<'i, 'a, T> {
    invocation: &'i mut Invocation<'a>,
    value: PhantomData<fn() -> T>,
}

impl<'a> Invocation<'a> {
    /// The type of what is read or written next.
    #[inline]
    pub fn of<T>(&mut self) -> Travelling<'_, 'a, T> {
        Travelling { invocation: self, value: PhantomData }
    }
}

impl<T: Serialize> Travelling<'_, '_, T> {
    /// As [`Invocation::owned`].
    ///
    /// # Errors
    /// [`Failure::Decode`] naming the parameter.
    #[inline]
    pub fn owned(self) -> Result<T, Failure>
    where
        T: Portable,
    {
        self.invocation.owned()
    }

    /// As [`Invocation::shared`].
    ///
    /// # Errors
    /// [`Failure::Decode`] naming the parameter.
    #[inline]
    pub fn shared(self) -> Result<Arc<T>, Failure>
    where
        T: Shareable,
    {
        self.invocation.shared()
    }

    /// As [`Invocation::finish`].
    ///
    /// # Errors
    /// [`Failure::Encode`].
    #[inline]
    pub fn finish(self, value: &T) -> Result<(), Failure>
    where
        T: Portable,
    {
        self.invocation.finish(value)
    }
}

/// What is found of a type that is not `Serialize`: nothing of it compiles.
pub trait Unencodable<T> {
    /// Tells that it cannot be read.
    ///
    /// # Errors
    /// None: it does not compile.
    fn owned(self) -> Result<T, Failure>
    where
        T: Encodable;

    /// Tells that it cannot be read.
    ///
    /// # Errors
    /// None: it does not compile.
    fn shared(self) -> Result<Arc<T>, Failure>
    where
        T: Encodable;

    /// Tells that it cannot be written.
    ///
    /// # Errors
    /// None: it does not compile.
    fn finish(self, value: &T) -> Result<(), Failure>
    where
        T: Encodable;
}

impl<T> Unencodable<T> for Travelling<'_, '_, T> {
    fn owned(self) -> Result<T, Failure>
    where
        T: Encodable,
    {
        unreachable!("a type that is `Encodable` has the inherent function")
    }

    fn shared(self) -> Result<Arc<T>, Failure>
    where
        T: Encodable,
    {
        unreachable!("a type that is `Encodable` has the inherent function")
    }

    fn finish(self, _: &T) -> Result<(), Failure>
    where
        T: Encodable,
    {
        unreachable!("a type that is `Encodable` has the inherent function")
    }
}

/// A type whose values can be written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between ranks",
    label = "this type has to be `Serialize`, `DeserializeOwned` and `Send`",
    note = "derive them: `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait Encodable: Serialize {}
impl<T: Serialize> Encodable for T {}

/// A type that is written like one of which there is more to say if it cannot travel.
#[derive(Debug)]
pub struct Written<T>(PhantomData<fn() -> T>);

impl<T: Serialize> Written<T> {
    /// Passes the invocation on.
    #[inline]
    pub fn as_arc<I>(invocation: I) -> I {
        invocation
    }

    /// Passes the invocation on.
    #[inline]
    pub fn as_cluster<I>(invocation: I) -> I {
        invocation
    }
}

/// What is found of such a type that is not `Serialize`. The compiler does not know what
/// it gives, and so says nothing of what is done with that.
pub trait UnencodableAsWritten<T> {
    /// Does not compile.
    fn as_arc<I>(_: I) -> T::Unknown
    where
        T: TravellingArc,
    {
        unreachable!("nothing implements the trait")
    }

    /// Does not compile.
    fn as_cluster<I>(_: I) -> T::Unknown
    where
        T: TravellingCluster,
    {
        unreachable!("nothing implements the trait")
    }
}

impl<T> UnencodableAsWritten<T> for Written<T> {}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between ranks",
    label = "an `Arc` travels only with serde's feature `rc`",
    note = "for `Arc<T>` write `T`, or `&T` for a parameter: the tasks of a worker share what is behind a reference",
    note = "with serde's feature `rc` an `Arc` travels as a copy of what is in it: `serde = {{ version = \"1\", features = [\"derive\", \"rc\"] }}`"
)]
pub trait TravellingArc {
    /// Not known.
    type Unknown;
}

/// Implemented by nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between ranks",
    label = "this type has to be `Serialize`, `DeserializeOwned` and `Send`, which the cluster of distwq is not: only the body submits tasks",
    note = "return what is to be done next, and let the body make tasks of it",
    note = "if this is another type of that name, derive `serde::Serialize` and `serde::Deserialize`"
)]
pub trait TravellingCluster {
    /// Not known.
    type Unknown;
}
