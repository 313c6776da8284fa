//! Why a cluster cannot give what the states of its slots were made to.

/// Why [`Cluster::finish`](crate::Cluster::finish) gives no values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// The config makes nothing of the states.
    #[error("nothing becomes of the states in the end: say what by `Config::finish`")]
    NoFinish,
    /// The config makes values of another type.
    #[error("`Config::finish` gives the type `{made}`, and `Cluster::finish` was asked for `{wanted}`")]
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
        /// The type of the values.
        made: &'static str,
    },
    /// There were no states.
    #[error("there is no state to finish: {message}")]
    Init {
        /// Where `init` failed, and of what.
        message: String,
    },
    /// `finish` panicked, or gave what cannot be encoded.
    #[error("the state of {site} could not be finished: {message}")]
    Failed {
        /// Rank and host.
        site: String,
        /// What it says.
        message: String,
    },
    /// `finish` has not returned.
    #[error("`finish` has not returned within the finish limit of {limit_ms} ms on {sites}")]
    Limit {
        /// Ranks and hosts where it has not.
        sites: String,
        /// The limit, in milliseconds.
        limit_ms: u128,
    },
    /// A value does not decode.
    #[error("a value of `finish` does not decode: {message}")]
    Decode {
        /// What the codec said.
        message: String,
    },
    /// The run has ended.
    #[error("the run has ended before all states were finished")]
    Closed,
}
