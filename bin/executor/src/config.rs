//! What the agent tells the executor by its environment and arguments, typed and checked.
//! Reads neither itself: who starts the executor passes both in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::docker;
use crate::machine::Settings;

/// Shutdown grace period when the agent names none (`--executor_shutdown_grace_period`).
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Time to wait for a lost agent when it names none (`--recovery_timeout`).
const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Largest delay between attempts when the agent names none (`--executor_reregistration_timeout`).
const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Where the Docker Engine listens when nobody says.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Name of the variable that holds the executor's secret.
pub const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// An environment: names and values.
pub type Environment = BTreeMap<OsString, OsString>;

/// All settings of an executor.
#[derive(Debug)]
pub struct Config {
    /// What the state machine needs.
    pub settings: Settings,
    /// Where the agent listens.
    pub agent: SocketAddr,
    /// The agent's address as it was given, for the `Host` header.
    pub host: String,
    /// Sent as bearer token when set.
    pub token: Option<String>,
    /// The executor's sandbox.
    pub sandbox: PathBuf,
    /// Whether a task runs as its `CommandInfo.user`.
    pub switch_user: bool,
    /// What the image of a single command's container says.
    pub image: Image,
    /// What a command inherits: the executor's environment without its secret.
    pub inherited: Environment,
}

/// What the image in whose root file system this executor runs says of its task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Where the task starts, if not in the sandbox.
    pub working_directory: Option<PathBuf>,
    /// Variables below the task's own.
    pub environment: Environment,
    /// What to run if the task does not say: program and arguments.
    pub command: Option<(String, Vec<String>)>,
}

/// Reads the settings from the environment; `cwd` is the sandbox when `MESOS_SANDBOX` is not set.
///
/// # Errors
/// A sentence for the user when a variable is missing or malformed.
pub fn from_environment(mut environment: Environment, cwd: PathBuf) -> Result<Config, String> {
    let token = take_text(&mut environment, TOKEN)?;
    let host = needed(&environment, "MESOS_AGENT_ENDPOINT")?;
    let agent = host
        .to_socket_addrs()
        .map_err(|error| format!("MESOS_AGENT_ENDPOINT '{host}' is not 'host:port': {error}"))?
        .next()
        .ok_or_else(|| format!("MESOS_AGENT_ENDPOINT '{host}' has no address"))?;
    let settings = Settings {
        framework_id: needed(&environment, "MESOS_FRAMEWORK_ID")?,
        executor_id: needed(&environment, "MESOS_EXECUTOR_ID")?,
        checkpoint: text(&environment, "MESOS_CHECKPOINT")?.as_deref() == Some("1"),
        shutdown_grace: duration(
            &environment,
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
            DEFAULT_SHUTDOWN_GRACE,
        )?,
        recovery_timeout: duration(
            &environment,
            "MESOS_RECOVERY_TIMEOUT",
            DEFAULT_RECOVERY_TIMEOUT,
        )?,
        backoff_max: duration(
            &environment,
            "MESOS_SUBSCRIPTION_BACKOFF_MAX",
            DEFAULT_BACKOFF_MAX,
        )?,
        docker: None,
    };
    let sandbox = environment
        .get(OsStr::new("MESOS_SANDBOX"))
        .map_or(cwd, PathBuf::from);
    Ok(Config {
        settings,
        agent,
        host,
        token,
        sandbox,
        switch_user: true,
        image: Image::default(),
        inherited: environment,
    })
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Run.
    Run(Asked),
    /// Start such a container, which is an executor itself, and end as it does.
    RunExecutor(docker::Settings),
    /// Print how the program is used.
    Help,
    /// Print the version.
    Version,
}

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whether a task runs as its `CommandInfo.user`.
    pub switch_user: bool,
    /// The container that the agent has made for the task in the Docker Engine.
    pub docker: Option<docker::Settings>,
    /// What the image says in whose root file system this is.
    pub image: Image,
}

/// The text of `--help`.
pub const USAGE: &str = r#"Runs the commands of tasks and task groups; started by tepui-agent, configured by MESOS_* variables.

Usage: tepui-executor [--switch_user=BOOL] [--launcher_dir=DIR]

  --docker_container=NAME       run the task in this container, which the agent has made; the next
                                flags belong to it
  --docker_socket=PATH          where the Docker Engine listens (default: /var/run/docker.sock)
  --docker_stop_timeout=TIME    time between stop signal and SIGKILL (default: 0ns)
  --docker_executor=BOOL        the container is an executor itself (default: false)
  --switch_user=BOOL   run a task as its CommandInfo.user (default: true)
  --task_command=JSON           what to run if the task does not say, as
                                {"value": "/bin/a", "arguments": ["a", "b"]}
  --task_environment=JSON       variables of the task below its own, as
                                {"variables": [{"name": "A", "value": "b"}]}
  --working_directory=DIR       where the task starts (default: the sandbox)
  --launcher_dir=DIR   directory of Tepui's programs; accepted as agents pass it, not needed
  --version            print the version
  --help               print this text"#;

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// A sentence for the user when an argument is not known.
pub fn arguments(given: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
    let mut switch_user = true;
    let mut is_executor = false;
    let mut name = String::new();
    let mut image = Image::default();
    let mut docker = docker::Settings {
        socket: DOCKER_SOCKET.into(),
        name: String::new(),
        stop_timeout: Duration::ZERO,
    };
    for argument in given {
        let argument = argument.to_string_lossy().into_owned();
        let (flag, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match (flag, value) {
            ("--help", _) => return Ok(Arguments::Help),
            ("--version", _) => return Ok(Arguments::Version),
            ("--switch_user", "true" | "1") => switch_user = true,
            ("--switch_user", "false" | "0") => switch_user = false,
            ("--docker_container", text) if !text.is_empty() => text.clone_into(&mut name),
            ("--docker_socket", path) if !path.is_empty() => docker.socket = path.into(),
            ("--docker_stop_timeout", text) => docker.stop_timeout = parse_duration(text)?,
            ("--docker_executor", "true" | "1") => is_executor = true,
            ("--docker_executor", "false" | "0") => is_executor = false,
            ("--task_command", text) => image.command = Some(task_command(text)?),
            ("--task_environment", text) => image.environment = task_environment(text)?,
            ("--working_directory", directory) if !directory.is_empty() => {
                image.working_directory = Some(directory.into());
            }
            ("--launcher_dir", directory) if !directory.is_empty() => {}
            _ => return Err(format!("unexpected argument '{argument}'\n\n{USAGE}")),
        }
    }
    let docker = docker::Settings { name, ..docker };
    let docker = (!docker.name.is_empty()).then_some(docker);
    match docker {
        Some(docker) if is_executor => Ok(Arguments::RunExecutor(docker)),
        docker => Ok(Arguments::Run(Asked {
            switch_user,
            docker,
            image,
        })),
    }
}

/// Reads the value of `--task_command`.
fn task_command(text: &str) -> Result<(String, Vec<String>), String> {
    let wrong =
        || format!("--task_command '{text}' is no command such as {{\"value\": \"/bin/a\"}}");
    let read: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let value = read["value"].as_str().ok_or_else(wrong)?;
    let arguments = read["arguments"].as_array().into_iter().flatten();
    let arguments = arguments.map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong));
    Ok((value.to_owned(), arguments.collect::<Result<_, _>>()?))
}

/// Reads the value of `--task_environment`.
fn task_environment(text: &str) -> Result<Environment, String> {
    let wrong = || {
        format!(
            "--task_environment '{text}' is no environment such as {{\"variables\": [{{\"name\": \
             \"A\", \"value\": \"b\"}}]}}"
        )
    };
    let read: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let variables = read["variables"].as_array().ok_or_else(wrong)?;
    let pairs = variables.iter().map(|variable| {
        let name = variable["name"].as_str().ok_or_else(wrong)?;
        let value = variable["value"].as_str().ok_or_else(wrong)?;
        Ok((name.into(), value.into()))
    });
    pairs.collect()
}

/// Reads a duration as Mesos writes it: a number and one of its units, e.g. `5secs` or `1.5mins`.
///
/// # Errors
/// A sentence for the user when the text is no such duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1e-9),
        ("us", 1e-6),
        ("ms", 1e-3),
        ("secs", 1.0),
        ("mins", 60.0),
        ("hrs", 3600.0),
        ("days", 86_400.0),
        ("weeks", 604_800.0),
    ];
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("'{text}' is not a duration such as '5secs' or '1.5mins'");
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| wrong())
}

fn text(environment: &Environment, name: &str) -> Result<Option<String>, String> {
    let Some(value) = environment.get(OsStr::new(name)) else {
        return Ok(None);
    };
    match value.to_str() {
        Some(value) => Ok(Some(value.to_owned())),
        None => Err(format!("{name} is not valid UTF-8")),
    }
}

fn take_text(environment: &mut Environment, name: &str) -> Result<Option<String>, String> {
    let value = text(environment, name)?;
    environment.remove(OsStr::new(name));
    Ok(value)
}

fn needed(environment: &Environment, name: &str) -> Result<String, String> {
    match text(environment, name)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!("expecting '{name}' to be set in the environment")),
    }
}

fn duration(environment: &Environment, name: &str, default: Duration) -> Result<Duration, String> {
    match text(environment, name)? {
        Some(value) => parse_duration(&value).map_err(|error| format!("{name}: {error}")),
        None => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    }

    const NEEDED: [(&str, &str); 3] = [
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "f1"),
        ("MESOS_EXECUTOR_ID", "e1"),
    ];

    #[test]
    fn reads_the_agents_variables_and_hides_the_token_from_tasks() {
        let mut pairs = NEEDED.to_vec();
        pairs.push(("MESOS_CHECKPOINT", "1"));
        pairs.push(("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "7secs"));
        pairs.push(("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "secret"));
        let config = from_environment(environment(&pairs), "/tmp".into()).unwrap();
        assert!(config.settings.checkpoint);
        assert_eq!(config.settings.shutdown_grace, Duration::from_secs(7));
        assert_eq!(config.settings.recovery_timeout, DEFAULT_RECOVERY_TIMEOUT);
        assert_eq!(config.token.as_deref(), Some("secret"));
        assert!(!config.inherited.contains_key(OsStr::new(TOKEN)));
        assert_eq!(config.sandbox, PathBuf::from("/tmp"));
    }

    #[test]
    fn says_which_variable_is_missing_or_wrong() {
        for (name, _) in NEEDED {
            let mut pairs = NEEDED.to_vec();
            pairs.retain(|(other, _)| *other != name);
            let error = from_environment(environment(&pairs), "/".into()).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        let mut pairs = NEEDED.to_vec();
        pairs.push(("MESOS_RECOVERY_TIMEOUT", "soon"));
        let error = from_environment(environment(&pairs), "/".into()).unwrap_err();
        assert_eq!(
            error,
            "MESOS_RECOVERY_TIMEOUT: 'soon' is not a duration such as '5secs' or '1.5mins'"
        );
    }

    #[test]
    fn reads_durations_in_every_unit() {
        for (text, millis) in [
            ("5secs", 5000),
            ("250ms", 250),
            ("1.5mins", 90_000),
            ("2hrs", 7_200_000),
            ("1days", 86_400_000),
            ("1weeks", 604_800_000),
            ("0ns", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "secs",
            "-1secs",
            "5 parsecs",
            "1e400secs",
            "nansecs",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_are_refused_unless_known() {
        let read = |given: &[&str]| arguments(given.iter().map(OsString::from));
        let plain = Asked {
            switch_user: true,
            docker: None,
            image: Image::default(),
        };
        assert_eq!(read(&[]), Ok(Arguments::Run(plain.clone())));
        let given = ["--launcher_dir=/opt", "--switch_user=false"];
        let asked = Asked {
            switch_user: false,
            ..plain.clone()
        };
        assert_eq!(read(&given), Ok(Arguments::Run(asked)));
        let settings = docker::Settings {
            socket: "/s".into(),
            name: "mesos-c".into(),
            stop_timeout: Duration::from_secs(2),
        };
        let given = [
            "--docker_container=mesos-c",
            "--docker_socket=/s",
            "--docker_stop_timeout=2secs",
        ];
        let with = |more| read(&[given.as_slice(), &[more]].concat());
        let asked = with("--docker_executor=true");
        assert_eq!(asked, Ok(Arguments::RunExecutor(settings.clone())));
        assert_eq!(
            with("--docker_executor=false"),
            Ok(Arguments::Run(Asked {
                docker: Some(settings),
                ..plain
            }))
        );
        assert!(read(&["--nonsense"]).unwrap_err().contains("'--nonsense'"));
        assert!(read(&["--switch_user=maybe"]).is_err());
    }

    #[test]
    fn what_an_image_says_is_read_from_the_arguments() {
        let read = |given: &[&str]| arguments(given.iter().map(OsString::from));
        let given = [
            r#"--task_command={"value":"/bin/a","arguments":["a","x=y"]}"#,
            r#"--task_environment={"variables":[{"name":"A","value":"b=c"}]}"#,
            "--working_directory=/srv",
        ];
        let Ok(Arguments::Run(asked)) = read(&given) else {
            panic!("refused");
        };
        let expected = Image {
            working_directory: Some("/srv".into()),
            environment: environment(&[("A", "b=c")]),
            command: Some(("/bin/a".into(), vec!["a".into(), "x=y".into()])),
        };
        assert_eq!(asked.image, expected);
        for wrong in [
            "--task_command=/bin/a",
            r#"--task_command={"arguments":["a"]}"#,
            r#"--task_command={"value":"a","arguments":[1]}"#,
            "--task_environment=[]",
            r#"--task_environment={"variables":[{"name":"A"}]}"#,
            "--working_directory=",
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }
}
