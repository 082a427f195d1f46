//! `tepui app logs`: prints what the tasks of an app have written, and what they go on to write.
//! Reads files through the agents; the app manager only tells which tasks there are.

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use serde::Deserialize;

use super::super::sandbox::{Finder, Sandbox};
use super::find::{self, Candidate};
use super::manager::{Manager, app_path};
use super::shapes::OneApp;
use super::tail::{LOOK_INTERVAL, Source, Stop, unreadable};
use super::trouble::Trouble;
use super::{Common, say};

/// Looks at the files between two looks at the tasks.
const LOOKS_PER_LIST: u32 = 10;

/// Characters of an instance's id in front of a line.
const LABEL_CHARS: usize = 8;

pub(super) const EXAMPLES: &str = "\
Lines of several tasks have the task's beginning and its host in front. Without any task, what the
last one that failed has written is printed.

Examples:
  tepui app logs /shop/cart -n 20
  tepui app logs /shop/cart -f --stderr
  tepui app logs /shop/cart --task shop_cart.instance-6f7bb2a0-d9f1-11eb-9c1c-0242ac110002._app.1";

/// What `tepui app logs` is given.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Id of the app
    pub id: String,
    /// Only of this task, which may have ended already
    #[arg(long, value_name = "TASK_ID")]
    task: Option<String>,
    /// Go on with what is written, and with tasks that are launched, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// What was written to stderr instead of stdout
    #[arg(long)]
    stderr: bool,
    /// Begin with the last lines only [default: all]
    #[arg(short = 'n', long = "lines", value_name = "LINES")]
    lines: Option<usize>,
    /// The master, as host:port or zk://...; else the app manager tells it
    #[arg(long, env = "TEPUI_MASTER")]
    master: Option<String>,
}

/// A task whose file is to be printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    task: String,
    agent: Option<String>,
}

/// Runs the command.
pub(super) async fn run(common: &Common, args: &Args) -> Result<(), Trouble> {
    let manager = common.manager()?;
    let wanted = wanted(&manager, args).await?;
    if wanted.is_empty() && !args.follow {
        return Err(Trouble::Failed(format!(
            "app {id} has no tasks; `tepui why {id}` tells why",
            id = args.id
        )));
    }
    let masters = match &args.master {
        Some(masters) => masters.clone(),
        None => masters_of(&manager).await?,
    };
    let finder = Finder::at(masters);
    let named = args.task.as_ref().and(wanted.first());
    let mut printer = Printer {
        args,
        named: named.map(|wanted| wanted.task.clone()),
        finder,
        sources: Vec::new(),
        ended: BTreeSet::new(),
        is_labelled: wanted.len() > 1 || (args.follow && args.task.is_none()),
        has_looked: false,
    };
    match args.follow {
        true => printer.follow(&manager, wanted).await,
        false => printer.print_once(wanted).await,
    }
}

/// The masters that the app manager uses.
async fn masters_of(manager: &Manager) -> Result<String, Trouble> {
    #[derive(Deserialize)]
    struct Info {
        marathon_config: Config,
    }
    #[derive(Deserialize)]
    struct Config {
        master: Option<String>,
    }
    let info: Info = manager.get_as("/v2/info", &[]).await?;
    info.marathon_config.master.ok_or_else(|| {
        let text = "the app manager does not tell its master; name it with --master";
        Trouble::Failed(text.to_owned())
    })
}

/// The tasks of the app, or the one that is named, or else the last one that failed.
async fn wanted(manager: &Manager, args: &Args) -> Result<Vec<Wanted>, Trouble> {
    let OneApp { app } = manager.get_as(&app_path(&args.id)?, &[]).await?;
    let failure = app.last_task_failure;
    let tasks = app.tasks.into_iter().map(|task| Wanted {
        task: task.id,
        agent: task.slave_id,
    });
    let failed = failure.map(|failure| Wanted {
        task: failure.task_id,
        agent: failure.slave_id,
    });
    let mut all: Vec<Wanted> = tasks.collect();
    if let Some(named) = &args.task {
        all.extend(failed.filter(|failed| all.iter().all(|it| it.task != failed.task)));
        let candidates = all.iter().map(|it| Candidate {
            id: &it.task,
            name: &it.task,
            it,
        });
        let candidates: Vec<_> = candidates.collect();
        let known = find::maybe("task", named, &candidates)?.cloned();
        return Ok(vec![known.unwrap_or_else(|| Wanted {
            task: named.clone(),
            agent: None,
        })]);
    }
    if all.is_empty()
        && !args.follow
        && let Some(failed) = failed
    {
        say(&format!(
            "no task runs; this is of {}, which failed",
            failed.task
        ));
        all.push(failed);
    }
    Ok(all)
}

/// Prints files.
struct Printer<'a> {
    args: &'a Args,
    /// The whole id of the one task that is meant, if one is.
    named: Option<String>,
    finder: Finder,
    sources: Vec<Source>,
    ended: BTreeSet<String>,
    is_labelled: bool,
    /// The master was asked with success.
    has_looked: bool,
}

impl Printer<'_> {
    async fn print_once(&mut self, wanted: Vec<Wanted>) -> Result<(), Trouble> {
        let mut last = None;
        let state = self.finder.look().await?;
        for wanted in wanted {
            let found = state.sandbox(&wanted.task, wanted.agent.as_deref()).await;
            let mut source = match found.and_then(|found| self.open(&wanted.task, &found)) {
                Ok(source) => source,
                Err(trouble) => {
                    last.replace(trouble).iter().for_each(told);
                    continue;
                }
            };
            let printed = source.print().await;
            match printed {
                Ok(()) => source.finish().await?,
                Err(Stop::Agent(error)) => {
                    let trouble = unreadable(&wanted.task, &error);
                    last.replace(trouble).iter().for_each(told);
                }
                Err(Stop::Output(trouble)) => return Err(trouble),
            }
        }
        last.map_or(Ok(()), Err)
    }

    fn open(&self, task: &str, found: &Sandbox) -> Result<Source, Trouble> {
        let label = self.is_labelled.then(|| label(task, &found.host));
        Source::open(task, found, label, self.args.stderr, self.args.lines)
    }

    /// Prints until the named task has ended, the app is gone, or the user interrupts.
    async fn follow(&mut self, manager: &Manager, first: Vec<Wanted>) -> Result<(), Trouble> {
        let mut present = first;
        loop {
            self.take_up(&present).await?;
            for look in 0..LOOKS_PER_LIST {
                if look > 0 {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                for source in &mut self.sources {
                    match source.print().await {
                        // The file of a task that is being launched is not there yet, and an agent
                        // may be starting again.
                        Ok(()) | Err(Stop::Agent(_)) => {}
                        Err(Stop::Output(trouble)) => return Err(trouble),
                    }
                }
            }
            present = match self.present(manager).await? {
                Some(present) => present,
                None => break,
            };
        }
        for source in &mut self.sources {
            source.end().await?;
        }
        Ok(())
    }

    /// The tasks that there are now; none when there is nothing more to be followed. An app manager
    /// that is away for a while ends nothing.
    async fn present(&mut self, manager: &Manager) -> Result<Option<Vec<Wanted>>, Trouble> {
        let path = app_path(&self.args.id)?;
        let app = match manager.get_as::<OneApp>(&path, &[]).await {
            Ok(OneApp { app }) => app,
            Err(Trouble::Refused { status: 404, .. }) => return Ok(None),
            Err(trouble) if trouble.may_pass() => return Ok(Some(Vec::new())),
            Err(trouble) => return Err(trouble),
        };
        let tasks = app.tasks.iter();
        let there: BTreeSet<&str> = tasks.map(|task| task.id.as_str()).collect();
        if let Some(named) = &self.named {
            return Ok(there.contains(named.as_str()).then(Vec::new));
        }
        let (mut sources, gone) = (Vec::new(), std::mem::take(&mut self.sources));
        for mut source in gone {
            if there.contains(source.task.as_str()) {
                sources.push(source);
                continue;
            }
            source.end().await?;
            self.ended.insert(source.task);
        }
        self.sources = sources;
        let present = app.tasks.into_iter().map(|task| Wanted {
            task: task.id,
            agent: task.slave_id,
        });
        Ok(Some(present.collect()))
    }

    /// Opens the files of tasks that are new. One whose sandbox cannot be found yet is looked for
    /// again at the next look.
    async fn take_up(&mut self, present: &[Wanted]) -> Result<(), Trouble> {
        let is_known = |task: &str| {
            let mut sources = self.sources.iter();
            self.ended.contains(task) || sources.any(|source| source.task == task)
        };
        let new: Vec<_> = present.iter().filter(|it| !is_known(&it.task)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let state = match self.finder.look().await {
            Ok(state) => state,
            // Masters may change while files are followed.
            Err(_) if self.has_looked => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        self.has_looked = true;
        for wanted in new {
            match state.sandbox(&wanted.task, wanted.agent.as_deref()).await {
                Ok(found) => {
                    let source = self.open(&wanted.task, &found)?;
                    self.sources.push(source);
                }
                Err(trouble) if self.args.task.is_some() => return Err(trouble),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

fn told(trouble: &Trouble) {
    trouble.text().into_iter().for_each(say);
}

/// What tells the lines of a task from others: the beginning of its instance's id, and its host.
fn label(task: &str, host: &str) -> String {
    let instance = task.rsplit_once("instance-").map_or(task, |(_, id)| id);
    let short: String = instance.chars().take(LABEL_CHARS).collect();
    format!("[{short} {host}] ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_tell_tasks_apart() {
        let task = "shop_cart.instance-6f7bb2a0-d9f1-11eb-9c1c-0242ac110002._app.1";
        assert_eq!(label(task, "h"), "[6f7bb2a0 h] ");
        assert_eq!(label("odd", "h"), "[odd h] ");
    }
}
