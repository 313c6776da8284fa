//! What the controller decides in the first exchange of a run: whether all ranks fit
//! together, and what each is told. Who waits for it, and how long, is up to
//! `runtime/handshake.rs`.

use crate::codec::CodecError;
use crate::codec::frame::{Frame, Messages};
use crate::config::Settings;
use crate::function::fingerprint::Fingerprint;
use crate::id::Rank;
use crate::peers::Process;
use crate::wire::message::{Hello, PROTOCOL, ToController, ToWorker, Welcome};

/// The greetings of all ranks, as they come to the controller.
pub(crate) struct Greetings {
    here: Rank,
    /// What the controller would say of itself.
    own: Hello,
    /// By rank.
    hellos: Vec<Option<Hello>>,
    missing: usize,
}

/// What a rank says of itself.
pub(crate) fn hello(fingerprint: Fingerprint, host: String, process: Process) -> Hello {
    Hello { protocol: PROTOCOL, fingerprint, host, process }
}

impl Greetings {
    /// None yet, of so many ranks; `own` is what the controller would say.
    pub(crate) fn new(here: Rank, ranks: u32, own: Hello) -> Self {
        Self { here, own, hellos: vec![None; ranks as usize], missing: ranks as usize - 1 }
    }

    /// Takes a frame of a rank, which has to be its greeting.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn take(&mut self, from: Rank, frame: &Frame) -> Result<(), CodecError> {
        match Messages::of(frame).next()? {
            Some(ToController::Hello(hello)) if self.hellos[from.index()].is_none() => {
                self.hellos[from.index()] = Some(hello);
                self.missing -= 1;
                Ok(())
            }
            _ => Err(CodecError("it is no greeting".to_owned())),
        }
    }

    /// Whether all have greeted.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Who has not greeted.
    pub(crate) fn silent(&self) -> impl Iterator<Item = Rank> + '_ {
        self.others().filter(|rank| self.hellos[rank.index()].is_none())
    }

    /// Why the ranks do not fit together, if they do not.
    pub(crate) fn difference(&self) -> Option<String> {
        self.others().find_map(|rank| {
            let hello = self.hellos[rank.index()].as_ref()?;
            let text = if hello.protocol == self.own.protocol {
                self.own.fingerprint.difference(&hello.fingerprint)?
            } else {
                format!("protocol {} against {}", self.own.protocol, hello.protocol)
            };
            let here = self.here;
            Some(format!("{here} (host {}) and {rank} (host {}): {text}", self.own.host, hello.host))
        })
    }

    /// What each rank is told: the settings, and one rank of the controller's host what
    /// to watch; or why it is refused.
    pub(crate) fn answers(&self, settings: Settings, difference: Option<&str>) -> impl Iterator<Item = (Rank, Frame)> {
        let process = &self.own.process;
        let is_beside =
            |rank: &Rank| self.hellos[rank.index()].as_ref().is_some_and(|hello| hello.process.is_beside(process));
        let watcher = self.others().find(is_beside);
        self.others().map(move |rank| {
            let mut frame = Frame::default();
            frame.push(&match difference {
                Some(reason) => ToWorker::Refuse { reason },
                None => {
                    let controller_process = (watcher == Some(rank)).then(|| process.clone());
                    ToWorker::Welcome(Welcome { controller_process, settings })
                }
            });
            (rank, frame)
        })
    }

    /// What all have said, in the order of the ranks.
    pub(crate) fn into_hellos(self) -> Vec<(Rank, Hello)> {
        let Self { here, hellos, .. } = self;
        let ranks = (0..hellos.len() as u32).map(Rank);
        ranks.zip(hellos).filter(|(rank, _)| *rank != here).filter_map(|(rank, hello)| Some((rank, hello?))).collect()
    }

    /// All ranks but the controller.
    fn others(&self) -> impl Iterator<Item = Rank> + use<> {
        let here = self.here;
        (0..self.hellos.len() as u32).map(Rank).filter(move |rank| *rank != here)
    }
}
