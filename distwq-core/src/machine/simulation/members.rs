//! The members of groups in a simulated run: what executors do that run one.

use super::agenda::Happening;
use super::script::Step;
use super::worker::Doing;
use super::world::World;
use crate::function::remote::Failure;
use crate::machine::Ns;
use crate::machine::worker::Input;

impl World<'_> {
    /// A member does what it can: until it waits, computes or leaves.
    pub(super) fn go_on_in_group(&mut self, worker: usize, slot: usize) {
        let result = loop {
            match self.step(worker, slot) {
                Stepped::On => {}
                Stepped::Waits => {
                    self.deliver_of_worker(worker);
                    return self.after_worker(worker);
                }
                Stepped::Leaves(result) => break result,
            }
        };
        let Doing::Member { epoch, member, .. } = self.workers[worker].executors[slot].doing else {
            unreachable!("it is in a group");
        };
        let ended = self.ended_at(worker, slot);
        let left = result.as_ref().map(|_| ()).map_err(|_| ());
        let task = self.leaves((worker, slot), (epoch, member), ended, left);
        self.end(worker, slot, task, (result.err(), ended));
    }

    /// A member leaves its group, perhaps later than it may. Gives the task.
    pub(super) fn leaves(
        &mut self,
        (worker, slot): (usize, usize),
        (epoch, member): (u64, usize),
        ended: Ns,
        result: Result<(), ()>,
    ) -> usize {
        let (task, attempt) = (self.book.parties[&epoch].task, self.book.parties[&epoch].attempt);
        self.book.leaves(epoch, member, result);
        if self.is_late((worker, slot), (task, attempt), ended) {
            self.book.tasks[task].limits.overran.push(attempt);
        }
        task
    }

    /// A member takes one step.
    fn step(&mut self, worker: usize, slot: usize) -> Stepped {
        let now = self.agenda.now();
        let this = &mut self.workers[worker];
        let Doing::Member { epoch, member, step, waits } = &mut this.executors[slot].doing else {
            unreachable!("it is in a group");
        };
        let (epoch, member) = (*epoch, *member);
        let Some(next) = self.book.script(epoch).members[member].get(*step) else {
            return Stepped::Leaves(Ok(()));
        };
        *waits = false;
        let result = match next {
            Step::Compute(ns) => {
                let ends = now + ns;
                *step += 1;
                self.agenda.at(ends, Happening::Computed { worker, slot });
                return Stepped::Waits;
            }
            Step::Fail(failure) => return Stepped::Leaves(Err(failure.clone())),
            Step::Raw => {
                let entered = this.machine.enter_raw(epoch).map(|_| ());
                if entered.is_ok() {
                    self.book.uses_raw(epoch);
                }
                entered
            }
            Step::Send { to, key, content } => {
                this.machine.send_in_group(epoch, *to, *key, &content.encoded(), &mut this.out)
            }
            Step::Receive { from, key, content } => match this.machine.take_in_group(epoch, *from, *key) {
                Some(received) => received.map(|payload| {
                    let wanted = content.as_ref().map(super::content::Content::encoded);
                    assert!(wanted == Some(payload), "member {member} of epoch {epoch} receives what was sent");
                }),
                None => {
                    *waits = true;
                    let awaits = Input::Awaits { epoch, from: *from, key: *key };
                    this.machine.handle(this.clock.shows(now), awaits, &mut this.out);
                    return Stepped::Waits;
                }
            },
        };
        *step += 1;
        match result {
            Ok(()) => Stepped::On,
            Err(error) => {
                self.book.check_group_error(epoch, &error);
                // As a function does with `?`.
                Stepped::Leaves(Err(Failure::Returned(error.to_string())))
            }
        }
    }
}

/// What became of a step.
enum Stepped {
    /// The next one follows.
    On,
    /// Something has to happen first.
    Waits,
    /// The member has left.
    Leaves(Result<(), Failure>),
}
