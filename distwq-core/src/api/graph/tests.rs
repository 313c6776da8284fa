use super::*;
use crate::api::call::Call;
use crate::codec::Payload;
use crate::function::registry::{Body, Remote};
use crate::outcome::error::TaskError;
use crate::outcome::info::{CancelState, TaskInfo};
use std::time::Instant;

static STEP: Remote =
    Remote { path: "step", file: "f.rs", line: 1, column: 1, body: Body::Single(|_| Ok(())), shared: 0 };

fn step(name: &'static str) -> Call<u8> {
    Call::of(&STEP).label(name)
}

fn step_of(name: &'static str, input: &Handle<u8>) -> Call<u8> {
    let mut call = Call::of(&STEP);
    call.argument::<u8>(input);
    call.label(name)
}

/// a ─▶ b ─▶ d
/// └──▶ c ┄┄▶┘
fn diamond() -> (Graph, [Handle<u8>; 4]) {
    let mut graph = Graph::new();
    let a = graph.add(step("a"));
    let b = graph.add(step_of("b", &a));
    let c = graph.add(step_of("c", &a));
    let d = graph.add(step_of("d", &b).after(&c));
    (graph, [a, b, c, d])
}

#[test]
fn width_and_critical_path_are_those_of_the_drawing() {
    let (graph, _) = diamond();
    assert_eq!(graph.width(), 2);
    assert_eq!(graph.critical_path(), ["a [0]", "b [1]", "d [3]"]);
    assert_eq!((Graph::new().width(), Graph::new().critical_path().len()), (0, 0));
}

#[test]
fn values_are_drawn_but_are_no_work() {
    let mut graph = Graph::new();
    let value = graph.value(&7_u8);
    graph.add(step_of("a \"quoted\"", &value));
    assert_eq!(graph.width(), 1);
    assert_eq!(graph.critical_path().len(), 1);
    let dot = graph.to_dot();
    assert!(dot.contains("0 [shape=ellipse label=\"value\"]"), "{dot}");
    assert!(dot.contains("1 [shape=box label=\"a \\\"quoted\\\"\"]"), "{dot}");
    assert!(dot.contains("0 -> 1\n"), "{dot}");
}

#[test]
fn an_edge_that_closes_a_cycle_is_refused_with_its_name_and_changes_nothing() {
    let (mut graph, [a, _, c, d]) = diamond();
    let before = graph.to_dot();
    let Err(OrderError::Cycle(cycle)) = graph.order(&d, &a) else {
        panic!("d comes after a already");
    };
    assert_eq!(cycle.path.first(), cycle.path.last());
    assert!(cycle.to_string().contains("a [0] -> "), "{cycle}");
    assert!(graph.order(&c, &c).is_err());
    assert_eq!(graph.to_dot(), before);
}

#[test]
fn an_explicit_edge_may_point_at_a_task_added_before() {
    let mut graph = Graph::new();
    let first = graph.add(step("first"));
    let second = graph.add(step("second"));
    assert_eq!(graph.order(&second, &first), Ok(()));
    assert_eq!(
        started(&mut graph),
        [("second".to_owned(), 1, vec![]), ("first".to_owned(), 0, vec![TaskId::new(0, 1)])]
    );
    assert_eq!((first.reference().task(), second.reference().task()), (TaskId::new(1, 2), TaskId::new(0, 1)));
}

/// Starts the graph and says of each node its label, its level and what explicit edges
/// put before it.
fn started(graph: &mut Graph) -> Vec<(String, u32, Vec<TaskId>)> {
    let mut started = Vec::new();
    let outcomes: Arc<dyn Outcomes> = Arc::new(Nobody);
    graph.start(&outcomes, |node| {
        let label = node.options.and_then(|options| options.label.as_deref()).unwrap_or_default();
        started.push((label.to_owned(), node.level, node.before.to_vec()));
        TaskId::new(started.len() as u32 - 1, started.len() as u32)
    });
    started
}

/// Where nothing is asked for.
struct Nobody;

impl Outcomes for Nobody {
    fn wait(&self, _: TaskId, _: Option<Instant>, _: &mut Payload) -> Result<(), TaskError> {
        unreachable!()
    }
    fn poll(&self, _: TaskId, _: &std::task::Waker, _: &mut Payload) -> Option<Result<(), TaskError>> {
        unreachable!()
    }
    fn on_end(self: Arc<Self>, _: TaskId, _: Box<dyn FnOnce() + Send>) {
        unreachable!()
    }
    fn is_done(&self, _: TaskId) -> bool {
        unreachable!()
    }
    fn cancel(&self, _: TaskId) -> CancelState {
        unreachable!()
    }
    fn info(&self, _: TaskId) -> TaskInfo {
        unreachable!()
    }
    fn explain(&self, _: TaskId) -> crate::outcome::status::Explanation {
        unreachable!()
    }
    fn undecodable(&self, _: TaskId, _: String) -> TaskError {
        unreachable!()
    }
    fn retained(&self, _: TaskId) {}
    fn dropped(&self, _: TaskId) {}
    fn session(&self) -> u64 {
        0
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync> {
        self
    }
}

#[test]
fn what_can_never_run_is_refused_when_it_is_added_and_refuses_the_graph() {
    let mut graph = Graph::new();
    let none = graph.add(step("none").ranks(0));
    assert!(none.is_done());
    let after = graph.add(step_of("after", &none));
    assert!(matches!(after.get(), Err(TaskError::Refused { reason: Refusal::RefusedDependency { .. }, .. })));
    let refusal = graph.refusal().map(|step| step.refusal());
    assert!(matches!(refusal, Some(TaskError::Refused { reason: Refusal::NoRanks, .. })));
}

#[test]
fn a_handle_of_a_graph_that_has_not_started_is_refused_elsewhere() {
    let (_graph, [a, ..]) = diamond();
    let mut other = Graph::new();
    let stranger = other.add(step_of("stranger", &a));
    assert!(matches!(stranger.get(), Err(TaskError::Refused { reason: Refusal::NotStartedDependency, .. })));
    assert!(matches!(a.get(), Err(TaskError::NotStarted)));
}

#[test]
fn a_chain_of_200_000_is_measured_without_recursion() {
    let mut graph = Graph::new();
    let mut last = graph.add(step("0"));
    for _ in 1..200_000 {
        last = graph.add(step_of("n", &last));
    }
    assert_eq!(graph.width(), 1);
    assert_eq!(graph.critical_path().len(), 200_000);
}

/// So many nodes without edges.
fn apart(count: usize) -> (Graph, Vec<Handle<u8>>) {
    let mut graph = Graph::new();
    let nodes = (0..count).map(|_| graph.add(step("n"))).collect();
    (graph, nodes)
}

/// Orders a row of nodes by edges between neighbours, given in `order`; `reverse` turns
/// each edge around.
fn ordered_row(order: impl Iterator<Item = usize>, reverse: bool) -> (Graph, Vec<Handle<u8>>) {
    let (mut graph, nodes) = apart(ROW);
    for index in order {
        let (earlier, later) = if reverse { (index + 1, index) } else { (index, index + 1) };
        assert_eq!(graph.order(&nodes[earlier], &nodes[later]), Ok(()));
    }
    (graph, nodes)
}

const ROW: usize = 40_000;

/// However the edges of a row come, each costs the same. A search for each, along the
/// row, takes minutes.
#[test]
fn edges_of_a_row_of_40_000_are_added_in_linear_time_in_every_order() {
    let begun = Instant::now();
    let middle_out =
        || (0..ROW / 2).flat_map(|step| [ROW / 2 - 1 - step, ROW / 2 + step]).filter(|index| index + 1 < ROW);
    for reverse in [false, true] {
        for (mut graph, nodes) in [
            ordered_row(0..ROW - 1, reverse),
            ordered_row((0..ROW - 1).rev(), reverse),
            ordered_row(middle_out(), reverse),
            ordered_row((0..ROW - 1).step_by(2).chain((1..ROW - 1).step_by(2)), reverse),
        ] {
            assert_eq!((graph.width(), graph.critical_path().len()), (1, ROW));
            let (first, last) = if reverse { (ROW - 1, 0) } else { (0, ROW - 1) };
            let Err(OrderError::Cycle(cycle)) = graph.order(&nodes[last], &nodes[first]) else {
                panic!("it closes a cycle")
            };
            assert_eq!(cycle.path.len(), ROW + 1);
            let started = started(&mut graph);
            assert_eq!((started[0].1, started[ROW - 1].1), (ROW as u32 - 1, 0));
        }
    }
    assert!(begun.elapsed().as_secs() < 60, "it took {:?}", begun.elapsed());
}
