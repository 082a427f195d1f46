//! Frameworks in `/state`, with their offers and executors.
//! Their tasks are in `task.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Serialize, Serializer};
use tepui_core::ids::TaskId;
use tepui_core::master::model::{Executor, Framework, FrameworkState, Offer, Snapshot, Task};
use tepui_core::memo::Memo;
use tepui_core::resources::Resources;
use tepui_protocol::v1::{self, framework_info::capability};

use super::resources::ResourcesView;
use super::task::task;
use super::{LabelView, labels, role};

/// What `/state-summary` shows of a framework, too.
#[derive(Serialize)]
pub(super) struct SummaryView<'a> {
    id: &'a str,
    name: &'a str,
    used_resources: ResourcesView<'a>,
    offered_resources: ResourcesView<'a>,
    capabilities: Vec<&'static str>,
    hostname: &'a str,
    webui_url: &'a str,
    active: bool,
    connected: bool,
    recovered: bool,
}

impl<'a> SummaryView<'a> {
    pub(super) fn new(
        framework: &'a Framework,
        used_resources: ResourcesView<'a>,
        snapshot: &'a Snapshot,
    ) -> Self {
        let info = &*framework.info;
        let connected = matches!(framework.state, FrameworkState::Active(_));
        SummaryView {
            id: framework.id.as_str(),
            name: &info.name,
            used_resources,
            offered_resources: ResourcesView::of_all(
                offers(framework, snapshot).map(|offer| &offer.resources),
            ),
            capabilities: capabilities(info).map(|one| one.as_str_name()).collect(),
            hostname: info.hostname(),
            webui_url: info.webui_url(),
            active: connected,
            connected,
            recovered: framework.state == FrameworkState::Recovered,
        }
    }
}

fn capabilities(info: &v1::FrameworkInfo) -> impl Iterator<Item = capability::Type> {
    info.capabilities.iter().map(|one| one.r#type())
}

fn offers<'a>(
    framework: &'a Framework,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Arc<Offer>> {
    let ids = framework.offers.iter();
    ids.filter_map(move |id| snapshot.offers.get(id))
}

/// A framework, whether it is running or completed.
#[derive(Serialize)]
pub(super) struct FrameworkView<'a> {
    #[serde(flatten)]
    summary: SummaryView<'a>,
    user: &'a str,
    failover_timeout: f64,
    checkpoint: bool,
    registered_time: f64,
    unregistered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    resources: ResourcesView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reregistered_time: Option<f64>,
    #[serde(flatten)]
    roles: Roles<'a>,
    tasks: Tasks<'a>,
    unreachable_tasks: Tasks<'a>,
    completed_tasks: Tasks<'a>,
    offers: Vec<OfferView<'a>>,
    executors: Vec<ExecutorView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<LabelView<'a>>>,
    offer_constraints: Constraints<'a>,
}

/// Which of the two fields a framework's roles are shown in.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Roles<'a> {
    /// With MULTI_ROLE.
    Roles(&'a [String]),
    /// Without.
    Role(&'a str),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Constraints<'a> {
    Given(&'a v1::scheduler::OfferConstraints),
    None {},
}

impl<'a> FrameworkView<'a> {
    pub(super) fn new(framework: &'a Framework, used: &Used<'a>, snapshot: &'a Snapshot) -> Self {
        let info = &*framework.info;
        let offered = offers(framework, snapshot).map(|offer| &offer.resources);
        let (used_resources, resources) =
            ResourcesView::of_all_and_with(used.by(framework), offered);
        FrameworkView {
            summary: SummaryView::new(framework, used_resources, snapshot),
            resources,
            user: &info.user,
            failover_timeout: info.failover_timeout(),
            checkpoint: info.checkpoint(),
            registered_time: framework.registered_time.as_secs_f64(),
            unregistered_time: framework
                .unregistered_time
                .map_or(0.0, |time| time.as_secs_f64()),
            principal: info.principal.as_deref(),
            reregistered_time: framework.reregistered_time.map(|time| time.as_secs_f64()),
            roles: match capabilities(info).any(|one| one == capability::Type::MultiRole) {
                true => Roles::Roles(&info.roles),
                false => Roles::Role(info.role.as_deref().unwrap_or("*")),
            },
            tasks: Tasks::ById(&framework.tasks),
            unreachable_tasks: Tasks::ById(&framework.unreachable_tasks),
            completed_tasks: Tasks::InOrder(&framework.completed_tasks),
            offers: offers(framework, snapshot)
                .map(|offer| OfferView::new(offer))
                .collect(),
            executors: executors(framework),
            labels: labels(info.labels.as_ref()),
            offer_constraints: match &framework.constraints {
                Some(constraints) => Constraints::Given(constraints),
                None => Constraints::None {},
            },
        }
    }
}

/// Tasks, each shown as it is written: there may be very many.
enum Tasks<'a> {
    ById(&'a OrdMap<TaskId, Arc<Memo<Task>>>),
    InOrder(&'a Vector<Arc<Memo<Task>>>),
}

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tasks::ById(tasks) => serializer.collect_seq(tasks.values().map(|one| task(one))),
            Tasks::InOrder(tasks) => serializer.collect_seq(tasks.iter().map(|one| task(one))),
        }
    }
}

/// What frameworks' tasks and executors use, agent by agent: far fewer sums than tasks.
pub(super) struct Used<'a>(HashMap<&'a str, Vec<&'a Resources>>);

impl<'a> Used<'a> {
    /// What is used in a snapshot.
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut all: HashMap<&str, Vec<&Resources>> = HashMap::new();
        for agent in snapshot.agents.values() {
            for (framework, used) in &agent.used {
                all.entry(framework.as_str()).or_default().push(used);
            }
        }
        Used(all)
    }

    /// What one framework uses.
    pub(super) fn by(&self, framework: &Framework) -> impl Iterator<Item = &'a Resources> {
        let all = self.0.get(framework.id.as_str());
        all.into_iter().flatten().copied()
    }
}

fn executors(framework: &Framework) -> Vec<ExecutorView<'_>> {
    let executors = framework.executors.iter();
    executors
        .map(|(key, executor)| ExecutorView::new(&key.0, executor, framework))
        .collect()
}

#[derive(Serialize)]
struct OfferView<'a> {
    id: &'a str,
    framework_id: &'a str,
    allocation_info: AllocationView<'a>,
    slave_id: &'a str,
    resources: ResourcesView<'a>,
}

#[derive(Serialize)]
struct AllocationView<'a> {
    role: &'a str,
}

impl<'a> OfferView<'a> {
    fn new(offer: &'a Offer) -> Self {
        OfferView {
            id: offer.id.as_str(),
            framework_id: offer.framework.as_str(),
            allocation_info: AllocationView { role: &offer.role },
            slave_id: offer.agent.as_str(),
            resources: ResourcesView::of(&offer.resources),
        }
    }
}

#[derive(Serialize)]
struct ExecutorView<'a> {
    executor_id: &'a str,
    name: &'a str,
    framework_id: &'a str,
    command: CommandView<'a>,
    resources: ResourcesView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<LabelView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    slave_id: &'a str,
}

impl<'a> ExecutorView<'a> {
    fn new(
        agent: &'a tepui_core::ids::AgentId,
        executor: &'a Executor,
        framework: &'a Framework,
    ) -> Self {
        let info = &*executor.info;
        ExecutorView {
            executor_id: &info.executor_id.value,
            name: info.name(),
            framework_id: framework.id.as_str(),
            command: CommandView::new(info.command.as_deref()),
            resources: ResourcesView::of(&executor.resources),
            role: role(&executor.resources),
            labels: labels(info.labels.as_ref()),
            r#type: info.r#type.map(|_| info.r#type().as_str_name()),
            slave_id: agent.as_str(),
        }
    }
}

#[derive(Serialize)]
struct CommandView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    argv: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a v1::Environment>,
    uris: Vec<UriView<'a>>,
}

#[derive(Serialize)]
struct UriView<'a> {
    value: &'a str,
    executable: bool,
}

impl<'a> CommandView<'a> {
    fn new(command: Option<&'a v1::CommandInfo>) -> Self {
        let uris = command.map_or(&[][..], |command| &command.uris);
        let uri = |uri: &'a v1::command_info::Uri| UriView {
            value: &uri.value,
            executable: uri.executable(),
        };
        CommandView {
            shell: command.map(|command| command.shell()),
            value: command.and_then(|command| command.value.as_deref()),
            argv: command.map_or(&[], |command| &command.arguments),
            environment: command.and_then(|command| command.environment.as_ref()),
            uris: uris.iter().map(uri).collect(),
        }
    }
}
