//! How what errors share travels: as its content. Where it arrives, it is shared no more.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

pub(super) fn serialize<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
    (**value).serialize(to)
}

pub(super) fn deserialize<'de, T: ?Sized, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error>
where
    Box<T>: Deserialize<'de>,
{
    Box::<T>::deserialize(from).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::super::{PathStep, Refusal, TaskError, TaskSite, UpstreamPath};
    use crate::codec;
    use crate::id::Rank;
    use std::sync::Arc;

    #[test]
    fn errors_travel_with_all_that_is_in_them() {
        let site = Arc::new(TaskSite {
            task: 7,
            function: "model::solve".to_owned(),
            label: Some("step".to_owned()),
            rank: Some(Rank(3)),
            host: None,
            attempts: 2,
            place: 0,
        });
        let failed = TaskError::Failed { site: Arc::clone(&site), message: Arc::from("no root") };
        let path = UpstreamPath { steps: vec!["a".to_owned(), "b".to_owned()], omitted: 9 };
        let root = Arc::new(failed.clone());
        let refused = PathStep::refused("late", Refusal::TooManyRanks { wanted: 9, workers: 2 });
        for error in [
            failed,
            TaskError::Upstream { site: Arc::clone(&site), root, path },
            PathStep::after(&refused, "later").refusal(),
            TaskError::Timeout { site, waited_ms: u128::MAX },
            TaskError::NotStarted,
        ] {
            let bytes = codec::encode(&error).expect("an error encodes");
            assert_eq!(codec::decode(bytes.as_slice()), Ok(error));
        }
    }
}
