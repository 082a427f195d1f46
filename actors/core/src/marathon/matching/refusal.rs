//! Why an offer does not carry an instance: Marathon's reasons, with figures and a way out.
//! How often each occurred is counted by the queue.

use std::fmt;

use serde::Serialize;

use crate::marathon::constraint::Violation;
use crate::marathon::ports::PortsLacking;
use crate::resources::format_milli;

use super::scalars::Scalar;

/// Marathon's reasons, in the order in which its queue shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Reason {
    /// Nothing in the offer is for a role that the app accepts.
    UnfulfilledRole,
    /// A constraint, or the region.
    UnfulfilledConstraint,
    /// A resident app whose reservation is not in the offer.
    NoCorrespondingReservationFound,
    /// The agent is in a maintenance window.
    AgentMaintenance,
    /// Too few CPUs.
    InsufficientCpus,
    /// Too little memory.
    InsufficientMemory,
    /// Too little disk.
    InsufficientDisk,
    /// Too few GPUs.
    InsufficientGpus,
    /// Ports are lacking.
    InsufficientPorts,
    /// The agent is kept for apps with GPUs.
    DeclinedScarceResources,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Reason; 10] = [
        Reason::UnfulfilledRole,
        Reason::UnfulfilledConstraint,
        Reason::NoCorrespondingReservationFound,
        Reason::AgentMaintenance,
        Reason::InsufficientCpus,
        Reason::InsufficientMemory,
        Reason::InsufficientDisk,
        Reason::InsufficientGpus,
        Reason::InsufficientPorts,
        Reason::DeclinedScarceResources,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UnfulfilledRole => "UnfulfilledRole",
            Reason::UnfulfilledConstraint => "UnfulfilledConstraint",
            Reason::NoCorrespondingReservationFound => "NoCorrespondingReservationFound",
            Reason::AgentMaintenance => "AgentMaintenance",
            Reason::InsufficientCpus => "InsufficientCpus",
            Reason::InsufficientMemory => "InsufficientMemory",
            Reason::InsufficientDisk => "InsufficientDisk",
            Reason::InsufficientGpus => "InsufficientGpus",
            Reason::InsufficientPorts => "InsufficientPorts",
            Reason::DeclinedScarceResources => "DeclinedScarceResources",
        }
    }
}

/// One thing that stands in the way. Its text says what, [`Problem::unblock`] what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The offer is allocated to another role.
    Role {
        /// Of the app.
        wanted: String,
        /// Of the offer.
        offered: String,
    },
    /// Nothing that is left of the offer is for an accepted role.
    Reserved {
        /// The roles whose resources the app takes.
        accepted: Vec<String>,
    },
    /// Another region than the master's, without a constraint that allows it.
    Region {
        /// Of the master.
        local: String,
        /// Of the offer.
        offered: String,
    },
    /// A constraint.
    Constraint(Violation),
    /// Persistent volumes without a reservation for them.
    NoReservation,
    /// The agent's maintenance.
    Maintenance {
        /// Seconds until it starts; negative once it has.
        starts_in: i64,
        /// Seconds it lasts; none means without end.
        lasts: Option<i64>,
    },
    /// Too little of a scalar.
    Scalar {
        /// Which.
        scalar: Scalar,
        /// Needed, in thousandths.
        wanted_milli: i64,
        /// Usable in the offer, in thousandths.
        offered_milli: i64,
    },
    /// Ports.
    Ports(PortsLacking),
    /// GPUs that the app does not need.
    ScarceGpus {
        /// In the offer, in thousandths.
        offered_milli: i64,
    },
}

/// All that stands in the way of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In Marathon's order; never empty.
    pub problems: Vec<Problem>,
}

impl Refusal {
    /// Marathon's reasons, in its order, each once.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.problems.iter().map(Problem::reason).collect();
        reasons.dedup();
        reasons
    }
}

impl Problem {
    /// Marathon's name for it.
    pub fn reason(&self) -> Reason {
        match self {
            Problem::Role { .. } | Problem::Reserved { .. } => Reason::UnfulfilledRole,
            Problem::Region { .. } | Problem::Constraint(_) => Reason::UnfulfilledConstraint,
            Problem::NoReservation => Reason::NoCorrespondingReservationFound,
            Problem::Maintenance { .. } => Reason::AgentMaintenance,
            Problem::Scalar { scalar, .. } => match scalar {
                Scalar::Cpus => Reason::InsufficientCpus,
                Scalar::Mem => Reason::InsufficientMemory,
                Scalar::Disk => Reason::InsufficientDisk,
                Scalar::Gpus => Reason::InsufficientGpus,
            },
            Problem::Ports(_) => Reason::InsufficientPorts,
            Problem::ScarceGpus { .. } => Reason::DeclinedScarceResources,
        }
    }

    /// What would take it out of the way, as advice to whoever wrote the app or runs the cluster.
    pub fn unblock(&self) -> String {
        match self {
            Problem::Role { wanted, .. } => {
                format!("wait for an offer to role {wanted}, or give that role quota or weight")
            }
            Problem::Reserved { accepted } => format!(
                "free resources of {}, or change acceptedResourceRoles",
                accepted.join(" or ")
            ),
            Problem::Region { offered, .. } => {
                format!("add the constraint [\"@region\", \"IS\", \"{offered}\"]")
            }
            Problem::Constraint(violation) => violation.unblock(),
            Problem::NoReservation => "run it without persistent volumes".to_owned(),
            Problem::Maintenance { lasts: None, .. } => {
                "cancel the maintenance of the agent, or add agents".to_owned()
            }
            Problem::Maintenance {
                starts_in,
                lasts: Some(lasts),
            } => format!(
                "wait {} s for the end of the maintenance, or add agents",
                starts_in.saturating_add(*lasts).max(0)
            ),
            Problem::Scalar {
                scalar,
                wanted_milli,
                offered_milli,
            } => format!(
                "free {} more {} on the agent, or ask for at most {}",
                format_milli(wanted_milli.saturating_sub(*offered_milli)),
                scalar.name(),
                format_milli(*offered_milli)
            ),
            Problem::Ports(PortsLacking::Fixed(_)) => {
                "offer these ports on the agent, or let Marathon choose host ports".to_owned()
            }
            Problem::Ports(PortsLacking::Any { wanted, offered }) => {
                format!("free {} more ports on the agent", wanted - offered)
            }
            Problem::ScarceGpus { .. } => {
                "add agents without GPUs, or label the app GPU_SCHEDULING_BEHAVIOR=unrestricted"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Problem {
    /// E.g. `wanted 2 cpus, offered 0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Role { wanted, offered } => {
                write!(f, "wanted an offer to role {wanted}, offered to {offered}")
            }
            Problem::Reserved { accepted } => {
                write!(f, "nothing left for role {}", accepted.join(" or "))
            }
            Problem::Region { local, offered } => {
                write!(f, "wanted the local region {local}, offered {offered}")
            }
            Problem::Constraint(violation) => write!(f, "{violation}"),
            Problem::NoReservation => {
                f.write_str("persistent volumes need a reservation, which the offer does not hold")
            }
            Problem::Maintenance { starts_in, lasts } => {
                match *starts_in > 0 {
                    true => write!(f, "maintenance of the agent begins in {starts_in} s")?,
                    false => write!(f, "the agent is under maintenance")?,
                }
                match lasts {
                    Some(lasts) => write!(f, " and lasts {lasts} s"),
                    None => f.write_str(" without end"),
                }
            }
            Problem::Scalar {
                scalar,
                wanted_milli,
                offered_milli,
            } => write!(
                f,
                "wanted {} {}, offered {}",
                format_milli(*wanted_milli),
                scalar.name(),
                format_milli(*offered_milli)
            ),
            Problem::Ports(lacking) => write!(f, "{lacking}"),
            Problem::ScarceGpus { offered_milli } => write!(
                f,
                "the agent has {} gpus, which the app does not need",
                format_milli(*offered_milli)
            ),
        }
    }
}
