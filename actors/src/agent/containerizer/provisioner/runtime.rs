//! What runs in the root file system of an image: the command of the framework, completed by what
//! the image says (Mesos: `DockerRuntimeIsolatorProcess`). Starts nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tepui_core::agent::messages::{InImage, Launch, Parent};
use tepui_protocol::v1::CommandInfo;

use super::super::images::Settings;
use super::super::isolator::Root;
use super::super::start::InRoot;

/// Where programs are looked for when nobody says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Completes what is to be run, and the root with it.
///
/// # Errors
/// When neither the framework nor the image names a program.
pub(in super::super) fn complete(
    launch: &Launch,
    image: &InImage,
    said: &Settings,
    runs_as_root: bool,
    root: &mut Root,
) -> Result<InRoot, String> {
    let working_dir = said.working_dir.as_ref().filter(|it| !it.is_empty());
    root.working_directory = working_dir.map(|it| Path::new("/").join(it));
    // An image may take rights away from a container, and never give it a user's.
    let user = said.user.clone().filter(|user| !user.is_empty());
    root.user = user.filter(|_| image.may_name_user && runs_as_root);
    let volumes = launch.volumes.iter().filter(|link| link.chown);
    root.volumes = volumes
        .map(|link| link.volume.path.as_str().into())
        .collect();
    let sandbox = root.sandbox_directory.to_string_lossy().into_owned();
    let directory = root.working_directory.as_ref();
    let directory =
        directory.map_or_else(|| sandbox.clone(), |it| it.to_string_lossy().into_owned());
    let mut environment = image.inherited.clone();
    if !image.is_task {
        environment.extend(said.env.iter().cloned());
    }
    environment.extend(inner_environment(launch, &launch.directory, &sandbox));
    let path = || DEFAULT_PATH.to_owned();
    let (program, arguments) = match image.is_task {
        true => (
            launch.program.clone(),
            for_executor(launch, image, said, root)?,
        ),
        false => {
            environment.entry("PATH".to_owned()).or_insert_with(path);
            command(&image.command, said)?
        }
    };
    Ok(InRoot {
        program,
        arguments,
        environment,
        directory,
        is_executor: image.is_task,
    })
}

/// What runs in the root file system of the container around, whose sandbox holds its own.
pub(in super::super) fn within(launch: &Launch, parent: &Parent, sandboxes: &Path) -> InRoot {
    // What looks at the container around does so from that one's sandbox.
    let looks_at = launch.looks_at().map(|seen| &seen.directory);
    let seen = looks_at.unwrap_or(&launch.directory);
    let own = Path::new(seen).strip_prefix(&parent.directory);
    let mut sandbox = sandboxes.to_owned();
    sandbox.extend(own.unwrap_or(Path::new("")));
    let sandbox = sandbox.to_string_lossy().into_owned();
    InRoot {
        program: launch.program.clone(),
        arguments: launch.arguments.clone(),
        environment: inner_environment(launch, seen, &sandbox),
        directory: sandbox,
        is_executor: false,
    }
}

/// The environment of a launch, which names the sandbox `seen` of the host as it is seen inside.
fn inner_environment(launch: &Launch, seen: &str, sandbox: &str) -> BTreeMap<String, String> {
    let mut environment = launch.environment.clone();
    if environment.get("MESOS_SANDBOX").map(String::as_str) == Some(seen) {
        environment.insert("MESOS_SANDBOX".to_owned(), sandbox.to_owned());
    }
    environment
}

/// The arguments of the agent's own executor, which has its task's user already.
fn for_executor(
    launch: &Launch,
    image: &InImage,
    said: &Settings,
    root: &Root,
) -> Result<Vec<String>, String> {
    let mut arguments = launch.arguments.clone();
    arguments.push("--switch_user=false".to_owned());
    if let Some(directory) = &root.working_directory {
        arguments.push(format!("--working_directory={}", directory.display()));
    }
    // One name more than once is the last one's.
    let variables: BTreeMap<&str, &str> = said
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if !variables.is_empty() {
        let variables = variables
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        let all = json!({"variables": variables.collect::<Vec<_>>()});
        arguments.push(format!("--task_environment={all}"));
    }
    let (program, its) = command(&image.command, said)?;
    if leaves_open(&image.command) {
        let said = json!({"value": program, "arguments": its});
        arguments.push(format!("--task_command={said}"));
    }
    Ok(arguments)
}

fn leaves_open(command: &CommandInfo) -> bool {
    !command.shell() && command.value().is_empty()
}

/// Program and arguments: what the framework says is run without a look at the image, and where it
/// names no program, its arguments take the place of the image's.
fn command(asked: &CommandInfo, said: &Settings) -> Result<(String, Vec<String>), String> {
    if asked.shell() {
        let script = asked.value().to_owned();
        if script.is_empty() {
            return Err("Shell specified but no command value provided".to_owned());
        }
        return Ok(("/bin/sh".into(), vec!["sh".into(), "-c".into(), script]));
    }
    if !asked.value().is_empty() {
        let program = asked.value().to_owned();
        let arguments = match asked.arguments.is_empty() {
            true => vec![program.clone()],
            false => asked.arguments.clone(),
        };
        return Ok((program, arguments));
    }
    let (first, last) = match said.entrypoint.is_empty() {
        true => said.cmd.split_at(said.cmd.len().min(1)),
        false => (said.entrypoint.as_slice(), said.cmd.as_slice()),
    };
    let program = first.first().ok_or(
        "No executable is found: neither 'CommandInfo.value' nor the image's entrypoint or cmd names \
         one",
    )?;
    let rest = match asked.arguments.is_empty() {
        true => last,
        false => asked.arguments.as_slice(),
    };
    let arguments = first.iter().chain(rest).cloned().collect();
    Ok((program.clone(), arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    fn asked(shell: bool, value: Option<&str>, arguments: &[&str]) -> CommandInfo {
        CommandInfo {
            shell: Some(shell),
            value: value.map(str::to_owned),
            arguments: strings(arguments),
            ..CommandInfo::default()
        }
    }

    /// The rows and columns of the table that Mesos documents.
    #[test]
    fn the_framework_wins_over_the_image() {
        let said = |entrypoint: &[&str], cmd: &[&str]| Settings {
            entrypoint: strings(entrypoint),
            cmd: strings(cmd),
            ..Settings::default()
        };
        let images = [
            said(&[], &[]),
            said(&[], &["/c", "c1"]),
            said(&["/e", "e1"], &[]),
            said(&["/e", "e1"], &["/c", "c1"]),
        ];
        let open = ["", "/c c1", "/e e1", "/e e1 /c c1"];
        let open_with = ["", "/c x", "/e e1 x", "/e e1 x"];
        let rows: [(CommandInfo, [&str; 4]); 8] = [
            (asked(false, None, &[]), open),
            (asked(false, None, &["x"]), open_with),
            (asked(false, Some("/v"), &[]), ["/v"; 4]),
            (asked(false, Some("/v"), &["v", "x"]), ["v x"; 4]),
            (asked(true, None, &[]), [""; 4]),
            (asked(true, None, &["x"]), [""; 4]),
            (asked(true, Some("v"), &[]), ["sh -c v"; 4]),
            (asked(true, Some("v"), &["x"]), ["sh -c v"; 4]),
        ];
        for (asked, row) in rows {
            for (image, expected) in images.iter().zip(row) {
                let got = command(&asked, image);
                let words = got.as_ref().map(|(_, arguments)| arguments.join(" "));
                match expected {
                    "" => assert!(got.is_err(), "{asked:?} {image:?}"),
                    _ => assert_eq!(words.as_deref(), Ok(expected), "{asked:?} {image:?}"),
                }
            }
        }
        let (program, _) = command(&asked(false, Some("/v"), &["v"]), &images[3]).unwrap();
        assert_eq!(program, "/v");
    }
}
