//! What can stand where a remote function takes a value: values, outputs of other tasks,
//! and things made of both.

use crate::api::handle::Handle;
use crate::api::reference::{Reference, State};
use crate::codec::{self, PayloadWriter, Portable};
use crate::function::argument::{ArgumentPosition, Input, Role};
use crate::outcome::error::TaskError;
use crate::panics;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

/// The arguments of a call, collected in order.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Those that came as values, encoded one after another.
    pub(crate) plain: PayloadWriter,
    /// Those that are outputs of other tasks.
    pub(crate) inputs: Inputs,
    /// The parameter that comes next.
    parameter: u16,
    /// The first that could not be encoded, counted from 1, and why.
    pub(crate) unencodable: Option<Box<(usize, String)>>,
}

/// The outputs of other tasks that are arguments, in the order of the parameters. Few
/// calls have more than two.
pub(crate) type Inputs = SmallVec<[Input<Reference>; 2]>;

impl Arguments {
    /// None yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { plain: PayloadWriter::new(), inputs: Inputs::new(), parameter: 0, unencodable: None }
    }

    /// There are none any more.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.plain.clear();
        if !self.inputs.is_empty() || self.inputs.spilled() {
            self.inputs = Inputs::new();
        }
        (self.parameter, self.unencodable) = (0, None);
    }

    /// Adds the next one.
    #[inline]
    pub(crate) fn add<A>(&mut self, argument: impl IntoArg<A>) {
        argument.add_to(self);
        self.parameter += 1;
    }

    /// They are values, and nothing is wrong with them.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.inputs.is_empty() && self.unencodable.is_none()
    }

    /// All of them are outputs of other tasks.
    pub(crate) fn takes_inputs_alone(&self) -> bool {
        let are_whole = self.inputs.iter().all(|input| input.position.role == Role::Whole);
        let are_all = usize::from(self.parameter) == self.inputs.len();
        self.plain.len() == 0 && are_all && are_whole && self.unencodable.is_none()
    }

    #[inline]
    fn value<R: DeserializeOwned, T: Serialize + ?Sized>(&mut self, value: &T) {
        if let Err(error) = panics::caught_error("its `Serialize`", || self.plain.append::<R, T>(value)) {
            self.cannot_be_encoded(error);
        }
    }

    /// The call will be refused: nobody reads what was written, of this argument in part.
    #[cold]
    fn cannot_be_encoded(&mut self, error: String) {
        self.plain.clear();
        let argument = usize::from(self.parameter) + 1;
        self.unencodable.get_or_insert_with(|| Box::new((argument, error)));
    }

    #[inline]
    fn input(&mut self, source: Reference, role: Role) {
        let offset = u32::try_from(self.plain.len()).unwrap_or(u32::MAX);
        let position = ArgumentPosition { offset, parameter: self.parameter, role };
        self.inputs.push(Input { source, position });
    }

    #[inline]
    fn input_of(&mut self, source: &Reference, role: Role) {
        match source {
            // By itself, so that it goes from registers to where it stays.
            Reference::Node(node) => self.input(Reference::Node(node.clone()), role),
            other => self.input(other.clone(), role),
        }
    }

    fn inputs<T>(&mut self, handles: &[Handle<T>]) {
        if handles.is_empty() {
            // No outputs make an empty sequence, which is a value like any other.
            return self.value::<Vec<()>, [()]>(&[]);
        }
        handles.iter().for_each(|handle| self.input_of(handle.reference(), Role::Element));
    }

    /// A value that is a part of an argument.
    fn element<T: Portable>(&mut self, value: &T) {
        self.value::<T, T>(value);
    }

    /// An output that is a part of an argument.
    fn part<T>(&mut self, handle: &Handle<T>) {
        self.input_of(handle.reference(), Role::Part);
    }

    /// The end of a task, as an argument or a part of one.
    fn end<T>(&mut self, handle: &Handle<T>) {
        match handle.reference().state() {
            State::Refused(step) => self.plain_data(&Err::<(), TaskError>(step.refusal())),
            State::Bound(..) | State::Unbound(_) => self.input_of(handle.reference(), Role::End),
        }
    }

    /// The ends of tasks, as a sequence.
    fn ends<T>(&mut self, handles: &[Handle<T>]) {
        self.plain_data(&(handles.len() as u64));
        handles.iter().for_each(|handle| self.end(handle));
    }

    fn optional<T>(&mut self, handle: Option<&Handle<T>>) {
        let Some(handle) = handle else { return self.plain_data(&None::<()>) };
        self.plain_data(&codec::SOME);
        self.part(handle);
    }

    /// Something of this crate that lies between values.
    fn plain_data<T: Serialize>(&mut self, value: &T) {
        self.plain.append_plain(value).expect("plain data encodes");
    }
}

/// What can stand where a remote function takes a `T`: a `T`, a `&T`, or the output of
/// another task as a [`Handle<T>`] or `&Handle<T>`.
///
/// | for | also |
/// |---|---|
/// | `Vec<T>` | a slice or array by reference; several outputs as `Vec<Handle<T>>`, `&Vec<Handle<T>>`, `&[Handle<T>]` |
/// | `String` | a `&str` |
/// | `Option<T>` | `Some` of a handle, by value or by reference |
/// | `[T; N]` | an array of handles or of references to them, or a reference to an array of handles |
/// | a tuple of up to four | one in which handles, or references to them, stand for some of the values |
/// | `Result<T, TaskError>` | a `Handle<T>` or `&Handle<T>`: the end of the task, whichever it is |
/// | `Vec<Result<T, TaskError>>` | the ends of several, as their outputs for a `Vec<T>` |
///
/// A task that takes the end of another one as a `Result` runs when that has ended, also
/// if it has failed, was cancelled or was refused; then the argument is its error.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// #[remote]
/// fn root(x: f64) -> Result<f64, String> {
///     if x < 0.0 { Err(format!("{x} has no root")) } else { Ok(x.sqrt()) }
/// }
///
/// #[remote]
/// fn sum(parts: Vec<Result<f64, TaskError>>) -> f64 {
///     parts.iter().flatten().sum()
/// }
///
/// #[remote]
/// fn scaled((value, factor): (f64, f64), offset: Option<f64>) -> f64 {
///     value * factor + offset.unwrap_or(0.0)
/// }
///
/// #[distwq::main]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let roots: Vec<_> = [4.0, -1.0, 9.0].map(|x| cluster.submit(root::call(x))).into();
///     assert_eq!(cluster.submit(sum::call(&roots)).get()?, 5.0); // that of -1 has none
///     let scaled = cluster.submit(scaled::call((&roots[0], 10.0), Some(&roots[2])));
///     assert_eq!(scaled.get()?, 23.0);
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the argument `{T}` of this remote function",
    label = "expected `{T}`, `&{T}` or a handle of it, `&Handle<{T}>`",
    note = "a `Vec<T>` may also come as the handles of its elements, `&Vec<Handle<T>>` or `&[Handle<T>]`; handles may stand within tuples, arrays and `Some`",
    note = "a parameter `Result<T, TaskError>` takes a `Handle<T>` however its task ends"
)]
pub trait IntoArg<T> {
    /// Adds the argument to those of a call.
    #[doc(hidden)]
    fn add_to(self, to: &mut Arguments);
}

impl<T: Portable> IntoArg<T> for T {
    #[inline]
    fn add_to(self, to: &mut Arguments) {
        to.value::<T, T>(&self);
    }
}

impl<T: Portable> IntoArg<T> for &T {
    #[inline]
    fn add_to(self, to: &mut Arguments) {
        to.value::<T, T>(self);
    }
}

impl<T: Portable> IntoArg<Vec<T>> for &[T] {
    fn add_to(self, to: &mut Arguments) {
        to.value::<Vec<T>, [T]>(self);
    }
}

impl<T: Portable, const N: usize> IntoArg<Vec<T>> for &[T; N] {
    fn add_to(self, to: &mut Arguments) {
        to.value::<Vec<T>, [T]>(self);
    }
}

impl IntoArg<String> for &str {
    fn add_to(self, to: &mut Arguments) {
        to.value::<String, str>(self);
    }
}

impl<T> IntoArg<T> for Handle<T> {
    fn add_to(self, to: &mut Arguments) {
        to.input(self.into_reference(), Role::Whole);
    }
}

impl<T> IntoArg<T> for &Handle<T> {
    fn add_to(self, to: &mut Arguments) {
        to.input_of(self.reference(), Role::Whole);
    }
}

impl<T> IntoArg<Vec<T>> for Vec<Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.inputs(&self);
    }
}

impl<T> IntoArg<Vec<T>> for &Vec<Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.inputs(self);
    }
}

impl<T> IntoArg<Vec<T>> for &[Handle<T>] {
    fn add_to(self, to: &mut Arguments) {
        to.inputs(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Result<T, TaskError>> for Handle<T> {
    fn add_to(self, to: &mut Arguments) {
        to.end(&self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Result<T, TaskError>> for &Handle<T> {
    fn add_to(self, to: &mut Arguments) {
        to.end(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Vec<Result<T, TaskError>>> for Vec<Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.ends(&self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Vec<Result<T, TaskError>>> for &Vec<Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.ends(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Vec<Result<T, TaskError>>> for &[Handle<T>] {
    fn add_to(self, to: &mut Arguments) {
        to.ends(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Option<T>> for Option<Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.optional(self.as_ref());
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoArg<Option<T>> for Option<&Handle<T>> {
    fn add_to(self, to: &mut Arguments) {
        to.optional(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T, const N: usize> IntoArg<[T; N]> for [Handle<T>; N] {
    fn add_to(self, to: &mut Arguments) {
        self.iter().for_each(|handle| to.part(handle));
    }
}

#[diagnostic::do_not_recommend]
impl<T, const N: usize> IntoArg<[T; N]> for [&Handle<T>; N] {
    fn add_to(self, to: &mut Arguments) {
        self.into_iter().for_each(|handle| to.part(handle));
    }
}

#[diagnostic::do_not_recommend]
impl<T, const N: usize> IntoArg<[T; N]> for &[Handle<T>; N] {
    fn add_to(self, to: &mut Arguments) {
        self.iter().for_each(|handle| to.part(handle));
    }
}

/// A tuple in which each element is a value, a handle or a reference to one, and at least
/// one is no value: an `impl` for each. Those for any kinds of elements at once would
/// overlap with that for tuples of values.
macro_rules! tuples {
    ([] $chosen:tt only_values) => {};
    ([] [$(($type:ident $element:ident $add:ident $given:ty))+] with_handles) => {
        #[diagnostic::do_not_recommend]
        impl<$($type: Portable),+> IntoArg<($($type,)+)> for ($($given,)+) {
            fn add_to(self, to: &mut Arguments) {
                let ($($element,)+) = self;
                $(to.$add(&$element);)+
            }
        }
    };
    ([($type:ident $element:ident) $($rest:tt)*] [$($chosen:tt)*] $has:ident) => {
        tuples!([$($rest)*] [$($chosen)* ($type $element element $type)] $has);
        tuples!([$($rest)*] [$($chosen)* ($type $element part Handle<$type>)] with_handles);
        tuples!([$($rest)*] [$($chosen)* ($type $element part &Handle<$type>)] with_handles);
    };
}
tuples!([(A a)] [] only_values);
tuples!([(A a) (B b)] [] only_values);
tuples!([(A a) (B b) (C c)] [] only_values);
tuples!([(A a) (B b) (C c) (D d)] [] only_values);
