//! `/api/tepui/v1/why`: why a framework, or a role, is not offered what it waits for, and what has
//! become of a task. Not in Mesos. The reasons are the allocator's; nothing is decided here.

use std::collections::BTreeMap;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tepui_core::allocator::reasons::{Explanation, Reason};
use tepui_core::ids::{AgentId, FrameworkId, Role};
use tepui_core::master::model::{Framework, Snapshot, Task};
use tepui_core::time::Now;
use tepui_protocol::v1::{self, TaskState};

use super::{Face, bad_request, unavailable};
use crate::allocator::Explain;
use crate::http::{json, method_not_allowed, text};

/// Agents that are named for each role, unless more are asked for.
const DEFAULT_LIMIT: usize = 20;

/// Most agents that are named.
const MAX_LIMIT: usize = 10_000;

/// Frameworks of a role that are explained.
const MAX_FRAMEWORKS: usize = 100;

/// Why nothing more is offered to frameworks in roles.
#[derive(Serialize)]
struct Offers<'a> {
    frameworks: Vec<OfFramework<'a>>,
    /// Frameworks that are left out, being too many.
    left_out: usize,
}

#[derive(Serialize)]
struct OfFramework<'a> {
    framework_id: &'a str,
    name: &'a str,
    connected: bool,
    roles: Vec<OfRole<'a>>,
}

#[derive(Serialize)]
struct OfRole<'a> {
    role: &'a str,
    /// What is offered now.
    offers: usize,
    /// The reasons, those of most agents first.
    reasons: Vec<Count>,
    /// Some of the agents, in the order of their ids.
    agents: Vec<OfAgent>,
}

#[derive(Serialize)]
struct Count {
    reason: &'static str,
    agents: usize,
    text: &'static str,
    unblock: &'static str,
}

#[derive(Serialize)]
struct OfAgent {
    agent_id: String,
    hostname: String,
    reason: &'static str,
    /// What is free on it, as resources are written in flags.
    free: String,
    /// When the reason ends by itself, in seconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_seconds: Option<f64>,
}

/// What has become of a task.
#[derive(Serialize)]
struct OfTask<'a> {
    framework_id: &'a str,
    task_id: &'a str,
    state: &'static str,
    agent_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    /// When it came into this state, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    text: String,
    /// What it went through as far as that is remembered, the oldest first.
    statuses: Vec<OfStatus>,
}

#[derive(Serialize)]
struct OfStatus {
    state: &'static str,
    /// When it was told, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<f64>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
}

impl OfStatus {
    fn new(status: v1::TaskStatus) -> Self {
        OfStatus {
            state: status.state().as_str_name(),
            timestamp: status.timestamp,
            source: status.source().as_str_name(),
            reason: status.reason.map(|_| status.reason().as_str_name()),
            healthy: status.healthy,
            message: status.message,
        }
    }
}

pub(super) async fn handle(request: &HttpRequest, face: &Face) -> HttpResponse {
    if request.method() != Method::GET {
        return method_not_allowed("GET", request.method().as_str());
    }
    let snapshot = face.snapshot.load_full();
    let query = |name| json::query(request, name).filter(|value| !value.is_empty());
    let limit = match query("limit").map(|limit| limit.parse::<usize>()) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) => limit.min(MAX_LIMIT),
        Some(Err(_)) => return bad_request("expected a number as 'limit'".to_owned()),
    };
    match (query("framework_id"), query("role"), query("task_id")) {
        (Some(framework), None, Some(task)) => of_task(request, &snapshot, &framework, &task)
            .unwrap_or_else(|| {
                not_found(format!(
                    "framework '{framework}' has no task '{task}'; it was never launched, or \
                     ended so long ago that it is forgotten"
                ))
            }),
        (Some(framework), role, None) => match snapshot.frameworks.get(framework.as_str()) {
            Some(known) => {
                let asked = Asked { role, limit };
                answer(request, face, &snapshot, &[known], &asked, 0).await
            }
            None => not_found(format!("no framework '{framework}' is registered")),
        },
        (None, Some(role), None) => {
            let wanted = Role::from(role.as_str());
            let all = snapshot.frameworks.values();
            let all: Vec<_> = all.filter(|it| it.roles.contains(&wanted)).collect();
            let shown = all.get(..MAX_FRAMEWORKS).unwrap_or(&all);
            let left_out = all.len() - shown.len();
            let role = Some(role);
            let asked = Asked { role, limit };
            answer(request, face, &snapshot, shown, &asked, left_out).await
        }
        _ => bad_request(
            "expected 'framework_id', with or without 'role', or 'role', or 'framework_id' and \
             'task_id'"
                .to_owned(),
        ),
    }
}

fn not_found(why: String) -> HttpResponse {
    text(StatusCode::NOT_FOUND, why)
}

struct Asked {
    /// All roles of the framework when there is none.
    role: Option<String>,
    limit: usize,
}

async fn answer(
    request: &HttpRequest,
    face: &Face,
    snapshot: &Snapshot,
    frameworks: &[&std::sync::Arc<Framework>],
    asked: &Asked,
    left_out: usize,
) -> HttpResponse {
    let mut told = Vec::new();
    for framework in frameworks {
        let roles = match &asked.role {
            Some(role) => std::slice::from_ref(role).iter().map(|it| &**it).collect(),
            None => framework
                .roles
                .iter()
                .map(|role| &**role)
                .collect::<Vec<_>>(),
        };
        let mut of_roles = Vec::new();
        for role in roles {
            let question = Explain {
                framework: framework.id.clone(),
                role: Role::from(role),
            };
            let Ok(explained) = face.allocator.send(question).await else {
                return unavailable("Master is shutting down");
            };
            // One that the allocator does not know yet, or no longer, waits for nothing.
            let explained = explained.unwrap_or_default();
            let now = face.clock.now();
            of_roles.push(of_role(
                snapshot,
                framework,
                role,
                &explained,
                asked.limit,
                now,
            ));
        }
        told.push(OfFramework {
            framework_id: framework.id.as_str(),
            name: &framework.info.name,
            connected: framework.stream().is_some(),
            roles: of_roles,
        });
    }
    let frameworks = told;
    json::answer(
        request,
        &Offers {
            frameworks,
            left_out,
        },
    )
}

fn of_role<'a>(
    snapshot: &Snapshot,
    framework: &Framework,
    role: &'a str,
    explained: &[Explanation],
    limit: usize,
    now: Now,
) -> OfRole<'a> {
    let offers = framework.offers.iter();
    let offers = offers.filter_map(|id| snapshot.offers.get(id));
    let mut counts: BTreeMap<&'static str, Count> = BTreeMap::new();
    for one in explained {
        let count = counts.entry(one.reason.name()).or_insert(Count {
            reason: one.reason.name(),
            agents: 0,
            text: one.reason.text(),
            unblock: one.reason.remedy(),
        });
        count.agents += 1;
    }
    let mut reasons: Vec<Count> = counts.into_values().collect();
    reasons.sort_by_key(|count| std::cmp::Reverse(count.agents));
    let agents = explained.iter().take(limit);
    OfRole {
        role,
        offers: offers.filter(|offer| &*offer.role == role).count(),
        reasons,
        agents: agents.map(|one| of_agent(snapshot, one, now)).collect(),
    }
}

fn of_agent(snapshot: &Snapshot, one: &Explanation, now: Now) -> OfAgent {
    let agent = snapshot.agents.get(&one.agent);
    OfAgent {
        agent_id: one.agent.to_string(),
        hostname: agent.map_or_else(String::new, |agent| agent.info.hostname.clone()),
        reason: one.reason.name(),
        free: one.free.to_string(),
        ends_in_seconds: match one.reason {
            Reason::Filtered { until } => Some(until.since(now.mono).as_secs_f64()),
            _ => None,
        },
    }
}

fn of_task(
    request: &HttpRequest,
    snapshot: &Snapshot,
    framework: &str,
    id: &str,
) -> Option<HttpResponse> {
    let framework_id = FrameworkId::from(framework);
    let completed = snapshot.completed_frameworks.iter();
    let framework = snapshot.frameworks.get(&framework_id);
    let framework = framework.or_else(|| completed.rev().find(|it| it.id == framework_id))?;
    let ended = framework.completed_tasks.iter().rev();
    let task = framework
        .tasks
        .get(id)
        .or_else(|| framework.unreachable_tasks.get(id))
        .or_else(|| ended.clone().find(|task| task.id.as_str() == id))?;
    let told = describe(snapshot, framework, task);
    Some(json::answer(request, &told))
}

fn describe<'a>(snapshot: &'a Snapshot, framework: &'a Framework, task: &'a Task) -> OfTask<'a> {
    let agent = snapshot.agents.get(&task.agent);
    let last = task.statuses().next_back();
    let last = last.as_ref();
    let state = TaskState::try_from(task.state).unwrap_or(TaskState::TaskUnknown);
    OfTask {
        framework_id: framework.id.as_str(),
        task_id: task.id.as_str(),
        state: state.as_str_name(),
        agent_id: task.agent.as_str(),
        hostname: agent.map(|agent| agent.info.hostname.as_str()),
        since: last.and_then(|status| status.timestamp),
        source: last
            .map(|status| status.source())
            .map(|it| it.as_str_name()),
        reason: last
            .filter(|status| status.reason.is_some())
            .map(|status| status.reason().as_str_name()),
        message: last.and_then(|status| status.message.clone()),
        text: words(
            snapshot,
            &task.agent,
            state,
            last.is_some_and(|it| it.healthy == Some(false)),
        ),
        statuses: task.statuses().map(OfStatus::new).collect(),
    }
}

/// What a task waits for, or how it ended.
fn words(snapshot: &Snapshot, agent: &AgentId, state: TaskState, is_unhealthy: bool) -> String {
    let lost = match snapshot.agents.get(agent) {
        Some(agent) if agent.link().is_some() => "",
        Some(_) => "; its agent is disconnected at the moment",
        None => "; its agent is not registered",
    };
    let what = match state {
        TaskState::TaskStaging => {
            "it was sent to its agent, which fetches what it needs and starts its executor"
        }
        TaskState::TaskStarting => "its executor is starting it",
        TaskState::TaskRunning if is_unhealthy => "it runs, but its health check fails",
        TaskState::TaskRunning => "it runs",
        TaskState::TaskKilling => "it is being killed, within its grace period",
        TaskState::TaskFinished => return "it ended without an error".to_owned(),
        TaskState::TaskFailed => return "it failed; its sandbox tells more".to_owned(),
        TaskState::TaskKilled => return "it was killed".to_owned(),
        TaskState::TaskError => return "its description was refused".to_owned(),
        TaskState::TaskDropped => return "it was never started".to_owned(),
        TaskState::TaskGone => return "it is gone, with what ran it".to_owned(),
        TaskState::TaskGoneByOperator => {
            return "an operator marked its agent gone, or drained it for good".to_owned();
        }
        TaskState::TaskLost => return "it is lost, or was never started".to_owned(),
        TaskState::TaskUnreachable => {
            return "its agent is unreachable; it may be running, and is known again when the \
                    agent comes back"
                .to_owned();
        }
        TaskState::TaskUnknown => "nothing is known of it",
    };
    format!("{what}{lost}")
}
