//! Texts recorded from Apache Mesos 1.12 against those of validation, call by call.
//! What was recorded but is answered by decoding, streams or state is not in the data.

// The whole file is a test; its helpers may unwrap as its tests may.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value;
use tepui_core::ids::{AgentId, FrameworkId};
use tepui_core::resources::conversion::conversions;
use tepui_core::resources::{Entry, Resources};
use tepui_core::validation::framework::{SubscriptionOptions, subscription, update};
use tepui_core::validation::operation::{self, Refusal};
use tepui_core::validation::re2::Limits;
use tepui_core::validation::task::{self, KnownTasks, TaskContext};
use tepui_core::validation::{executor_call, normalise, scheduler_call, task_group};
use tepui_protocol::schema::Message;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::{json, v1};

fn entries(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn decode<M: Message>(value: &Value) -> M {
    json::from_slice(value.to_string().as_bytes()).unwrap()
}

fn decode_all<M: Message>(values: &Value) -> Vec<M> {
    values.as_array().unwrap().iter().map(decode).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The recorded error, `None` where Mesos raised none.
fn recorded(entry: &Value, key: &str) -> Option<String> {
    entry[key].as_str().map(str::to_string)
}

fn options(completed: bool) -> SubscriptionOptions<'static> {
    SubscriptionOptions {
        role_whitelist: None,
        root_submissions: true,
        completed,
        constraint_limits: Limits::default(),
    }
}

#[test]
fn calls_are_refused_as_recorded() {
    let entries = entries(include_str!("data/validation/calls.json"));
    let mut refused = 0;
    for entry in &entries {
        let call = &entry["call"];
        let result = match text(&entry["api"]) {
            "scheduler" => scheduler_call::validate(&decode(call), None),
            _ => executor_call::validate(&decode(call)),
        };
        refused += usize::from(result.is_err());
        assert_eq!(result.err(), recorded(entry, "error"), "{}", entry["id"]);
    }
    assert_eq!((entries.len(), refused), (99, 45));
}

#[test]
fn subscriptions_are_refused_as_recorded() {
    let entries = entries(include_str!("data/validation/subscribes.json"));
    let mut refused = 0;
    for entry in &entries {
        let call: v1::scheduler::Call = decode(&entry["call"]);
        assert_eq!(scheduler_call::validate(&call, None), Ok(()));
        let subscribe = call.subscribe.unwrap();
        let result = subscription(
            &subscribe.framework_info,
            &subscribe.suppressed_roles,
            subscribe.offer_constraints.as_ref(),
            &options(entry["completed"] == true),
        );
        refused += usize::from(result.is_err());
        assert_eq!(result.err(), recorded(entry, "error"), "{}", entry["id"]);
    }
    assert_eq!((entries.len(), refused), (30, 21));
}

#[test]
fn updates_of_frameworks_are_refused_as_recorded() {
    let old = v1::FrameworkInfo {
        user: "root".to_string(),
        name: "golden-live".to_string(),
        ..Default::default()
    };
    let mut compared = 0;
    for entry in &entries(include_str!("data/validation/calls.json")) {
        let Some(error) = recorded(entry, "update_error") else {
            continue;
        };
        let call: v1::scheduler::Call = decode(&entry["call"]);
        let new = call.update_framework.unwrap();
        let constraints = new.offer_constraints.as_ref();
        let result = update(
            &old,
            &new.framework_info,
            &new.suppressed_roles,
            constraints,
            &options(false),
        );
        assert_eq!(result.unwrap_err(), error, "{}", entry["id"]);
        compared += 1;
    }
    assert_eq!(compared, 4);
}

/// What a master would know of the framework after the launches so far.
#[derive(Default)]
struct Known {
    tasks: Vec<String>,
    executors: BTreeMap<String, v1::ExecutorInfo>,
}

impl KnownTasks for Known {
    fn is_active(&self, task: &str) -> bool {
        self.tasks.iter().any(|known| known == task)
    }

    fn is_unreachable(&self, _task: &str) -> bool {
        false
    }

    fn executor(&self, executor: &str) -> Option<&v1::ExecutorInfo> {
        self.executors.get(executor)
    }

    fn each_task_of(&self, _executor: &str, _show: &mut dyn FnMut(&v1::Task)) {}
}

/// Task id to reason and message of its TASK_ERROR.
type Errors = BTreeMap<String, (String, String)>;

const INVALID: &str = "REASON_TASK_INVALID";
const GROUP_INVALID: &str = "REASON_TASK_GROUP_INVALID";

/// Carries out the recorded operations as a master would, but launches nothing.
struct Launcher {
    framework_id: FrameworkId,
    agent_id: AgentId,
    capabilities: Vec<String>,
    known: Known,
    offered: Resources,
    errors: Errors,
}

impl Launcher {
    fn run(&mut self, mut operation: v1::offer::Operation) {
        let tasks = |operation: &v1::offer::Operation| -> Vec<String> {
            let launch = operation
                .launch
                .iter()
                .flat_map(|launch| &launch.task_infos);
            let group = operation.launch_group.iter();
            let group = group.flat_map(|group| &group.task_group.tasks);
            launch
                .chain(group)
                .map(|task| task.task_id.value.clone())
                .collect()
        };
        match operation::validate(&operation, &self.agent_id, &self.capabilities) {
            Ok(()) => {}
            Err(Refusal::Tasks(error)) => {
                return self.refuse(&tasks(&operation), INVALID, &error);
            }
            Err(Refusal::TaskGroup(error)) => {
                return self.refuse(&tasks(&operation), GROUP_INVALID, &error);
            }
            Err(other) => panic!("no such operation was recorded: {other:?}"),
        }
        normalise::operation(&mut operation, &self.framework_id, "*");
        for task in operation
            .launch
            .iter()
            .flat_map(|launch| &launch.task_infos)
        {
            match task::validate(task, &self.context()) {
                Ok(()) => self.launch(task),
                Err(error) => {
                    self.refuse(std::slice::from_ref(&task.task_id.value), INVALID, &error)
                }
            }
        }
        let Some(group) = &operation.launch_group else {
            return;
        };
        match task_group::validate(&group.task_group, &group.executor, &self.context()) {
            Ok(()) => group
                .task_group
                .tasks
                .iter()
                .for_each(|task| self.launch(task)),
            Err(error) => self.refuse(&tasks(&operation), GROUP_INVALID, &error),
        }
    }

    fn launch(&mut self, task: &v1::TaskInfo) {
        self.known.tasks.push(task.task_id.value.clone());
        if let Some(executor) = &task.executor {
            let id = executor.executor_id.value.clone();
            self.known.executors.insert(id, (**executor).clone());
        }
    }

    fn refuse(&mut self, tasks: &[String], reason: &str, error: &str) {
        for task in tasks {
            let error = (reason.to_string(), error.to_string());
            self.errors.insert(task.clone(), error);
        }
    }

    fn context(&self) -> TaskContext<'_> {
        TaskContext {
            framework_id: &self.framework_id,
            agent_id: &self.agent_id,
            agent_capabilities: &self.capabilities,
            tasks: &self.known,
            offered: &self.offered,
        }
    }
}

/// What is available was not recorded, since it varies; the rest of the text was.
fn hide_available(error: &str) -> String {
    let marker = "is more than available ";
    match error.split_once(marker) {
        Some((start, _)) => format!("{start}{marker}<ANY>"),
        None => error.to_string(),
    }
}

#[test]
fn launches_are_refused_as_recorded() {
    let mut refused = 0;
    let entries = entries(include_str!("data/validation/accepts.json"));
    for entry in &entries {
        let mut launcher = Launcher {
            framework_id: FrameworkId::from(text(&entry["framework_id"])),
            agent_id: AgentId::from(""),
            capabilities: vec!["TASK_RESOURCE_LIMITS".to_string()],
            known: Known::default(),
            offered: Resources::new(),
            errors: Errors::new(),
        };
        for accept in entry["accepts"].as_array().unwrap() {
            let offered: Vec<v1::Resource> = decode_all(&accept["offered"]);
            launcher.agent_id = AgentId::from(text(&accept["agent_id"]));
            launcher.offered = Resources::from_v1(&offered).unwrap().allocated_to("*");
            launcher.errors.clear();
            for operation in decode_all(&accept["operations"]) {
                launcher.run(operation);
            }
            let wanted = accept["errors"].as_object().unwrap().iter();
            let wanted: Errors = wanted
                .map(|(task, error)| {
                    let message = hide_available(text(&error[1]));
                    (task.clone(), (text(&error[0]).to_string(), message))
                })
                .collect();
            let found = launcher.errors.iter();
            let found: Errors = found
                .map(|(task, (reason, error))| {
                    (task.clone(), (reason.clone(), hide_available(error)))
                })
                .collect();
            refused += found.len();
            assert_eq!(found, wanted, "{}", entry["id"]);
        }
    }
    assert_eq!((entries.len(), refused), (52, 54));
}

/// The agent's resources when the operations were recorded.
const TOTAL: &str = "cpus:4;mem:2048;disk:4096;ports:[31000-31100,32000-32099]";

/// One operation of an operator on an agent of whose resources nothing is used.
fn operate(total: &mut Resources, operation: &Operation) -> Result<(), String> {
    operation::validate(operation, &AgentId::from("A"), &[]).map_err(|refusal| match refusal {
        Refusal::Operation(text) => text
            .strip_prefix("Operation attempted with invalid resources: ")
            .map_or(text.clone(), str::to_string),
        other => panic!("{other:?}"),
    })?;
    let kept = |entry: &Entry| entry.is_dynamically_reserved();
    let checkpointed = total.filter(kept);
    if let Some(reserve) = &operation.reserve {
        operation::validate_reserve(reserve, None, &[], None)?;
    }
    if let Some(unreserve) = &operation.unreserve {
        operation::validate_unreserve(unreserve)?;
    }
    if let Some(create) = &operation.create {
        operation::validate_create(create, &checkpointed, None, &[], None)?;
    }
    if let Some(destroy) = &operation.destroy {
        operation::validate_destroy(destroy, &checkpointed, [])?;
    }
    let conversions = conversions(operation).map_err(|error| error.0)?;
    total.convert(&conversions).map_err(|error| error.0)
}

#[test]
fn operations_of_operators_are_refused_as_recorded() {
    let mut total = Resources::parse(TOTAL, "*").unwrap();
    let mut refused = 0;
    for entry in &entries(include_str!("data/validation/operations.json")) {
        let result = operate(&mut total, &decode(&entry["operation"]));
        refused += usize::from(result.is_err());
        assert_eq!(result.err(), recorded(entry, "error"), "{}", entry["id"]);
    }
    assert!(refused >= 14, "{refused}");
    assert_eq!(total, Resources::parse(TOTAL, "*").unwrap());
}
