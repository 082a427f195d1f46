//! What a task runs: its command, or the custom executor that runs it.
//! The variables are `env`'s.

use tepui_protocol::marathon::{App, Artifact};
use tepui_protocol::v1;
use v1::command_info::Uri;

use crate::resources::Format;

use super::{Launch, env};

/// The command of a task: `cmd` goes to the shell, `args` are run as they are, and with neither
/// the image says what runs. Marathon.
pub(super) fn command_info(launch: &Launch<'_>) -> v1::CommandInfo {
    let app = launch.app;
    // Without an image nothing but the arguments can name the program.
    let program = match has_image(app) {
        true => None,
        false => app.args.first().cloned(),
    };
    v1::CommandInfo {
        uris: app.fetch.iter().map(uri).collect(),
        environment: Some(env::environment(launch)),
        value: app.cmd.clone().or(program),
        user: app.user.clone(),
        shell: Some(app.cmd.is_some()),
        arguments: match app.cmd {
            Some(_) => Vec::new(),
            None => app.args.clone(),
        },
    }
}

/// The custom executor at `path`, which is made executable and given the app's command.
pub(super) fn executor_info(
    launch: &Launch<'_>,
    path: &str,
    command: v1::CommandInfo,
    container: Option<v1::ContainerInfo>,
) -> v1::ExecutorInfo {
    let app = launch.app;
    let quoted = format!("'{}'", path.replace('\'', r"'\''"));
    let line = app.cmd.clone().unwrap_or_else(|| app.args.join(" "));
    let shell = format!("chmod ug+rx {quoted} && exec {quoted} {line}");
    let resources = &launch.matched.executor_resources;
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: format!("marathon-{}", launch.task_id),
        },
        r#type: Some(v1::executor_info::Type::Custom as i32),
        resources: resources.to_v1(Format::PreRefinement),
        command: Some(Box::new(v1::CommandInfo {
            value: Some(shell.trim_end().to_owned()),
            shell: Some(true),
            arguments: Vec::new(),
            ..command
        })),
        container: container.map(Box::new),
        ..Default::default()
    }
}

fn has_image(app: &App) -> bool {
    let container = app.container.as_ref();
    container.is_some_and(|container| container.docker.is_some())
}

fn uri(artifact: &Artifact) -> Uri {
    Uri {
        value: artifact.uri.clone(),
        executable: Some(artifact.executable),
        extract: Some(artifact.extract),
        cache: Some(artifact.cache),
        output_file: artifact.dest_path.clone(),
    }
}
