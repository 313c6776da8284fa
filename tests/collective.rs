//! Collective tasks: every operation of a group against a plain computation, groups of
//! any size, members that fail.

use distwq::prelude::*;
use std::thread;
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What member `rank` brings to operation `number`: texts, so that an order that is not
/// kept shows.
fn brought(number: usize, rank: usize) -> String {
    format!("{number}.{rank}{}", "x".repeat(rank * 10))
}

fn joined(a: String, b: String) -> String {
    a + "|" + &b
}

/// All that `size` members bring, joined in their order.
fn all_joined(number: usize, size: usize) -> String {
    (0..size).map(|rank| brought(number, rank)).reduce(joined).unwrap_or_default()
}

/// Runs every operation with every root. Gives what was wrong at this member.
fn wrong_operations(group: &Group) -> Result<Vec<String>, GroupError> {
    let (rank, size) = (group.rank(), group.size());
    let mut wrong = Vec::new();
    let mut check = |right: bool, what: &str| {
        if !right {
            wrong.push(format!("{what} at member {rank} of {size}"));
        }
    };
    for root in 0..size {
        let at_root = rank == root;
        group.barrier()?;
        let value = group.broadcast(root, at_root.then(|| brought(1, root)))?;
        check(value == brought(1, root), "broadcast");
        let values: Vec<_> = (0..size).map(|member| brought(2, member)).collect();
        let value = group.scatter(root, at_root.then_some(values.as_slice()))?;
        check(value == brought(2, rank), "scatter");
        let gathered = group.gather(root, &brought(3, rank))?;
        let all = (0..size).map(|member| brought(3, member)).collect();
        check(gathered == at_root.then_some(all), "gather");
        let total = group.reduce(root, brought(4, rank), joined)?;
        check(total == at_root.then(|| all_joined(4, size)), "reduce");
    }
    let all = group.all_gather(&brought(5, rank))?;
    check(all == (0..size).map(|member| brought(5, member)).collect::<Vec<_>>(), "all_gather");
    let total = group.all_reduce(brought(6, rank), joined)?;
    check(total == all_joined(6, size), "all_reduce");
    let to_each: Vec<_> = (0..size).map(|member| (rank, member)).collect();
    let from_each = group.all_to_all(&to_each)?;
    check(from_each == (0..size).map(|member| (member, rank)).collect::<Vec<_>>(), "all_to_all");
    for to in 0..size {
        group.send(to, &brought(7, rank))?;
        group.send(to, &(rank as u64))?;
    }
    for from in (0..size).rev() {
        check(group.recv::<String>(from)? == brought(7, from), "recv of a text");
        check(group.recv::<u64>(from)? == from as u64, "recv of a number");
    }
    Ok(wrong)
}

#[remote(collective)]
fn every_operation(group: &Group) -> Result<Vec<String>, GroupError> {
    let mut wrong = wrong_operations(group)?;
    let others = group.gather(0, &wrong)?;
    wrong.extend(others.into_iter().flatten().flatten());
    Ok(wrong)
}

#[distwq::test(ranks = [2, 3, 4, 8], every)]
fn every_operation_gives_what_a_plain_computation_gives(cluster: &Cluster) -> Outcome {
    for size in 1..=cluster.workers() {
        let wrong = cluster.submit(every_operation::call().ranks(size)).get()?;
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    Ok(())
}

#[distwq::test(ranks = [4, 7], config = Config::new().piece_bytes(64))]
fn every_operation_works_in_tiny_pieces(cluster: &Cluster) -> Outcome {
    let wrong = cluster.submit(every_operation::call()).get()?;
    assert!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

#[distwq::test(ranks = [3, 5, 8], config = Config::new().slots(3))]
fn groups_of_all_sizes_run_side_by_side(cluster: &Cluster) -> Outcome {
    let sizes = (0..30).map(|number| 1 + number % cluster.workers());
    let handles: Vec<_> = sizes.map(|size| cluster.submit(every_operation::call().ranks(size))).collect();
    for handle in &handles {
        assert_eq!(handle.get()?, Vec::<String>::new());
    }
    Ok(())
}

/// π by the midpoint rule with `n` intervals, dealt out to the members in turn.
#[remote(collective)]
fn pi(group: &Group, n: u32) -> Result<f64, GroupError> {
    let h = 1.0 / f64::from(n);
    let mine = (0..n).skip(group.rank()).step_by(group.size());
    let sum: f64 = mine.map(|i| h * (f64::from(i) + 0.5)).map(|x| 4.0 / (1.0 + x * x)).sum();
    group.all_reduce(h * sum, |a, b| a + b)
}

/// Groups of each size: an error of 5.1e-6 for n = 128, of 3.2e-7 for n = 512.
#[distwq::test(ranks = [2, 3, 4, 7], every)]
fn pi_by_the_midpoint_rule_is_as_near_as_its_theory_says(cluster: &Cluster) -> Outcome {
    for size in 1..=cluster.workers() {
        // The leading term of the error of the midpoint rule for this integrand is 1 /
        // (12 n²).
        for (n, error) in [(128, 5.1e-6), (512, 3.2e-7)] {
            let value = cluster.submit(pi::call(n).ranks(size)).get()?;
            let off = (value - std::f64::consts::PI).abs();
            assert!((off / error - 1.0).abs() < 0.02, "off by {off:e} for {n} intervals on {size} ranks");
        }
    }
    Ok(())
}

#[remote(collective)]
fn who(group: &Group, tag: String) -> (String, usize, usize) {
    (tag, group.rank(), group.size())
}

#[distwq::test(ranks = [2, 3, 4, 7])]
fn a_group_has_the_size_that_the_call_says_and_gives_what_its_first_member_returns(cluster: &Cluster) -> Outcome {
    let all = cluster.submit(who::call("all"));
    assert_eq!(all.get()?, ("all".to_owned(), 0, cluster.workers()), "all workers, if the call says nothing");
    assert_eq!(all.info().ranks.len(), cluster.workers());
    for size in 1..=cluster.workers() {
        let some = cluster.submit(who::call("some").ranks(size));
        assert_eq!(some.get()?, ("some".to_owned(), 0, size));
        let info = some.info();
        assert_eq!((info.ranks.len(), info.hosts.len()), (size, size));
        let mut distinct = info.ranks.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), size, "{:?}", info.ranks);
    }
    Ok(())
}

#[remote]
fn line(bytes: usize) -> Vec<u8> {
    vec![7; bytes]
}

#[remote(collective)]
fn totals(group: &Group, own: Vec<u8>, shared: &[u8], several: Vec<Vec<u8>>) -> Result<Vec<u64>, GroupError> {
    let count = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let mine = count(&own) + count(shared) + several.iter().map(|bytes| count(bytes)).sum::<u64>();
    group.all_gather(&mine)
}

#[remote]
fn sum(values: Vec<u64>) -> u64 {
    values.iter().sum()
}

/// Every member gets all arguments: plain ones, shared ones, several at once, small and
/// large.
#[distwq::test(ranks = [2, 3, 4, 7])]
fn collective_tasks_stand_in_graphs_like_others(cluster: &Cluster) -> Outcome {
    for bytes in [5, 50_000] {
        let mut graph = Graph::new();
        let shared = graph.value(&vec![7_u8; bytes]);
        let lines: Vec<_> = (0..4).map(|_| graph.add(line::call(bytes))).collect();
        let wide = graph.add(totals::call(&lines[0], &shared, &lines));
        let total = graph.add(sum::call(&wide).follow(&wide));
        cluster.run(&mut graph)?;
        assert_eq!(total.get()?, 6 * 7 * bytes as u64 * cluster.workers() as u64);
        assert_eq!(total.info().ranks[0], wide.info().ranks[0]);
    }
    Ok(())
}

/// How a member ends before its peers.
const RETURNS_AN_ERROR: u8 = 0;
const PANICS: u8 = 1;
const RETURNS_EARLY: u8 = 2;

/// The operations in which the peers sit while one member ends. `absent` is who ends; the
/// roots are chosen so that somebody needs it.
const OPERATIONS: [&str; 10] =
    ["barrier", "broadcast", "scatter", "gather", "all_gather", "reduce", "all_reduce", "all_to_all", "recv", "send"];

#[remote(collective)]
fn with_an_absent_member(group: &Group, operation: String, absent: usize, end: u8) -> Result<u64, String> {
    if group.rank() == absent {
        match end {
            RETURNS_AN_ERROR => return Err(format!("the absent member of {operation}")),
            PANICS => panic!("the absent member of {operation}"),
            _ => return Ok(0),
        }
    }
    let one = 1_u64;
    let values = vec![one; group.size()];
    let present = usize::from(absent == 0);
    let result = match &*operation {
        "barrier" => group.barrier(),
        "broadcast" => group.broadcast::<u64>(absent, None).map(drop),
        "scatter" => group.scatter::<u64>(absent, None).map(drop),
        "gather" => group.gather(present, &one).map(drop),
        "all_gather" => group.all_gather(&one).map(drop),
        "reduce" => group.reduce(present, one, |a, b| a + b).map(drop),
        "all_reduce" => group.all_reduce(one, |a, b| a + b).map(drop),
        "all_to_all" => group.all_to_all(&values).map(drop),
        "recv" => group.recv::<u64>(absent).map(drop),
        // Sending waits for nobody, so it is what follows that tells.
        "send" => group.send(absent, &one).and_then(|()| group.recv::<u64>(absent)).map(drop),
        other => return Err(format!("there is no operation {other}")),
    };
    result.map_err(|error| error.to_string())?;
    Ok(1)
}

/// Each operation, each way to end, first and last member.
#[distwq::test(ranks = [3, 4, 7], every, time_limit = 120)]
fn a_member_that_fails_or_leaves_ends_the_task_for_all_and_the_cluster_goes_on(cluster: &Cluster) -> Outcome {
    let size = cluster.workers();
    for operation in OPERATIONS {
        for end in [RETURNS_AN_ERROR, PANICS, RETURNS_EARLY] {
            for absent in [0, size - 1] {
                let call = with_an_absent_member::call(operation, absent, end).label("wide");
                let handle = cluster.submit(call);
                let below = cluster.submit(sum::call(vec![handle.clone()]));
                let what = format!("{operation}, end {end}, member {absent} of {size}");
                let error = handle.get().expect_err(&what);
                let site = error.site().expect("it has run");
                assert!(site.rank.is_some() && site.host.is_some(), "{what}: {error}");
                assert_eq!(site.label.as_deref(), Some("wide"), "{what}: {error}");
                let text = format!("the absent member of {operation}");
                match end {
                    RETURNS_AN_ERROR => {
                        assert!(matches!(error, TaskError::Failed { .. }), "{what}: {error}");
                        assert_eq!(error.message(), Some(&*text), "{what}");
                        assert_eq!(site.rank, Some(handle.info().ranks[absent]), "{what}");
                    }
                    PANICS => {
                        assert!(matches!(error, TaskError::Panicked { .. }), "{what}: {error}");
                        assert!(error.message().is_some_and(|message| message.starts_with(&text)), "{what}: {error}");
                        assert_eq!(site.rank, Some(handle.info().ranks[absent]), "{what}");
                    }
                    _ => {
                        let message = error.message().unwrap_or_default();
                        let member = format!("member {absent} of the group");
                        // A peer that left because of the absent one may be the one that
                        // is told of.
                        assert!(message.contains(&member) || message.contains("member"), "{what}: {error}");
                    }
                }
                assert!(matches!(below.get(), Err(TaskError::Upstream { .. })), "{what}");
            }
        }
    }
    assert_eq!(cluster.submit(every_operation::call()).get()?, Vec::<String>::new());
    Ok(())
}

/// What the peers of a member that fails see: an error that names it, with what it said.
#[remote(collective)]
fn what_the_peers_see(group: &Group, panics: bool, folder: String) -> Result<(), String> {
    if group.rank() == 1 {
        if panics {
            panic!("boom");
        }
        return Err("boom".to_owned());
    }
    let error = group.barrier().expect_err("member 1 never comes");
    let seen = matches!(&error, GroupError::MemberFailed { member: 1, message } if message.contains("boom"));
    let file = std::path::Path::new(&folder).join(format!("{}.{seen}", group.rank()));
    std::fs::write(file, error.to_string()).map_err(|error| error.to_string())
}

#[distwq::test(ranks = [3, 4, 7])]
fn peers_leave_an_operation_with_an_error_that_names_the_failed_member(cluster: &Cluster) -> Outcome {
    for panics in [false, true] {
        let name = format!("distwq-peers-{}-{}-{panics}", std::process::id(), cluster.workers());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let call = what_the_peers_see::call(panics, &*folder.to_string_lossy());
        assert!(cluster.submit(call).get().is_err());
        let names = std::fs::read_dir(&folder)?.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
        let mut seen: Vec<String> = names.collect::<std::io::Result<_>>()?;
        seen.sort();
        std::fs::remove_dir_all(&folder)?;
        let members = (0..cluster.workers()).filter(|member| *member != 1);
        assert_eq!(seen, members.map(|member| format!("{member}.true")).collect::<Vec<_>>());
    }
    Ok(())
}

#[remote(collective)]
fn in_different_operations(group: &Group) -> Result<(), GroupError> {
    if group.rank() == 0 { group.barrier() } else { group.all_gather(&1_u8).map(drop) }
}

#[remote(collective)]
fn with_wrong_arguments(group: &Group, case: u8) -> Result<(), GroupError> {
    let size = group.size();
    match case {
        0 => group.broadcast::<u8>(0, None).map(drop),
        1 => group.scatter::<u8>(0, None).map(drop),
        2 => group.scatter(0, (group.rank() == 0).then_some(&vec![1_u8; size + 1][..])).map(drop),
        3 => group.all_to_all(&vec![1_u8; size + 1]).map(drop),
        4 => group.broadcast(size, Some(1_u8)).map(drop),
        5 => group.gather(size, &1_u8).map(drop),
        6 => group.send(size, &1_u8),
        _ => group.recv::<u8>(size).map(drop),
    }
}

#[remote(collective)]
fn with_a_wrong_type(group: &Group) -> Result<(), GroupError> {
    if group.rank() == 0 { group.send(1, &1_u8) } else { group.recv::<String>(0).map(drop) }
}

#[distwq::test(ranks = [3, 4, 7])]
fn misuse_of_a_group_is_an_error_and_no_hang(cluster: &Cluster) -> Outcome {
    let error = cluster.submit(in_different_operations::call()).get().expect_err("they do not meet");
    let text = error.to_string();
    assert!(text.contains("barrier") && text.contains("all_gather"), "{text}");
    for case in 0..8 {
        let error = cluster.submit(with_wrong_arguments::call(case)).get().expect_err("wrong arguments");
        assert!(matches!(error, TaskError::Failed { .. }), "case {case}: {error}");
        if case >= 4 {
            assert!(error.to_string().contains(&format!("no member {0} in a group of {0}", cluster.workers())));
        }
    }
    let error = cluster.submit(with_a_wrong_type::call().ranks(2)).get().expect_err("a u8 is no String");
    assert!(error.to_string().contains("could not be exchanged"), "{error}");
    assert_eq!(cluster.submit(every_operation::call()).get()?, Vec::<String>::new());
    Ok(())
}

#[remote]
fn narrow(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// A wide task that comes when thousands of narrow ones wait must not wait for all of
/// them.
#[distwq::test(ranks = [3, 4, 7], every)]
fn a_wide_task_among_thousands_of_narrow_ones_starts_soon(cluster: &Cluster) -> Outcome {
    let narrow: Vec<_> = (0..4000).map(|_| cluster.submit(narrow::call(1))).collect();
    let wide = cluster.submit(who::call("wide"));
    wide.get()?;
    let before = narrow.iter().filter(|handle| handle.is_done()).count();
    assert!(before < 2000, "{before} of {} narrow tasks had ended before the wide one", narrow.len());
    let mut graph = Graph::new();
    let wides: Vec<_> = (0..5).map(|_| graph.add(who::call("wide").ranks(cluster.workers()))).collect();
    cluster.run(&mut graph)?;
    let before = narrow.iter().filter(|handle| handle.is_done()).count();
    assert!(before < 3500, "{before} of {} narrow tasks had ended before five more wide ones", narrow.len());
    assert!(wides.iter().all(|wide| wide.get().is_ok()));
    for handle in &narrow {
        handle.get()?;
    }
    Ok(())
}

/// A rank that computes within a collective task still serves what others need from it.
#[distwq::test(ranks = [4], workers = 3)]
fn a_rank_in_a_collective_task_answers_its_peers(cluster: &Cluster) -> Outcome {
    let large = cluster.submit(line::call(100_000));
    large.get()?;
    let waiting = cluster.submit(waits_for_the_last::call(300).ranks(2));
    let copies: Vec<_> = (0..3).map(|_| cluster.submit(length::call(&large))).collect();
    for copy in &copies {
        assert_eq!(copy.get()?, 100_000);
    }
    waiting.get()?;
    Ok(())
}

#[remote]
fn length(value: &[u8]) -> usize {
    value.len()
}

#[remote(collective)]
fn waits_for_the_last(group: &Group, milliseconds: u64) -> Result<(), GroupError> {
    if group.rank() + 1 == group.size() {
        thread::sleep(Duration::from_millis(milliseconds));
    }
    group.barrier()
}

/// Ends only because the circle is found: member 0 is in one operation, the others in
/// another one in which nobody sends anything to member 0 or gets anything from it.
#[remote(collective)]
fn parts_ways(group: &Group) -> Result<(), GroupError> {
    if group.rank() == 0 { group.barrier() } else { group.gather(group.size() - 1, &1_u8).map(drop) }
}

#[remote(collective)]
fn receives_before_it_sends(group: &Group) -> Result<u8, GroupError> {
    let next = (group.rank() + 1) % group.size();
    let value = group.recv::<u8>(next)?;
    group.send(next, &value)?;
    Ok(value)
}

#[distwq::test(ranks = [3, 4, 7], every)]
fn members_that_wait_for_each_other_are_told_so(cluster: &Cluster) -> Outcome {
    let parted = cluster.submit(parts_ways::call()).get().expect_err("member 0 is in another operation");
    let message = parted.message().unwrap_or_default();
    assert!(message.contains("deadlock in the group") || message.contains("same order"), "{message}");
    let circle = cluster.submit(receives_before_it_sends::call()).get().expect_err("nobody sends first");
    let TaskError::Group { message, .. } = &circle else { panic!("{circle}") };
    assert!(message.contains("member 0 waits for member 1 in recv"), "{message}");
    let sizes = cluster.submit(who::call("after")).get()?;
    assert_eq!(sizes.2, cluster.workers());
    Ok(())
}

/// Member 0 waits for itself, and the others for each other if there are several.
#[remote(collective)]
fn waits_for_itself(group: &Group, others_too: bool) -> Result<u8, GroupError> {
    match group.rank() {
        0 => group.recv::<u8>(0),
        _ if others_too => group.recv::<u8>(if group.rank() == 1 { 2 } else { 1 }),
        _ => Ok(0),
    }
}

#[distwq::test(ranks = [2, 4], every)]
fn a_member_that_waits_for_itself_is_told_so_also_within_a_larger_deadlock(cluster: &Cluster) -> Outcome {
    for others_too in [false, cluster.workers() == 3] {
        let error = cluster.submit(waits_for_itself::call(others_too)).get().expect_err("it has sent itself nothing");
        let message = error.message().unwrap_or_default();
        assert!(message.contains("member 0 waits for itself in recv"), "{message}");
    }
    Ok(())
}
