//! Reads the body of a group with the groups and apps nested in it.
//! Applies nothing.

use tepui_protocol::marathon::Timestamp;

use crate::marathon::definition::{AppBody, At, MAX_SEGMENTS, read_app, read_path, read_timestamp};

/// The body of a request that makes or changes a group: Marathon's `GroupUpdate`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct GroupBody {
    pub id: Option<String>,
    pub apps: Option<Vec<AppBody>>,
    pub groups: Option<Vec<GroupBody>>,
    pub dependencies: Option<Vec<String>>,
    pub scale_by: Option<f64>,
    pub version: Option<Timestamp>,
    pub enforce_role: Option<bool>,
}

/// Reads a group; the outermost one may lack an id, which the URL has.
pub(super) fn read_group(at: &At) -> Option<GroupBody> {
    read_at_depth(at, 0)
}

fn read_at_depth(at: &At, depth: usize) -> Option<GroupBody> {
    if depth > MAX_SEGMENTS {
        return at.wrong("groups are nested too deeply");
    }
    if depth > 0 {
        at.required("id", read_path)?;
    }
    at.object()?;
    Some(GroupBody {
        id: at.maybe("id", read_path),
        apps: at.maybe("apps", |apps| apps.list(|app| read_app(app, false))),
        groups: at.maybe("groups", |groups| {
            groups.list(|group| read_at_depth(group, depth + 1))
        }),
        dependencies: at.maybe("dependencies", |all| all.set(read_path)),
        scale_by: at.maybe("scaleBy", |factor| factor.number(0.0, f64::MAX)),
        version: at.maybe("version", read_timestamp),
        enforce_role: at.maybe("enforceRole", At::boolean),
    })
}

/// The body of PATCH of a group.
pub(super) fn read_group_patch(at: &At) -> Option<Option<bool>> {
    at.object()?;
    Some(at.maybe("enforceRole", At::boolean))
}
