//! Frameworks in `/state`, with their offers and executors.
//! Their tasks are in `task.rs`.

use serde::Serialize;
use tepui_core::master::model::{Executor, Framework, FrameworkState, Offer, Snapshot, Task};
use tepui_core::resources::Resources;
use tepui_protocol::v1::{self, framework_info::capability};

use super::agent::sum;
use super::resources::ResourcesView;
use super::task::TaskView;
use super::{LabelView, labels};

/// A framework, whether it is running or completed.
#[derive(Serialize)]
pub(super) struct FrameworkView<'a> {
    id: &'a str,
    name: &'a str,
    used_resources: ResourcesView,
    offered_resources: ResourcesView,
    capabilities: Vec<&'static str>,
    hostname: &'a str,
    webui_url: &'a str,
    active: bool,
    connected: bool,
    recovered: bool,
    user: &'a str,
    failover_timeout: f64,
    checkpoint: bool,
    registered_time: f64,
    unregistered_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    resources: ResourcesView,
    #[serde(skip_serializing_if = "Option::is_none")]
    reregistered_time: Option<f64>,
    #[serde(flatten)]
    roles: Roles<'a>,
    tasks: Vec<TaskView<'a>>,
    unreachable_tasks: Vec<TaskView<'a>>,
    completed_tasks: Vec<TaskView<'a>>,
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
    pub(super) fn new(framework: &'a Framework, snapshot: &'a Snapshot) -> Self {
        let info = &*framework.info;
        let offers = || {
            framework
                .offers
                .iter()
                .filter_map(|id| snapshot.offers.get(id))
        };
        let offered = sum(offers().map(|offer| &offer.resources));
        let used = used(framework);
        let connected = matches!(framework.state, FrameworkState::Active(_));
        let capabilities = info
            .capabilities
            .iter()
            .map(|capability| capability.r#type());
        FrameworkView {
            id: framework.id.as_str(),
            name: &info.name,
            resources: ResourcesView::of(&sum([&used, &offered])),
            used_resources: ResourcesView::of(&used),
            offered_resources: ResourcesView::of(&offered),
            capabilities: capabilities
                .clone()
                .map(|capability| capability.as_str_name())
                .collect(),
            hostname: info.hostname(),
            webui_url: info.webui_url(),
            active: connected,
            connected,
            recovered: framework.state == FrameworkState::Recovered,
            user: &info.user,
            failover_timeout: info.failover_timeout(),
            checkpoint: info.checkpoint(),
            registered_time: framework.registered_time.as_secs_f64(),
            unregistered_time: framework
                .unregistered_time
                .map_or(0.0, |time| time.as_secs_f64()),
            principal: info.principal.as_deref(),
            reregistered_time: framework.reregistered_time.map(|time| time.as_secs_f64()),
            roles: match capabilities
                .into_iter()
                .any(|one| one == capability::Type::MultiRole)
            {
                true => Roles::Roles(&info.roles),
                false => Roles::Role(info.role.as_deref().unwrap_or("*")),
            },
            tasks: framework
                .tasks
                .values()
                .map(|task| TaskView::new(task))
                .collect(),
            unreachable_tasks: views(framework.unreachable_tasks.values()),
            completed_tasks: views(framework.completed_tasks.iter()),
            offers: offers().map(|offer| OfferView::new(offer)).collect(),
            executors: executors(framework),
            labels: labels(info.labels.as_ref()),
            offer_constraints: match &framework.constraints {
                Some(constraints) => Constraints::Given(constraints),
                None => Constraints::None {},
            },
        }
    }
}

fn views<'a>(tasks: impl Iterator<Item = &'a std::sync::Arc<Task>>) -> Vec<TaskView<'a>> {
    tasks.map(|task| TaskView::new(task)).collect()
}

/// What tasks that have not given their resources back, and executors, hold.
fn used(framework: &Framework) -> Resources {
    let tasks = framework.tasks.values().filter(|task| !task.recovered);
    let executors = framework.executors.values();
    sum(tasks
        .map(|task| &task.resources)
        .chain(executors.map(|executor| &executor.resources)))
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
    resources: ResourcesView,
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
    resources: ResourcesView,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
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
            role: executor
                .resources
                .by_allocation_role()
                .into_keys()
                .next()
                .map(|role| role.to_string()),
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
