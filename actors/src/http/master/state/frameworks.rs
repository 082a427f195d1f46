//! `/frameworks`: the frameworks of `/state` alone.
//! What is shown of a framework is in `framework`.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use tepui_core::master::model::{Framework, Snapshot};

use super::Seq;
use super::framework::{FrameworkView, Used};

/// What `/frameworks` tells.
pub struct Frameworks {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// Only the framework of this id.
    pub id: Option<String>,
}

impl Serialize for Frameworks {
    /// Mesos: `ReadOnlyHandler::frameworks`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Lists<R, C> {
            frameworks: R,
            completed_frameworks: C,
            // Always empty in Mesos too.
            unregistered_frameworks: [(); 0],
        }
        let snapshot = &*self.snapshot;
        let used = Used::of(snapshot);
        let accepts = |framework: &&Arc<Framework>| {
            let id = framework.id.as_str();
            self.id.as_ref().is_none_or(|wanted| wanted == id)
        };
        Lists {
            frameworks: Seq(|| {
                let registered = snapshot.frameworks.values().filter(accepts);
                registered.map(|one| FrameworkView::new(one, &used, snapshot))
            }),
            completed_frameworks: Seq(|| {
                let completed = snapshot.completed_frameworks.iter().filter(accepts);
                completed.map(|one| FrameworkView::new(one, &used, snapshot))
            }),
            unregistered_frameworks: [],
        }
        .serialize(serializer)
    }
}
