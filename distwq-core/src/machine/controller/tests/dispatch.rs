//! What a worker is told of the arguments of a task.

use super::*;
use crate::codec::frame::Blob;
use crate::wire::attempt::Source;

/// What is told of the arguments of one task.
#[derive(PartialEq, Eq, Debug)]
enum Told {
    /// So many bytes go behind the header, and nothing else is said.
    Behind(usize),
    /// So many bytes go behind the header, and it is told with a tail.
    Tail { behind: usize, blob: Option<usize>, inputs: Vec<From>, label: Option<String>, attempt: u32 },
}

/// Where an input comes from.
#[derive(PartialEq, Eq, Debug)]
enum From {
    Inline { bytes: usize, keep: bool },
    Held(Rank),
}

/// These inputs are told, and nothing else.
fn with_inputs(inputs: Vec<From>) -> Told {
    Told::Tail { behind: 0, blob: None, inputs, label: None, attempt: 1 }
}

/// The first run that workers are told of, and whom.
fn told(play: &mut Play) -> (Rank, Told) {
    play.out.flush();
    let mut frames = Vec::new();
    play.out.outgoing.take(&mut frames, |frames, to, frame| frames.push((to, frame)), |_| Vec::new());
    let (to, frame) = frames.first().expect("somebody is told something");
    let run = Messages::of(frame).next_fixed(OfAttempt::<RunFields>::read).expect("it is a run");
    let len = |blob: Blob<'_>| frame.payload(blob).expect("it is whole").len();
    let Some(tail) = run.tail().expect("it decodes") else { return (*to, Told::Behind(run.bytes.len())) };
    let inputs = tail.inputs.iter().flat_map(|input| &input.values).map(|(_, source)| match *source {
        Source::Inline { bytes, keep } => From::Inline { bytes: len(bytes), keep },
        Source::Held { by } => From::Held(by),
    });
    let told = Told::Tail {
        behind: run.bytes.len(),
        blob: tail.arguments.map(len),
        inputs: inputs.collect(),
        label: tail.label.map(str::to_owned),
        attempt: tail.attempt,
    };
    (*to, told)
}

#[test]
fn few_bytes_of_arguments_go_behind_the_header_and_more_beside_it() {
    for (bytes, expected) in [
        (0, Told::Behind(0)),
        (255, Told::Behind(255)),
        (256, Told::Tail { behind: 0, blob: Some(256), inputs: vec![], label: None, attempt: 1 }),
    ] {
        let mut play = Play::new();
        let argument = vec![7; bytes];
        play.tell(Input::Task { new: &plain(&SINGLE), plain: Encoded::Few(&argument) });
        assert_eq!(told(&mut play).1, expected, "{bytes} bytes");
    }
}

#[test]
fn a_label_and_a_further_attempt_are_told() {
    let mut play = Play::with_workers(&[W3]);
    let options = Options { label: Some("mine"), retries: 1, ..Options::default() };
    let task = play.add_new(&NewTask { options: Some(&options), ..plain(&SINGLE) });
    let labelled =
        |attempt| Told::Tail { behind: 0, blob: None, inputs: vec![], label: Some("mine".to_owned()), attempt };
    assert_eq!(told(&mut play), (W3, labelled(1)));
    play.fail(W3, task, "it fails");
    assert_eq!(told(&mut play), (W3, labelled(2)));
    let task = play.add(&SINGLE, &[], 1);
    assert_eq!(told(&mut play), (W3, Told::Behind(0)));
    play.fail(W3, task, "it fails");
    assert_eq!(told(&mut play), (W3, Told::Tail { behind: 0, blob: None, inputs: vec![], label: None, attempt: 2 }));
}

/// Up to 255 bytes go behind the header, with how many outputs the parameter takes; up to
/// 1,000 are told, and larger ones are fetched.
#[test]
fn a_value_at_the_controller_is_sent_along_or_fetched_by_its_size() {
    let count = crate::codec::SEQUENCE_LENGTH_BYTES;
    for (bytes, expected) in [
        (255 - count, Told::Behind(255)),
        (256 - count, with_inputs(vec![From::Inline { bytes: 256 - count, keep: false }])),
        (1_000, with_inputs(vec![From::Inline { bytes: 1_000, keep: false }])),
        (1_001, with_inputs(vec![From::Held(Rank(0))])),
    ] {
        let mut play = Play::new();
        let value = play.give(bytes);
        play.add(&SINGLE, &[value], 0);
        assert_eq!(told(&mut play).1, expected, "{bytes} bytes");
    }
}

#[test]
fn a_shared_value_is_sent_to_a_worker_once() {
    let mut play = Play::with_workers(&[W3]);
    let value = play.give(3);
    play.add(&SHARING, &[value], 0);
    assert_eq!(told(&mut play).1, with_inputs(vec![From::Inline { bytes: 3, keep: true }]));
    play.add(&SHARING, &[value], 0);
    assert_eq!(told(&mut play).1, with_inputs(vec![From::Held(Rank(0))]), "it is looked for at home first");
}

#[test]
fn a_value_that_stayed_on_a_worker_is_told_with_who_has_it() {
    let mut play = Play::new();
    let value = play.add(&SINGLE, &[], 0);
    let (maker, _) = told(&mut play);
    play.kept(maker, value);
    let mut receivers = Vec::new();
    for _ in 0..2 {
        play.add(&SINGLE, &[value], 0);
        let (to, said) = told(&mut play);
        assert_eq!(said, with_inputs(vec![From::Held(maker)]));
        receivers.push(to);
    }
    assert!(receivers.contains(&other(maker)), "{receivers:?}");
    let holders = play.controller.scheduler.holders(value).map(|worker| play.controller.workers.rank(worker));
    assert_eq!(holders.collect::<Vec<_>>(), [maker, other(maker)], "who made it needs no copy");
}

#[test]
fn each_task_is_told_with_its_own_function() {
    let mut play = Play::with_workers(&[W3]);
    for remote in [&SINGLE, &SHARING] {
        play.add(remote, &[], 0);
    }
    play.out.flush();
    let mut functions = Vec::new();
    let note = |functions: &mut Vec<u32>, _, frame| {
        let mut messages = Messages::of(&frame);
        functions.extend(std::iter::from_fn(|| {
            messages.next_fixed(OfAttempt::<RunFields>::read).map(|run| run.function().0)
        }));
    };
    play.out.outgoing.take(&mut functions, note, |_| Vec::new());
    assert_eq!(functions, [0, 2], "in the order of their paths");
}

/// ```text
/// 8, [a, b], c, 9        the first and the last came as values
/// ```
#[test]
fn arguments_that_are_outputs_go_between_the_others_with_how_many_a_parameter_takes() {
    let mut play = Play::new();
    let [a, b, c] = [[1; 2], [2; 2], [3; 2]].map(|bytes| {
        play.tell(Input::Value { payload: Payload::copy_of(&bytes) });
        play.out.added
    });
    let input = |source, parameter, role| crate::function::argument::Input {
        source,
        position: ArgumentPosition { offset: 1, parameter, role },
    };
    let inputs = [input(a, 1, Role::Element), input(b, 1, Role::Element), input(c, 2, Role::Whole)];
    let new = NewTask { inputs: &inputs, ..plain(&SINGLE) };
    play.tell(Input::Task { new: &new, plain: Encoded::Few(&[8, 9]) });
    play.out.flush();
    let mut bodies = Vec::new();
    let note = |bodies: &mut Vec<Vec<u8>>, _, frame| {
        let run = Messages::of(&frame).next_fixed(OfAttempt::<RunFields>::read).expect("it is a run");
        bodies.push(run.bytes.to_vec());
    };
    play.out.outgoing.take(&mut bodies, note, |_| Vec::new());
    let mut count = Vec::new();
    crate::codec::encode_sequence_length(2, &mut count);
    assert_eq!(bodies, [[&[8][..], &count, &[1, 1, 2, 2, 3, 3, 9]].concat()]);
}
