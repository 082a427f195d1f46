//! `tepui weights`: shows and sets how large the shares of roles are.
//! Judges no weight; the master does.

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::table::{Table, amount};
use super::super::trouble::Trouble;
use super::master::Master;
use super::value::{list, number, text};
use super::{Common, Noun};

/// What `tepui weights` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the weight of a role, or all that were set; the others are 1
    #[command(after_help = "Examples:\n  tepui weights get\n  tepui weights get web")]
    Get {
        /// Name of the role
        role: Option<String>,
    },
    /// Set weights of roles
    #[command(after_help = "Example:\n  tepui weights set web=3 batch=0.5")]
    Set {
        /// A role and its weight
        #[arg(required = true, value_name = "ROLE=WEIGHT", value_parser = given)]
        weights: Vec<(String, f64)>,
    },
}

fn given(text: &str) -> Result<(String, f64), String> {
    let parts = text.rsplit_once('=');
    let weight = parts.and_then(|(role, weight)| Some((role, weight.parse::<f64>().ok()?)));
    match weight {
        Some((role, weight)) if !role.is_empty() && weight.is_finite() => {
            Ok((role.to_owned(), weight))
        }
        _ => Err(format!("expected ROLE=WEIGHT, as web=2.5, got '{text}'")),
    }
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::Get { role } => get(common, &master, role.as_deref()).await,
        Command::Set { weights } => set(common, &master, weights).await,
    }
}

async fn get(common: &Common, master: &Master, role: Option<&str>) -> Result<(), Trouble> {
    let all = master.ask("GET_WEIGHTS").await?;
    let infos = list(&all, "/weight_infos");
    let document = match role {
        None => all.clone(),
        Some(role) => {
            let set = infos.iter().find(|info| text(info, "/role") == role);
            let weight = set.and_then(|info| number(info, "/weight")).unwrap_or(1.0);
            json!({"weight_infos": [{"role": role, "weight": weight}]})
        }
    };
    let mut table = Table::new(&["ROLE", "WEIGHT"]);
    for info in list(&document, "/weight_infos") {
        let weight = amount(number(info, "/weight").unwrap_or(1.0));
        table.row(vec![text(info, "/role").to_owned(), weight]);
    }
    common.show_table(&document, "no weights are set; all are 1", &table)
}

async fn set(common: &Common, master: &Master, weights: &[(String, f64)]) -> Result<(), Trouble> {
    let infos = weights
        .iter()
        .map(|(role, weight)| json!({"role": role, "weight": weight}));
    let infos: Vec<Value> = infos.collect();
    let payload = json!({"weight_infos": infos});
    master.call("UPDATE_WEIGHTS", Some(payload)).await?;
    let said = weights
        .iter()
        .map(|(role, weight)| format!("{role} weighs {}", amount(*weight)));
    common.done(&said.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_with_their_roles() {
        assert_eq!(given("a/b=2.5"), Ok(("a/b".to_owned(), 2.5)));
        for wrong in ["a", "=1", "a=", "a=x", "a=inf"] {
            assert!(given(wrong).is_err(), "{wrong}");
        }
    }
}
