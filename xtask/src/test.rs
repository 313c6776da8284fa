//! `cargo xtask test`: everything that must hold, in one command.

use std::{fs, process::ExitCode, time::Duration};

use crate::{
    Failure, Result, examples,
    mpi::{Choice, Mpi},
    mpirun::Program,
    project::{self, Features},
    report::Report,
};

/// What runs on the second MPI family: that it compiles, and that the protocol does not
/// rest on the first.
const SECOND_FAMILY: (&str, &str) = ("graph", "pipeline");

/// How many ranks the examples get: the controller and two workers, the least that talk
/// to each other.
const EXAMPLE_RANKS: usize = 3;

/// What the command line asks for.
struct Options {
    full: bool,
    with_mpi: bool,
}

/// Runs every check and test, and closes with `N passed, N failed`.
pub(crate) fn command(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut options = Options { full: false, with_mpi: true };
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("full") => options.full = true,
            lexopt::Arg::Long("no-mpi") => options.with_mpi = false,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut report = Report::new()?;
    if let Err(failure) = run(&mut report, &options) {
        report.count("stopped before the end", Some(failure.to_string()));
    }
    report.close()
}

/// All steps, as far as each makes sense after the ones before it.
fn run(report: &mut Report, options: &Options) -> Result<()> {
    let mpi = if options.with_mpi { set_up(report, Choice::First) } else { None };
    static_checks(report, mpi.as_ref());
    without_mpi(report, mpi.as_ref(), options)?;
    if let Some(mpi) = &mpi {
        with_mpi(report, mpi, options)?;
        if let Some(second) = set_up(report, Choice::Named(mpi.brand().other())) {
            on_second_family(report, &second)?;
        }
    }
    Ok(())
}

/// An MPI, or a failure that is counted: a test that did not run must not pass in
/// silence.
fn set_up(report: &mut Report, choice: Choice) -> Option<Mpi> {
    let mut ready = None;
    let step = report.runs("set-up of an MPI", |_| {
        ready = Some(Mpi::set_up(choice)?);
        Ok(())
    });
    if let Err(failure) = step {
        report.count("set-up of an MPI (--no-mpi leaves out what needs one)", Some(failure.to_string()));
    }
    if let Some(mpi) = &ready {
        println!("{}", mpi.described());
    }
    ready
}

/// What is read and not run: format, lints, documentation.
fn static_checks(report: &mut Report, mpi: Option<&Mpi>) {
    let none = Features::None(mpi);
    report.check("format", none.cargo("fmt").args(["--all", "--check"]));
    let sets = [Some(none), mpi.map(Features::Mpi)];
    for features in sets.into_iter().flatten() {
        let mut clippy = features.cargo("clippy");
        clippy.args(["--workspace", "--all-targets", "--", "--deny", "warnings"]);
        report.check(&format!("clippy, {}", features.name()), &mut clippy);
    }
    let mut docs = mpi.map_or(none, Features::Mpi).cargo("doc");
    docs.args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings");
    report.check("documentation", &mut docs);
}

/// Everything on the local backend, built without MPI.
fn without_mpi(report: &mut Report, mpi: Option<&Mpi>, options: &Options) -> Result<()> {
    let features = Features::None(mpi);
    let mut build = features.cargo("test");
    report.build("build, no features", build.args(["--workspace", "--no-run"]))?;
    let mut tests = features.cargo("test");
    tests.args(["--workspace", "--no-fail-fast", "--quiet", "--", "--format=pretty"]);
    report.tests("tests, no features", full(&mut tests, options))?;
    report.runs("examples, local backend", |report| examples::run(report, &examples::all()?, features, None))?;
    contingency(report, features, None)
}

/// Everything that can differ over MPI.
fn with_mpi(report: &mut Report, mpi: &Mpi, options: &Options) -> Result<()> {
    let features = Features::Mpi(mpi);
    let mut build = features.cargo("build");
    report.build("build, mpi", build.args(["--package", "distwq", "--tests", "--examples"]))?;
    let mut units = features.cargo("test");
    units.args(["--package", "distwq-core", "--lib", "--quiet", "transport::", "--", "--format=pretty"]);
    report.tests("unit tests of the MPI transport", full(&mut units, options))?;
    let mut tests = features.cargo("test");
    tests.args(["--package", "distwq", "--no-fail-fast", "--quiet"]);
    for test in launching_tests()? {
        tests.args(["--test", &test]);
    }
    // The local backend has just been tested; it is the same with the feature.
    tests.args(["--", "--format=pretty"]).env("DISTWQ_TEST_BACKEND", "mpi").env("DISTWQ_TEST_RANKS", "one");
    report.tests("tests under mpirun", full(&mut tests, options))?;
    report.runs("examples under mpirun", |report| {
        examples::run(report, &examples::all()?, features, Some(EXAMPLE_RANKS))
    })?;
    contingency(report, features, Some(EXAMPLE_RANKS))
}

/// One test program and one example with the other MPI family.
fn on_second_family(report: &mut Report, mpi: &Mpi) -> Result<()> {
    let features = Features::Mpi(mpi);
    let (test, example) = SECOND_FAMILY;
    let mut build = features.cargo("build");
    build.args(["--package", "distwq", "--test", test, "--example", example]);
    report.build(&format!("build, {}", features.name()), &mut build)?;
    let mut tests = features.cargo("test");
    tests.args(["--package", "distwq", "--test", test, "--quiet", "--", "--format=pretty"]);
    tests.env("DISTWQ_TEST_BACKEND", "mpi").env("DISTWQ_TEST_RANKS", "one");
    report.tests(&format!("tests under mpirun, {}", features.name()), &mut tests)?;
    report.runs(&format!("example under mpirun, {}", features.name()), |report| {
        examples::run(report, &[example.into()], features, Some(EXAMPLE_RANKS))
    })
}

/// The small case of the main job; it compares its figures with the expected ones itself.
fn contingency(report: &mut Report, features: Features<'_>, ranks: Option<usize>) -> Result<()> {
    let program = Program { package: Some("contingency".into()), ..Program::default() };
    let backend = if ranks.is_some() { "under mpirun" } else { "local backend" };
    report.build(&format!("build of the contingency screening, {backend}"), &mut program.build_command(features))?;
    report.runs(&format!("contingency screening, small case, {backend}"), |report| {
        let case = project::root().join("data/powergrid/case1354pegase.m");
        let page = project::target().join("test-report.html");
        let launcher = program.launcher(features, ranks).arg(case).arg("--report").arg(page);
        report.run(&launcher.time_limit(Duration::from_secs(300)).run()?);
        Ok(())
    })
}

/// The tests of the root package that launch something: the others say nothing new with
/// MPI.
fn launching_tests() -> Result<Vec<String>> {
    let launches = |test: &String| {
        let source = fs::read_to_string(project::root().join("tests").join(format!("{test}.rs")));
        source.is_ok_and(|source| source.contains("distwq::test") || source.contains("Launcher"))
    };
    let tests: Vec<_> = examples::rust_files("tests")?.into_iter().filter(launches).collect();
    if tests.is_empty() {
        return Err(Failure::new("there are no tests to run under mpirun"));
    }
    Ok(tests)
}

/// Lets tests run in full if that was asked for.
fn full<'a>(command: &'a mut std::process::Command, options: &Options) -> &'a mut std::process::Command {
    if options.full {
        command.env("DISTWQ_TEST_FULL", "1");
    }
    command
}
