//! What calls about containers mean: what speaks against a launch, and what it makes.
//! Checks nothing that can be checked without knowing the agent; `validation::agent_call` does.
//!
//! Mesos: `MesosContainerizerProcess::launch`, `wait`, `kill` and `remove`, and the handlers of
//! these calls in `Http`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tepui_protocol::v1::agent::call::LaunchContainer;
use tepui_protocol::v1::{CommandInfo, ExecutorInfo, container_info};

use super::super::messages::{
    Answer, Called, ConnectionId, ContainerCall, Effect, InImage, Launch, Parent, Sandbox, Token,
};
use super::super::model::ExecutorState;
use super::super::{Agent, Life, executor_info, paths};
use super::{Container, MAX_CHAIN_BYTES, MAX_DEPTH, MAX_RUNNING, MAX_WAITERS, State, not_found};
use crate::ids::{ContainerId, ExecutorId, FrameworkId};

/// How the name of a container begins that looks at the one it is in. Mesos's executors name theirs
/// so too, and launch them with a session, which says the same.
const CHECK_PREFIX: &str = "check-";

/// The signal that nothing hands on.
const SIGKILL: i32 = 9;

/// The highest number of a signal.
const LAST_SIGNAL: i32 = 64;

/// A container that another one is to be in.
struct Outer {
    parent: Parent,
    user: Option<String>,
    /// The container whose limits it has.
    limits_of: ContainerId,
    /// Whether it outlives the agent.
    is_recorded: bool,
    /// Whose it is, for logs.
    framework: FrameworkId,
    executor: ExecutorId,
}

/// Whether a container is there to look at the one it is in, which is a task's. An executor's own is
/// not looked at so.
fn looks_at_parent(id: &ContainerId) -> bool {
    id.depth() > 1 && id.name().starts_with(CHECK_PREFIX)
}

fn bad(why: impl Into<String>) -> Answer {
    Answer::Refused(400, why.into())
}

impl Agent {
    /// Answers at once, or keeps the token for later.
    pub(in super::super) fn container_call(
        &mut self,
        call: ContainerCall,
        connection: ConnectionId,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let answer = match call {
            ContainerCall::Launch(launch) => self.launch_nested(launch, reply, out),
            ContainerCall::Wait(id) => self.wait_for_nested(&id, connection, reply),
            ContainerCall::Kill(id, signal) => Some(self.kill_nested(&id, signal, out)),
            ContainerCall::Remove(id) => self.remove_nested(&id, reply, out),
        };
        out.extend(answer.map(|answer| Effect::Reply(reply, answer)));
    }

    /// None when the answer follows.
    fn launch_nested(
        &mut self,
        launch: LaunchContainer,
        reply: Token,
        out: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let id = ContainerId::of_chain(&launch.container_id);
        let runs = self.nested.get(&id).is_some_and(|known| !known.has_ended());
        if runs || self.containers.contains_key(&id) {
            return Some(Answer::Accepted);
        }
        let order = match self.nested_order(&id, &launch) {
            Ok(order) => order,
            Err(answer) => return Some(answer),
        };
        let (order, is_recorded) = order;
        let container = Container {
            id: id.clone(),
            launch: Arc::new(launch),
            directory: order.directory.clone(),
            user: order.user.clone(),
            is_recorded,
            state: State::Starting,
            limited: None,
            is_ending: false,
            is_abandoned: false,
        };
        self.nested.insert(container);
        self.nested.launches.insert(id, reply);
        out.push(Effect::Launch(Box::new(order)));
        None
    }

    /// What is to be started, and whether it outlives the agent.
    fn nested_order(
        &self,
        id: &ContainerId,
        launch: &LaunchContainer,
    ) -> Result<(Launch, bool), Answer> {
        self.check_presence()?;
        let container = launch.container.as_ref();
        if container.is_some_and(|info| info.r#type() != container_info::Type::Mesos) {
            return Err(bad("The provided ContainerInfo is not supported"));
        }
        let outer = id.parent().map(|parent| self.outer(&parent)).transpose()?;
        self.check_bounds(id)?;
        let command = launch.command.clone().unwrap_or_default();
        let info = ExecutorInfo {
            container: container.map(|info| Box::new(info.clone())),
            ..ExecutorInfo::default()
        };
        if let Some(why) = executor_info::unsupported(&command, &info, self.settings.isolation) {
            return Err(bad(why));
        }
        let (image, (program, arguments)) = self.what_runs(launch, &command)?;
        let volumes = self.inner_links(&id.root(), &launch.resources);
        let volumes = volumes.map_err(bad)?;
        let directory = match &outer {
            Some(outer) => paths::nested(&outer.parent.directory, id),
            None => paths::standalone(&self.settings.work_dir, id),
        };
        let own_limits = crate::validation::container::share_cgroups(container) == Some(false);
        let limits_of = match &outer {
            Some(outer) if !own_limits => outer.limits_of.clone(),
            _ => id.clone(),
        };
        let user = command.user.clone().filter(|_| self.settings.switch_user);
        let inherited = outer.as_ref().and_then(|outer| outer.user.clone());
        let is_recorded = outer.as_ref().is_none_or(|outer| outer.is_recorded);
        let (framework, executor) = outer.as_ref().map_or_else(
            || (FrameworkId::from(""), ExecutorId::from("")),
            |outer| (outer.framework.clone(), outer.executor.clone()),
        );
        let is_debug = outer.is_some() && looks_at_parent(id);
        let seen = outer.as_ref().filter(|_| is_debug);
        let seen = seen.map_or(directory.as_str(), |outer| &outer.parent.directory);
        let environment = self.nested_environment(&command, seen, image.is_some());
        let order = Launch {
            container: id.clone(),
            framework,
            executor,
            program,
            arguments,
            environment,
            directory,
            user: user.or(inherited),
            volumes,
            resources: super::given(launch),
            info: info.container,
            uris: command.uris,
            docker: None,
            image,
            called: Some(Called {
                parent: outer.map(|outer| outer.parent),
                limits_of,
                is_debug,
            }),
        };
        Ok((order, is_recorded))
    }

    /// The program and its arguments, and what an image may add to them.
    #[allow(
        clippy::type_complexity,
        reason = "it is taken apart where it is asked for"
    )]
    fn what_runs(
        &self,
        launch: &LaunchContainer,
        command: &CommandInfo,
    ) -> Result<(Option<Box<InImage>>, (String, Vec<String>)), Answer> {
        if !executor_info::has_image(launch.container.as_ref()) {
            return Ok((None, executor_info::argv(command).map_err(bad)?));
        }
        let image = executor_info::in_image(command, false, BTreeMap::new(), &self.settings);
        let argv = executor_info::argv_in_image(command).map_err(bad)?;
        Ok((Some(image), argv))
    }

    fn check_presence(&self) -> Result<(), Answer> {
        let agent_is_there = self.life == Life::Active && self.agent_id.is_some();
        if !agent_is_there {
            let why = "The agent is not registered with a master, or is ending";
            return Err(Answer::Refused(503, why.to_owned()));
        }
        Ok(())
    }

    fn check_bounds(&self, id: &ContainerId) -> Result<(), Answer> {
        if id.depth() > MAX_DEPTH {
            return Err(bad(format!(
                "Containers may be nested at most {MAX_DEPTH} levels deep"
            )));
        }
        if id.as_str().len() > MAX_CHAIN_BYTES {
            return Err(bad(format!(
                "The id of a container and those of the containers it is in may have at most \
                 {MAX_CHAIN_BYTES} letters together"
            )));
        }
        let running = self.nested.counts.running(id);
        match running >= MAX_RUNNING {
            true => Err(bad(format!(
                "{running} containers run already, which is the most there may be"
            ))),
            false => Ok(()),
        }
    }

    /// The container that another one is to be in.
    fn outer(&self, id: &ContainerId) -> Result<Outer, Answer> {
        let unknown = || bad(format!("Parent container {id} does not exist"));
        let ending = || bad(format!("Parent container {id} is in 'DESTROYING' state"));
        // Its process may be quicker to call than whoever started it is to tell of that.
        let starting = || {
            let why = format!("Parent container {id} is being started; try again");
            Answer::Refused(503, why)
        };
        let parent = |directory: &str, pid, root_directory: &str| Parent {
            container: id.clone(),
            directory: directory.to_owned(),
            pid,
            root_directory: root_directory.to_owned(),
        };
        let root = id.root();
        let owner = self.containers.get(&root);
        let executor = owner.and_then(|(framework, executor)| self.executor(framework, executor));
        let root_directory = match (executor, self.nested.get(&root)) {
            (Some(executor), _) => executor.directory.as_str(),
            (None, Some(alone)) => alone.directory.as_str(),
            (None, None) => return Err(unknown()),
        };
        let (framework, name) = owner.map_or_else(
            || (FrameworkId::from(""), ExecutorId::from("")),
            Clone::clone,
        );
        if let (0, Some(executor)) = (id.depth(), executor) {
            let is_ending = matches!(executor.state, ExecutorState::Terminating(_));
            if executor.state == ExecutorState::Terminated
                || (is_ending && executor.termination.is_some())
            {
                return Err(ending());
            }
            let command = executor.info.command.as_deref();
            let user = command.and_then(|command| command.user.clone());
            let info = self.frameworks.get(&framework).map(|known| &known.info);
            let user = user.or_else(|| info.map(|info| info.user.clone()));
            let pid = executor.pid.ok_or_else(starting)?;
            return Ok(Outer {
                parent: parent(&executor.directory, pid, root_directory),
                user: user.filter(|_| self.settings.switch_user),
                limits_of: id.clone(),
                is_recorded: self.is_recorded(&framework),
                framework,
                executor: name,
            });
        }
        let known = self.nested.get(id).filter(|known| !known.has_ended());
        let known = known.ok_or_else(unknown)?;
        if known.is_ending || known.is_abandoned {
            return Err(ending());
        }
        let pid = known.pid().ok_or_else(starting)?;
        Ok(Outer {
            parent: parent(&known.directory, pid, root_directory),
            user: known.user.clone(),
            limits_of: self.limits_of(known),
            is_recorded: known.is_recorded,
            framework,
            executor: name,
        })
    }

    /// The container whose limits one has: itself, or the next around it that has its own.
    fn limits_of(&self, container: &Container) -> ContainerId {
        let mut id = container.id.clone();
        while let Some(known) = self.nested.get(&id)
            && !known.has_own_limits()
            && let Some(parent) = id.parent()
        {
            id = parent;
        }
        id
    }

    /// The environment, without a `PATH` that only an image can name; nothing of it comes from the container around.
    fn nested_environment(
        &self,
        command: &CommandInfo,
        directory: &str,
        has_image: bool,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            ("MESOS_SANDBOX".to_owned(), directory.to_owned()),
            ("MESOS_CONTAINER_IP".to_owned(), self.settings.ip.clone()),
        ]);
        let own = command.environment.iter();
        for variable in own.flat_map(|environment| &environment.variables) {
            let value = variable.value.clone().unwrap_or_default();
            all.insert(variable.name.clone(), value);
        }
        if !has_image {
            executor_info::add_path(&mut all);
        }
        all
    }

    /// None when the answer follows.
    fn wait_for_nested(
        &mut self,
        id: &ContainerId,
        connection: ConnectionId,
        reply: Token,
    ) -> Option<Answer> {
        match self.nested.get(id).map(|container| &container.state) {
            Some(State::Ended { how, .. }) => {
                return Some(Answer::Ended(Box::new((**how).clone())));
            }
            None if !self.containers.contains_key(id) => return Some(not_found(id)),
            Some(State::Starting | State::Running { .. }) | None => {}
        }
        let waiters = self.nested.waiters.entry(id.clone()).or_default();
        if waiters.len() >= MAX_WAITERS {
            let why = format!("{MAX_WAITERS} callers wait for container {id} already");
            return Some(Answer::Refused(503, why));
        }
        waiters.push((connection, reply));
        self.nested.waiting.insert(connection, id.clone());
        None
    }

    fn kill_nested(&mut self, id: &ContainerId, signal: i32, out: &mut Vec<Effect>) -> Answer {
        let is_executor = self.containers.contains_key(id);
        let known = self.nested.get_mut(id).filter(|known| !known.has_ended());
        if known.is_none() && !is_executor {
            return Answer::Refused(
                404,
                format!("Container '{id}' cannot be found (or is already killed)"),
            );
        }
        if !(1..=LAST_SIGNAL).contains(&signal) {
            return bad(format!(
                "There is no signal {signal}, expected one from 1 to {LAST_SIGNAL}"
            ));
        }
        let Some(container) = known else {
            out.push(Effect::Signal(id.clone(), signal));
            return Answer::Done;
        };
        match container.state {
            // There is no process that could take it.
            State::Starting => {
                container.is_ending = true;
                out.push(Effect::Kill(id.clone()));
            }
            // Its first process, which hands signals on, cannot hear this one.
            State::Running { .. } if signal == SIGKILL => {
                container.is_ending = true;
                out.push(Effect::Kill(id.clone()));
            }
            State::Running { .. } => out.push(Effect::Signal(id.clone(), signal)),
            State::Ended { .. } => {}
        }
        Answer::Done
    }

    /// None when the answer follows.
    fn remove_nested(
        &mut self,
        id: &ContainerId,
        reply: Token,
        out: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let known = self.nested.get(id);
        if self.containers.contains_key(id) || known.is_some_and(|it| !it.has_ended()) {
            let kind = if id.depth() > 0 {
                "Nested container"
            } else {
                "Container"
            };
            return Some(Answer::Refused(
                500,
                format!("{kind} has not terminated yet"),
            ));
        }
        if self.root_directory(id).is_none() {
            return Some(Answer::Refused(500, "Unknown root container".to_owned()));
        }
        if known.is_none() {
            // It may be removed twice.
            return Some(Answer::Done);
        }
        let removals = self.nested.removals.entry(id.clone()).or_default();
        removals.push(reply);
        self.collect_nested(id, out);
        None
    }

    /// Has the sandbox of a container that has ended removed, and forgets it.
    pub(in super::super) fn collect_nested(&mut self, id: &ContainerId, out: &mut Vec<Effect>) {
        let known = self.nested.get(id).filter(|known| known.has_ended());
        let Some((container, root_directory)) = known.cloned().zip(self.root_directory(id)) else {
            return;
        };
        for inner in self.nested.within(id) {
            self.nested.forget(&inner, out);
        }
        self.nested.remove(id);
        let sandbox = Sandbox {
            directory: container.directory.clone(),
            root_directory: match id.depth() {
                0 => self.settings.work_dir.clone(),
                _ => root_directory,
            },
        };
        out.push(Effect::RemoveContainer(id.clone(), Some(Box::new(sandbox))));
    }

    /// The sandbox of the outermost container around one, if that is known.
    fn root_directory(&self, id: &ContainerId) -> Option<String> {
        let root = id.root();
        let owner = self.containers.get(&root);
        let executor = owner.and_then(|(framework, executor)| self.executor(framework, executor));
        let directory = executor.map(|executor| executor.directory.clone());
        directory.or_else(|| Some(self.nested.get(&root)?.directory.clone()))
    }
}
