//! What the rules for apps and groups need to know of the configuration.
//! Reads no flags.

use std::collections::BTreeSet;

/// Values of Marathon's flags of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Role of services at root level.
    pub mesos_role: String,
    /// Name of container networks that are given without one.
    pub default_network_name: Option<String>,
    /// The name that makes an `ipAddress` mean the bridge.
    pub mesos_bridge_name: String,
    /// `enable_features`.
    pub features: BTreeSet<Feature>,
    /// First service port that is assigned.
    pub local_port_min: u16,
    /// Last service port that is assigned.
    pub local_port_max: u16,
    /// Whether new top-level groups enforce their role unless they say otherwise.
    pub new_group_enforce_role: bool,
    /// What an app without `acceptedResourceRoles` accepts.
    pub accepted_resource_roles_default_behavior: AcceptedRoles,
}

/// What `enable_features` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Kept for its name; it changes nothing any more.
    Vips,
    /// Apps may ask for GPUs.
    GpuResources,
    /// Apps may refer to secrets.
    Secrets,
    /// Apps may use volumes of drivers.
    ExternalVolumes,
    /// Tasks tell that they are being killed.
    TaskKilling,
}

impl Feature {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Feature::Vips => "vips",
            Feature::GpuResources => "gpu_resources",
            Feature::Secrets => "secrets",
            Feature::ExternalVolumes => "external_volumes",
            Feature::TaskKilling => "task_killing",
        }
    }

    /// Reads a name; none for names of no feature.
    pub fn from_name(name: &str) -> Option<Feature> {
        [
            Feature::Vips,
            Feature::GpuResources,
            Feature::Secrets,
            Feature::ExternalVolumes,
            Feature::TaskKilling,
        ]
        .into_iter()
        .find(|feature| feature.as_str() == name)
    }
}

/// Which reservations an app without `acceptedResourceRoles` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptedRoles {
    /// Unreserved resources and those of its role.
    #[default]
    Any,
    /// Unreserved resources only.
    Unreserved,
    /// Those of its role only.
    Reserved,
}

impl Settings {
    /// Whether `feature` is enabled.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

impl Default for Settings {
    /// What Marathon assumes without flags.
    fn default() -> Settings {
        Settings {
            mesos_role: "*".into(),
            default_network_name: None,
            mesos_bridge_name: "mesos-bridge".into(),
            features: BTreeSet::new(),
            local_port_min: 10_000,
            local_port_max: 20_000,
            new_group_enforce_role: false,
            accepted_resource_roles_default_behavior: AcceptedRoles::Any,
        }
    }
}
