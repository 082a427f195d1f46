//! `tepui version`: the version of this program, and of a master.
//! Compares nothing.

use clap::Args as ClapArgs;
use serde_json::json;

use super::super::table::fields;
use super::super::trouble::Trouble;
use super::Common;
use super::value::text;

/// What `tepui version` is given.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
The master's version is told when a master is named by --master or TEPUI_MASTER.

Examples:
  tepui version
  tepui version --master 10.0.0.1:5050 -o json";

/// Runs the command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let own = env!("CARGO_PKG_VERSION");
    if common.place.master.is_none() {
        return common.show(&json!({"tepui": {"version": own}}), || {
            format!("tepui {own}\n")
        });
    }
    let master = common.master().await?.get("/version", &[]).await?;
    common.show(
        &json!({"tepui": {"version": own}, "master": master}),
        || {
            let of = |pointer: &str| text(&master, pointer).to_owned();
            let told = fields(&[
                ("master", of("/version")),
                ("built", of("/build_date")),
                ("git", of("/git_sha")),
            ]);
            format!("tepui {own}\n{told}")
        },
    )
}
