//! `tepui quota`: shows and sets what roles are guaranteed and limited to.
//! Judges no amount; the master does.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

use super::super::table::{NOTHING, Table};
use super::super::trouble::Trouble;
use super::master::Master;
use super::value::{amounts, list, text};
use super::{Common, Noun};

/// What `tepui quota` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the quota of a role, or of all roles that have one
    #[command(after_help = "Examples:\n  tepui quota get\n  tepui quota get web -o json")]
    Get {
        /// Name of the role
        role: Option<String>,
    },
    /// Set the quota of a role; what is not given is neither guaranteed nor limited afterwards
    #[command(after_help = SET_EXAMPLES)]
    Set(SetArgs),
    /// Remove the quota of a role
    #[command(after_help = "Example:\n  tepui quota remove web")]
    Remove {
        /// Name of the role
        role: String,
    },
}

const SET_EXAMPLES: &str = "\
Examples:
  tepui quota set web --guarantees 'cpus:8;mem:16384'
  tepui quota set batch --guarantees cpus:2 --limits 'cpus:16;mem:32768'";

#[derive(Debug, ClapArgs)]
pub struct SetArgs {
    /// Name of the role
    role: String,
    /// What is kept free for the role, as name:amount;name:amount
    #[arg(long, value_name = "RESOURCES", value_parser = given)]
    guarantees: Option<Value>,
    /// The most that the role may have, as name:amount;name:amount
    #[arg(
        long,
        value_name = "RESOURCES",
        value_parser = given,
        required_unless_present = "guarantees"
    )]
    limits: Option<Value>,
    /// Guarantee it even if the cluster has less than that
    #[arg(long)]
    force: bool,
}

/// Reads amounts, in the form that quota has them.
fn given(text: &str) -> Result<Value, String> {
    let wrong = || format!("expected name:amount;name:amount, as cpus:8;mem:1024, got '{text}'");
    let mut amounts = Map::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, amount) = part.split_once(':').ok_or_else(wrong)?;
        let (name, amount) = (name.trim(), amount.trim().parse::<f64>());
        let amount = amount.ok().filter(|it| it.is_finite() && *it >= 0.0);
        let amount = amount.ok_or_else(wrong)?;
        if name.is_empty() || amounts.contains_key(name) {
            return Err(wrong());
        }
        amounts.insert(name.to_owned(), json!({"value": amount}));
    }
    match amounts.is_empty() {
        true => Err(wrong()),
        false => Ok(Value::Object(amounts)),
    }
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::Get { role } => get(common, &master, role.as_deref()).await,
        Command::Set(args) => set(common, &master, args).await,
        Command::Remove { role } => {
            let config = json!({"role": role});
            update(&master, &config, false).await?;
            common.done(&format!("role {role} has no quota any more"))
        }
    }
}

/// The quota of all roles that have one, in an answer to GET_QUOTA. A role whose quota was removed is
/// still told of, with nothing in it.
fn of_roles(quota: &Value) -> impl Iterator<Item = &Value> {
    let is_set = |config: &&Value| {
        let mut both = ["guarantees", "limits"].iter();
        both.any(|name| amounts(&config[name]) != NOTHING)
    };
    list(quota, "/status/configs").iter().filter(is_set)
}

/// The quota of a role, if it has one.
pub(super) fn of_role<'a>(quota: &'a Value, role: &str) -> Option<&'a Value> {
    of_roles(quota).find(|config| text(config, "/role") == role)
}

async fn get(common: &Common, master: &Master, role: Option<&str>) -> Result<(), Trouble> {
    let quota = master.ask("GET_QUOTA").await?;
    let shown: Vec<&Value> = match role {
        Some(role) => match of_role(&quota, role) {
            Some(config) => vec![config],
            None => {
                let text = format!("role {role} has no quota; `tepui quota set` gives it one");
                return Err(Trouble::Failed(text));
            }
        },
        None => of_roles(&quota).collect(),
    };
    let mut table = Table::new(&["ROLE", "GUARANTEES", "LIMITS"]);
    for config in &shown {
        table.row(vec![
            text(config, "/role").to_owned(),
            amounts(&config["guarantees"]),
            amounts(&config["limits"]),
        ]);
    }
    let document = if role.is_some() { shown[0] } else { &quota };
    common.show_table(document, "no role has a quota", &table)
}

async fn set(common: &Common, master: &Master, args: &SetArgs) -> Result<(), Trouble> {
    let mut config = json!({"role": args.role});
    for (name, given) in [("guarantees", &args.guarantees), ("limits", &args.limits)] {
        if let Some(given) = given {
            config[name] = given.clone();
        }
    }
    update(master, &config, args.force).await?;
    let said = |name: &str| amounts(&config[name]);
    let (role, guarantees, limits) = (&args.role, said("guarantees"), said("limits"));
    common.done(&format!(
        "role {role} is guaranteed {guarantees} and limited to {limits}"
    ))
}

async fn update(master: &Master, config: &Value, force: bool) -> Result<(), Trouble> {
    let payload = json!({"force": force, "quota_configs": [config]});
    master.call("UPDATE_QUOTA", Some(payload)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_flags_have_them() {
        assert_eq!(
            given("cpus:1.5; mem : 64;").expect("amounts"),
            json!({"cpus": {"value": 1.5}, "mem": {"value": 64.0}})
        );
        for wrong in [
            "",
            "cpus",
            "cpus:",
            ":1",
            "cpus:-1",
            "cpus:NaN",
            "cpus:1;cpus:2",
            "cpus:x",
        ] {
            let error = given(wrong).expect_err(wrong);
            assert!(error.starts_with("expected name:amount"), "{error}");
        }
    }
}
