//! How the command line of the commands about the cluster is read.
//! Runs no command.

use clap::{CommandFactory as _, Parser};

use super::*;

#[derive(Debug, Parser)]
enum Cli {
    Agent(AgentArgs),
    Framework(FrameworkArgs),
    Task(TaskArgs),
    Role(RoleArgs),
    Quota(QuotaArgs),
    Weights(WeightsArgs),
    Maintenance(MaintenanceArgs),
    Offer(OfferArgs),
    State(StateArgs),
    Events(EventsArgs),
    Why(WhyArgs),
    Version(VersionArgs),
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
        "agent list",
        "agent --master h:1 ls -o wide",
        "agent show a -o yaml",
        "agent drain a --max-grace-period 10m --gone --yes",
        "agent deactivate a",
        "agent reactivate a",
        "agent gone a -y",
        "framework list --completed",
        "framework show f",
        "framework teardown f --yes --master zk://h:1/m",
        "task list --framework f --agent a --state TASK_RUNNING -c",
        "task show t --framework f",
        "task kill t",
        "task logs t -f -n 5 --stderr",
        "task why t",
        "role list",
        "role show r",
        "quota get",
        "quota get r",
        "quota set r --guarantees cpus:1 --limits cpus:2;mem:5 --force",
        "quota remove r",
        "weights get r",
        "weights set a=1 b=2.5",
        "maintenance status",
        "maintenance schedule",
        "maintenance schedule -",
        "maintenance down a b --yes",
        "maintenance up a",
        "offer list",
        "state -o json",
        "events -f",
        "why /a --marathon http://h:1 -o json",
        "why --framework f --role r --master h:1",
        "why --role r",
        "why --task t --framework f",
        "version --master h:1",
    ] {
        let parsed = parse(line);
        assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("an error"));
    }
}

#[test]
fn contradictions_are_wrong() {
    for line in [
        "agent",
        "agent show",
        "agent drain a --max-grace-period soon",
        "agent list -o xml",
        "framework teardown",
        "task logs t -n -1",
        "quota set r",
        "quota set r --limits many",
        "weights set",
        "weights set a",
        "maintenance down",
        "why",
        "why /a --role r",
        "why --task t",
        "why --task t --framework f --role r",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_help_of_every_command_has_examples() {
    fn check(command: &mut clap::Command, path: &str) {
        if command.has_subcommands() {
            let below = command.get_subcommands_mut();
            for command in below.filter(|it| it.get_name() != "help") {
                let path = format!("{path} {}", command.get_name());
                check(command, &path);
            }
            return;
        }
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "{path}: {help}");
        assert!(help.contains(&format!("  {path}")), "{path}: {help}");
    }
    let mut command = Cli::command();
    command.build();
    for command in command
        .get_subcommands_mut()
        .filter(|it| it.get_name() != "help")
    {
        let path = format!("tepui {}", command.get_name());
        check(command, &path);
    }
}
