//! The bytes of simulated values: each value and message has its own, so that no one can
//! pass for another.

use crate::codec::{self, Payload, PayloadWriter};
use crate::function::remote::Failure;
use crate::wire::chunk::{OutcomeWriter, WithoutValue};

/// What a value is before it is encoded.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A unit: no bytes.
    Nothing,
    /// Eight bytes.
    Number(u64),
    /// Many.
    Bytes(Payload),
    /// What becomes of each of several items, and how many of them are begun.
    Outcomes { outcomes: Vec<Result<u64, Failure>>, begun: usize },
}

impl Content {
    /// The content with this number, of about so many bytes.
    pub(super) fn new(number: u64, bytes: u64) -> Self {
        match bytes {
            0 => Self::Nothing,
            1..=8 => Self::Number(number),
            _ => {
                let mut content = vec![number as u8; bytes as usize - 8];
                let end = number.to_le_bytes();
                let len = content.len().min(end.len());
                content[..len].copy_from_slice(&end[..len]);
                Self::Bytes(Payload::from(content))
            }
        }
    }

    /// It as it travels.
    pub(super) fn encoded(&self) -> Payload {
        let mut writer = PayloadWriter::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// How many outcomes of items are no values.
    pub(super) fn without_value(&self) -> WithoutValue {
        let Self::Outcomes { outcomes, begun } = self else { return WithoutValue::NONE };
        let failed = outcomes[..*begun].iter().filter(|outcome| outcome.is_err()).count();
        WithoutValue { failed: failed as u32, cancelled: (outcomes.len() - begun) as u32 }
    }

    /// Writes it as a task writes its output.
    pub(super) fn write(&self, into: &mut PayloadWriter) {
        let written = match self {
            Self::Outcomes { outcomes, begun } => return write_outcomes(outcomes, *begun, into),
            Self::Nothing => Ok(()),
            Self::Number(number) => into.append_plain(number),
            Self::Bytes(bytes) => into.append_plain(bytes),
        };
        written.expect("plain data can be encoded");
    }
}

/// Writes what a worker tells that begins the first items and not the others.
fn write_outcomes(outcomes: &[Result<u64, Failure>], begun: usize, into: &mut PayloadWriter) {
    let mut writer = OutcomeWriter::new(into);
    for (place, outcome) in outcomes.iter().enumerate() {
        if place >= begun {
            writer.cancelled();
            continue;
        }
        writer.value().append_plain(outcome.as_ref().unwrap_or(&0)).expect("plain data can be encoded");
        match outcome {
            Ok(_) => writer.end_value(),
            Err(failure) => writer.failure(failure),
        }
    }
}

/// The arguments of a task in one piece, where all of them came as if they were values.
pub(super) struct Together<'a> {
    pub(super) plain: &'a [u8],
    pub(super) bytes: Vec<u8>,
    done: usize,
}

impl<'a> Together<'a> {
    pub(super) fn new(plain: &'a [u8]) -> Self {
        Self { plain, bytes: Vec::new(), done: 0 }
    }

    /// What follows belongs behind so many bytes of those that came as values.
    pub(super) fn up_to(&mut self, offset: usize) {
        self.bytes.extend_from_slice(&self.plain[self.done..offset]);
        self.done = offset;
    }

    /// So many values follow as one argument.
    pub(super) fn gathered(&mut self, count: usize) {
        codec::encode_sequence_length(count, &mut self.bytes);
    }
}
