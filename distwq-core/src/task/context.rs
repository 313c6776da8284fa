//! The context of a task: what its function is told of itself and of the slot that runs
//! it. An executor [enters](enter) its slot once; a function that takes a context gets
//! one made of that and of the [task of the thread](super::current), and all other tasks
//! pay nothing for it.

use super::current::{self, Described, Description};
use super::items::Item;
use super::state::{State, StateCell, StateError};
use crate::id::{Rank, Slot};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// What a task knows of itself and of where it runs: the first parameter of a function
/// that asks for it, and no argument of its call.
///
/// A context is only there within its task and belongs to the thread that runs it: read
/// what other threads need before they start. In a unit test, where the function is
/// called as any other, [`testing::context`](crate::testing::context()) makes one.
///
/// # Examples
/// ```
/// use distwq::prelude::*;
///
/// /// Estimates π from random points that are the same on any number of workers.
/// #[remote]
/// fn estimate(ctx: &Context, points: u32) -> f64 {
///     let mut random = ctx.seed();
///     let mut coordinate = || {
///         // xorshift64*: Marsaglia 2003, Vigna 2016
///         random ^= random >> 12;
///         random ^= random << 25;
///         random ^= random >> 27;
///         (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
///     };
///     let inside = (0..points).filter(|_| coordinate().powi(2) + coordinate().powi(2) < 1.0);
///     4.0 * inside.count() as f64 / f64::from(points)
/// }
///
/// #[remote]
/// fn where_am_i(ctx: &Context) -> (usize, String) {
///     (ctx.worker(), ctx.host().to_owned())
/// }
///
/// #[distwq::main(config = Config::new().workers(2).seed(7))]
/// fn main(cluster: &Cluster) -> Result<(), TaskError> {
///     let pi = cluster.submit(estimate::call(10_000)).get()?;
///     assert!((pi - std::f64::consts::PI).abs() < 0.1);
///     let (worker, _host) = cluster.submit(where_am_i::call()).get()?;
///     assert!(worker < cluster.workers());
///     Ok(())
/// }
/// ```
pub struct Context {
    site: Rc<SlotSite>,
    pub(crate) task: u32,
    function: &'static str,
    pub(crate) label: Option<Box<str>>,
    pub(crate) attempt: u32,
    pub(crate) cancelled: bool,
    /// Of an item of a map, and of the making of a state: its seed.
    seed: Option<u64>,
}

impl Context {
    /// That of the task that the calling thread runs.
    ///
    /// # Panics
    /// If the thread is no executor that runs a task.
    pub(crate) fn of_this_thread() -> Self {
        let site = HERE.with_borrow(Option::clone).expect("a task runs on a thread that has entered its slot");
        let (task, function) = current::numbered().expect("a context is asked for within a task");
        let description = current::description();
        let whole = site.whole_label.borrow().clone();
        let label = whole.or_else(|| description.label().map(Box::from));
        let item = current::item();
        Self {
            task,
            function,
            label,
            attempt: description.attempt(),
            cancelled: false,
            seed: item.map(|item| seed_of_item(site.seed, function, item)),
            site,
        }
    }

    /// That of the making of a state.
    pub(crate) fn of_init(site: Rc<SlotSite>) -> Self {
        const FUNCTION: &str = "init";
        let slot = (site.worker as u64) << 32 | site.slot.index() as u64;
        let seed = mixed(seed_of(site.seed, FUNCTION, 0) ^ slot);
        Self { site, task: 0, function: FUNCTION, label: None, attempt: 1, cancelled: false, seed: Some(seed) }
    }

    /// One of a test, that of the first attempt of task 1, a function of this name.
    pub(crate) fn of_a_test(site: SlotSite, function: &'static str) -> Self {
        Self { site: Rc::new(site), task: 1, function, label: None, attempt: 1, cancelled: false, seed: None }
    }

    /// The slot, as long as nobody else refers to it.
    pub(crate) fn site_mut(&mut self) -> Option<&mut SlotSite> {
        Rc::get_mut(&mut self.site)
    }

    /// The worker that runs the task, counted from 0 and below
    /// [`Cluster::workers`](crate::Cluster::workers); of a collective task, that of this
    /// member.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.site.worker
    }

    /// The rank of the worker, its number among all ranks. On the local backend these are
    /// threads, and the controller is rank 0.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.site.rank
    }

    /// The name of the host of that rank.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.site.host
    }

    /// Which of the [slots](crate::Config::slots) of the worker runs the task, counted
    /// from 0: each is a thread of its own.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.site.slot.index()
    }

    /// The number of the task, as [`TaskInfo::id`](crate::TaskInfo::id) has it: tasks and
    /// shared values are counted from 1 in the order in which the cluster took them. The
    /// items of a [map](crate::Cluster::map) are counted from 1 in each.
    #[must_use]
    pub fn task(&self) -> u32 {
        self.task
    }

    /// The label that the call was given.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether the task was [cancelled](crate::Handle::cancel): a function that runs for
    /// long asks now and then, which costs a few nanoseconds, and returns an `Err` if so.
    /// Then the task ends as [`Cancelled`](crate::TaskError::Cancelled) and is not
    /// retried.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancelled || current::is_cancelled()
    }

    /// Says how far the task is, from 0 to 1, for whoever asks by
    /// [`Cluster::status`](crate::Cluster::status) or
    /// [`Handle::explain`](crate::Handle::explain). It costs a few nanoseconds and sends
    /// nothing; what is said last counts. Below 0 means 0, above 1 means 1, and not a
    /// number nothing.
    ///
    /// # Examples
    /// ```
    /// use distwq::prelude::*;
    ///
    /// #[remote]
    /// fn sum_of_squares(ctx: &Context, terms: u64) -> u64 {
    ///     let mut sum = 0;
    ///     for x in 0..terms {
    ///         ctx.progress(x as f64 / terms as f64);
    ///         sum += x * x;
    ///     }
    ///     sum
    /// }
    ///
    /// #[distwq::main]
    /// fn main(cluster: &Cluster) -> Result<(), TaskError> {
    ///     let sum = cluster.submit(sum_of_squares::call(1_000));
    ///     println!("{}", sum.explain()); // such as: … has run on rank 1 (host a) for 0.1 s (62 % done)
    ///     assert_eq!(sum.get()?, 332_833_500);
    ///     Ok(())
    /// }
    /// ```
    pub fn progress(&self, fraction: f64) {
        if !fraction.is_nan() {
            current::tell_percent((fraction.clamp(0.0, 1.0) * 100.0) as u8);
        }
    }

    /// A seed for the random numbers of the task: a function of the run's
    /// [seed](crate::Config::seed), of the path of the function and of the
    /// [number](Self::task) of the task, and of nothing else. So it is the same at each
    /// attempt, whichever worker runs it, and on any number of ranks and both backends,
    /// if the program takes its tasks in the same order: one thread submits, or a graph
    /// is run. In a [map](crate::Cluster::map) it is a function of the number of the map,
    /// in the order in which maps are made, and of the index of the item, whichever items
    /// travel together. Tasks of one function have different seeds.
    ///
    /// All members of a collective task have the same one; add
    /// [`Group::rank`](crate::Group::rank) for a stream of each.
    ///
    /// The function is FNV-1a of the path, joined to the numbers by the finaliser of
    /// SplitMix64, and stays so within a version of distwq.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| seed_of(self.site.seed, self.function, self.task))
    }

    /// Borrows the state of the slot, which [`Config::init`](crate::Config::init) has
    /// made. While the guard is there, nobody else can.
    ///
    /// # Panics
    /// If there is no state, or one of another type, or if the task has borrowed it
    /// already: the task ends as [`Panicked`](crate::TaskError::Panicked) and says so.
    #[must_use]
    #[track_caller]
    pub fn state<S: 'static>(&self) -> State<'_, S> {
        // A closure would be told as where it was raised.
        match self.try_state() {
            Ok(state) => state,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same for a task that can do without.
    ///
    /// # Errors
    /// [`StateError`], where [`state`](Self::state) panics.
    pub fn try_state<S: 'static>(&self) -> Result<State<'_, S>, StateError> {
        self.site.state.lend()
    }

    /// Has the state of the slot ended and made anew before the next task there: for one
    /// that is damaged.
    pub fn reset_state(&self) {
        self.site.reset.set(true);
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlotSite { worker, slot, .. } = &*self.site;
        write!(f, "Context({} #{}, attempt {}, worker {worker}", self.function, self.task, self.attempt)?;
        write!(f, ", slot {})", slot.index())
    }
}

/// A slot of a worker, as its tasks are told of it.
pub(crate) struct SlotSite {
    pub(crate) worker: usize,
    pub(crate) rank: Rank,
    pub(crate) host: String,
    pub(crate) slot: Slot,
    /// The seed of the run.
    pub(crate) seed: u64,
    /// The label of the task that runs, if it is too long for its description.
    whole_label: RefCell<Option<Box<str>>>,
    pub(crate) state: StateCell,
    /// The state is to be made anew.
    pub(crate) reset: Cell<bool>,
}

impl SlotSite {
    pub(crate) fn new((worker, rank, host): (usize, Rank, String), slot: Slot, seed: u64) -> Self {
        let (whole_label, state, reset) = Default::default();
        Self { worker, rank, host, slot, seed, whole_label, state, reset }
    }

    /// The next task of the slot is described like this.
    pub(crate) fn describe(&self, described: &Described) {
        let Described { short, whole_label, .. } = described;
        current::describe(*short);
        self.whole_label.borrow_mut().clone_from(whole_label);
    }

    /// That task has ended.
    pub(crate) fn undescribe(&self) {
        current::describe(Description::NONE);
        self.whole_label.take();
    }
}

thread_local! {
    /// The slot whose tasks this thread runs.
    static HERE: RefCell<Option<Rc<SlotSite>>> = const { RefCell::new(None) };
}

/// The calling thread runs the tasks of this slot from here on.
pub(crate) fn enter(site: SlotSite) -> Rc<SlotSite> {
    let site = Rc::new(site);
    current::set_rank(site.rank);
    HERE.set(Some(Rc::clone(&site)));
    site
}

/// The seed of a task.
fn seed_of(run: u64, path: &str, task: u32) -> u64 {
    // FNV-1a: Fowler, Noll, Vo; draft-eastlake-fnv.
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let path = path.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    mixed(mixed(mixed(run) ^ path) ^ u64::from(task))
}

/// The seed of an item of a map. No task is number 0, and no map.
fn seed_of_item(run: u64, path: &str, item: Item) -> u64 {
    let (map, index) = item.parts();
    mixed(mixed(seed_of(run, path, 0) ^ u64::from(map)) ^ index)
}

/// The finaliser of SplitMix64: Steele, Lea, Flood 2014; the constants are Vigna's. No
/// two numbers give the same.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::items::Items;
    use std::collections::HashSet;

    /// The first outputs of SplitMix64 seeded with 0 and of FNV-1a, as published.
    #[test]
    fn the_seed_is_made_of_what_its_documentation_names() {
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mixed(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(seed_of(0, "", 0), mixed(mixed(mixed(0) ^ 0xcbf2_9ce4_8422_2325)));
        assert_eq!(seed_of(5, "a", 3), mixed(mixed(mixed(5) ^ 0xaf63_dc4c_8601_ec8c) ^ 3));
    }

    #[test]
    fn the_items_of_maps_have_seeds_of_their_own() {
        let tasks = (1..1_000).map(|task| seed_of(5, "a", task));
        let items = (1..4).flat_map(|map| (0..1_000).map(move |place| (map, place)));
        let of_item =
            |(map, place)| seed_of_item(5, "a", Items { map, first: 1, count: 1_000, fold: None }.item(place));
        let seeds: HashSet<_> = tasks.chain(items.map(of_item)).collect();
        assert_eq!(seeds.len(), 999 + 3_000);
        let alone = Items { map: 2, first: 8, count: 1, fold: None }.item(0);
        assert_eq!(seed_of_item(5, "a", alone), of_item((2, 7)), "whichever items travel together");
    }

    #[test]
    fn seeds_differ_by_run_and_function_and_task() {
        let all = (0..4).flat_map(|run| (1..1_000).map(move |task| (run, task)));
        let seeds: HashSet<_> =
            all.flat_map(|(run, task)| ["a", "b", "a::b"].map(|path| seed_of(run, path, task))).collect();
        assert_eq!(seeds.len(), 4 * 999 * 3);
    }
}
