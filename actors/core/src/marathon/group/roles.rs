//! Which role a service gets and which ones it may have, by the top-level group it is in.
//! Roles of offers are another matter.

use tepui_protocol::marathon::PathId;

use super::{RootGroup, top_level};
use crate::marathon::definition::{Roles, Settings};

impl RootGroup {
    /// The roles of the service `id`, whether it exists or not; as in Marathon, a service may always
    /// keep the role it has, unless it is at root level.
    pub fn roles_of(&self, id: &PathId, settings: &Settings) -> Roles {
        let mesos_role = settings.mesos_role.clone();
        let Some(top) = top_level(id) else {
            return Roles {
                default: mesos_role.clone(),
                allowed: vec![mesos_role],
            };
        };
        let enforced = self.group(&top).and_then(|group| group.enforce_role);
        let name = top.as_str().trim_start_matches('/').to_owned();
        let current = self.app(id).map(|app| app.role.clone());
        let (default, mut allowed) = match enforced.unwrap_or(settings.new_group_enforce_role) {
            true => (name.clone(), vec![name]),
            false => (mesos_role.clone(), vec![mesos_role, name]),
        };
        allowed.extend(current);
        let mut distinct: Vec<String> = Vec::new();
        for role in allowed {
            if !distinct.contains(&role) {
                distinct.push(role);
            }
        }
        Roles {
            default,
            allowed: distinct,
        }
    }
}
