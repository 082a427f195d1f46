//! `apps`: the app manager at a real master: many apps, readers, scaling, upgrades.
//! Each part is one file with a cluster of its own; here are the options and what the parts share.

mod create;
mod reading;
mod scale;
mod scene;
mod upgrade;

use clap::{Args, ValueEnum};

use super::{Common, Stage, agents};
use crate::clock::Clock;
use crate::framework::Error;
use crate::report::Run;
use scene::Scene;

/// The app manager at simulated agents: many apps are created; lists are read at a rate, at rest
/// and while an app is scaled; one app is scaled up and down; apps are upgraded and scaled side by
/// side. Fails when there is ever a task too many or too few.
#[derive(Debug, Clone, Args)]
pub struct Apps {
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000, value_parser = agents())]
    pub agents: u64,
    /// What is played, each with a cluster of its own.
    #[arg(
        long = "part",
        value_enum,
        value_delimiter = ',',
        default_value = "create,read,scale,upgrade"
    )]
    pub parts: Vec<Part>,
    /// Apps that are created.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub apps: u64,
    /// Instances of each of them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub instances: u64,
    /// What one request creates: a group with its apps, or one app.
    #[arg(long, value_enum, default_value_t = By::Group)]
    pub create_by: By,
    /// Apps of a group.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub per_group: u64,
    /// Clients that create, each with one request at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub clients: u64,
    /// Reads of /v2/apps per second, at this rate whether or not answers are late.
    #[arg(long, default_value_t = 200.0, value_parser = super::positive)]
    pub rate: f64,
    /// Pollers that share these reads.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub pollers: u64,
    /// For how long they read at rest, and at least while an app is scaled, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Instances that one app is scaled to.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub scale: u64,
    /// The app manager's --launch_tokens for launches without hindrance; one app is scaled with
    /// Marathon's own default as well.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub launch_tokens: u64,
    /// Instances of the app that is upgraded and restarted.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    pub upgrade: u64,
    /// Apps that are scaled side by side.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub parallel: u64,
    /// A flag for the app manager, such as --marathon-flag=--max_instances_per_offer=50; may be
    /// repeated.
    #[arg(long = "marathon-flag", allow_hyphen_values = true)]
    pub marathon_flags: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Many apps are created.
    Create,
    /// Pollers read at a rate, at rest and while an app is scaled.
    Read,
    /// One app is scaled up and down.
    Scale,
    /// An app is upgraded and restarted, and several are scaled side by side.
    Upgrade,
}

/// What one request creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// PUT /v2/groups/GROUP with apps.
    Group,
    /// POST /v2/apps with one app.
    App,
}

/// How many launches the app manager may have under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// Marathon's default: 100 in 30 s, and one for each instance that begins to run.
    Default,
    /// So many.
    Many(u64),
}

/// Plays the parts, one after the other.
///
/// # Errors
/// When a request is refused, a deployment fails or is late, or there is a task too many or too few.
pub async fn run(clock: Clock, arguments: &Apps) -> Result<Vec<Run>, Error> {
    let many = Tokens::Many(arguments.launch_tokens);
    let mut runs = Vec::new();
    for part in &arguments.parts {
        let all: &[Tokens] = match part {
            Part::Scale => &[Tokens::Default, many],
            Part::Create | Part::Read | Part::Upgrade => &[many],
        };
        for tokens in all {
            let stage = Stage::set(clock, &arguments.common).await?;
            let play = async |stage: &mut Stage| play(stage, arguments, *part, *tokens).await;
            runs.push(stage.play(play).await?);
        }
    }
    Ok(runs)
}

async fn play(
    stage: &mut Stage,
    arguments: &Apps,
    part: Part,
    tokens: Tokens,
) -> Result<Run, Error> {
    let mut run = Run::new(match part {
        Part::Create => "apps: create",
        Part::Read => "apps: read",
        Part::Scale => "apps: scale",
        Part::Upgrade => "apps: upgrade",
    });
    let scene = Scene::set(stage, arguments, tokens, &mut run).await?;
    let played = match part {
        Part::Create => create::play(&scene, arguments, &mut run).await,
        Part::Read => reading::play(&scene, arguments, &mut run).await,
        Part::Scale => scale::play(&scene, arguments, &mut run).await,
        Part::Upgrade => upgrade::play(&scene, arguments, &mut run).await,
    };
    scene.clear(played, &mut run).await?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        apps: Apps,
    }

    #[test]
    fn all_parts_are_played_unless_some_are_named() {
        let all = Line::parse_from(["x"]).apps;
        assert_eq!(
            all.parts,
            [Part::Create, Part::Read, Part::Scale, Part::Upgrade]
        );
        let some = Line::parse_from(["x", "--part=scale", "--part=read"]).apps;
        assert_eq!(some.parts, [Part::Scale, Part::Read]);
        let some = Line::parse_from(["x", "--part=scale,create"]).apps;
        assert_eq!(some.parts, [Part::Scale, Part::Create]);
    }
}
