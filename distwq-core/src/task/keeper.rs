//! The life of the state of a slot, on the thread of its executor: makes it, counts the
//! tasks that use it, ends it. What users' code panics with is contained.

use super::context::{Context, SlotSite};
use super::recipe::{Final, Recipe, Renewal};
use crate::panics;
use std::rc::Rc;
use std::time::Instant;

/// Who makes the state of a slot and lets it go.
pub(crate) struct Keeper {
    recipe: Recipe,
    site: Rc<SlotSite>,
    /// Tasks that have been given this state.
    used: u64,
    /// What the states so far were made to in their ends.
    finals: Vec<Final>,
    /// Why there is no state.
    failure: Option<String>,
    /// The same, while nobody has been told of it.
    news: Option<String>,
    /// How long it took to make the state anew, while nobody has asked for that.
    renewed_ns: u64,
    /// Is told what is called next where the state is made anew, and when that is over.
    watch: Box<dyn Fn(Option<Renewal>)>,
}

impl Keeper {
    /// `watch` is told what is called next where the state is made anew, and when that is
    /// over.
    pub(crate) fn new(recipe: Recipe, site: Rc<SlotSite>, watch: impl Fn(Option<Renewal>) + 'static) -> Self {
        let watch = Box::new(watch);
        Self { recipe, site, used: 0, finals: Vec::new(), failure: None, news: None, renewed_ns: 0, watch }
    }

    /// Makes the state.
    ///
    /// # Errors
    /// Why that failed, in words.
    pub(crate) fn init(&mut self) -> Result<(), String> {
        let context = Context::of_init(Rc::clone(&self.site));
        let made = panics::caught_error("init", || (self.recipe.init)(&context));
        let kept = made.and_then(|state| self.site.state.put(state, self.recipe.state));
        self.used = 0;
        kept.inspect_err(|failure| self.failure = Some(failure.clone()))
    }

    /// Before a task: makes the state anew if that is due.
    ///
    /// # Errors
    /// Why there is no state.
    pub(crate) fn prepare(&mut self) -> Result<(), String> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.site.state.task_begins();
        let is_old = self.recipe.lifespan.is_some_and(|tasks| self.used >= tasks.get());
        if self.site.reset.take() || is_old {
            let begun = Instant::now();
            (self.watch)(Some(Renewal::Finish));
            self.end();
            (self.watch)(Some(Renewal::Init));
            let made = self.init();
            (self.watch)(None);
            self.renewed_ns += begun.elapsed().as_nanos() as u64;
            if let Err(failure) = made {
                self.news = Some(failure.clone());
                return Err(failure);
            }
        }
        self.used += 1;
        Ok(())
    }

    /// Why a state could not be made anew, once.
    pub(crate) fn take_news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// How long it took to make the state anew before the last task; nothing as a rule.
    pub(crate) fn take_renewed_ns(&mut self) -> u64 {
        std::mem::take(&mut self.renewed_ns)
    }

    /// Ends the state, if there is one.
    fn end(&mut self) {
        match (self.site.state.take(), &self.recipe.finish) {
            (Ok(Some(state)), Some(finish)) => self.finals.push(panics::caught_error("finish", || finish(state))),
            (Ok(Some(state)), None) => panics::discarded(move || drop(state)),
            (Err(leaked), Some(_)) => self.finals.push(Err(leaked)),
            (Ok(None), _) | (Err(_), None) => {}
        }
    }

    /// Ends the state; gives what it and those before it were made to.
    pub(crate) fn finish(&mut self) -> Vec<Final> {
        self.end();
        std::mem::take(&mut self.finals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::config::Config;
    use crate::id::{Rank, Slot};
    use crate::task::state::StateError;

    fn keeper_of<S, F>(config: &Config<S, F>) -> (Keeper, Rc<SlotSite>) {
        let site = Rc::new(SlotSite::new((3, Rank(4), "host".to_owned()), Slot(1), 7));
        let recipe = Recipe::of(config).expect("there is an `init`").clone();
        (Keeper::new(recipe, Rc::clone(&site), |_| {}), site)
    }

    fn values(finals: Vec<Final>) -> Vec<u64> {
        let decoded = finals.into_iter().map(|value| codec::decode(value.expect("a value").as_slice()));
        decoded.map(|value| value.expect("it decodes")).collect()
    }

    #[test]
    fn a_state_is_made_anew_after_its_lifespan_and_when_asked_for() {
        let config = Config::new().init(|ctx| ctx.worker() as u64 * 100).finish(|state| state).state_lifespan(2);
        let (mut keeper, site) = keeper_of(&config);
        keeper.init().expect("it does not fail");
        for task in 0..5 {
            keeper.prepare().expect("it does not fail");
            let mut state = site.state.lend::<u64>().expect("nobody has it");
            *state += 1;
            site.reset.set(task == 2);
        }
        assert_eq!(values(keeper.finish()), [302, 301, 302]);
        assert!(values(keeper.finish()).is_empty());
        assert_eq!(site.state.lend::<u64>().err(), Some(StateError::Missing { wanted: "u64" }));
    }

    #[test]
    fn what_is_lent_is_not_lent_again_nor_as_another_type() {
        let config = Config::new().init(|_| 5_u8);
        let (mut keeper, site) = keeper_of(&config);
        keeper.init().expect("it does not fail");
        assert_eq!(site.state.lend::<u16>().err(), Some(StateError::OtherType { wanted: "u16", found: "u8" }));
        let first = site.state.lend::<u8>();
        assert_eq!(site.state.lend::<u8>().err(), Some(StateError::Borrowed { wanted: "u8" }));
        drop(first);
        assert_eq!(site.state.lend::<u8>().map(|state| *state), Ok(5));
    }

    #[test]
    fn a_state_whose_guard_was_leaked_is_told_to_the_next_task_and_in_the_end() {
        let config = Config::new().init(|_| 5_u8).finish(|state| state);
        let (mut keeper, site) = keeper_of(&config);
        keeper.init().expect("it does not fail");
        keeper.prepare().expect("it does not fail");
        std::mem::forget(site.state.lend::<u8>());
        assert_eq!(site.state.lend::<u8>().err(), Some(StateError::Borrowed { wanted: "u8" }));
        keeper.prepare().expect("nobody has to make one");
        assert_eq!(site.state.lend::<u8>().err(), Some(StateError::Leaked { wanted: "u8" }), "to the next task");
        let finals = keeper.finish();
        assert!(matches!(&*finals, [Err(text)] if text.contains("has leaked the guard")), "{finals:?}");
    }

    #[test]
    fn panics_of_init_and_finish_are_told() {
        let config = Config::new().init(|_| -> u8 { panic!("no model") });
        let (mut keeper, _) = keeper_of(&config);
        let text = keeper.init().expect_err("it panics");
        assert!(text.starts_with("init panicked: no model (at "), "{text}");
        assert_eq!((keeper.prepare(), keeper.take_news()), (Err(text), None));

        let (mut keeper, _) = keeper_of(&Config::new().try_init(|_| Err::<u8, _>("no file")));
        assert_eq!(keeper.init(), Err("no file".to_owned()));

        let config = Config::new().init(|_| 1_u8).finish(|_| -> u8 { panic!("no sum") });
        let (mut keeper, _) = keeper_of(&config);
        keeper.init().expect("it does not fail");
        let finals = keeper.finish();
        assert!(matches!(&*finals, [Err(text)] if text.starts_with("finish panicked: no sum")), "{finals:?}");
    }

    #[test]
    fn a_second_init_that_fails_is_news_once() {
        let calls = std::sync::atomic::AtomicU32::new(0);
        let first_only = move |_: &Context| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("gone"),
        };
        let (mut keeper, site) = keeper_of(&Config::new().try_init(first_only));
        keeper.init().expect("the first does not fail");
        assert_eq!(keeper.prepare(), Ok(()));
        site.reset.set(true);
        for news in [Some("gone".to_owned()), None] {
            assert_eq!((keeper.prepare(), keeper.take_news()), (Err("gone".to_owned()), news));
        }
    }
}
