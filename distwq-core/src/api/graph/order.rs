//! A topological order of the nodes of a graph, kept while edges are added. It tells of
//! each new edge whether it closes a cycle.
//!
//! The key of a node is its level and then its number, the one under which it was
//! added. Each edge leads to a larger key. All levels are 0 until an edge leads from a
//! key to a smaller one. Then either its later node is raised above the earlier one,
//! together with what comes after it as far as that is needed, or the earlier node is
//! lowered below the later one, together with what comes before it. Both sides are
//! searched in turns, an edge each, and the one that ends first is moved: so an edge
//! costs what is at the smaller side, and nothing if it leads forwards. The search from
//! both ends is that of Alpern, Hoover, Rosen, Sweeney and Zadeck 1990, "Incremental
//! evaluation of computational circuits"; that it visits each node once, in the order of
//! the keys, is as in Pearce and Kelly 2006, "A dynamic topological sort algorithm for
//! directed acyclic graphs". With positions in one row instead of levels, as they have
//! them, each edge of a row that is built from its end would shift all nodes behind it.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex, WalkNeighbors};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The topological order of a graph that has no cycles.
#[derive(Default)]
pub(super) struct TopologicalOrder {
    /// By node; nothing while all are 0.
    levels: Vec<i64>,
}

/// A level and a number, or both negated: backwards the order is the same with the signs
/// changed.
type Key = (i64, i64);

impl TopologicalOrder {
    /// Whether it is another one than that in which the nodes were added.
    pub(super) fn is_reordered(&self) -> bool {
        !self.levels.is_empty()
    }

    /// All nodes, each after those before it.
    pub(super) fn sorted<N, E>(&self, graph: &DiGraph<N, E>) -> Vec<NodeIndex> {
        let mut nodes: Vec<NodeIndex> = graph.node_indices().collect();
        if self.is_reordered() {
            nodes.sort_unstable_by_key(|node| self.key(*node, FORWARDS));
        }
        nodes
    }

    /// The newest node has been added, with edges from others and none to any.
    #[inline]
    pub(super) fn added<N, E>(&mut self, graph: &DiGraph<N, E>, node: NodeIndex) {
        if self.is_reordered() {
            let before = graph.neighbors_directed(node, Direction::Incoming);
            let level = before.map(|before| self.levels[before.index()]).max();
            self.levels.push(level.unwrap_or(0));
        }
    }

    /// Makes the order one in which `earlier` comes before `later`. False, with nothing
    /// changed, if it comes after it by the edges that there are.
    pub(super) fn put_before<N, E>(&mut self, graph: &DiGraph<N, E>, earlier: NodeIndex, later: NodeIndex) -> bool {
        if self.key(earlier, FORWARDS) < self.key(later, FORWARDS) {
            return true;
        }
        if earlier == later {
            return false;
        }
        let mut sides =
            [Side::new(self, graph, FORWARDS, earlier, later), Side::new(self, graph, BACKWARDS, later, earlier)];
        let (sign, moved) = 'search: loop {
            for side in &mut sides {
                match side.step(self, graph) {
                    Step::More => {}
                    Step::Meets => return false,
                    Step::Ends => break 'search (side.sign, std::mem::take(&mut side.moved)),
                }
            }
        };
        self.levels.resize(graph.node_count(), 0);
        for (node, level) in moved {
            self.levels[node.index()] = sign * level;
        }
        true
    }

    fn key(&self, node: NodeIndex, sign: i64) -> Key {
        let level = self.levels.get(node.index()).copied().unwrap_or(0);
        (sign * level, sign * node.index() as i64)
    }
}

const FORWARDS: i64 = 1;
const BACKWARDS: i64 = -1;

/// The search at one side of a new edge for the nodes that have to move. Keys are those
/// of its direction: seen backwards, lowering is raising.
struct Side {
    sign: i64,
    /// The other end of the edge: if it is found, the edge closes a cycle.
    other: NodeIndex,
    /// The nodes to move, with their new levels.
    moved: FxHashMap<NodeIndex, i64>,
    /// Those whose neighbours have not been looked at, by their keys from before. The
    /// smallest one comes first: by then all before it have their new levels, so that
    /// each node is visited once.
    waiting: BinaryHeap<Reverse<Key>>,
    /// The node whose neighbours are being looked at, as it is moved.
    current: Key,
    neighbors: WalkNeighbors<u32>,
}

/// What one step of a search has found.
enum Step {
    More,
    /// All that has to move is known.
    Ends,
    /// The sides meet.
    Meets,
}

impl Side {
    /// That of `node`, which has to come behind `other` in this direction.
    fn new<N, E>(
        order: &TopologicalOrder,
        graph: &DiGraph<N, E>,
        sign: i64,
        other: NodeIndex,
        node: NodeIndex,
    ) -> Self {
        let number = order.key(node, sign).1;
        let level = level_behind(order.key(other, sign), number);
        Self {
            sign,
            other,
            moved: FxHashMap::from_iter([(node, level)]),
            waiting: BinaryHeap::new(),
            current: (level, number),
            neighbors: neighbors(graph, node, sign),
        }
    }

    /// Looks at one edge, or goes on to the next node.
    fn step<N, E>(&mut self, order: &TopologicalOrder, graph: &DiGraph<N, E>) -> Step {
        let Some(next) = self.neighbors.next_node(graph) else {
            let Some(Reverse((_, number))) = self.waiting.pop() else { return Step::Ends };
            let node = NodeIndex::new((self.sign * number) as usize);
            self.current = (self.moved[&node], number);
            self.neighbors = neighbors(graph, node, self.sign);
            return Step::More;
        };
        if next == self.other {
            return Step::Meets;
        }
        let key = order.key(next, self.sign);
        let level = level_behind(self.current, key.1);
        if let Some(moved) = self.moved.get_mut(&next) {
            *moved = level.max(*moved);
        } else if level > key.0 {
            self.moved.insert(next, level);
            self.waiting.push(Reverse(key));
        }
        Step::More
    }
}

/// The smallest level at which a node of this number has a larger key.
fn level_behind(key: Key, number: i64) -> i64 {
    key.0 + i64::from(number < key.1)
}

fn neighbors<N, E>(graph: &DiGraph<N, E>, node: NodeIndex, sign: i64) -> WalkNeighbors<u32> {
    let direction = if sign == FORWARDS { Direction::Outgoing } else { Direction::Incoming };
    graph.neighbors_directed(node, direction).detach()
}

#[cfg(test)]
mod tests {
    use super::*;
    use petgraph::algo::has_path_connecting;

    /// splitmix64 (Steele et al. 2014).
    fn random(state: &mut u64, below: usize) -> NodeIndex {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        NodeIndex::new(((z ^ (z >> 31)) % below as u64) as usize)
    }

    /// Random edges among nodes that are added meanwhile, with edges of their own: an
    /// edge is taken exactly if it closes no cycle, and the order is one of all edges at
    /// any time.
    #[test]
    fn the_order_is_one_of_all_edges_and_refuses_those_that_close_a_cycle() {
        for seed in 0..60 {
            let mut state = seed;
            let mut graph = DiGraph::<(), ()>::new();
            let mut order = TopologicalOrder::default();
            let mut refused = 0;
            for count in 1..40 {
                let node = graph.add_node(());
                for _ in 0..seed % 3 {
                    let before = random(&mut state, count);
                    if before != node {
                        graph.add_edge(before, node, ());
                    }
                }
                order.added(&graph, node);
                for _ in 0..3 {
                    let (earlier, later) = (random(&mut state, count), random(&mut state, count));
                    let closes = has_path_connecting(&graph, later, earlier, None);
                    assert_eq!(order.put_before(&graph, earlier, later), !closes, "seed {seed}, {earlier:?} {later:?}");
                    if closes {
                        refused += 1;
                    } else {
                        graph.add_edge(earlier, later, ());
                    }
                    for edge in graph.edge_indices() {
                        let (from, to) = graph.edge_endpoints(edge).expect("it is there");
                        assert!(order.key(from, FORWARDS) < order.key(to, FORWARDS), "seed {seed}");
                    }
                }
            }
            assert!(refused > 5 && order.is_reordered(), "seed {seed} tests little");
            let positions: FxHashMap<_, _> = order.sorted(&graph).into_iter().zip(0..).collect();
            assert_eq!(positions.len(), graph.node_count());
            assert!(graph.raw_edges().iter().all(|edge| positions[&edge.source()] < positions[&edge.target()]));
        }
    }
}
