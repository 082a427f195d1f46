//! How an executor is described and started: the agent's own for commands, Tepui's for groups,
//! and frameworks' own.
//! Starts nothing itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tepui_protocol::v1::{self, CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo};

use super::messages::InImage;
use super::model::ExecutorKind;
use super::{Isolation, Settings, paths};
use crate::ids::AgentId;
use crate::validation::container::is_docker;

/// CPUs the agent's own executor of a command gets beside its task's.
pub const COMMAND_EXECUTOR_CPUS: f64 = 0.1;

/// Memory the agent's own executor of a command gets beside its task's, in MB.
pub const COMMAND_EXECUTOR_MEM_MB: f64 = 32.0;

/// Name of Tepui's executor program, which runs both single commands and groups.
pub const EXECUTOR_PROGRAM: &str = "tepui-executor";

/// Longest time Mesos takes to notice a process's end; part of grace periods it hands out.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// Characters of a command shown in its executor's name before it is cut.
const NAME_CHARACTERS: usize = 15;

/// Where programs are looked for when the environment says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What kind of executor a task or group needs.
pub(super) fn kind(task: Option<&TaskInfo>, info: &ExecutorInfo) -> ExecutorKind {
    use v1::executor_info::Type;
    if task.is_some_and(|task| task.command.is_some()) {
        return ExecutorKind::Command;
    }
    match info.r#type() {
        Type::Default => ExecutorKind::Default,
        Type::Custom | Type::Unknown => ExecutorKind::Custom,
    }
}

/// The executor of a task: its own, or one made for its command.
pub(super) fn for_task(
    task: &TaskInfo,
    framework: &FrameworkInfo,
    settings: &Settings,
) -> ExecutorInfo {
    if let Some(executor) = &task.executor {
        return ExecutorInfo {
            framework_id: executor
                .framework_id
                .clone()
                .or_else(|| framework.id.clone()),
            ..(**executor).clone()
        };
    }
    let command = task.command.as_deref().cloned().unwrap_or_default();
    #[allow(
        deprecated,
        reason = "still part of the API: Mesos sets it for command executors"
    )]
    ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: task.task_id.value.clone(),
        },
        framework_id: framework.id.clone(),
        container: task.container.clone(),
        name: Some(format!(
            "Command Executor (Task: {}) (Command: {})",
            task.task_id.value,
            shown(&command)
        )),
        source: Some(task.task_id.value.clone()),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        shutdown_grace_period: task
            .kill_policy
            .as_ref()
            .and_then(|policy| policy.grace_period.as_ref())
            .map(|grace| longer(grace.nanoseconds)),
        command: Some(Box::new(CommandInfo {
            uris: command.uris.clone(),
            environment: command.environment.clone(),
            user: command.user.clone(),
            ..own_program(settings)
        })),
        resources: overhead(task),
        ..ExecutorInfo::default()
    }
}

/// The command that starts an executor.
pub(super) fn command(info: &ExecutorInfo, kind: ExecutorKind, settings: &Settings) -> CommandInfo {
    match kind {
        ExecutorKind::Default => own_program(settings),
        ExecutorKind::Command | ExecutorKind::Custom => {
            info.command.as_deref().cloned().unwrap_or_default()
        }
    }
}

/// Program and arguments of a command; the program's own name is the first argument.
///
/// # Errors
/// When the command names no program.
pub(super) fn argv(command: &CommandInfo) -> Result<(String, Vec<String>), String> {
    let value = command.value.clone().filter(|value| !value.is_empty());
    if command.shell() {
        let script = value.ok_or("'CommandInfo.value' is missing, expected a shell command")?;
        return Ok(("/bin/sh".into(), vec!["sh".into(), "-c".into(), script]));
    }
    let program = value.ok_or("'CommandInfo.value' is missing, expected a program")?;
    let arguments = match command.arguments.is_empty() {
        true => vec![program.clone()],
        false => command.arguments.clone(),
    };
    Ok((program, arguments))
}

/// As [`argv`], but an image may say what the command does not: then both are empty.
///
/// # Errors
/// When there is no command for a shell.
pub(super) fn argv_in_image(command: &CommandInfo) -> Result<(String, Vec<String>), String> {
    let is_open = !command.shell() && command.value().is_empty();
    match is_open {
        true => Ok((String::new(), Vec::new())),
        false => argv(command),
    }
}

/// Whether a container has an image for its root file system.
pub(super) fn has_image(info: Option<&v1::ContainerInfo>) -> bool {
    let info = info.filter(|info| !is_docker(info));
    info.and_then(|info| info.mesos.as_ref())
        .is_some_and(|mesos| mesos.image.is_some())
}

/// What runs in the root file system of an image.
pub(super) fn in_image(
    command: &CommandInfo,
    is_task: bool,
    inherited: BTreeMap<String, String>,
    settings: &Settings,
) -> Box<InImage> {
    Box::new(InImage {
        command: command.clone(),
        inherited,
        is_task,
        may_name_user: settings.switch_user && command.user().is_empty(),
    })
}

/// The complete environment of an executor.
pub(super) fn environment(
    settings: &Settings,
    agent: &AgentId,
    info: &ExecutorInfo,
    command: &CommandInfo,
    directory: &str,
) -> BTreeMap<String, String> {
    let mut all = inherited(settings);
    all.extend(own_environment(settings, agent, info, command, directory));
    add_path(&mut all);
    all
}

/// What the agent hands on to executors.
pub(super) fn inherited(settings: &Settings) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(ip) = &settings.libprocess_ip {
        all.insert("LIBPROCESS_IP".to_owned(), ip.clone());
    }
    all.extend(settings.executor_environment.clone());
    all
}

/// The environment of an executor without what the agent hands on.
pub(super) fn own_environment(
    settings: &Settings,
    agent: &AgentId,
    info: &ExecutorInfo,
    command: &CommandInfo,
    directory: &str,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let framework = info
        .framework_id
        .as_ref()
        .map_or("", |id| id.value.as_str());
    let grace = duration_text(shutdown_grace(info, settings));
    for (name, value) in [
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_FRAMEWORK_ID", framework),
        ("MESOS_EXECUTOR_ID", &info.executor_id.value),
        ("MESOS_DIRECTORY", directory),
        ("MESOS_SANDBOX", directory),
        ("MESOS_SLAVE_ID", agent.as_str()),
        ("MESOS_SLAVE_PID", &format!("slave(1)@{}", settings.address)),
        ("MESOS_AGENT_ENDPOINT", &settings.address),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", &grace),
    ] {
        all.insert(name.to_owned(), value.to_owned());
    }
    if let Some(role) = allocation_role(&info.resources) {
        all.insert("MESOS_ALLOCATION_ROLE".to_owned(), role.to_owned());
    }
    let own = command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables);
    for variable in own {
        all.insert(
            variable.name.clone(),
            variable.value.clone().unwrap_or_default(),
        );
    }
    all
}

/// Says where programs are looked for if nobody has.
pub(super) fn add_path(environment: &mut BTreeMap<String, String>) {
    environment
        .entry("PATH".to_owned())
        .or_insert_with(|| DEFAULT_PATH.to_owned());
}

/// What a command says of a variable.
pub(super) fn variable<'a>(command: &'a CommandInfo, name: &str) -> Option<&'a str> {
    let environment = command.environment.as_ref()?;
    let found = environment.variables.iter().find(|it| it.name == name)?;
    Some(found.value.as_deref().unwrap_or_default())
}

/// The environment of a task that has none of its executor's.
pub(super) fn task_environment(
    command: &CommandInfo,
    resources: &[v1::Resource],
) -> BTreeMap<String, String> {
    let own = command.environment.iter().flat_map(|all| &all.variables);
    let own = own.map(|it| (it.name.clone(), it.value.clone().unwrap_or_default()));
    let mut all: BTreeMap<String, String> = own.collect();
    if let Some(role) = allocation_role(resources) {
        all.insert("MESOS_ALLOCATION_ROLE".to_owned(), role.to_owned());
    }
    all
}

/// Tells an executor whether to wait for an agent that is gone for a while, and how long.
pub(super) fn add_recovery(
    settings: &Settings,
    framework: &v1::FrameworkInfo,
    environment: &mut BTreeMap<String, String>,
) {
    let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
    if !framework.checkpoint() {
        set("MESOS_CHECKPOINT", "0".to_owned());
        return;
    }
    set("MESOS_CHECKPOINT", "1".to_owned());
    let recovery = duration_text(settings.recovery_timeout);
    set("MESOS_RECOVERY_TIMEOUT", recovery);
    // Half of the time the agent waits, so that a random part of it is never too late.
    let backoff = duration_text(settings.executor_reregistration_timeout / 2);
    set("MESOS_SUBSCRIPTION_BACKOFF_MAX", backoff);
}

/// Time an executor has to end when told to.
pub(super) fn shutdown_grace(info: &ExecutorInfo, settings: &Settings) -> Duration {
    match &info.shutdown_grace_period {
        Some(own) => Duration::from_nanos(u64::try_from(own.nanoseconds).unwrap_or(0)),
        None => settings.executor_shutdown_grace_period,
    }
}

/// What of a command or container this agent cannot do yet; refused rather than ignored.
pub(super) fn unsupported(
    command: &CommandInfo,
    info: &ExecutorInfo,
    isolation: Isolation,
) -> Option<String> {
    let variables = command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables);
    for variable in variables {
        if variable.secret.is_some() {
            return Some(format!(
                "environment variable '{}' is a secret, which is not supported yet",
                variable.name
            ));
        }
    }
    let container = info.container.as_deref();
    let is_docker = container.is_some_and(is_docker);
    if let Some(why) = not_taken(is_docker, isolation) {
        return Some(why);
    }
    let container = container.filter(|_| !is_docker)?;
    for (present, field) in [
        (!container.network_infos.is_empty(), "network_infos"),
        (container.hostname.is_some(), "hostname"),
        (container.tty_info.is_some(), "tty_info"),
    ] {
        if present {
            return Some(format!("'ContainerInfo.{field}' is not supported yet"));
        }
    }
    not_isolated(container, isolation)
}

/// Why no containerizer takes a container (Mesos: `ComposingContainerizer` tries one after the other).
fn not_taken(is_docker: bool, isolation: Isolation) -> Option<String> {
    let (is_there, kind, needed) = match is_docker {
        true => (isolation.docker, "of type DOCKER", "docker"),
        false => (isolation.mesos, "that are not of type DOCKER", "mesos"),
    };
    (!is_there).then(|| {
        format!(
            "containers {kind} need the containerizer '{needed}', which this agent does not use \
             (see --containerizers)"
        )
    })
}

/// What of a container needs an isolator that this agent does not use.
fn not_isolated(container: &v1::ContainerInfo, isolation: Isolation) -> Option<String> {
    if let Some(volume) = container.volumes.iter().find_map(unknown_volume) {
        return Some(format!("'ContainerInfo.volumes' {volume}"));
    }
    let linux = container.linux_info.as_ref();
    if linux.is_some_and(|linux| linux.seccomp.is_some()) {
        return Some("'ContainerInfo.linux_info.seccomp' is not supported yet".to_owned());
    }
    if has_image(Some(container)) && !isolation.images {
        let why = "'ContainerInfo.mesos.image' needs image providers, which this agent does not \
                   have (see --image_providers)";
        return Some(why.to_owned());
    }
    let needs = needs(container, isolation).into_iter();
    let mut missing = needs.filter(|(asked, can, ..)| *asked && !can);
    missing.next().map(|(_, _, field, isolator)| {
        format!(
            "'ContainerInfo.{field}' needs the isolator '{isolator}', which this agent does not \
             use (see --isolation)"
        )
    })
}

/// Whether something is asked for, whether that can be done, where it is asked for, and which
/// isolator does it.
type Need = (bool, bool, &'static str, &'static str);

fn needs(container: &v1::ContainerInfo, isolation: Isolation) -> [Need; 6] {
    let linux = container.linux_info.as_ref();
    #[allow(
        deprecated,
        reason = "still part of the API, and older frameworks use it"
    )]
    let has_capabilities = |linux: &v1::LinuxInfo| {
        linux.capability_info.is_some()
            || linux.bounding_capabilities.is_some()
            || linux.effective_capabilities.is_some()
    };
    let has_ipc = |linux: &v1::LinuxInfo| linux.ipc_mode.is_some() || linux.shm_size.is_some();
    let any_volume = |is: fn(&v1::Volume) -> bool| container.volumes.iter().any(is);
    [
        (
            container.rlimit_info.is_some(),
            isolation.rlimits,
            "rlimit_info",
            "posix/rlimits",
        ),
        (
            linux.is_some_and(has_capabilities),
            isolation.capabilities,
            "linux_info",
            "linux/capabilities",
        ),
        (
            linux.is_some_and(has_ipc),
            isolation.ipc,
            "linux_info",
            "namespaces/ipc",
        ),
        (
            any_volume(|volume| volume.image.is_some()),
            isolation.image_volumes,
            "volumes",
            "volume/image",
        ),
        (
            any_volume(|volume| volume.image.is_none() && !is_in_sandbox(volume)),
            isolation.host_paths,
            "volumes",
            "volume/host_path",
        ),
        (
            any_volume(is_in_sandbox),
            isolation.sandbox_paths,
            "volumes",
            "volume/sandbox_path",
        ),
    ]
}

/// What of a volume no isolator can do yet.
fn unknown_volume(volume: &v1::Volume) -> Option<&'static str> {
    use v1::volume::source::Type;
    if volume.image.is_some() {
        return None;
    }
    let kind = volume.source.as_ref().map(|source| source.r#type());
    let is_known = matches!(kind, None | Some(Type::HostPath | Type::SandboxPath));
    (!is_known).then_some(
        "with this type of 'source' are not supported yet, expected HOST_PATH or SANDBOX_PATH",
    )
}

/// Whether a volume shows another place of the sandbox; a host path that is relative is one.
fn is_in_sandbox(volume: &v1::Volume) -> bool {
    use v1::volume::source::Type;
    match &volume.source {
        Some(source) => source.r#type() == Type::SandboxPath,
        None => volume.host_path().starts_with(|first| first != '/'),
    }
}

/// A duration as Mesos writes it: a whole number of the largest unit that fits, e.g. `5secs`.
pub fn duration_text(duration: Duration) -> String {
    const UNITS: &[(u128, &str)] = &[
        (604_800_000_000_000, "weeks"),
        (86_400_000_000_000, "days"),
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let nanos = duration.as_nanos();
    let unit = UNITS
        .iter()
        .find(|(size, _)| nanos != 0 && nanos.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{nanos}ns"),
        |(size, name)| format!("{}{name}", nanos / size),
    )
}

/// The role that resources are allocated to, by the first that says.
fn allocation_role(resources: &[v1::Resource]) -> Option<&str> {
    resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
}

fn overhead(task: &TaskInfo) -> Vec<v1::Resource> {
    let allocation = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.clone());
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: allocation.clone(),
        ..v1::Resource::default()
    };
    vec![
        scalar("cpus", COMMAND_EXECUTOR_CPUS),
        scalar("mem", COMMAND_EXECUTOR_MEM_MB),
    ]
}

pub(super) fn own_program(settings: &Settings) -> CommandInfo {
    let launcher_dir = &settings.launcher_dir;
    CommandInfo {
        shell: Some(false),
        value: Some(paths::join(launcher_dir, EXECUTOR_PROGRAM)),
        arguments: vec![
            EXECUTOR_PROGRAM.to_owned(),
            format!("--launcher_dir={launcher_dir}"),
            format!("--switch_user={}", settings.switch_user),
        ],
        ..CommandInfo::default()
    }
}

/// A command as it is shown in its executor's name.
fn shown(command: &CommandInfo) -> String {
    let Some(value) = &command.value else {
        return if command.shell() {
            "NO COMMAND"
        } else {
            "NO EXECUTABLE"
        }
        .to_owned();
    };
    if command.shell() {
        return format!("sh -c '{}'", cut(value));
    }
    format!(
        "[{}]",
        cut(&format!("{value}, {}", command.arguments.join(", ")))
    )
}

fn cut(text: &str) -> String {
    if text.chars().count() <= NAME_CHARACTERS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(NAME_CHARACTERS - 3).collect();
    format!("{kept}...")
}

/// The kill grace of a task, and time for its executor to report on top.
fn longer(grace_ns: i64) -> v1::DurationInfo {
    let extra = REAP_INTERVAL + Duration::from_secs(1);
    let extra_ns = i64::try_from(extra.as_nanos()).unwrap_or(i64::MAX);
    v1::DurationInfo {
        nanoseconds: grace_ns.saturating_add(extra_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_the_largest_whole_unit() {
        for (millis, text) in [
            (0, "0ns"),
            (1, "1ms"),
            (1500, "1500ms"),
            (5000, "5secs"),
            (90_000, "90secs"),
            (60_000, "1mins"),
            (7_200_000, "2hrs"),
            (86_400_000, "1days"),
            (604_800_000, "1weeks"),
        ] {
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn names_cut_long_commands() {
        let shell = |value: &str| CommandInfo {
            value: Some(value.into()),
            ..Default::default()
        };
        assert_eq!(shown(&shell("true")), "sh -c 'true'");
        assert_eq!(shown(&shell("123456789012345")), "sh -c '123456789012345'");
        assert_eq!(shown(&shell("1234567890123456")), "sh -c '123456789012...'");
        assert_eq!(shown(&CommandInfo::default()), "NO COMMAND");
        let argv = CommandInfo {
            shell: Some(false),
            value: Some("a".into()),
            arguments: vec!["b".into(), "c".into()],
            ..Default::default()
        };
        assert_eq!(shown(&argv), "[a, b, c]");
    }
}
