//! `/allocator/offer_constraints_debug`: which agents frameworks' offer constraints keep from them.
//! Asks nobody: constraints, agents and suppressed roles are all in what the master published.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use tepui_core::master::model::{Framework, Snapshot};
use tepui_core::validation::constraints::{OfferConstraintsFilter, compile};
use tepui_core::validation::re2::Limits;

use super::Face;
use crate::http::json;

/// Takes time in proportion to frameworks times agents, off the worker's thread.
pub(super) async fn debug(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let debug = move || Debug {
        snapshot: of.snapshot.load_full(),
        limits: Limits {
            max_mem_bytes: of.config.offer_constraints_re2_max_mem as u64,
            max_program_size: of.config.offer_constraints_re2_max_program_size as u64,
        },
    };
    json::answer_long(request, debug).await
}

/// The whole answer. Mesos: `HierarchicalAllocatorProcess::offerConstraintsDebug`.
struct Debug {
    snapshot: Arc<Snapshot>,
    /// Of the patterns in constraints.
    limits: Limits,
}

struct Frameworks<'a>(&'a Debug);

struct OfFramework<'a> {
    framework: &'a Framework,
    debug: &'a Debug,
}

struct Excluded<'a> {
    framework: &'a Framework,
    filter: Option<OfferConstraintsFilter>,
    snapshot: &'a Snapshot,
}

impl Serialize for Debug {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Debug", 1)?;
        out.serialize_field("frameworks", &Frameworks(self))?;
        out.end()
    }
}

impl Serialize for Frameworks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let debug = self.0;
        let all = debug.snapshot.frameworks.iter();
        serializer.collect_map(all.map(|(id, framework)| {
            let shown = OfFramework { framework, debug };
            (id.as_str(), shown)
        }))
    }
}

impl Serialize for OfFramework<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let constraints = self.framework.constraints.as_ref();
        // They were compiled within the same limits when the framework subscribed.
        let filter = constraints.and_then(|sent| compile(sent, self.debug.limits).ok());
        let excluded = Excluded {
            framework: self.framework,
            filter,
            snapshot: &self.debug.snapshot,
        };
        let suppressed = self.framework.suppressed.iter();
        let suppressed: Vec<&str> = suppressed.map(|role| &**role).collect();
        let mut out = serializer.serialize_struct("Framework", 2)?;
        out.serialize_field("suppressed_roles", &suppressed)?;
        out.serialize_field("excluded_by_attribute_constraints", &excluded)?;
        out.end()
    }
}

impl Serialize for Excluded<'_> {
    /// Every role of the framework, in the order of their names as in Mesos.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut roles: Vec<&str> = self.framework.roles.iter().map(|it| &**it).collect();
        roles.sort_unstable();
        let mut out = serializer.serialize_map(Some(roles.len()))?;
        for role in roles {
            out.serialize_entry(role, &self.agents(role))?;
        }
        out.end()
    }
}

impl Excluded<'_> {
    /// The ids of the agents that are not offered in a role.
    fn agents(&self, role: &str) -> Vec<&str> {
        let Some(filter) = self.filter.as_ref().filter(|it| it.constrains(role)) else {
            return Vec::new();
        };
        let agents = self.snapshot.agents.values();
        let excluded = agents.filter(|agent| filter.is_agent_excluded(role, &agent.info));
        excluded.map(|agent| agent.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tepui_core::ids::{AgentId, FrameworkId};
    use tepui_core::memo::Memo;
    use tepui_protocol::v1;

    use super::super::testing;
    use super::*;

    fn shown(snapshot: Snapshot) -> Value {
        let debug = Debug {
            snapshot: Arc::new(snapshot),
            limits: Limits::default(),
        };
        serde_json::to_value(debug).expect("JSON")
    }

    /// An agent on a rack as well as the one that is there, and a framework with these constraints.
    fn snapshot(constraints: &Value) -> Snapshot {
        let mut snapshot = testing::with_framework().0.snapshot();
        let (_, first) = snapshot.agents.iter().next().expect("an agent");
        let mut second = tepui_core::master::model::Agent::clone(first);
        let info: v1::AgentInfo = testing::read(&json!({"hostname": "h2",
            "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r2"}}]}));
        second.id = AgentId::from("M-S1");
        second.info = info.into();
        snapshot
            .agents
            .insert(AgentId::from("M-S1"), Arc::new(Memo::from(second)));
        let id = FrameworkId::from("M-0000");
        let mut framework = Framework::clone(&snapshot.frameworks[&id]);
        framework.roles = vec!["ops".into(), "eng/web".into()];
        framework.suppressed.insert("ops".into());
        framework.constraints = Some(Arc::new(testing::read(constraints)));
        snapshot.frameworks.insert(id, Arc::new(framework));
        snapshot
    }

    #[test]
    fn every_role_has_the_agents_that_its_constraints_exclude() {
        let rack = |predicate: Value| {
            json!({"attribute_constraints":
                [{"selector": {"attribute_name": "rack"}, "predicate": predicate}]})
        };
        let constraints = json!({"role_constraints": {
            "eng/web": {"groups": [rack(json!({"text_matches": {"regex": "r[12]"}}))]},
            "ops": {"groups": [rack(json!({"not_exists": {}}))]}}});
        assert_eq!(
            shown(snapshot(&constraints)),
            json!({"frameworks": {"M-0000": {
                "suppressed_roles": ["ops"],
                "excluded_by_attribute_constraints": {"eng/web": ["M-S0"], "ops": ["M-S1"]}}}})
        );
    }

    #[test]
    fn a_role_without_constraints_excludes_nothing() {
        let shown = shown(snapshot(&json!({"role_constraints": {}})));
        let framework = &shown["frameworks"]["M-0000"];
        let none = json!({"eng/web": [], "ops": []});
        assert_eq!(framework["excluded_by_attribute_constraints"], none);
        let mut empty = testing::with_framework().0.snapshot();
        empty.frameworks = Default::default();
        assert_eq!(
            serde_json::to_value(Debug {
                snapshot: Arc::new(empty),
                limits: Limits::default(),
            })
            .expect("JSON"),
            json!({"frameworks": {}})
        );
    }
}
