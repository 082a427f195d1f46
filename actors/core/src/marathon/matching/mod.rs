//! Whether an offer can carry one more instance of an app, and with which resources.
//! Launches nothing, counts nothing: the engine decides what to do with a match.

use std::time::Duration;

use tepui_protocol::marathon::{App, Volume};
use tepui_protocol::v1;

use crate::ids::IdSource;
use crate::resources::{Resources, to_milli};
use crate::time::{Now, Wall};

use super::constraint::{Rules, Spread, accepts};
use super::place::Place;
use super::ports::{self, AssignedPort, Ports};

mod offer;
mod refusal;
mod scalars;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use offer::OpenOffer;
pub use refusal::{Problem, Reason, Refusal};
pub use scalars::Scalar;

/// The role of resources that are not reserved.
const ANY_ROLE: &str = "*";

/// The label that overrides `--gpu_scheduling_behavior` for one app. Marathon.
const GPU_LABEL: &str = "GPU_SCHEDULING_BEHAVIOR";

/// Executors that mean Mesos's own one.
const COMMAND_EXECUTORS: [&str; 2] = ["", "//cmd"];

/// What an app takes that names no roles: `--accepted_resource_roles_default_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultRoles {
    /// Unreserved resources and those of its role.
    #[default]
    Any,
    /// Unreserved resources only.
    Unreserved,
    /// Those of its role only.
    Reserved,
}

/// `--gpu_scheduling_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GpuScheduling {
    /// Agents with GPUs are kept for apps that need them.
    #[default]
    Restricted,
    /// No rule.
    Unrestricted,
}

/// Flags that matching needs, and what the master says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchSettings {
    /// `--accepted_resource_roles_default_behavior`.
    pub default_roles: DefaultRoles,
    /// `--gpu_scheduling_behavior`.
    pub gpu_scheduling: GpuScheduling,
    /// `--maintenance_mode`: leave agents alone that are in a maintenance window.
    pub maintenance_mode: bool,
    /// `--draining_seconds`: a window counts from so long before its start.
    pub draining: Duration,
    /// Region of the master, if it has one.
    pub local_region: Option<String>,
    /// `--executor`: of apps that name none.
    pub executor: String,
}

impl Default for MatchSettings {
    /// The defaults of the flags.
    fn default() -> Self {
        MatchSettings {
            default_roles: DefaultRoles::default(),
            gpu_scheduling: GpuScheduling::default(),
            maintenance_mode: true,
            draining: Duration::ZERO,
            local_region: None,
            executor: "//cmd".to_owned(),
        }
    }
}

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct MatchRequest<'a> {
    /// The app.
    pub app: &'a App,
    /// Its constraints, compiled.
    pub rules: &'a Rules,
    /// The places of its instances of the current configuration.
    pub spread: &'a Spread,
    /// Flags.
    pub settings: &'a MatchSettings,
    /// For maintenance windows.
    pub now: Now,
}

/// What one instance gets from an offer.
#[derive(Debug, Clone)]
pub struct Match {
    /// Where it will be.
    pub place: Place,
    /// Scalars and ports of its task, as they were offered: with reservations and allocation.
    pub resources: Resources,
    /// Of its custom executor; empty for Mesos's own one.
    pub executor_resources: Resources,
    /// Its ports, in the order in which the app declares them.
    pub ports: Vec<AssignedPort>,
}

impl Match {
    /// All that the launch consumes.
    pub fn consumed(&self) -> Resources {
        let mut all = self.resources.clone();
        all.add(&self.executor_resources);
        all
    }
}

/// The path of an app's custom executor; none when Mesos's own one runs its tasks.
pub fn custom_executor<'a>(app: &'a App, default: &'a str) -> Option<&'a str> {
    let path = match app.executor.as_str() {
        "" => default,
        own => own,
    };
    (!COMMAND_EXECUTORS.contains(&path)).then_some(path)
}

/// Looks for one instance's resources in what is left of an offer.
///
/// Resources reserved to the app's role are taken before unreserved ones. The match is taken from
/// the offer by [`OpenOffer::take`], not here.
///
/// # Errors
/// Everything that stands in the way, in Marathon's order.
pub fn match_offer(
    offer: &OpenOffer,
    request: &MatchRequest<'_>,
    random: &mut IdSource,
) -> Result<Match, Refusal> {
    let mut problems = Vec::new();
    let roles = accepted_roles(request.app, request.settings.default_roles);
    let usable = offer.usable_by(&roles);
    check_role(offer, request.app, &roles, &usable, &mut problems);
    check_place(offer, request, &mut problems);
    if is_resident(request.app) {
        problems.push(Problem::NoReservation);
    }
    check_maintenance(offer, request, &mut problems);
    let (resources, executor_resources) = take_scalars(&usable, request, &mut problems);
    let wishes = ports::wishes(request.app);
    let ports = ports::assign(&wishes, &usable, random).unwrap_or_else(|lacking| {
        problems.push(Problem::Ports(lacking));
        Ports::default()
    });
    check_gpus(offer, request, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal { problems });
    }
    let mut resources = resources;
    resources.add(&ports.consumed);
    Ok(Match {
        place: offer.place.clone(),
        resources,
        executor_resources,
        ports: ports.assigned,
    })
}

/// Roles whose resources an app takes, its own before `*`.
fn accepted_roles(app: &App, default: DefaultRoles) -> Vec<&str> {
    let own = app.role.as_str();
    let mut roles: Vec<&str> = match (&app.accepted_resource_roles, default) {
        (Some(roles), _) if !roles.is_empty() => roles.iter().map(String::as_str).collect(),
        (_, DefaultRoles::Any) => vec![own, ANY_ROLE],
        (_, DefaultRoles::Unreserved) => vec![ANY_ROLE],
        (_, DefaultRoles::Reserved) => vec![own],
    };
    roles.sort_by_key(|role| *role == ANY_ROLE);
    roles.dedup();
    roles
}

fn check_role(
    offer: &OpenOffer,
    app: &App,
    roles: &[&str],
    usable: &Resources,
    problems: &mut Vec<Problem>,
) {
    if let Some(role) = &offer.role
        && role.as_ref() != app.role
    {
        problems.push(Problem::Role {
            wanted: app.role.clone(),
            offered: role.to_string(),
        });
    } else if usable.is_empty() {
        problems.push(Problem::Reserved {
            accepted: roles.iter().map(|role| (*role).to_owned()).collect(),
        });
    }
}

fn check_place(offer: &OpenOffer, request: &MatchRequest<'_>, problems: &mut Vec<Problem>) {
    let local = request.settings.local_region.as_deref();
    if let (Some(region), Some(local)) = (offer.place.region.as_deref(), local)
        && region != local
        && !request.rules.mind_fault_domains()
    {
        problems.push(Problem::Region {
            local: local.to_owned(),
            offered: region.to_owned(),
        });
    }
    let wanted = request.app.instances;
    if let Err(violations) = accepts(request.rules, wanted, &offer.place, request.spread) {
        problems.extend(violations.into_iter().map(Problem::Constraint));
    }
}

/// Persistent volumes need reservations, which no offer for a first launch has.
fn is_resident(app: &App) -> bool {
    let volumes = app
        .container
        .iter()
        .flat_map(|container| &container.volumes);
    let is_persistent = |volume: &Volume| matches!(volume, Volume::Persistent { .. });
    app.residency.is_some() || volumes.into_iter().any(is_persistent)
}

fn check_maintenance(offer: &OpenOffer, request: &MatchRequest<'_>, problems: &mut Vec<Problem>) {
    let settings = request.settings;
    let Some(window) = offer.unavailability.filter(|_| settings.maintenance_mode) else {
        return;
    };
    if is_in_window(&window, settings.draining, request.now.wall) {
        problems.push(Problem::Maintenance {
            starts_in: seconds(i128::from(window.start.nanoseconds) - nanos(request.now.wall)),
            lasts: window
                .duration
                .map(|duration| seconds(i128::from(duration.nanoseconds))),
        });
    }
}

fn is_in_window(window: &v1::Unavailability, draining: Duration, now: Wall) -> bool {
    let start = i128::from(window.start.nanoseconds);
    let draining = i128::try_from(draining.as_nanos()).unwrap_or(i128::MAX / 4);
    let ends = window
        .duration
        .map(|duration| start + i128::from(duration.nanoseconds));
    let now = nanos(now);
    start - draining <= now && ends.is_none_or(|ends| now < ends)
}

fn nanos(wall: Wall) -> i128 {
    i128::from(wall.0) * 1000
}

fn seconds(nanos: i128) -> i64 {
    i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX)
}

/// Scalars of the task and of its executor.
fn take_scalars(
    usable: &Resources,
    request: &MatchRequest<'_>,
    problems: &mut Vec<Problem>,
) -> (Resources, Resources) {
    let app = request.app;
    let executor = custom_executor(app, &request.settings.executor)
        .and(app.executor_resources)
        .map_or([0.0; 4], |own| [own.cpus, own.mem, own.disk, 0.0]);
    let task = [app.cpus, app.mem, app.disk, f64::from(app.gpus)];
    let (mut of_task, mut of_executor) = (Resources::new(), Resources::new());
    for (at, scalar) in scalars::Scalar::ALL.into_iter().enumerate() {
        let (task, executor) = (to_milli(task[at]), to_milli(executor[at]));
        match scalars::take_both(usable, scalar, task, executor) {
            Ok((task, executor)) => {
                of_task.add(&task);
                of_executor.add(&executor);
            }
            Err(offered) => problems.push(Problem::Scalar {
                scalar,
                wanted_milli: task.saturating_add(executor),
                offered_milli: offered,
            }),
        }
    }
    (of_task, of_executor)
}

fn check_gpus(offer: &OpenOffer, request: &MatchRequest<'_>, problems: &mut Vec<Problem>) {
    let label = request.app.labels.get(GPU_LABEL).map(String::as_str);
    let behaviour = match label {
        Some("restricted") => GpuScheduling::Restricted,
        Some("unrestricted") => GpuScheduling::Unrestricted,
        _ => request.settings.gpu_scheduling,
    };
    let is_scarce = offer.gpus_milli > 0 && request.app.gpus == 0;
    if behaviour == GpuScheduling::Restricted && is_scarce {
        problems.push(Problem::ScarceGpus {
            offered_milli: offer.gpus_milli,
        });
    }
}
