//! Where an instance runs, as constraints see it.
//! Says nothing about what else is on the agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The agent an instance was launched on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Mesos's id of the agent.
    pub agent_id: String,
    /// Host name of the agent.
    pub host: String,
    /// Region of its fault domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Zone of its fault domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Attributes in the text form that constraints compare: scalars with up to three decimals
    /// without trailing zeros, `[a-b,c-d]`, `{a,b}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Place {
    /// The value of a constraint's field; none where the agent does not have it.
    pub fn field(&self, field: &str) -> Option<&str> {
        match field {
            "hostname" | "@hostname" => Some(&self.host),
            "@region" => self.region.as_deref(),
            "@zone" => self.zone.as_deref(),
            attribute => self.attributes.get(attribute).map(String::as_str),
        }
    }
}
