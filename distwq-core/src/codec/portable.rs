//! The types that travel.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that travels between ranks: as an argument or as an output.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between ranks",
    label = "this type has to be `Serialize`, `DeserializeOwned` and `Send`",
    note = "derive them: `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait Portable: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Portable for T {}

/// A type that the tasks of a worker share by reference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shared by the tasks of a worker",
    label = "behind `&` this type has to be `Serialize`, `DeserializeOwned`, `Send` and `Sync`",
    note = "derive `serde::Serialize` and `serde::Deserialize`; a type that is not `Sync` can be taken by value"
)]
pub trait Shareable: Portable + Sync {}
impl<T: Portable + Sync> Shareable for T {}
