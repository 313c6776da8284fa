//! The job of `contingency` split evenly by hand over raw MPI: what a graph of tasks is
//! measured against.
//!
//! The same parser, solvers and checks; the ranks of the world in groups of two for the
//! collective solves, as many blocks of outages on every rank, gathers and broadcasts
//! instead of a reduction tree. No report.
//!
//! ```sh
//! mpirun -n 4 by_hand CASE.m
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program, and it speaks to people")]

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use contingency::base::PowerFlow;
use contingency::bridges::bridges;
use contingency::case::{Case, read_text};
use contingency::collective::Ranks;
use contingency::expected::Expected;
use contingency::figures::Figures;
use contingency::grid::Grid;
use contingency::options::{HELP, Options};
use contingency::recheck::{Recheck, recheck};
use contingency::screening::{Plan, screen};
use contingency::summary::{BARS, Overload, Summary, TOP};
use contingency::verdict::verdict;
use mpi::Count;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

/// A communicator as the solver wants it.
struct World(SimpleCommunicator);

impl Ranks for World {
    type Error = Infallible;

    fn rank(&self) -> usize {
        index(self.0.rank())
    }

    fn size(&self) -> usize {
        index(self.0.size())
    }

    fn all_gather(&self, own: &[f64], counts: &[usize], all: &mut [f64]) -> Result<(), Infallible> {
        let count = |length: usize| Count::try_from(length).expect("a grid has fewer rows than that");
        let offsets: Vec<Count> =
            counts.iter().scan(0, |end, length| Some(count(std::mem::replace(end, *end + length)))).collect();
        let counts: Vec<Count> = counts.iter().copied().map(count).collect();
        self.0.all_gather_varcount_into(own, &mut PartitionMut::new(all, counts, offsets));
        Ok(())
    }
}

fn index(rank: mpi::Rank) -> usize {
    usize::try_from(rank).expect("a rank is not negative")
}

fn main() -> ExitCode {
    let universe = mpi::initialize().expect("MPI has not been initialised before");
    let world = universe.world();
    match run(&world) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rank {}: {error}", world.rank());
            world.abort(1)
        }
    }
}

fn run(world: &SimpleCommunicator) -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_arguments().map_err(|error| format!("{error}: see --help"))? else {
        print!("{HELP}");
        return Ok(());
    };
    world.barrier();
    let start = Instant::now();
    let tolerance = options.tolerance;
    let text = read_text(&options.case)?;
    let grid = Grid::build(Case::parse(&options.case.display().to_string(), &text)?)?;
    let islanding = bridges(&grid.case);
    let plan = Plan::new(&grid, &islanding);

    let groups = index(world.size()).div_ceil(options.ranks);
    let my_group = index(world.rank()) % groups;
    let color = mpi::topology::Color::with_value(mpi::Rank::try_from(my_group)?);
    let group = World(world.split_by_color(color).expect("a colour was given"));
    let base = PowerFlow::solve(&group, &grid, tolerance)?;

    let (rank, size) = (index(world.rank()), index(world.size()));
    let part = screen(&grid, &base, &plan, rank, size, tolerance)?;
    let all = exchange(world, &pack(&part));
    let summaries: Vec<Summary> = all.chunks(SUMMARY_NUMBERS).map(unpack).collect();
    let outages = Summary::merge(&summaries);

    let mut resolved = vec![0.0; 2 * outages.top.len()];
    for (index, overload) in outages.top.iter().enumerate().skip(my_group).step_by(groups) {
        let solved = recheck(&group, &grid, *overload, tolerance)?;
        if Ranks::rank(&group) == 0 {
            resolved[2 * index] = solved.resolved;
            resolved[2 * index + 1] = f64::from(solved.iterations);
        }
    }
    let root = world.process_at_rank(0);
    if rank != 0 {
        root.reduce_into(&resolved, mpi::collective::SystemOperation::sum());
        return Ok(());
    }
    let mut sums = vec![0.0; resolved.len()];
    root.reduce_into_root(&resolved, &mut sums, mpi::collective::SystemOperation::sum());
    let rechecks = outages.top.iter().zip(sums.chunks(2));
    let rechecks = rechecks.map(|(screened, found)| Recheck {
        screened: *screened,
        resolved: found[0],
        iterations: whole(found[1]),
    });
    let rechecks = rechecks.collect();
    let figures = Figures::new(&grid, &base, &islanding, outages, rechecks);
    let seconds = start.elapsed().as_secs_f64();
    print!("{figures}");
    println!("finished in {seconds:.3} s, ranks: {size}");
    let expected = options.expected().map(|file| Expected::read(&file)).transpose()?;
    let comparisons = expected.map(|expected| expected.compare(&figures)).unwrap_or_default();
    verdict(&figures, &comparisons)?;
    Ok(())
}

/// The packed summaries of all ranks.
fn exchange(world: &SimpleCommunicator, own: &[f64]) -> Vec<f64> {
    let mut all = vec![0.0; own.len() * index(world.size())];
    world.all_gather_into(own, &mut all[..]);
    all
}

/// Numbers of a packed summary: four totals, the histogram, the length of the list, the
/// list.
const SUMMARY_NUMBERS: usize = 4 + BARS + 1 + 3 * TOP;

#[expect(clippy::cast_precision_loss, reason = "counts of a grid are far below 2^53")]
fn pack(summary: &Summary) -> Vec<f64> {
    let mut numbers = vec![
        f64::from(summary.solved),
        f64::from(summary.with_violation),
        summary.violations as f64,
        summary.sum_highest,
    ];
    numbers.extend(summary.histogram.iter().map(|count| f64::from(*count)));
    numbers.push(summary.top.len() as f64);
    for overload in &summary.top {
        numbers.extend([overload.loading, f64::from(overload.outage_row), f64::from(overload.monitored_row)]);
    }
    numbers.resize(SUMMARY_NUMBERS, 0.0);
    numbers
}

fn unpack(numbers: &[f64]) -> Summary {
    let (totals, rest) = numbers.split_at(4);
    let (histogram, rest) = rest.split_at(BARS);
    let top = rest[1..].chunks(3).take(whole(rest[0]) as usize);
    let top = top.map(|overload| Overload {
        loading: overload[0],
        outage_row: whole(overload[1]),
        monitored_row: whole(overload[2]),
    });
    Summary {
        solved: whole(totals[0]),
        with_violation: whole(totals[1]),
        violations: u64::from(whole(totals[2])),
        sum_highest: totals[3],
        top: top.collect(),
        histogram: histogram.iter().map(|count| whole(*count)).collect(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "packed from a u32")]
fn whole(number: f64) -> u32 {
    number as u32
}
