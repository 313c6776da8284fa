//! The first exchange of a run: every worker says what it is, the controller says what
//! holds for all, or refuses. Bounded in time on both sides.

use crate::codec::CodecError;
use crate::codec::frame::{Frame, Messages};
use crate::config::Settings;
use crate::function::fingerprint::Fingerprint;
use crate::id::Rank;
use crate::machine::handshake::{Greetings, hello};
use crate::peers::Process;
use crate::runtime::fault;
use crate::transport::Transport;
use crate::wire::message::{Hello, ToController, ToWorker, Welcome};
use std::thread;
use std::time::{Duration, Instant};

/// Why the ranks did not come together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Two ranks run different programs.
    #[error("the ranks run different programs: {0}")]
    Different(String),
    /// The controller has refused this rank. The launcher may end the others before they
    /// have said anything, so each says it all.
    #[error("{rank} was refused, the ranks run different programs: {reason}")]
    Refused { rank: Rank, reason: String },
    /// Ranks have not reported in time.
    #[error("no word from {} within {limit_ms} ms: is every rank a distwq program that reaches its launch?", .who.join(", "))]
    Silent { who: Vec<String>, limit_ms: u128 },
    /// A frame that cannot be read.
    #[error("a frame from {from} cannot be read: {error}")]
    Unreadable { from: Rank, error: CodecError },
}

const LOOK: Duration = Duration::from_micros(100);

/// The next frame, waiting for it until `deadline`.
fn receive(transport: &mut dyn Transport, deadline: Instant) -> Option<(Rank, Frame)> {
    let bell = transport.bell();
    let mut listener = bell.listen();
    loop {
        transport.progress();
        if let Some(received) = transport.receive() {
            return Some(received);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::yield_now();
        listener.sleep(LOOK);
    }
}

/// The controller's side: waits for all other ranks, and gives them with what they said,
/// in the order of the ranks.
pub(crate) fn gather(
    transport: &mut dyn Transport,
    own: &Fingerprint,
    settings: Settings,
    limit: Duration,
) -> Result<Vec<(Rank, Hello)>, HandshakeError> {
    let deadline = Instant::now() + limit;
    let here = hello(own.clone(), fault::host(), Process::own());
    let mut greetings = Greetings::new(transport.rank(), transport.ranks(), here);
    while !greetings.is_complete() {
        let Some((from, frame)) = receive(transport, deadline) else {
            let who = greetings.silent().map(|rank| rank.to_string()).collect();
            return Err(HandshakeError::Silent { who, limit_ms: limit.as_millis() });
        };
        greetings.take(from, &frame).map_err(|error| HandshakeError::Unreadable { from, error })?;
    }
    let difference = greetings.difference();
    for (rank, frame) in greetings.answers(settings, difference.as_deref()) {
        transport.send(rank, frame);
    }
    if let Some(reason) = difference {
        settle(transport, deadline);
        return Err(HandshakeError::Different(reason));
    }
    Ok(greetings.into_hellos())
}

/// A worker's side: says what it is, and waits to be welcome.
pub(crate) fn report(
    transport: &mut dyn Transport,
    controller: Rank,
    fingerprint: Fingerprint,
    limit: Duration,
) -> Result<Welcome, HandshakeError> {
    let deadline = Instant::now() + limit;
    let mut frame = Frame::default();
    frame.push(&ToController::Hello(hello(fingerprint, fault::host(), Process::own())));
    transport.send(controller, frame);
    let Some((from, frame)) = receive(transport, deadline) else {
        let who = vec![format!("the controller, {controller}")];
        return Err(HandshakeError::Silent { who, limit_ms: limit.as_millis() });
    };
    let message = Messages::of(&frame).next();
    match message.map_err(|error| HandshakeError::Unreadable { from, error })? {
        Some(ToWorker::Welcome(welcome)) => Ok(welcome),
        Some(ToWorker::Refuse { reason }) => {
            let error = HandshakeError::Refused { rank: transport.rank(), reason: reason.to_owned() };
            settle(transport, deadline);
            Err(error)
        }
        _ => Err(HandshakeError::Unreadable { from, error: CodecError("it is no answer".to_owned()) }),
    }
}

/// Lets what was said go out, and joins the others in leaving.
fn settle(transport: &mut dyn Transport, deadline: Instant) {
    while Instant::now() < deadline && !transport.close() {
        transport.progress();
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::function::registry::Registry;
    use crate::transport::Network;

    fn settings() -> Settings {
        Config::new().inline_bytes_max(1).settings()
    }

    fn own() -> Fingerprint {
        Fingerprint::of(Registry::get().expect("keys differ"))
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn ranks_of_one_program_get_the_settings_of_the_controller() {
        let mut ends = Network::ends(2);
        let mut worker = ends.pop().expect("two ends");
        let thread = thread::spawn(move || report(&mut worker, Rank(0), own(), LIMIT));
        let gathered = gather(&mut ends[0], &own(), settings(), LIMIT).expect("they fit");
        assert_eq!(gathered, [(Rank(1), hello(own(), fault::host(), Process::own()))]);
        assert_eq!(thread.join().expect("no panic"), Ok(Welcome { settings: settings(), controller_process: None }));
    }

    #[test]
    fn a_different_program_is_refused_on_both_sides_with_the_difference() {
        let mut ends = Network::ends(2);
        let mut worker = ends.pop().expect("two ends");
        let thread = thread::spawn(move || report(&mut worker, Rank(0), own().altered(), LIMIT));
        let error = gather(&mut ends[0], &own(), settings(), LIMIT).expect_err("they differ");
        assert!(error.to_string().contains("executables of different content"), "{error}");
        let error = thread.join().expect("no panic").expect_err("it is refused");
        assert!(error.to_string().contains("executables of different content"), "{error}");
    }

    #[test]
    fn who_stays_silent_is_named_within_the_limit() {
        let mut ends = Network::ends(3);
        let limit = Duration::from_millis(20);
        let error = gather(&mut ends[0], &own(), settings(), limit).expect_err("nobody reports");
        assert!(error.to_string().contains("rank 1, rank 2"), "{error}");
        assert!(report(&mut ends[1], Rank(0), own(), limit).is_err());
    }
}
