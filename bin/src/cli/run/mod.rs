//! `tepui run`: runs one command as a task, as a framework of its own.
//! Speaks to the cluster only through the public HTTP APIs.

mod exit;
mod output;
mod place;
mod session;

use clap::Args as ClapArgs;
use tepui_core::resources::Resources;
use tepui_protocol::v1;
use v1::framework_info::capability;

use super::{Failure, Interrupts, config};
use place::Place;
use session::Session;

/// What `tepui run` is given.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The master as host:port, or the masters that meet in ZooKeeper as zk://host:port,.../path;
    /// else the setting `master`, else 127.0.0.1:5050
    #[arg(long, env = "TEPUI_MASTER")]
    master: Option<String>,
    /// Name of the framework and of its task
    #[arg(long)]
    name: String,
    /// What the task needs, as name:amount;name:amount
    #[arg(long, default_value = "cpus:0.1;mem:32")]
    resources: String,
    /// A variable of the task's environment; may be repeated
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// User to run the task as [default: the user who runs this program]
    #[arg(long)]
    user: Option<String>,
    /// Role whose share of the cluster is used
    #[arg(long, default_value = "*")]
    role: String,
    /// The command and its arguments; no shell interprets them
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Runs the task; gives the status to end with.
pub async fn run(args: Args) -> Result<u8, Failure> {
    let needed = needed(&args.resources, &args.role)?;
    let master = config::master(args.master.as_deref())?;
    let mut interrupts = Interrupts::listen()?;
    let mut place = Place::new(master, framework_info(&args));
    let subscription = tokio::select! {
        subscribed = place.subscribe() => subscribed?,
        signal = interrupts.next() => return Ok(128 + signal),
    };
    let session = Session::new(place, subscription, needed, task_template(&args));
    session.run(&mut interrupts).await
}

/// The resources as they will be allocated to the role.
fn needed(text: &str, role: &str) -> Result<Resources, Failure> {
    let wrong = |why: String| {
        Failure(format!(
            "--resources '{text}' is wrong: {why}; expected name:amount;name:amount"
        ))
    };
    let needed = Resources::parse(text, "*").map_err(|error| wrong(error.to_string()))?;
    if needed.is_empty() {
        return Err(wrong("nothing is asked for".to_owned()));
    }
    Ok(needed.allocated_to(role))
}

fn framework_info(args: &Args) -> v1::FrameworkInfo {
    let capabilities = [
        capability::Type::MultiRole,
        capability::Type::PartitionAware,
        capability::Type::TaskKillingState,
        capability::Type::ReservationRefinement,
    ];
    let capability = |r#type: capability::Type| v1::framework_info::Capability {
        r#type: Some(r#type.into()),
    };
    v1::FrameworkInfo {
        user: args.user.clone().unwrap_or_else(own_user),
        name: args.name.clone(),
        roles: vec![args.role.clone()],
        capabilities: capabilities.into_iter().map(capability).collect(),
        // Should this program die, its task must not outlive it.
        failover_timeout: Some(0.0),
        ..Default::default()
    }
}

/// The task, save for its agent and resources.
fn task_template(args: &Args) -> v1::TaskInfo {
    let variables = args
        .environment
        .iter()
        .map(|(name, value)| v1::environment::Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..Default::default()
        });
    let variables: Vec<_> = variables.collect();
    let environment = v1::Environment { variables };
    let command = v1::CommandInfo {
        shell: Some(false),
        value: args.command.first().cloned(),
        arguments: args.command.clone(),
        environment: (!args.environment.is_empty()).then_some(environment),
        ..Default::default()
    };
    v1::TaskInfo {
        name: args.name.clone(),
        task_id: v1::TaskId {
            value: task_id(&args.name),
        },
        command: Some(Box::new(command)),
        ..Default::default()
    }
}

/// A valid task id that resembles the name: ids may not hold slashes and are at most 255 long.
fn task_id(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let id: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .take(200)
        .collect();
    if id.trim_matches('.').is_empty() {
        "task".to_owned()
    } else {
        id
    }
}

/// The user who runs this program, by name where it has one.
fn own_user() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Reads `KEY=VALUE`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_split_at_the_first_equals_sign() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }

    #[test]
    fn task_ids_are_valid_whatever_the_name() {
        assert_eq!(task_id("my task/1"), "my_task_1");
        assert_eq!(task_id(".."), "task");
        assert_eq!(task_id(""), "task");
        assert_eq!(task_id(&"x".repeat(300)).len(), 200);
    }

    #[test]
    fn wrong_resources_are_named() {
        for text in ["", "cpus", "cpus:x"] {
            let Failure(why) = needed(text, "*").expect_err(text);
            assert!(
                why.contains("--resources") && why.contains("name:amount"),
                "{why}"
            );
        }
        let needed = needed("cpus:0.5;mem:64", "team").expect("right");
        assert_eq!(needed.scalar_milli("cpus"), 500);
    }

    #[test]
    fn a_command_keeps_its_arguments_apart() {
        let args = Args {
            master: None,
            name: "n".to_owned(),
            resources: String::new(),
            environment: vec![("K".to_owned(), "V".to_owned())],
            user: Some("u".to_owned()),
            role: "r".to_owned(),
            command: vec!["echo".to_owned(), "a b".to_owned()],
        };
        let command = task_template(&args).command.expect("a command");
        assert_eq!(command.shell, Some(false));
        assert_eq!(command.value.as_deref(), Some("echo"));
        assert_eq!(command.arguments, ["echo", "a b"]);
        assert_eq!(command.environment.expect("set").variables[0].name, "K");
        let info = framework_info(&args);
        assert_eq!((info.user.as_str(), info.roles[0].as_str()), ("u", "r"));
    }
}
