//! How the command line is read.
//! Runs no command.

use clap::{CommandFactory as _, Parser};

use super::*;

#[derive(Debug, Parser)]
enum Cli {
    App(AppArgs),
    Deployment(DeploymentArgs),
    Group(GroupArgs),
    Queue(QueueArgs),
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("tepui").chain(line.split_whitespace()))
}

#[test]
fn the_definition_of_the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_is_read_with_global_options_before_and_behind() {
    for line in [
        "app create app.json --dry-run",
        "app create - --force --wait --timeout 5m",
        "app -o json list --label a==b --id x --cmd y",
        "app list -o yaml",
        "app list -o wide --marathon http://h:1",
        "app show /a --version v",
        "app scale /a 3 --wait",
        "app update /a f.json --partial",
        "app update /a f.json --replace",
        "app restart a",
        "app rm a",
        "app versions a",
        "app ps a",
        "app kill t1 t2 --scale --wait",
        "app kill t1 --wipe",
        "app logs a -f -n 5 --stderr --task t --master h:1",
        "deployment list",
        "deployment show d",
        "deployment cancel d --force",
        "deployment rollback d --wait",
        "deployment wait d --timeout 30",
        "group ls",
        "group show /",
        "group scale /g 1.5",
        "group update /g f.json --dry-run",
        "group delete /g",
        "queue",
        "queue list -o json",
        "queue reset a",
    ] {
        let parsed = parse(line);
        assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("an error"));
    }
}

#[test]
fn contradictions_are_wrong() {
    for line in [
        "app",
        "app create",
        "app create f --dry-run --wait",
        "app create f --timeout 5m",
        "app scale a",
        "app scale a -1",
        "app scale a many",
        "app update a f --partial --replace",
        "app kill",
        "app kill t --scale --wipe",
        "app logs a -n -1",
        "app list -o xml",
        "deployment",
        "deployment wait d --timeout soon",
        "group scale g x",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn help_does_not_show_passwords_from_the_environment() {
    let mut command = Cli::command();
    let app = command.find_subcommand_mut("app").expect("app");
    let help = app.render_long_help().to_string();
    assert!(
        help.contains("TEPUI_MARATHON") && help.contains("Exit status"),
        "{help}"
    );
    for name in ["create", "list", "update", "kill", "logs"] {
        let command = app.find_subcommand_mut(name).expect(name);
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:\n  "), "{name}: {help}");
    }
}
