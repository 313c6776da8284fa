//! How this process was started.

/// Who started this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Launcher {
    /// Nobody, or an MPI launcher that wants a single rank.
    None,
    /// An MPI launcher, as one of several ranks.
    Ranks,
}

/// Variables in which launchers tell a process how many ranks there are. `SLURM_NTASKS`
/// is not among them: it is set in any batch script.
const SIZES: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"];

/// Variables that tell a process its rank only.
const RANKS: [&str; 2] = ["PMIX_RANK", "PMI_RANK"];

impl Launcher {
    /// By the variables that launchers set.
    pub(super) fn of_this_process() -> Self {
        Self::by(|name| std::env::var(name).ok())
    }

    fn by(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &&str| variable(name)?.trim().parse::<u64>().ok();
        let in_step = variable("SLURM_STEP_ID").is_some();
        let sizes = SIZES.iter().filter(|name| in_step || !name.starts_with("SLURM"));
        let size = sizes.filter_map(number).max();
        let rank = RANKS.iter().filter_map(number).max();
        match (size, rank) {
            (Some(0 | 1), _) | (None, None) => Self::None,
            // A rank without a size: somebody counts ranks, so there may be several, and
            // MPI itself knows.
            (Some(_), _) | (None, Some(_)) => Self::Ranks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Launcher {
        Launcher::by(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn launchers_are_known_by_their_own_variables() {
        assert_eq!(with(&[]), Launcher::None);
        assert_eq!(with(&[("OMPI_COMM_WORLD_SIZE", "4")]), Launcher::Ranks);
        assert_eq!(with(&[("PMI_SIZE", "2"), ("PMI_RANK", "0")]), Launcher::Ranks);
        assert_eq!(with(&[("PMIX_RANK", "0")]), Launcher::Ranks);
        assert_eq!(with(&[("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "8")]), Launcher::Ranks);
    }

    #[test]
    fn a_single_rank_and_a_batch_script_are_no_launch() {
        assert_eq!(with(&[("OMPI_COMM_WORLD_SIZE", "1"), ("PMIX_RANK", "0")]), Launcher::None);
        assert_eq!(with(&[("SLURM_NTASKS", "64"), ("SLURM_STEP_NUM_TASKS", "64")]), Launcher::None);
    }
}
