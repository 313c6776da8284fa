//! What fails fails its own task, and says what happened to which task where; everything
//! else goes on.

use distwq::prelude::*;
use distwq::{Refusal, TaskSite};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::error::Error;
use std::fmt;

type Outcome = Result<(), Box<dyn Error>>;

#[remote]
fn abs(x: i64) -> i64 {
    x.abs()
}

/// After whatever went wrong, every worker still works.
#[track_caller]
fn all_workers_work(cluster: &Cluster) {
    let handles: Vec<_> = (0..10 * cluster.workers() as i64).map(|x| cluster.submit(abs::call(-x))).collect();
    for (x, handle) in (0..).zip(&handles) {
        assert_eq!(handle.get(), Ok(x));
    }
    assert_eq!(cluster.submit(abs::call(42)).get(), Ok(42));
}

/// The site has all that is known of where a task failed.
#[track_caller]
fn check_site(cluster: &Cluster, site: &TaskSite, function: &str, label: &str) {
    assert!(site.task > 0);
    assert!(site.function.ends_with(&format!("::{function}")), "{site}");
    assert_eq!(site.label.as_deref(), Some(label));
    let hosts = cluster.stats().ranks;
    let stats = hosts.iter().find(|stats| Some(stats.rank) == site.rank).expect("a rank of this run");
    assert_eq!(site.host.as_ref(), Some(&stats.host));
    assert_eq!(site.attempts, 1);
    let text = site.to_string();
    let rank = stats.rank.to_string();
    for part in [&format!("#{}", site.task), function, label, &rank, &stats.host, "attempt 1"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[remote]
fn says_no() -> Result<u8, String> {
    Err("no, not today".to_owned())
}

#[remote]
fn panics_with_a_literal() -> u8 {
    panic!("a literal")
}

#[remote]
fn panics_with_text(x: i64) -> u8 {
    panic!("a text with {x}")
}

#[remote]
fn panics_with_a_number() -> u8 {
    std::panic::panic_any(5_i32)
}

/// A payload whose own end panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the drop of a payload");
    }
}

#[remote]
fn panics_with_a_bomb() -> u8 {
    std::panic::panic_any(Bomb)
}

/// A task returns `Err` or panics: the error has message, rank and host, and the next
/// task on that worker succeeds.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn an_error_and_a_panic_tell_what_happened_and_where(cluster: &Cluster) {
    let error = cluster.submit(says_no::call().label("refusing")).get().expect_err("it returns Err");
    let TaskError::Failed { site, message } = &error else { panic!("{error}") };
    assert_eq!(&**message, "no, not today");
    check_site(cluster, site, "says_no", "refusing");
    assert!(error.to_string().contains("no, not today"), "{error}");

    let panics = [
        (panics_with_a_literal::call(), "panics_with_a_literal", "a literal"),
        (panics_with_text::call(7), "panics_with_text", "a text with 7"),
        (panics_with_a_number::call(), "panics_with_a_number", "panic_any"),
        (panics_with_a_bomb::call(), "panics_with_a_bomb", "panic_any"),
    ];
    for (call, function, text) in panics {
        let handle = cluster.submit(call.label("panicking"));
        let error = handle.get().expect_err("it panics");
        let TaskError::Panicked { site, message } = &error else { panic!("{error}") };
        assert!(message.contains(text), "{message}");
        assert!(message.contains("tests/errors.rs:"), "it tells where in the code: {message}");
        check_site(cluster, site, function, "panicking");
        let next = cluster.submit(abs::call(-1).after(&cluster.value(&())));
        assert_eq!(next.get(), Ok(1));
        assert_eq!(handle.get(), Err(error), "an error stays the same");
    }
    all_workers_work(cluster);
}

#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the outer error")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the inner error")
    }
}

impl Error for Inner {}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[remote]
fn fails_with_a_source() -> Result<(), Outer> {
    Err(Outer(Inner))
}

#[remote]
fn fails_with_a_box() -> Result<(), Box<dyn Error>> {
    Err(Box::new(Outer(Inner)))
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn an_error_travels_with_the_chain_of_its_sources(cluster: &Cluster) {
    for call in [fails_with_a_source::call(), fails_with_a_box::call()] {
        let error = cluster.submit(call).get().expect_err("it fails");
        assert_eq!(error.message(), Some("the outer error: the inner error"));
    }
}

/// Cannot be written.
#[derive(Deserialize, Clone, Copy, Debug)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("this cannot be written"))
    }
}

/// Cannot be read.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this cannot be read"))
    }
}

/// Panics when it is written.
#[derive(Deserialize, Clone, Copy, Debug)]
struct PanicsWhenWritten;

impl Serialize for PanicsWhenWritten {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("panicked while writing")
    }
}

/// Is written in part: so many bytes, and then an error or a panic.
#[derive(Deserialize, Clone, Copy, Debug)]
struct WrittenInPart(usize);

impl Serialize for WrittenInPart {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(self.0 + 1)?;
        for _ in 0..self.0 {
            tuple.serialize_element(&7_u8)?;
        }
        assert!(self.0.is_multiple_of(2), "panicked while writing");
        Err(S::Error::custom("the rest cannot be written"))
    }
}

/// Panics when it is read.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
struct PanicsWhenRead;

impl<'de> Deserialize<'de> for PanicsWhenRead {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("panicked while reading")
    }
}

#[remote]
fn takes_unwritable(_first: u8, _second: Unwritable) -> u8 {
    1
}

/// Writes two bytes and reads one.
struct Shortened;

impl Serialize for Shortened {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (1_u8, 2_u8).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Shortened {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u8::deserialize(from).map(|_| Self)
    }
}

#[remote]
fn takes_shortened(x: u8, _shortened: Shortened) -> u8 {
    x
}

#[remote]
fn takes_unreadable(_first: u8, _second: Unreadable) -> u8 {
    1
}

#[remote]
fn shares_unreadable(_value: &Unreadable) -> u8 {
    1
}

#[remote]
fn gives_unwritable() -> Unwritable {
    Unwritable
}

#[remote]
fn gives_unreadable() -> Unreadable {
    Unreadable
}

#[remote]
fn gives_what_panics_when_written() -> PanicsWhenWritten {
    PanicsWhenWritten
}

#[remote]
fn gives_what_is_written_in_part(bytes: usize) -> WrittenInPart {
    WrittenInPart(bytes)
}

/// What was written of an output before it failed is in no other one.
#[distwq::test(ranks = [2, 3])]
fn an_output_that_fails_halfway_leaves_nothing_behind(cluster: &Cluster) {
    for bytes in [0, 1, 8, 30, 31, 257, 5_000, 200_000, 200_001] {
        for _ in 0..cluster.workers() {
            let error = cluster.submit(gives_what_is_written_in_part::call(bytes)).get();
            assert!(matches!(error, Err(TaskError::Codec { .. } | TaskError::Panicked { .. })), "{error:?}");
        }
        let after: Vec<_> = (0..8).map(|x| cluster.submit(abs::call(-x))).collect();
        for (x, handle) in (0..).zip(after) {
            assert_eq!(handle.get(), Ok(x), "after {bytes} bytes");
        }
    }
}

#[remote]
fn takes_what_panics_when_read(_value: PanicsWhenRead) -> u8 {
    1
}

#[remote]
fn shares_what_panics_when_read(_value: &PanicsWhenRead) -> u8 {
    1
}

/// What cannot be encoded or decoded, as argument or output, on either side, fails only
/// its task; all workers work afterwards.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn a_value_that_cannot_be_exchanged_fails_its_task_alone(cluster: &Cluster) {
    let bystanders: Vec<_> = (0..50).map(|x| cluster.submit(abs::call(-x))).collect();

    let error = cluster.submit(takes_unwritable::call(1, Unwritable).label("written")).get();
    let Err(TaskError::Refused { task, reason: Refusal::Encode { argument, message } }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((&*task, argument), ("written", 2));
    assert!(message.contains("this cannot be written"), "{message}");

    let codec = |call: Call<u8>, function: &str, texts: &[&str]| {
        let error = cluster.submit(call.label("exchanging")).get().expect_err("it cannot be exchanged");
        let TaskError::Codec { site, message } = &error else { panic!("{error}") };
        texts.iter().for_each(|text| assert!(message.contains(text), "{message}"));
        check_site(cluster, site, function, "exchanging");
    };
    codec(takes_unreadable::call(1, Unreadable), "takes_unreadable", &["argument 2", "this cannot be read"]);
    codec(shares_unreadable::call(Unreadable), "shares_unreadable", &["argument 1", "this cannot be read"]);
    // What it reads is less than it writes, which would shift whatever comes behind it.
    let error = cluster.submit(takes_shortened::call(1, Shortened)).get();
    let Err(TaskError::Refused { reason: Refusal::Encode { argument, message }, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(argument, 2);
    assert!(message.contains("errors::Shortened` reads more or less than it writes"), "{message}");
    let shared = cluster.value(&Unreadable);
    for _ in 0..2 {
        codec(shares_unreadable::call(&shared), "shares_unreadable", &["argument 1", "this cannot be read"]);
    }

    let error = cluster.submit(gives_unwritable::call().label("giving")).get().expect_err("it cannot be written");
    let TaskError::Codec { site, message } = &error else { panic!("{error}") };
    assert!(message.contains("this cannot be written"), "{message}");
    check_site(cluster, site, "gives_unwritable", "giving");

    let unread = cluster.submit(gives_unreadable::call().label("unread"));
    for _ in 0..2 {
        let error = unread.get().expect_err("it cannot be read");
        let TaskError::Codec { site, message } = &error else { panic!("{error}") };
        assert!(message.contains("this cannot be read"), "{message}");
        assert!(site.function.ends_with("gives_unreadable"), "{site}");
        check_site(cluster, site, "gives_unreadable", "unread");
    }
    let error = cluster.submit(takes_unreadable::call(1, &unread)).get();
    assert!(matches!(error, Err(TaskError::Codec { .. })), "{error:?}");

    for (x, handle) in (0..).zip(&bystanders) {
        assert_eq!(handle.get(), Ok(x));
    }
    all_workers_work(cluster);
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_panic_while_a_value_is_exchanged_fails_its_task_alone(cluster: &Cluster) {
    let error = cluster.submit(gives_what_panics_when_written::call()).get().expect_err("it panics");
    assert!(error.to_string().contains("panicked while writing"), "{error}");
    let shared = cluster.value(&PanicsWhenRead);
    let calls = [
        takes_what_panics_when_read::call(PanicsWhenRead),
        shares_what_panics_when_read::call(PanicsWhenRead),
        shares_what_panics_when_read::call(&shared),
        shares_what_panics_when_read::call(&shared),
    ];
    for call in calls {
        let error = cluster.submit(call).get().expect_err("it panics");
        assert!(error.to_string().contains("panicked while reading"), "{error}");
        assert!(error.site().is_some_and(|site| site.rank.is_some()), "{error}");
    }
    all_workers_work(cluster);
}

#[remote]
fn takes_what_panics_when_written(_first: u8, _second: PanicsWhenWritten) -> u8 {
    1
}

#[remote]
fn takes_what_is_written_in_part(_value: WrittenInPart) -> u8 {
    1
}

#[remote]
fn gives_what_panics_when_read() -> PanicsWhenRead {
    PanicsWhenRead
}

/// What is encoded or decoded in the body, by `call`, `value` and `get`: a panic there is
/// told as an error is.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_panic_while_the_body_exchanges_a_value_is_the_error_of_its_task(cluster: &Cluster) {
    let mut graph = Graph::new();
    let call = || takes_what_panics_when_written::call(1, PanicsWhenWritten);
    for error in [cluster.submit(call()).get(), graph.add(call()).get()] {
        let Err(TaskError::Refused { reason: Refusal::Encode { argument: 2, message }, .. }) = error else {
            panic!("{error:?}")
        };
        assert!(message.contains("`Serialize` panicked: panicked while writing (at tests/errors.rs:"), "{message}");
    }
    for error in [cluster.value(&PanicsWhenWritten).get(), graph.value(&PanicsWhenWritten).get()] {
        let Err(TaskError::Refused { reason: Refusal::Value(message), .. }) = error else { panic!("{error:?}") };
        assert!(message.contains("panicked while writing"), "{message}");
    }
    assert!(cluster.run(&mut graph).is_err());
    for bytes in [1, 31, 257, 200_001] {
        let error = cluster.submit(takes_what_is_written_in_part::call(WrittenInPart(bytes))).get();
        assert!(matches!(error, Err(TaskError::Refused { reason: Refusal::Encode { .. }, .. })), "{error:?}");
    }

    let given = cluster.submit(gives_what_panics_when_read::call());
    for handle in [&given, &given, &cluster.value(&PanicsWhenRead)] {
        let error = handle.get().expect_err("it cannot be read");
        let TaskError::Codec { message, .. } = &error else { panic!("{error}") };
        assert!(message.contains("`Deserialize` panicked: panicked while reading (at tests/errors.rs:"), "{message}");
    }
    all_workers_work(cluster);
}

/// Panics at its end, if it says so.
#[derive(Serialize, Deserialize, Debug)]
struct Grenade {
    armed: bool,
    filling: Vec<u8>,
}

impl Grenade {
    fn armed(bytes: usize) -> Self {
        Self { armed: true, filling: vec![1; bytes] }
    }

    /// For the controller's own copies, which must not panic in the test.
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        if self.armed && !std::thread::panicking() {
            panic!("the drop of an argument");
        }
    }
}

#[remote]
fn takes_a_grenade(grenade: Grenade) -> usize {
    grenade.filling.len()
}

#[remote]
fn shares_a_grenade(grenade: &Grenade) -> usize {
    grenade.filling.len()
}

#[remote]
fn gives_a_grenade(bytes: usize) -> Grenade {
    Grenade::armed(bytes)
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_panic_in_the_drop_of_an_argument_fails_its_task(cluster: &Cluster) {
    let grenade = Grenade::armed(3);
    let panicked = |result: Result<usize, TaskError>| {
        let error = result.expect_err("the drop panics");
        let TaskError::Panicked { site, message } = &error else { panic!("{error}") };
        assert!(message.starts_with("the drop of an argument"), "{message}");
        assert!(site.rank.is_some());
    };
    panicked(cluster.submit(takes_a_grenade::call(&grenade)).get());
    let shared = cluster.value(&grenade);
    panicked(cluster.submit(takes_a_grenade::call(&shared)).get());
    panicked(cluster.submit(shares_a_grenade::call(&grenade)).get());
    // The output is dropped on the worker, too, once it is encoded.
    panicked(cluster.submit(gives_a_grenade::call(3)).get().map(|grenade| {
        grenade.disarm();
        0
    }));
    grenade.disarm();
    all_workers_work(cluster);
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_panic_in_the_drop_of_a_shared_value_harms_nobody_else(cluster: &Cluster) {
    for bytes in [3, 100_000] {
        let grenade = Grenade::armed(bytes);
        for _ in 0..3 {
            let shared = cluster.value(&grenade);
            let handles: Vec<_> = (0..20).map(|_| cluster.submit(shares_a_grenade::call(&shared))).collect();
            drop(shared);
            for handle in handles {
                // The one that was the last to hold the value may have failed with it;
                // all others have theirs.
                match handle.get() {
                    Ok(length) => assert_eq!(length, bytes),
                    Err(error) => assert!(error.to_string().contains("the drop of an argument"), "{error}"),
                }
            }
            all_workers_work(cluster);
        }
        grenade.disarm();
    }
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_dependent_names_the_root_and_the_path_to_it(cluster: &Cluster) {
    let root = cluster.submit(says_no::call().label("root"));
    let mut last = cluster.submit(abs::call(0).after(&root).label("step 0"));
    for step in 1..50 {
        last = cluster.submit(abs::call(&last).label(format!("step {step}")));
        if step == 3 {
            let error = last.get().expect_err("the root failed");
            let TaskError::Upstream { path, .. } = &error else { panic!("{error}") };
            let names: Vec<_> = path.steps.iter().map(|step| step.split(" #").next().unwrap()).collect();
            assert_eq!(names, ["root", "step 0", "step 1", "step 2", "step 3"]);
            let text = error.to_string();
            for part in ["no, not today", "says_no", "root", "step 3", "rank"] {
                assert!(text.contains(part), "{part} is missing in {text}");
            }
        }
    }
    let error = last.get().expect_err("the root failed");
    let TaskError::Upstream { site, root: cause, path } = &error else { panic!("{error}") };
    assert_eq!(site.label.as_deref(), Some("step 49"));
    assert_eq!((path.steps.len(), path.omitted), (20, 31));
    assert_eq!(Err(&**cause), root.get().as_ref());
    assert_eq!(error.root(), &**cause);
    assert!(path.steps[0].starts_with("root #") && path.steps[19].starts_with("step 49 #"), "{path}");
    all_workers_work(cluster);
}

/// An input of a task that has failed already when the task is submitted.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_task_after_one_that_has_failed_already_ends_at_once(cluster: &Cluster) {
    let root = cluster.submit(panics_with_a_literal::call());
    assert!(root.get().is_err());
    let after = cluster.submit(abs::call(1).after(&root));
    assert!(matches!(after.get(), Err(TaskError::Upstream { .. })));
    let below = cluster.submit(abs::call(&after));
    assert!(matches!(below.get().map_err(|error| error.root().clone()), Err(TaskError::Panicked { .. })));
}

#[remote(collective)]
fn wide(group: &Group) -> usize {
    group.size()
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn what_can_never_run_is_refused_when_it_is_submitted(cluster: &Cluster) -> Outcome {
    let workers = cluster.workers();
    let reason = |handle: &Handle<_>| match handle.get() {
        Err(TaskError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let many = cluster.submit(wide::call().ranks(workers + 1));
    assert!(many.is_done());
    let expected = Refusal::TooManyRanks { wanted: workers as u32 + 1, workers: workers as u32 };
    assert_eq!(reason(&many), expected);
    assert!(cluster.submit(wide::call().ranks(usize::MAX)).is_done());
    let none = cluster.submit(wide::call().ranks(0));
    assert_eq!(reason(&none), Refusal::NoRanks);
    let narrow = cluster.submit(abs::call(1).ranks(2));
    assert!(matches!(narrow.get(), Err(TaskError::Refused { reason: Refusal::NotCollective { wanted: 2 }, .. })));
    let below = cluster.submit(abs::call(1).after(&many));
    assert!(below.is_done());
    let error = below.get().expect_err("what it needs was refused");
    let plural = if workers == 1 { "" } else { "s" };
    assert!(error.to_string().contains(&format!("the cluster has {workers} worker{plural};")), "{error}");

    let mut graph = Graph::new();
    let in_graph = graph.add(wide::call().ranks(workers + 1).label("too wide"));
    let error = cluster.run(&mut graph).expect_err("it can never run");
    assert!(matches!(error, RunError::Refused(_)), "{error}");
    assert!(error.to_string().contains("too wide"), "{error}");
    assert_eq!(reason(&in_graph), expected);

    assert_eq!(cluster.submit(abs::call(1).ranks(1)).get()?, 1);
    assert_eq!(cluster.submit(wide::call().ranks(workers)).get()?, workers);
    Ok(())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_shared_value_that_cannot_be_written_is_refused(cluster: &Cluster) {
    let value = cluster.value(&Unwritable);
    assert!(matches!(value.get(), Err(TaskError::Refused { reason: Refusal::Value(_), .. })));
    let mut graph = Graph::new();
    let value = graph.value(&Unwritable);
    let below = graph.add(takes_unwritable::call(1, &value));
    assert!(cluster.run(&mut graph).is_err());
    for error in [value.get().map(|_| ()), below.get().map(|_| ())] {
        assert!(matches!(error, Err(TaskError::Refused { .. })), "{error:?}");
    }
}
