//! What the code that `#[remote]` generates calls: bounds on types, reading arguments,
//! writing the output. Nobody else should need it.

use super::argument::{Part, Shape};
use crate::codec::{self, CodecError, Payload, PayloadWriter, Portable, Shareable};
use crate::id::TaskId;
use crate::memory::buffers;
use crate::outcome::error::with_sources;
use crate::outcome::failure::{TaskFailure, Wish};
use crate::task::context::Context;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;
use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Why one attempt of a task gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum Failure {
    /// The function returned `Err`: its text with the chain of its sources.
    Returned(String),
    /// The function panicked.
    Panicked(String),
    /// An argument could not be decoded; parameters are counted from 0.
    Decode {
        /// Which parameter.
        parameter: u32,
        /// What the decoder said.
        message: String,
    },
    /// The output could not be encoded.
    Encode(String),
    /// An input could not be fetched from the rank that held it.
    Input(String),
    /// A member of the group failed, or left while others still communicated.
    Group(String),
    /// The slot has no state to run it with.
    Init(String),
    /// The rank of a member is gone. The controller says so itself.
    Lost(String),
    /// The function returned an error that says what is to follow.
    Asks {
        /// Its text with the chain of its sources.
        message: String,
        /// What it asks for.
        wish: Wish,
    },
    /// It has run for longer than its limit.
    Limit {
        /// That limit, in nanoseconds.
        limit_ns: u64,
    },
    /// One of several items of a map whose values are joined to one has failed, or the
    /// function that joins them.
    Joining {
        /// Which item, by its place among these, or whose value was joined with those
        /// before it.
        place: u32,
        /// The path of the function that joins them, if it has failed.
        merge: Option<String>,
        /// Of what.
        failure: Box<Failure>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(message)
            | Self::Input(message)
            | Self::Group(message)
            | Self::Init(message)
            | Self::Lost(message)
            | Self::Asks { message, .. } => f.write_str(message),
            Self::Limit { limit_ns } => write!(f, "its run limit of {} ms is reached", limit_ns / 1_000_000),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Decode { parameter, message } => {
                let argument = parameter + 1;
                write!(f, "argument {argument} does not decode: {message}")
            }
            Self::Encode(message) => write!(f, "the output does not encode: {message}"),
            Self::Joining { failure, .. } => failure.fmt(f),
        }
    }
}

/// A value that a worker holds, with what its tasks decoded of it.
#[derive(Clone, Debug)]
pub struct Resident {
    payload: Payload,
    /// Only of values that tasks may share.
    decoded: Option<Arc<Mutex<Decoded>>>,
}

/// What a value was decoded to: an entry for each type that asked.
type Decoded = Vec<(TypeId, Arc<dyn Any + Send + Sync>)>;

impl Resident {
    /// A value whose bytes are `payload`, decoded by nobody yet.
    #[must_use]
    pub fn new(payload: Payload) -> Self {
        Self { payload, decoded: Some(Arc::default()) }
    }

    /// A value that came with one task and is for that alone.
    #[must_use]
    pub fn of_one_task(payload: Payload) -> Self {
        Self { payload, decoded: None }
    }

    /// The encoded value.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The value as a `T`, decoded once for all who ask. The lock is held while one
    /// decodes, so that a second one who asks at the same time waits instead of decoding
    /// again.
    fn shared<T: Shareable>(&self) -> Result<Arc<T>, CodecError> {
        let Some(decoded) = &self.decoded else {
            return codec::decode(self.payload.as_slice()).map(Arc::new);
        };
        let mut decoded = decoded.lock();
        if let Some((_, value)) = decoded.iter().find(|(id, _)| *id == TypeId::of::<T>()) {
            let value = Arc::clone(value);
            return Ok(value.downcast().unwrap_or_else(|_| unreachable!("the list is keyed by type")));
        }
        let value: Arc<T> = Arc::new(codec::decode(self.payload.as_slice())?);
        decoded.push((TypeId::of::<T>(), Arc::clone(&value) as _));
        Ok(value)
    }
}

/// An argument that is made of outputs of other tasks. `V` is what is known of one of
/// them: on a worker its value, once that has come; on the wire where it is.
#[derive(Serialize, serde::Deserialize, Debug)]
pub(crate) struct InputArgument<V = Option<Resident>> {
    pub(crate) parameter: u16,
    pub(crate) shape: Shape,
    pub(crate) values: SmallVec<[(TaskId, V); 1]>,
}

impl InputArgument {
    /// The values of an argument that is complete.
    fn residents(&self) -> impl Iterator<Item = &Resident> {
        self.values.iter().map(|(_, resident)| resident.as_ref().expect("a task runs when its inputs are here"))
    }

    /// The value of an argument that is one.
    fn only(&self) -> &Resident {
        self.residents().next().expect("an argument that is not gathered is one value")
    }
}

/// One call on its way through a function: arguments to read, an output to write.
pub struct Invocation<'a> {
    /// Arguments that came as values and were not read.
    plain: &'a [u8],
    /// How many bytes of them there were at first.
    plain_len: usize,
    inputs: &'a [InputArgument],
    parameter: u16,
    output: &'a mut PayloadWriter,
}

impl<'a> Invocation<'a> {
    pub(crate) fn new(plain: &'a [u8], inputs: &'a [InputArgument], output: &'a mut PayloadWriter) -> Self {
        Self { plain, plain_len: plain.len(), inputs, parameter: 0, output }
    }

    /// The context of the task, for a function that takes one.
    #[must_use]
    pub fn context(&self) -> Context {
        Context::of_this_thread()
    }

    /// The next argument, for a parameter taken by value.
    ///
    /// # Errors
    /// [`Failure::Decode`] naming the parameter.
    #[inline]
    pub fn owned<T: Portable>(&mut self) -> Result<T, Failure> {
        let parameter = self.parameter;
        let result = match self.next_input() {
            None => self.next_plain(),
            Some(input) => self.made_of(input),
        };
        result.map_err(|error| undecodable(parameter, error))
    }

    /// An argument that is made of outputs of other tasks.
    fn made_of<T: Portable>(&mut self, input: &InputArgument) -> Result<T, CodecError> {
        match &input.shape {
            Shape::Whole => codec::decode(input.only().payload().as_slice()),
            Shape::Gathered => gather(input),
            Shape::Composed(parts) => self.compose(input, parts),
        }
    }

    /// The next argument, for a parameter taken by reference.
    ///
    /// # Errors
    /// [`Failure::Decode`] naming the parameter.
    pub fn shared<T: Shareable>(&mut self) -> Result<Arc<T>, Failure> {
        let parameter = self.parameter;
        let result = match self.next_input() {
            None => self.next_plain().map(Arc::new),
            Some(input) => match &input.shape {
                Shape::Whole => input.only().shared(),
                Shape::Gathered => gather(input).map(Arc::new),
                Shape::Composed(parts) => self.compose(input, parts).map(Arc::new),
            },
        };
        result.map_err(|error| undecodable(parameter, error))
    }

    #[inline]
    fn next_input(&mut self) -> Option<&'a InputArgument> {
        let parameter = self.parameter;
        self.parameter += 1;
        let (first, rest) = self.inputs.split_first()?;
        if first.parameter != parameter {
            return None;
        }
        self.inputs = rest;
        Some(first)
    }

    #[inline]
    fn next_plain<T: DeserializeOwned>(&mut self) -> Result<T, CodecError> {
        let (value, used) = codec::decode_prefix(self.plain)?;
        self.plain = &self.plain[used..];
        Ok(value)
    }

    /// An argument that is outputs between bytes that came as values. Where the last of
    /// these bytes is only its type knows, so all are put together that were not read.
    fn compose<T: DeserializeOwned>(&mut self, input: &InputArgument, parts: &[Part]) -> Result<T, CodecError> {
        let tags = parts.iter().filter(|part| part.tag.is_some()).count();
        let values: usize = input.residents().map(|value| value.payload().len()).sum();
        let inserted = values + tags * codec::VARIANT_BYTES;
        let mut joined = buffers::take(self.plain.len() + inserted);
        let mut rest = self.plain;
        for (part, value) in parts.iter().zip(input.residents()) {
            let behind = self.plain_len.checked_sub(part.offset as usize);
            let before = behind.and_then(|behind| rest.len().checked_sub(behind));
            let (before, after) = rest.split_at(before.ok_or_else(|| CodecError(MISPLACED.to_owned()))?);
            joined.extend_from_slice(before);
            if let Some(tag) = part.tag {
                codec::encode_variant(tag, &mut joined);
            }
            joined.extend_from_slice(value.payload().as_slice());
            rest = after;
        }
        joined.extend_from_slice(rest);
        let decoded = codec::decode_prefix(&joined);
        buffers::give_back(joined);
        let (value, used) = decoded?;
        let used = used.checked_sub(inserted).filter(|used| *used >= self.plain.len() - rest.len());
        self.plain = &self.plain[used.ok_or_else(|| CodecError(UNREAD.to_owned()))?..];
        Ok(value)
    }

    /// Checks, behind the last argument, that nothing is left of what came as arguments.
    ///
    /// # Errors
    /// [`Failure::Decode`] naming the last parameter: it or one before it read less than
    /// was written.
    #[inline]
    pub fn all_read(&self) -> Result<(), Failure> {
        if self.plain.is_empty() { Ok(()) } else { Err(self.not_all_read()) }
    }

    #[cold]
    fn not_all_read(&self) -> Failure {
        let error = CodecError(format!("{} bytes are left over behind it", self.plain.len()));
        undecodable(self.parameter.saturating_sub(1), error)
    }

    /// Writes the output.
    ///
    /// # Errors
    /// [`Failure::Encode`].
    #[inline]
    pub fn finish<T: Portable>(&mut self, value: &T) -> Result<(), Failure> {
        self.output.append::<T, T>(value).map_err(|error| Failure::Encode(error.0))
    }
}

impl fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation").field("parameter", &self.parameter).finish_non_exhaustive()
    }
}

/// A part of an argument whose place is not behind those before it.
const MISPLACED: &str = "an output of another task does not fit between the values around it";

/// An argument of which a part was not read.
const UNREAD: &str = "less was read than was written, of what the handles in it give";

/// Several outputs as one `Vec`: a sequence is its length and then its elements.
fn gather<T: DeserializeOwned>(input: &InputArgument) -> Result<T, CodecError> {
    let bytes: usize = input.residents().map(|value| value.payload().len()).sum();
    let mut joined = buffers::take(bytes + size_of::<u64>());
    codec::encode_sequence_length(input.values.len(), &mut joined);
    for value in input.residents() {
        joined.extend_from_slice(value.payload().as_slice());
    }
    let value = codec::decode(&joined);
    buffers::give_back(joined);
    value
}

#[cold]
fn undecodable(parameter: u16, error: CodecError) -> Failure {
    Failure::Decode { parameter: parameter.into(), message: error.0 }
}

/// Turns the error of a function into a failure. Method resolution picks the most telling
/// text: with the chain of sources where the type is an `Error` or a box of one, else
/// what it displays. Generated code calls `(&&&ErrorText(&error)).failure()` with the
/// three traits in scope.
#[derive(Debug)]
pub struct ErrorText<'a, E>(pub &'a E);

/// The text of a boxed error.
pub trait BoxedErrorText {
    /// The failure.
    fn failure(&self) -> Failure;
}

/// The text of an error.
pub trait PlainErrorText {
    /// The failure.
    fn failure(&self) -> Failure;
}

/// The text of something that can be displayed.
pub trait DisplayText {
    /// The failure.
    fn failure(&self) -> Failure;
}

macro_rules! boxed {
    ($($error:ty),*) => {$(
        impl BoxedErrorText for &&ErrorText<'_, Box<$error>> {
            fn failure(&self) -> Failure {
                match self.0.downcast_ref::<TaskFailure>() {
                    Some(failure) => asked(failure),
                    None => Failure::Returned(with_sources(&**self.0)),
                }
            }
        }
    )*};
}
boxed!(dyn std::error::Error, dyn std::error::Error + Send, dyn std::error::Error + Send + Sync);

impl<E: std::error::Error + 'static> PlainErrorText for &ErrorText<'_, E> {
    fn failure(&self) -> Failure {
        match (self.0 as &dyn std::error::Error).downcast_ref::<TaskFailure>() {
            Some(failure) => asked(failure),
            None => Failure::Returned(with_sources(self.0)),
        }
    }
}

/// The failure of an error that says what is to follow.
fn asked(failure: &TaskFailure) -> Failure {
    match failure.told() {
        (message, None) => Failure::Returned(message),
        (message, Some(wish)) => Failure::Asks { message, wish },
    }
}

impl<E: fmt::Display> DisplayText for ErrorText<'_, E> {
    fn failure(&self) -> Failure {
        // The alternate form is where error types without a source keep their chain.
        Failure::Returned(format!("{:#}", self.0))
    }
}
