//! What to execute for a task: program, arguments, environment and user.
//! Starts nothing.

use std::path::Path;

use tepui_protocol::v1::environment::variable;
use tepui_protocol::v1::{CommandInfo, TaskInfo};

use crate::config::{Environment, Image};

/// Where programs are looked for when nothing else says.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to execute.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// A path, or a name to look for in `PATH`.
    pub program: String,
    /// All arguments; the first is the program's own name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Environment,
    /// The user to become; `None` stays the executor's own.
    pub user: Option<String>,
}

/// Where a single command runs; its container is the executor's own.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The task's sandbox.
    pub sandbox: &'a Path,
    /// Environment of the executor.
    pub inherited: &'a Environment,
    /// What the image says in whose root file system it runs.
    pub image: &'a Image,
}

/// Works out what to execute for a task.
///
/// # Errors
/// What is missing or not supported, for the message of TASK_FAILED.
pub fn for_task(task: &TaskInfo, place: Place<'_>) -> Result<Command, String> {
    let command = task.command.as_deref().ok_or("the task has no command")?;
    let (program, arguments) = match &place.image.command {
        Some(said) if names_nothing(command) => said.clone(),
        _ => program(command)?,
    };
    Ok(Command {
        program,
        arguments,
        environment: environment(task, &[command], place)?,
        user: user(command),
    })
}

/// Works out what to execute for a command that checks a task: it runs as the task's user, in the
/// task's environment with its own variables on top.
///
/// The user that the check's command may name is ignored, as Mesos's command executor does: only
/// the task's own was judged by whoever admitted the task.
///
/// # Errors
/// What is missing or not supported, for the failure of the check.
pub fn for_check(
    task: &TaskInfo,
    check: &CommandInfo,
    place: Place<'_>,
) -> Result<Command, String> {
    let command = task.command.as_deref().ok_or("the task has no command")?;
    let (program, arguments) = program(check)?;
    Ok(Command {
        program,
        arguments,
        environment: environment(task, &[command, check], place)?,
        user: user(command),
    })
}

/// Whether a command leaves it to the image what to run; its arguments are among the image's then.
fn names_nothing(command: &CommandInfo) -> bool {
    !command.shell() && command.value.as_deref().unwrap_or_default().is_empty()
}

/// The user a command names.
fn user(command: &CommandInfo) -> Option<String> {
    command.user.clone().filter(|user| !user.is_empty())
}

fn program(command: &CommandInfo) -> Result<(String, Vec<String>), String> {
    let value = command.value.clone().filter(|value| !value.is_empty());
    if command.shell() {
        let script = value.ok_or("'CommandInfo.value' is empty, expected a shell command")?;
        return Ok(("/bin/sh".into(), vec!["sh".into(), "-c".into(), script]));
    }
    let program = value.ok_or("'CommandInfo.value' is empty, expected a program")?;
    let arguments = match command.arguments.is_empty() {
        true => vec![program.clone()],
        false => command.arguments.clone(),
    };
    Ok((program, arguments))
}

/// The executor's environment, what Mesos adds, then the commands' own on top, the last one's last.
fn environment(
    task: &TaskInfo,
    commands: &[&CommandInfo],
    place: Place<'_>,
) -> Result<Environment, String> {
    let mut all = place.inherited.clone();
    all.extend(place.image.environment.clone());
    all.insert("MESOS_SANDBOX".into(), place.sandbox.into());
    all.entry("PATH".into())
        .or_insert_with(|| DEFAULT_PATH.into());
    let own = commands
        .iter()
        .filter_map(|command| command.environment.as_ref())
        .flat_map(|environment| &environment.variables);
    for variable in own {
        if variable.r#type() == variable::Type::Secret || variable.secret.is_some() {
            return Err(format!(
                "environment variable '{}' is a secret, which is not supported yet",
                variable.name
            ));
        }
        if variable.name.is_empty() || variable.name.contains('=') {
            return Err(format!(
                "'{}' cannot name an environment variable",
                variable.name
            ));
        }
        let value = variable.value.clone().unwrap_or_default();
        all.insert(variable.name.clone().into(), value.into());
    }
    let role = task
        .resources
        .iter()
        .find_map(|it| it.allocation_info.as_ref()?.role.as_deref());
    if let Some(role) = role {
        all.insert("MESOS_ALLOCATION_ROLE".into(), role.into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use tepui_protocol::v1::{self, Resource, resource};

    fn task(command: CommandInfo) -> TaskInfo {
        TaskInfo {
            command: Some(Box::new(command)),
            ..TaskInfo::default()
        }
    }

    fn variable(name: &str, value: &str) -> v1::environment::Variable {
        v1::environment::Variable {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        }
    }

    fn inherited() -> Environment {
        Environment::from([
            ("PATH".into(), "/bin".into()),
            ("MESOS_EXECUTOR_ID".into(), "e1".into()),
            ("A".into(), "executor".into()),
        ])
    }

    fn plan(task: &TaskInfo) -> Result<Command, String> {
        let inherited = inherited();
        for_task(
            task,
            Place {
                sandbox: Path::new("/box"),
                inherited: &inherited,
                image: &Image::default(),
            },
        )
    }

    #[test]
    fn shell_commands_go_through_the_shell_and_others_do_not() {
        let shell = CommandInfo {
            value: Some("exit 3".into()),
            ..Default::default()
        };
        let planned = plan(&task(shell)).unwrap();
        assert_eq!(planned.program, "/bin/sh");
        assert_eq!(planned.arguments, ["sh", "-c", "exit 3"]);

        let mut plain = CommandInfo {
            shell: Some(false),
            value: Some("/bin/echo".into()),
            arguments: vec!["other-name".into(), "a b".into()],
            ..Default::default()
        };
        let planned = plan(&task(plain.clone())).unwrap();
        assert_eq!(planned.program, "/bin/echo");
        assert_eq!(planned.arguments, ["other-name", "a b"]);

        plain.arguments.clear();
        assert_eq!(plan(&task(plain)).unwrap().arguments, ["/bin/echo"]);
    }

    #[test]
    fn the_commands_variables_win_except_for_the_role() {
        let command = CommandInfo {
            value: Some("true".into()),
            environment: Some(v1::Environment {
                variables: vec![
                    variable("A", "task"),
                    variable("MESOS_SANDBOX", "elsewhere"),
                    variable("MESOS_ALLOCATION_ROLE", "wrong"),
                ],
            }),
            ..Default::default()
        };
        let mut task = task(command);
        task.resources = vec![Resource {
            allocation_info: Some(resource::AllocationInfo {
                role: Some("web".into()),
            }),
            ..Default::default()
        }];
        let environment = plan(&task).unwrap().environment;
        let value = |name: &str| environment.get(&OsString::from(name)).cloned();
        assert_eq!(value("A"), Some("task".into()));
        assert_eq!(value("MESOS_EXECUTOR_ID"), Some("e1".into()));
        assert_eq!(value("MESOS_SANDBOX"), Some("elsewhere".into()));
        assert_eq!(value("MESOS_ALLOCATION_ROLE"), Some("web".into()));
        assert_eq!(value("PATH"), Some("/bin".into()));
    }

    #[test]
    fn an_image_says_what_the_command_does_not() {
        let image = Image {
            working_directory: None,
            environment: Environment::from([
                ("A".into(), "image".into()),
                ("B".into(), "image".into()),
                ("MESOS_SANDBOX".into(), "image".into()),
            ]),
            command: Some(("/entry".into(), vec!["/entry".into(), "x".into()])),
        };
        let inherited = inherited();
        let place = Place {
            sandbox: Path::new("/box"),
            inherited: &inherited,
            image: &image,
        };
        let mut command = CommandInfo {
            shell: Some(false),
            environment: Some(v1::Environment {
                variables: vec![variable("B", "task")],
            }),
            ..Default::default()
        };
        let planned = for_task(&task(command.clone()), place).unwrap();
        assert_eq!(planned.program, "/entry");
        assert_eq!(planned.arguments, ["/entry", "x"]);
        let value = |name: &str| planned.environment.get(&OsString::from(name)).cloned();
        assert_eq!(value("A"), Some("image".into()));
        assert_eq!(value("B"), Some("task".into()));
        assert_eq!(value("MESOS_SANDBOX"), Some("/box".into()));
        command.value = Some("/own".into());
        assert_eq!(
            for_task(&task(command.clone()), place).unwrap().program,
            "/own"
        );
        command.value = None;
        command.shell = Some(true);
        assert!(for_task(&task(command), place).is_err());
    }

    #[test]
    fn a_check_runs_as_its_task_with_its_own_variables_on_top() {
        let command = |value: &str, user: &str, variables| CommandInfo {
            value: Some(value.into()),
            user: Some(user.into()),
            environment: Some(v1::Environment { variables }),
            ..Default::default()
        };
        let own = vec![variable("A", "task"), variable("B", "task")];
        let task = task(command("true", "nobody", own));
        let check = command("exit 3", "root", vec![variable("B", "check")]);
        let inherited = inherited();
        let place = Place {
            sandbox: Path::new("/box"),
            inherited: &inherited,
            image: &Image::default(),
        };
        let planned = for_check(&task, &check, place).unwrap();
        assert_eq!(planned.user.as_deref(), Some("nobody"));
        assert_eq!(planned.arguments, ["sh", "-c", "exit 3"]);
        let value = |name: &str| planned.environment.get(&OsString::from(name)).cloned();
        assert_eq!(value("A"), Some("task".into()));
        assert_eq!(value("B"), Some("check".into()));
        assert_eq!(value("MESOS_SANDBOX"), Some("/box".into()));
        let nothing = for_check(&task, &CommandInfo::default(), place).unwrap_err();
        assert_eq!(
            nothing,
            "'CommandInfo.value' is empty, expected a shell command"
        );
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let fails = |command: CommandInfo| plan(&task(command)).unwrap_err();
        assert_eq!(
            plan(&TaskInfo::default()).unwrap_err(),
            "the task has no command"
        );
        assert_eq!(
            fails(CommandInfo::default()),
            "'CommandInfo.value' is empty, expected a shell command"
        );
        let program = CommandInfo {
            shell: Some(false),
            ..Default::default()
        };
        assert_eq!(
            fails(program),
            "'CommandInfo.value' is empty, expected a program"
        );
        let valued = CommandInfo {
            value: Some("true".into()),
            ..Default::default()
        };
        let named = CommandInfo {
            environment: Some(v1::Environment {
                variables: vec![variable("A=B", "")],
            }),
            ..valued
        };
        assert_eq!(fails(named), "'A=B' cannot name an environment variable");
    }
}
