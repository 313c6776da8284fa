//! What a subscriber of `tracing` is told: the spans in which attempts run, and the
//! events of a run.

use distwq::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{self, Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_core::span::Current;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What was told with an event or a span, by the names of the fields. The text of an
/// event is its field `message`.
type Fields = BTreeMap<String, String>;

/// Keeps all that a process is told.
struct Recorder;

static SPANS: Mutex<Vec<(&'static Metadata<'static>, Fields)>> = Mutex::new(Vec::new());
static EVENTS: Mutex<Vec<Told>> = Mutex::new(Vec::new());

/// The label of tasks of which the recorder takes an event to ask for the handle in
/// [`ASKED`], and to panic.
const ASKING: &str = "asking";
static ASKED: Mutex<Option<Handle<Fields>>> = Mutex::new(None);

/// The label of tasks of which the recorder takes an event to wait for the handle in
/// [`AWAITED`].
const WAITING: &str = "waiting";
static AWAITED: Mutex<Option<Handle<()>>> = Mutex::new(None);

thread_local! {
    /// The spans that the thread is in.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// An event, and the innermost span in which it was emitted.
#[derive(Clone, Debug)]
struct Told {
    target: String,
    fields: Fields,
    span: Option<(&'static Metadata<'static>, Fields)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Texts(Fields);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut texts = Texts(Fields::new());
        attributes.record(&mut texts);
        let mut spans = locked(&SPANS);
        spans.push((attributes.metadata(), texts.0));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut texts = Texts(Fields::new());
        event.record(&mut texts);
        let inner = ENTERED.with_borrow(|entered| entered.last().cloned());
        let span = inner.map(|id| locked(&SPANS)[id.into_u64() as usize - 1].clone());
        let is_asking = is_of(&texts.0, ASKING);
        if is_asking && let Some(handle) = &*locked(&ASKED) {
            // Takes the lock of the engine, and a turn; the answer does not matter.
            let _ = handle.is_done();
        }
        if is_of(&texts.0, WAITING) {
            let awaited = locked(&AWAITED).take();
            awaited.map(|handle| handle.get()).transpose().expect("it ends");
        }
        locked(&EVENTS).push(Told { target: event.metadata().target().to_owned(), fields: texts.0, span });
        assert!(!is_asking, "this subscriber panics");
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.clone()));
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }

    fn current_span(&self) -> Current {
        ENTERED.with_borrow(|entered| match entered.last() {
            Some(id) => Current::new(id.clone(), locked(&SPANS)[id.into_u64() as usize - 1].0),
            None => Current::none(),
        })
    }
}

/// This process records from here on.
fn record() {
    // Of several tests in one process, and of several workers, one sets it.
    let _ = tracing::subscriber::set_global_default(Recorder);
}

/// All that was told with these words.
fn told(message: &str) -> Vec<Told> {
    locked(&EVENTS)
        .iter()
        .filter(|told| told.fields.get("message").is_some_and(|text| text == message))
        .cloned()
        .collect()
}

/// The events of the library with these words that are meant, once there are so many:
/// whoever takes a turn tells of it when others may go on already.
#[track_caller]
fn until_told(count: usize, message: &str, is_meant: impl Fn(&Fields) -> bool) -> Vec<Fields> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let of_the_library = told(message).into_iter().filter(|told| told.target == "distwq" && told.span.is_none());
        let meant: Vec<_> = of_the_library.map(|told| told.fields).filter(&is_meant).collect();
        if meant.len() >= count {
            return meant;
        }
        assert!(Instant::now() < deadline, "{message:?} was told {} times, not {count}", meant.len());
        thread::yield_now();
    }
}

/// Whether it is about a task of this label.
fn is_of(fields: &Fields, label: &str) -> bool {
    fields.get("label").is_some_and(|own| own == label)
}

/// The fields of the span in which a user's line of these words was emitted last.
fn span_of(words: &str) -> Result<Fields, String> {
    let events = told(words);
    let Some(Told { span: Some((metadata, fields)), .. }) = events.last() else { return Err(format!("{events:?}")) };
    assert_eq!((metadata.name(), metadata.target(), *metadata.level()), ("distwq_task", "distwq", Level::INFO));
    Ok(fields.clone())
}

#[remote(collective)]
fn records(group: &Group) -> Result<(), GroupError> {
    record();
    group.barrier()
}

/// Emits a line, and gives the fields of the span that it was emitted in.
#[remote]
fn says(words: String) -> Result<Fields, String> {
    tracing::info!("{words}");
    span_of(&words)
}

/// The same at the second attempt.
#[remote]
fn says_at_last(words: String) -> Result<Fields, String> {
    tracing::info!("{words}");
    let fields = span_of(&words)?;
    if fields["attempt"] == "1" { Err("not yet".to_owned()) } else { Ok(fields) }
}

/// Each member says something; the first one gives its fields.
#[cfg(feature = "mpi")]
#[remote(collective)]
fn says_in_raw_mpi(group: &Group, words: String) -> Result<Fields, String> {
    let words = format!("{words} {}", group.rank());
    let said = words.clone();
    group.with_mpi(move |_| tracing::info!("{said}")).map_err(|error| error.to_string())?;
    span_of(&words)
}

/// Fails at its first attempt in the middle of an operation.
#[remote(collective)]
fn breaks_at_first(group: &Group, words: String) -> Result<usize, String> {
    let words = format!("{words} {:?}", thread::current().id());
    tracing::info!("{words}");
    let attempts = told(&words).len();
    if attempts == 1 && group.rank() == 0 {
        return Err("the first member breaks it".to_owned());
    }
    group.all_reduce(1, |a, b| a + b).map_err(|error| error.to_string())
}

/// Waits for a message that nobody sends.
#[remote(collective)]
fn waits_for_the_other(group: &Group) -> Result<usize, GroupError> {
    group.recv(1 - group.rank())
}

#[distwq::test(ranks = [2, 3])]
fn a_line_within_a_task_carries_the_task_and_its_attempt(cluster: &Cluster) -> Outcome {
    let workers = cluster.workers();
    cluster.submit(records::call().ranks(workers)).get()?;
    let handles: Vec<_> =
        (0..20).map(|number| cluster.submit(says::call(format!("line {number} of {workers}")))).collect();
    for handle in handles {
        let (fields, info) = (handle.get()?, handle.info());
        assert_eq!(fields["task"], info.id.to_string());
        assert!(fields["function"].ends_with("says"), "{fields:?}");
        assert_eq!((fields.get("label"), &*fields["attempt"]), (None, "1"));
        assert_eq!(fields["rank"], info.ranks[0].0.to_string());
    }
    let words = format!("a label and a second attempt of {workers}");
    let fields = cluster.submit(says_at_last::call(words).label("at last").retries(1)).get()?;
    assert_eq!((&*fields["label"], &*fields["attempt"]), ("at last", "2"));
    assert!(fields["function"].ends_with("says_at_last"), "{fields:?}");
    Ok(())
}

#[cfg(feature = "mpi")]
#[distwq::test(ranks = [3])]
fn a_line_in_raw_mpi_carries_the_task_too(cluster: &Cluster) -> Outcome {
    if !["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(());
    }
    cluster.submit(records::call().ranks(2)).get()?;
    let handle = cluster.submit(says_in_raw_mpi::call("from the main thread".to_owned()).ranks(2).label("raw"));
    let fields = handle.get()?;
    assert_eq!((&*fields["label"], &*fields["task"]), ("raw", &*handle.info().id.to_string()));
    Ok(())
}

#[distwq::test(ranks = [3])]
fn retries_and_groups_are_told_where_the_body_runs(cluster: &Cluster) -> Outcome {
    record();
    cluster.submit(records::call().ranks(2)).get()?;
    let process = std::process::id();
    let (once, group) = (format!("once {process}"), format!("group {process}"));
    cluster.submit(says_at_last::call(once.clone()).label(once.clone()).retries(1)).get()?;
    let retries = until_told(1, "attempt failed, retrying", |fields| is_of(fields, &once));
    assert_eq!((&*retries[0]["attempt"], &*retries[0]["error"]), ("1", "not yet"));
    assert!(retries[0]["function"].ends_with("says_at_last"), "{retries:?}");

    cluster.submit(breaks_at_first::call(group.clone()).label(group.clone()).ranks(2).retries(1)).get()?;
    until_told(1, "attempt failed, retrying", |fields| is_of(fields, &group));
    let begun = until_told(2, "group began", |fields| is_of(fields, &group));
    for (attempt, begun) in (1..).zip(begun) {
        assert_eq!((&*begun["attempt"], &*begun["members"]), (&*attempt.to_string(), "[1, 2]"));
        let is_of_epoch = |fields: &Fields| fields["epoch"] == begun["epoch"];
        until_told(1, "group entered", is_of_epoch);
        let left = until_told(1, "group left", is_of_epoch);
        let broken = "the first member breaks it".to_owned();
        assert_eq!(left[0].get("error"), (attempt == 1).then_some(&broken));
        if attempt == 1 {
            // Of the first member itself, or of the one that heard of it.
            let failed = until_told(1, "group failed", is_of_epoch);
            assert!(failed[0]["error"].contains(&broken), "{failed:?}");
        }
    }
    cluster.submit(waits_for_the_other::call().ranks(2)).get().expect_err("nobody sends");
    until_told(1, "group deadlocked", |_| true);
    Ok(())
}

#[distwq::test(ranks = [3])]
fn a_subscriber_may_use_the_cluster_and_may_panic(cluster: &Cluster) -> Outcome {
    record();
    cluster.submit(records::call().ranks(2)).get()?;
    *locked(&ASKED) = Some(cluster.submit(says::call("asked for by the subscriber".to_owned())));
    let group = cluster.submit(breaks_at_first::call("of the panic".to_owned()).label(ASKING).ranks(2).retries(1));
    assert_eq!(group.get()?, 2);
    until_told(2, "group began", |fields| is_of(fields, ASKING));
    until_told(1, "attempt failed, retrying", |fields| is_of(fields, ASKING));
    *locked(&ASKED) = None;
    Ok(())
}

/// Lets some time pass in which other tasks begin and end.
#[remote]
fn takes_a_while() {
    thread::sleep(Duration::from_millis(300));
}

#[distwq::test(ranks = [3], workers = 2)]
fn a_subscriber_may_wait_for_a_task_while_others_go_on(cluster: &Cluster) -> Outcome {
    record();
    cluster.submit(records::call().ranks(2)).get()?;
    let slow = cluster.submit(takes_a_while::call());
    *locked(&AWAITED) = Some(slow.clone());
    let words = format!("awaited {}", std::process::id());
    let retried = cluster.submit(says_at_last::call(words).label(WAITING).retries(1));
    assert_eq!(&*retried.get()?["attempt"], "2");
    until_told(1, "attempt failed, retrying", |fields| is_of(fields, WAITING));
    assert!(slow.is_done(), "the event is noted when the subscriber has waited");
    Ok(())
}

#[test]
fn the_life_of_a_run_is_told_from_its_start_to_why_it_ended() {
    record();
    let body = |cluster: &Cluster| -> Result<(), String> {
        cluster.submit(says::call("before the end".to_owned())).get().map_err(|error| error.to_string())?;
        let refused = cluster.submit(says::call(String::new()).ranks(100).label("too wide"));
        refused.get().expect_err("there are no 100 workers");
        cluster.shutdown();
        Err("the body of this run has had enough".to_owned())
    };
    distwq_core::launch::run_local(Config::new().workers(2), body).expect_err("its body fails");
    until_told(1, "run starts", |fields| {
        let texts = ["backend", "ranks", "workers", "slots"].map(|name| &*fields[name]);
        texts == ["local", "3", "2", "1"]
    });
    until_told(1, "handshake done", |fields| fields["workers"] == "2");
    until_told(1, "refused", |fields| fields["what"] == "too wide" && fields["error"].contains("100"));
    until_told(1, "closing", |fields| fields["pending"] == "0");
    let ends = until_told(1, "run ends", |fields| fields["why"] == "the body of this run has had enough");
    let counts = ["has_failed", "submitted", "done", "failed", "cancelled"].map(|name| &*ends[0][name]);
    assert_eq!(counts, ["true", "1", "1", "0", "0"]);
}
