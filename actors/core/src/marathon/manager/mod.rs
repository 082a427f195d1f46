//! The app manager as a whole: requests, offers and news of tasks in; records, calls and answers out.
//! Parses no HTTP, keeps no store, speaks to no master.

mod figures;
mod history;
mod look;
mod messages;
mod offers;
mod placing;
mod records;
mod requests;
mod restore;
mod settings;
#[cfg(test)]
mod tests;
mod translate;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::marathon::{PathId, Timestamp};
use tepui_protocol::v1;

use self::history::History;
use self::look::Look;
use self::offers::Placements;
use crate::ids::{AgentId, IdSource, Role, TaskId};
use crate::marathon::constraint::RulesCache;
use crate::marathon::engine::{self, Engine, StatusUpdate, TaskFailure};
use crate::marathon::group::RootGroup;
use crate::marathon::instance::IpAddress;
use crate::time::{Mono, Now};

pub use figures::Figures;
pub use messages::{Answer, Caller, DryRun, Effect, Event, Input, ManagerEvent, ManagerEventKind};
pub use messages::{Request, Token};
pub use placing::{AppPlacement, HostPlacement, Lack, Placement, Placing};
pub use records::{Change, RootBase, RootStep, Stored};
pub use restore::RestoreError;
pub use settings::ManagerSettings;
pub use view::{AppView, Snapshot};

/// Owns the root group with its history and the engine; everything goes through it, one input after
/// the other.
#[derive(Debug)]
pub struct Manager {
    settings: ManagerSettings,
    root: RootGroup,
    history: History,
    engine: Engine,
    views: OrdMap<PathId, AppView>,
    failures: OrdMap<PathId, Arc<TaskFailure>>,
    placements: Placements,
    look: Look,
    rules: RulesCache,
    random: IdSource,
    framework_id: Option<String>,
    /// Roles that the framework is subscribed with; they only ever grow. Marathon.
    roles: BTreeSet<Role>,
    /// Counted since the start; what the engine counts is not in it.
    figures: Figures,
    /// Scratch for what the engine wants done.
    wanted: Vec<engine::Effect>,
}

impl Manager {
    /// Takes an input; what follows is appended to `out`.
    pub fn input(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        let mut wanted = std::mem::take(&mut self.wanted);
        match input {
            Input::Request(token, request) => {
                if let Some(answer) = self.request(now, token, request, out) {
                    out.push(Effect::Reply(token, answer));
                }
            }
            Input::Connected {
                framework_id,
                region,
                master,
            } => self.connected(now, (framework_id, region, master), &mut wanted, out),
            Input::Disconnected => {
                self.engine.scheduler_disconnected();
                self.tell(now, ManagerEventKind::Disconnected, out);
            }
            Input::Offers(offers) => self.offers(now, offers, out),
            Input::Update(status) => {
                if let Some(update) = read_status(&status) {
                    self.engine.status_update(&update, now, &mut wanted);
                }
            }
            Input::AgentLost(agent) => self.engine.agent_lost(&agent, &mut wanted),
            Input::Message {
                executor,
                agent,
                data,
            } => {
                let kind = ManagerEventKind::Message {
                    executor_id: executor,
                    slave_id: agent,
                    message: data.into_iter().map(u8::cast_signed).collect(),
                };
                self.tell(now, kind, out);
            }
            Input::Health {
                instance,
                check,
                verdict,
            } => {
                let engine = &mut self.engine;
                engine.health_result(&instance, check, &verdict, now, &mut wanted);
                self.refresh(&instance);
            }
            Input::Readiness { instance, result } => {
                self.engine
                    .readiness_result(&instance, result, now, &mut wanted);
            }
            Input::Timer => {
                self.engine.timer(now, &mut wanted);
                self.end_look(now, out);
            }
        }
        self.perform(&mut wanted, out);
        self.wanted = wanted;
    }

    /// When [`Input::Timer`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        let look = self.look.deadline();
        self.engine.next_deadline().into_iter().chain(look).min()
    }

    /// The framework's id, once Mesos has given one.
    pub fn framework_id(&self) -> Option<&str> {
        self.framework_id.as_deref()
    }

    /// Roles to subscribe with, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter()
    }

    fn connected(
        &mut self,
        now: Now,
        (framework_id, region, master): (String, Option<String>, String),
        wanted: &mut Vec<engine::Effect>,
        out: &mut Vec<Effect>,
    ) {
        self.settings.matching.local_region = region;
        let kind = match self.framework_id.as_deref() {
            Some(known) if known == framework_id => ManagerEventKind::Reregistered { master },
            _ => {
                let id = framework_id.clone();
                out.push(Effect::Store(vec![Change::FrameworkId(id)]));
                self.framework_id = Some(framework_id.clone());
                ManagerEventKind::Registered {
                    framework_id,
                    master,
                }
            }
        };
        self.tell(now, kind, out);
        self.engine.scheduler_connected(now, wanted);
    }

    fn tell(&self, now: Now, kind: ManagerEventKind, out: &mut Vec<Effect>) {
        let timestamp = stamp(now);
        out.push(Effect::Event(Event::Manager(ManagerEvent {
            kind,
            timestamp,
        })));
    }

    /// Subscribes with a role from now on, if it is a new one.
    fn note_roles(&mut self, root: &RootGroup, changed: &BTreeSet<PathId>, out: &mut Vec<Effect>) {
        let apps = changed.iter().filter_map(|id| root.app(id));
        let before = self.roles.len();
        self.roles
            .extend(apps.map(|app| Role::from(app.role.as_str())));
        if self.roles.len() != before {
            out.push(Effect::Roles(self.roles.iter().cloned().collect()));
        }
    }

    /// All the state that can be counted twice is the same both times; for tests.
    ///
    /// # Errors
    /// What differs.
    pub fn sanity_check(&self) -> Result<(), String> {
        let known: BTreeMap<_, _> = self
            .engine
            .instances()
            .map(|instance| (instance.id.clone(), instance.clone()))
            .collect();
        let shown: BTreeMap<_, _> = self
            .views
            .values()
            .flat_map(|view| view.instances.values())
            .map(|instance| (instance.id.clone(), instance.clone()))
            .collect();
        if known != shown {
            return Err(format!(
                "{} instances are known, {} are shown, or they differ",
                known.len(),
                shown.len()
            ));
        }
        self.placements.sanity_check(&self.views)
    }
}

/// The wall-clock time in Marathon's form.
fn stamp(now: Now) -> Timestamp {
    Timestamp::from_millis(i64::try_from(now.wall.0 / 1000).unwrap_or(i64::MAX))
}

/// A status as the engine takes it; none when it has no state this version knows, in which case it
/// is not acknowledged and comes again.
fn read_status(status: &v1::TaskStatus) -> Option<StatusUpdate> {
    let state = v1::TaskState::try_from(status.state).ok()?;
    let reason = status.reason.and_then(|reason| reason.try_into().ok());
    let container = status.container_status.as_ref();
    let networks = container.into_iter().flat_map(|it| &it.network_infos);
    let addresses = networks.flat_map(|network| &network.ip_addresses);
    let address = |address: &v1::network_info::IpAddress| {
        let text = address.ip_address.clone()?;
        let protocol = match text.contains(':') {
            true => tepui_protocol::marathon::IpProtocol::IPv6,
            false => tepui_protocol::marathon::IpProtocol::IPv4,
        };
        Some(IpAddress {
            ip_address: text,
            protocol,
        })
    };
    Some(StatusUpdate {
        task: TaskId::from(&status.task_id),
        agent: status.agent_id.as_ref().map(AgentId::from),
        state,
        reason,
        message: status.message.clone().unwrap_or_default(),
        healthy: status.healthy,
        ip_addresses: addresses.filter_map(address).collect(),
        uuid: status.uuid.clone(),
    })
}
