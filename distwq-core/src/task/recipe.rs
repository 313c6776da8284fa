//! How a program says that the states of its slots are made and what becomes of them.
//! [`keeper`](super::keeper) does so.

use super::context::Context;
use crate::codec::{self, Payload, Portable};
use crate::config::{AnyRecipe, Config};
use std::any::{Any, type_name};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// What a state is made to in the end: its encoded value, or why there is none.
pub(crate) type Final = Result<Payload, String>;

/// What is called where a state is made anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Renewal {
    /// `finish`, of the old one.
    Finish,
    /// `init`, of the new one.
    Init,
}

type Init = dyn Fn(&Context) -> Result<Box<dyn Any>, String> + Send + Sync;
type Finish = dyn Fn(Box<dyn Any>) -> Final + Send + Sync;

/// How the states of slots are made and ended, without their types.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(super) init: Arc<Init>,
    pub(super) state: &'static str,
    pub(super) finish: Option<Arc<Finish>>,
    /// The type that `finish` gives.
    pub(crate) final_type: Option<&'static str>,
    /// After so many tasks a state is made anew.
    pub(super) lifespan: Option<NonZeroU64>,
}

impl Recipe {
    /// That of a configuration, if it makes states.
    pub(crate) fn of<S, F>(config: &Config<S, F>) -> Option<&Self> {
        let AnyRecipe(recipe) = config.recipe.as_ref()?;
        Some(recipe.downcast_ref().expect("recipes are made here"))
    }
}

impl Config {
    /// Gives each slot of each worker a state, which its tasks borrow by
    /// [`Context::state`]: a model that is loaded once, a connection, a cache. `init`
    /// makes it, before the first task and before the body begins, and is told where by
    /// the context: the task there is number 0, and its seed is that of the slot.
    ///
    /// A state is made, used and dropped on the thread of its slot, so it need be neither
    /// `Send` nor portable. Members of a collective task use that of slot 0 of their
    /// worker.
    ///
    /// If `init` panics anywhere, or exceeds the [limit](Self::init_limit), no task runs:
    /// each ends as [`TaskError::Init`](crate::TaskError::Init). The body goes on, and
    /// the run ends with an exit code that is not 0. An `init` that can fail with an
    /// error is given to [`try_init`](Self::try_init).
    ///
    /// # Panics
    /// If `init` gives a `Result`: that would be the state, and its error no failure.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn add(ctx: &Context, x: u64) -> u64 {
    ///     let mut total = ctx.state::<u64>();
    ///     *total += x;
    ///     *total
    /// }
    ///
    /// #[distwq::main(config = Config::new().workers(2).init(|_| 40_u64).finish(|total| total))]
    /// fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    ///     assert_eq!(cluster.submit(add::call(2)).get()?, 42);
    ///     let totals: Vec<u64> = cluster.finish()?;
    ///     assert_eq!(totals.iter().sum::<u64>(), 82);
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn init<S: 'static>(self, init: impl Fn(&Context) -> S + Send + Sync + 'static) -> Config<S> {
        let state = type_name::<S>();
        assert!(
            !state.starts_with("core::result::Result<"),
            "`Config::init` was given a function that returns a `{state}`, which would be the state of each slot: \
             write `try_init` for an `init` that can fail"
        );
        self.with_init(move |context| Ok(init(context)))
    }

    /// The same for an `init` that can fail: its error is told as that of each task.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn words(ctx: &Context) -> usize {
    ///     ctx.state::<String>().split_whitespace().count()
    /// }
    ///
    /// # let path = std::env::temp_dir().join("distwq-doc-words");
    /// # std::fs::write(&path, "three short words").expect("it can be written");
    /// # distwq_run(path);
    /// # fn distwq_run(path: std::path::PathBuf) {
    /// let config = Config::new().workers(2).try_init(move |_| std::fs::read_to_string(&path));
    /// distwq::launch(config, |cluster| {
    ///     assert_eq!(cluster.submit(words::call()).get(), Ok(3));
    /// });
    /// # }
    /// ```
    pub fn try_init<S: 'static, E: fmt::Display>(
        self,
        init: impl Fn(&Context) -> Result<S, E> + Send + Sync + 'static,
    ) -> Config<S> {
        self.with_init(move |context| init(context).map_err(|error| format!("{error:#}")))
    }

    fn with_init<S: 'static>(self, init: impl Fn(&Context) -> Result<S, String> + Send + Sync + 'static) -> Config<S> {
        let init = move |context: &Context| init(context).map(|state| Box::new(state) as Box<dyn Any>);
        let recipe =
            Recipe { init: Arc::new(init), state: type_name::<S>(), finish: None, final_type: None, lifespan: None };
        self.with_recipe(Some(AnyRecipe(Arc::new(recipe))))
    }
}

impl<S: 'static> Config<S> {
    /// Makes something of each state in the end, on the thread of its slot. It is called
    /// when [`Cluster::finish`](crate::Cluster::finish) asks, which gives what it
    /// returns, or else when the run ends; and whenever a state is made anew.
    ///
    /// # Panics
    /// If there is no [`init`](Config::init) before.
    pub fn finish<F: Portable>(self, finish: impl Fn(S) -> F + Send + Sync + 'static) -> Config<S, F> {
        let finish = move |state: Box<dyn Any>| -> Final {
            let state = state.downcast::<S>().expect("the recipe has made it");
            codec::encode(&finish(*state)).map_err(|error| error.to_string())
        };
        self.with_changed(|recipe| {
            recipe.finish = Some(Arc::new(finish));
            recipe.final_type = Some(type_name::<F>());
        })
    }
}

impl<S: 'static, F> Config<S, F> {
    /// Ends a state after so many tasks, and makes it anew before the next one of its
    /// slot: for what grows with use, as libraries that leak do. The time that it takes
    /// is part of that task's.
    ///
    /// # Panics
    /// If it is 0, or if there is no [`init`](Config::init) before.
    pub fn state_lifespan(self, tasks: u64) -> Self {
        let lifespan = NonZeroU64::new(tasks).expect("a state lives for 1 task at least");
        self.with_changed(|recipe| recipe.lifespan = Some(lifespan))
    }

    fn with_changed<G>(self, change: impl FnOnce(&mut Recipe)) -> Config<S, G> {
        let recipe = Recipe::of(&self).expect("a config has an `init` before what is said of its states");
        let mut recipe = recipe.clone();
        change(&mut recipe);
        self.with_recipe(Some(AnyRecipe(Arc::new(recipe))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "write `try_init` for an `init` that can fail")]
    fn a_result_is_no_state() {
        let _ = Config::new().init(|_| Ok::<u8, String>(1));
    }

    #[test]
    #[should_panic(expected = "has an `init` before")]
    fn nothing_is_said_of_states_that_are_not_made() {
        let _ = Config::new().finish(|()| 1);
    }

    #[test]
    fn settings_and_the_recipe_are_kept_in_any_order() {
        let first = Config::new().init(|_| 1_u8).slots(3).finish(|state| state).state_lifespan(2).untyped();
        assert_eq!((first.slots, first.settings().has_states), (3, true));
        let recipe = Recipe::of(&first).expect("it is there");
        assert_eq!((recipe.final_type, recipe.lifespan), (Some("u8"), NonZeroU64::new(2)));
        assert!(!Config::new().settings().has_states);
    }
}
