//! Whether a cluster takes what users give it: all that can be wrong with a call or a
//! graph which only a cluster knows.

use crate::api::call::{Options, Parts};
use crate::api::graph::Graph;
use crate::api::reference::Reference;
use crate::outcome::error::{PathStep, Reason, Refusal};
use std::sync::Arc;

/// What a cluster is like at the moment.
pub(crate) struct Admission {
    pub(crate) session: u64,
    pub(crate) workers: u32,
    /// It takes no tasks any more.
    pub(crate) is_closing: bool,
}

impl Admission {
    /// Refuses a call in which nothing can be wrong once no tasks are taken any more.
    pub(crate) fn check_open(&self, name: &str) -> Result<(), Arc<PathStep>> {
        if self.is_closing { Err(PathStep::refused(name, Refusal::Closed)) } else { Ok(()) }
    }

    /// Refuses a call that can never run.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), Arc<PathStep>> {
        let dependency = || parts.dependencies().find_map(|other| other.refusal(Some(self.session), None));
        let reason = if self.is_closing {
            Some(Refusal::Closed.into())
        } else {
            // What is wrong whatever the cluster comes first: more ranks would not help
            // it.
            let own = parts.refusal().or_else(|| self.too_many_ranks(parts.options()));
            own.map(Reason::from).or_else(dependency)
        };
        reason.map_or(Ok(()), |reason| Err(PathStep::refused(&parts.name(), reason)))
    }

    /// Refuses a value once no tasks are taken any more.
    pub(crate) fn check_value(&self) -> Result<(), Arc<PathStep>> {
        self.check_open("value")
    }

    /// Refuses a graph one of whose tasks can never run.
    pub(crate) fn check_graph(&self, graph: &Graph) -> Result<(), Arc<PathStep>> {
        if let Some(step) = graph.refusal() {
            return Err(step);
        }
        if self.is_closing {
            return Err(PathStep::refused("graph", Refusal::Closed));
        }
        let refusal_of = |other: &Reference| other.refusal(Some(self.session), Some(graph.id()));
        let options = |said: &Options| {
            let own = self.too_many_ranks(said).map(Reason::from);
            own.or_else(|| said.dependencies().find_map(refusal_of))
        };
        graph.refused_by(options, refusal_of).map_or(Ok(()), Err)
    }

    fn too_many_ranks(&self, options: &Options) -> Option<Refusal> {
        let wanted = options.ranks.filter(|wanted| *wanted > self.workers)?;
        Some(Refusal::TooManyRanks { wanted, workers: self.workers })
    }
}
