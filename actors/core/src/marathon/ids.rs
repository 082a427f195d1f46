//! Ids of instances and of their tasks.
//! Makes no random ids by itself.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::PathId;
use uuid::Uuid;

use crate::ids::TaskId;

/// What stands between the path of an app and the uuid of an instance.
const MARK: &str = ".instance-";

/// The same in ids that Marathon made before 1.5.
const OLD_MARK: &str = ".marathon-";

/// What ends the id of an app's task, before its incarnation.
const APP_CONTAINER: &str = "._app.";

/// One place of an app: `<safe path>.instance-<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// The id of a new instance of `app`. Marathon uses uuids of version 1; any does.
    pub fn new(app: &PathId, uuid: Uuid) -> InstanceId {
        InstanceId(Arc::from(format!("{}{MARK}{uuid}", app.safe())))
    }

    /// Reads an id, in Marathon's older form too; none when it has neither.
    pub fn parse(text: &str) -> Option<InstanceId> {
        let mark = [MARK, OLD_MARK]
            .into_iter()
            .find_map(|mark| text.rfind(mark))?;
        let uuid = &text[mark + MARK.len()..];
        (mark > 0 && !uuid.is_empty() && !uuid.contains('.')).then(|| InstanceId(Arc::from(text)))
    }

    /// The app it belongs to. Segments of a path never hold a `_`.
    pub fn app(&self) -> PathId {
        let end = [MARK, OLD_MARK]
            .into_iter()
            .find_map(|mark| self.0.rfind(mark));
        PathId::new(&self.0[..end.unwrap_or(self.0.len())].replace('_', "/"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of the `incarnation`th run of an instance, counted from 1: `<instance id>._app.<incarnation>`.
pub fn task_id(instance: &InstanceId, incarnation: u32) -> TaskId {
    TaskId::new(format!("{}{APP_CONTAINER}{incarnation}", instance.0))
}

/// The instance a task is a run of; none for ids that are none of ours. Older ids are understood:
/// without an incarnation, and `<safe path>.marathon-<uuid>`.
pub fn instance_of(task: &TaskId) -> Option<InstanceId> {
    let text = task.as_str();
    let mark = [MARK, OLD_MARK]
        .into_iter()
        .find_map(|mark| text.rfind(mark))?;
    let rest = &text[mark + MARK.len()..];
    let uuid = rest.split('.').next().unwrap_or_default();
    InstanceId::parse(&text[..mark + MARK.len() + uuid.len()])
}

/// Which run of its instance a task is; 1 where the id does not say.
pub fn incarnation_of(task: &TaskId) -> u32 {
    let end = task.as_str().rsplit_once(APP_CONTAINER);
    end.and_then(|(_, text)| text.parse().ok()).unwrap_or(1)
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_and_read() {
        let instance = InstanceId::new(&PathId::new("/shop/cart"), Uuid::from_u128(7));
        let text = "shop_cart.instance-00000000-0000-0000-0000-000000000007";
        assert_eq!(instance.as_str(), text);
        assert_eq!(InstanceId::parse(text), Some(instance.clone()));
        assert_eq!(instance.app(), PathId::new("/shop/cart"));
        let task = task_id(&instance, 3);
        assert_eq!(task.as_str(), format!("{text}._app.3"));
        assert_eq!(
            (instance_of(&task), incarnation_of(&task)),
            (Some(instance), 3)
        );
    }

    #[test]
    fn older_ids_are_understood_and_foreign_ones_are_not() {
        for (text, instance) in [
            ("a_b.instance-u", Some("a_b.instance-u")),
            ("a_b.marathon-u", Some("a_b.marathon-u")),
            ("a_b.instance-u.web.2", Some("a_b.instance-u")),
            ("a.b", None),
            (".instance-u", None),
            ("a.instance-", None),
            ("", None),
        ] {
            let read = instance_of(&TaskId::new(text));
            assert_eq!(read.as_ref().map(InstanceId::as_str), instance, "{text}");
        }
        assert_eq!(incarnation_of(&TaskId::new("a.instance-u._app.x")), 1);
    }
}
