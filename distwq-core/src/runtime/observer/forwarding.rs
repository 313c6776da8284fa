//! The lines that tasks log, on their way to the controller: a subscriber for the threads
//! of executors, in front of the one that the process has.

use crate::config::LogLevel;
use crate::task::current;
use crate::task::lines::{Line, Lines};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_core::span::Current;

/// While it is there, lines of tasks that the calling thread runs are forwarded.
pub(crate) struct Forwarded {
    _guard: DefaultGuard,
}

/// Forwards the lines of tasks that the calling thread runs, from this level on. The
/// subscriber that the thread has had goes on to be told.
pub(crate) fn forward(lines: Arc<Lines>, level: LogLevel) -> Forwarded {
    let inner = dispatcher::get_default(Clone::clone);
    let guard = dispatcher::set_default(&Dispatch::new(Forwarding { inner, lines, level: filter(level) }));
    Forwarded { _guard: guard }
}

/// What the calling thread tells its lines and spans to, for another one to tell them to
/// while it does something for it.
#[cfg(feature = "mpi")]
pub(crate) struct Subscribed {
    dispatch: Dispatch,
    span: tracing::Span,
}

#[cfg(feature = "mpi")]
impl Subscribed {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        Self { dispatch: dispatcher::get_default(Clone::clone), span: tracing::Span::current() }
    }

    /// Runs `code` as if on that thread.
    pub(crate) fn run<R>(&self, code: impl FnOnce() -> R) -> R {
        dispatcher::with_default(&self.dispatch, || {
            let _span = self.span.enter();
            code()
        })
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// Keeps the events of tasks, and passes all on.
struct Forwarding {
    inner: Dispatch,
    lines: Arc<Lines>,
    level: LevelFilter,
}

impl Forwarding {
    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn keep(&self, event: &Event<'_>) {
        let Some((task, function)) = current::numbered() else { return };
        let description = current::description();
        let mut text = Text::default();
        event.record(&mut text);
        self.lines.add(Line {
            task,
            function: function.to_owned(),
            label: description.label().map(str::to_owned),
            attempt: description.attempt(),
            level: level_of(*event.metadata().level()),
            target: event.metadata().target().to_owned(),
            text: text.joined(),
        });
    }
}

impl Subscriber for Forwarding {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let inner = self.inner.register_callsite(metadata);
        if self.is_wanted(metadata) && !inner.is_always() { Interest::sometimes() } else { inner }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_wanted(metadata) && current::task().is_some() || self.inner.enabled(metadata)
    }

    /// The one behind has told its own.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        if self.is_wanted(event.metadata()) {
            self.keep(event);
        }
        if self.inner.enabled(event.metadata()) {
            self.inner.event(event);
        }
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.inner.new_span(attributes)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.inner.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.inner.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.inner.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.inner.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.inner.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.inner.try_close(span)
    }

    fn current_span(&self) -> Current {
        self.inner.current_span()
    }
}

/// The fields of an event as one text: the message, then each other one with its name.
#[derive(Default)]
struct Text {
    message: String,
    others: String,
}

impl Text {
    fn joined(mut self) -> String {
        self.message.push_str(if self.message.is_empty() { self.others.trim_start() } else { &self.others });
        self.message
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // To write into a text does not fail.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            name => write!(self.others, " {name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.add(field, format_args!("{value}")),
            _ => self.add(field, format_args!("{value:?}")),
        }
    }
}
