//! Ends of a cluster that do not wait for all tasks, and what states are made to in the
//! end.

use crate::api::callbacks::Owner;
use crate::api::cluster::{Cluster, Finish};
use crate::codec::{self, Payload, Portable};
use crate::machine::controller::Awaited;
use crate::outcome::finish::FinishError;
use crate::panics;
use crate::runtime::{ControllerEngine, fault};
use crate::task::current;
use std::any::type_name;
use std::time::Instant;

/// Ends without waiting for all tasks.
impl Cluster {
    /// Cancels all tasks that have not ended, as
    /// [`Handle::cancel`](crate::Handle::cancel) does: those that wait end at once, and
    /// maps that have begun come to their ends. Does not wait. What is submitted
    /// afterwards runs.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn cancel_all(&self) {
        current::assert_outside("Cluster::cancel_all");
        self.inner().driver.with(ControllerEngine::cancel_all);
    }

    /// Whether SIGINT or SIGTERM has come. The first of them cancels all tasks, and all
    /// that are submitted later end as [`Cancelled`](crate::TaskError::Cancelled) at
    /// once; maps and batches come to their ends. The body goes on, to keep what there is
    /// and to return. One that goes round until something is found asks here. Never
    /// waits; allowed anywhere, also within a task.
    ///
    /// With [`Config::handle_signals`](crate::Config::handle_signals) off it stays false.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn improved(guess: f64) -> f64 {
    ///     (guess + 2.0 / guess) / 2.0
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let mut guess = 1.0_f64;
    ///     while (guess * guess - 2.0).abs() > 1e-12 {
    ///         match cluster.submit(improved::call(guess)).get() {
    ///             Ok(better) => guess = better,
    ///             Err(_) if cluster.is_interrupted() => break, // with what there is
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     println!("the root is about {guess}");
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.inner().driver.with(|engine| engine.machine().is_interrupted())
    }

    /// Takes no tasks from here on, [cancels](Self::cancel_all) those that have not
    /// ended, and waits for those that run and for callbacks: until they have ended, or
    /// for as long as the [grace](crate::Config::shutdown_grace). Any further call
    /// returns at once.
    ///
    /// Tasks that have not ended by then, or run on past their limits, are left behind:
    /// standard error tells which run where. The handles of those that have not ended
    /// give [`TaskError::Closed`](crate::TaskError::Closed), and so do values that lie on
    /// workers and were not asked for before. When the body has returned, the program
    /// ends with the exit code that the body gives it, and does not wait for these tasks;
    /// over MPI their ranks are ended.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn shutdown_now(&self) {
        current::assert_outside("Cluster::shutdown_now");
        let driver = &self.inner().driver;
        driver.with(ControllerEngine::begin_closing_now);
        let grace = self.inner().grace();
        let deadline = Instant::now() + grace;
        let has_drained = self.inner().drain(Some(deadline));
        // What runs on past its limit has ended, and keeps its worker all the same.
        let has_returned = driver.wait_until(Awaited::Drained, Some(deadline), |engine| {
            let machine = engine.machine();
            (machine.is_over() || !machine.is_running()).then_some(())
        });
        if has_drained && has_returned.is_some() {
            return;
        }
        if let Some(tasks) = driver.with(ControllerEngine::leave_behind) {
            driver.wake_all();
            let grace_ms = grace.as_millis();
            fault::say(&format!(
                "cancelled tasks have not ended within the shutdown grace of {grace_ms} ms and are left behind: {tasks}"
            ));
        } else {
            self.inner().leave_callbacks(grace);
        }
    }

    /// [Shuts down](Self::shutdown), ends the states of all slots, and gives what
    /// [`Config::finish`](crate::Config::finish) has made of them, in the order of the
    /// workers and of their slots; of states that were made anew, also of those before.
    /// Asked again, it gives the same.
    ///
    /// # Errors
    /// [`FinishError`] if the config has no `finish` or one of another type, if `finish`
    /// has panicked anywhere or exceeds the [limit](crate::Config::finish_limit), or if
    /// there are no states because `init` has failed.
    ///
    /// # Panics
    /// Within a task of this process.
    #[track_caller]
    pub fn finish<F: Portable>(&self) -> Result<Vec<F>, FinishError> {
        current::assert_outside("Cluster::finish");
        let Finish { limit, final_type } = self.inner().finish;
        let (wanted, made) = (type_name::<F>(), final_type.ok_or(FinishError::NoFinish)?);
        if made != wanted {
            return Err(FinishError::OtherType { wanted, made });
        }
        self.shutdown();
        let driver = &self.inner().driver;
        driver.with(ControllerEngine::ask_finals);
        let deadline = Instant::now() + limit;
        let finals = driver.wait_until(Awaited::States, Some(deadline), |engine| engine.machine().finals());
        let finals = finals.unwrap_or_else(|| {
            let sites = driver.with(|engine| engine.machine().unfinished());
            Err(FinishError::Limit { sites, limit_ms: limit.as_millis() })
        })?;
        let decode = |value: &Payload| panics::caught_error("its `Deserialize`", || codec::decode(value.as_slice()));
        finals.iter().map(|value| decode(value).map_err(|message| FinishError::Decode { message })).collect()
    }
}

/// Ends without waiting for anything.
impl Cluster {
    /// Ends all ranks at once with this exit code, whatever they run, and says so on
    /// standard error. Nothing is dropped, and what was written to a buffer may be lost:
    /// [`shutdown_now`](Self::shutdown_now) ends a run in order. Allowed anywhere.
    ///
    /// Over MPI it is `MPI_Abort`, and launchers give the code, or one of their own. On
    /// the local backend this process ends.
    pub fn abort(&self, code: i32) -> ! {
        fault::abort(code, &format!("it was aborted with {code}"))
    }
}
