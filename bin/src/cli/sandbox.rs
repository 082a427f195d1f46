//! Finds the sandbox of a task: its agent by the master's `/state`, its directory by the agent's.
//! Reads no file in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tepui_actors::client::{ClientError, Target, get_json};

use super::trouble::Trouble;

/// Time to wait for a master to lead, where masters are elected.
const LEADER_LIMIT: Duration = Duration::from_secs(10);

/// Where a task's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sandbox {
    /// The agent, without a path.
    pub agent_url: String,
    /// The directory as the agent knows it.
    pub directory: String,
    /// The host's name.
    pub host: String,
}

/// Finds sandboxes by asking whichever master leads.
pub(super) struct Finder {
    masters: String,
}

/// What the master knows of agents and tasks.
#[derive(Debug, Default)]
pub(super) struct MasterState {
    agents: BTreeMap<String, AgentPlace>,
    tasks: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AgentPlace {
    host: String,
    address: String,
}

impl Finder {
    /// Asks the master at an address, or those that meet in ZooKeeper.
    pub(super) fn at(masters: String) -> Finder {
        Finder { masters }
    }

    /// What the master knows now.
    pub(super) async fn look(&self) -> Result<MasterState, Trouble> {
        let masters = &self.masters;
        let failed = |error: ClientError| {
            Trouble::Failed(format!(
                "cannot ask the master at {masters} which agent runs the task: {error}; name another \
                 with --master"
            ))
        };
        // Another one may lead by now.
        let master = Target::find(masters, LEADER_LIMIT).await.map_err(failed)?;
        let state = get_json(&master, "/state").await.map_err(failed)?;
        Ok(MasterState::read(&state))
    }
}

impl MasterState {
    /// Reads an answer of `/state`.
    pub(super) fn read(state: &Value) -> MasterState {
        let mut read = MasterState::default();
        for agent in list(state, "slaves") {
            let text = |name: &str| agent[name].as_str().map(str::to_owned);
            let host = text("hostname").unwrap_or_default();
            // As `slave(1)@host:port`.
            let pid = text("pid");
            let address = pid.as_deref().and_then(|pid| pid.rsplit_once('@'));
            let Some((id, (_, address))) = text("id").zip(address) else {
                continue;
            };
            let address = address.to_owned();
            read.agents.insert(id, AgentPlace { host, address });
        }
        let frameworks = list(state, "frameworks").chain(list(state, "completed_frameworks"));
        for framework in frameworks {
            let tasks = ["tasks", "unreachable_tasks", "completed_tasks"];
            for task in tasks.iter().flat_map(|name| list(framework, name)) {
                if let (Some(id), Some(agent)) = (task["id"].as_str(), task["slave_id"].as_str()) {
                    read.tasks.insert(id.to_owned(), agent.to_owned());
                }
            }
        }
        read
    }

    /// The sandbox of a task. `agent` is the id of its agent where that is known already.
    pub(super) async fn sandbox(
        &self,
        task: &str,
        agent: Option<&str>,
    ) -> Result<Sandbox, Trouble> {
        let agent = agent.or_else(|| self.tasks.get(task).map(String::as_str));
        let agent = agent.ok_or_else(|| {
            Trouble::Failed(format!(
                "the master knows no task {task}; it may be too long ago"
            ))
        })?;
        let place = self.agents.get(agent).ok_or_else(|| {
            let text = format!("agent {agent}, which has task {task}, is not registered now");
            Trouble::Failed(text)
        })?;
        let failed = |error: &ClientError| {
            let host = &place.host;
            Trouble::Failed(format!(
                "cannot ask the agent on {host} for task {task}: {error}"
            ))
        };
        let target: Target = place.address.parse().map_err(|error| failed(&error))?;
        let state = get_json(&target, "/state").await;
        let state = state.map_err(|error| failed(&error))?;
        let directory = directory(&state, task).ok_or_else(|| {
            let host = &place.host;
            Trouble::Failed(format!("the agent on {host} has no sandbox of task {task}"))
        })?;
        Ok(Sandbox {
            agent_url: target.url(""),
            directory,
            host: place.host.clone(),
        })
    }
}

/// The sandbox of the executor that ran a task; a command task's executor has its id.
fn directory(state: &Value, task: &str) -> Option<String> {
    let frameworks = list(state, "frameworks").chain(list(state, "completed_frameworks"));
    let mut executors = frameworks.flat_map(|framework| {
        list(framework, "executors").chain(list(framework, "completed_executors"))
    });
    let found = executors.find(|executor| {
        let mut tasks = ["tasks", "queued_tasks", "completed_tasks"]
            .iter()
            .flat_map(|name| list(executor, name));
        executor["id"] == task || tasks.any(|known| known["id"] == task)
    });
    found?["directory"].as_str().map(str::to_owned)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agents_and_tasks_are_found_in_the_masters_state() {
        let state = json!({"slaves": [{"id": "S0", "hostname": "h", "pid": "slave(1)@10.0.0.1:5051"},
            {"id": "S1", "hostname": "no-pid"}], "frameworks": [{"tasks": [{"id": "t", "slave_id":
            "S0"}], "completed_tasks": [{"id": "old", "slave_id": "S0"}]}]});
        let read = MasterState::read(&state);
        assert_eq!(read.agents["S0"].address, "10.0.0.1:5051");
        assert!(!read.agents.contains_key("S1"));
        assert_eq!((&*read.tasks["t"], &*read.tasks["old"]), ("S0", "S0"));
    }

    #[test]
    fn directories_are_those_of_the_executor() {
        let state = json!({"frameworks": [{"executors": [{"id": "t1", "directory": "/d/1",
            "tasks": []}, {"id": "custom", "directory": "/d/2", "tasks": [{"id": "t2"}]}],
            "completed_executors": [{"id": "t3", "directory": "/d/3"}]}]});
        for (task, expected) in [("t1", "/d/1"), ("t2", "/d/2"), ("t3", "/d/3")] {
            assert_eq!(directory(&state, task).as_deref(), Some(expected));
        }
        assert_eq!(directory(&state, "t4"), None);
    }
}
