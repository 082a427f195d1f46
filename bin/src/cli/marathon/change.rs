//! Sends changes: dry, or for real and perhaps followed to the end of their deployment.
//! Knows no commands.

use clap::Args as ClapArgs;
use tepui_actors::client::{Answer, Method};

use super::follow::{self, Wait};
use super::manager::{Manager, parse};
use super::shapes::{Placement, Plan, Started, Step};
use super::table::Table;
use super::trouble::Trouble;
use super::{Common, Form, print_answer, say};

/// What changes have in common.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(super) struct Options {
    /// Cancel deployments that are in the way
    #[arg(long)]
    pub force: bool,
    /// Only show the steps of the deployment that it would take, and where instances would go
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    pub dry_run: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// A change to be sent.
pub(super) struct Change<'a> {
    pub method: Method,
    pub path: String,
    pub query: Vec<(&'static str, &'static str)>,
    pub body: Option<Vec<u8>>,
    /// What is said when it is accepted, as "/a is scaled to 3".
    pub done: String,
    pub options: &'a Options,
}

impl Change<'_> {
    /// Sends it, prints what is answered, and waits for its deployment if that is wished.
    pub(super) async fn send(mut self, common: &Common) -> Result<(), Trouble> {
        let manager = common.manager()?;
        // Also where it is the default that it is forced, as for the removal of apps.
        let force = if self.options.force { "true" } else { "false" };
        self.query.push(("force", force));
        if self.options.dry_run {
            return self.send_dry(common, &manager).await;
        }
        let stream = match self.options.wait.wait {
            // Before the change, so that its end is not missed.
            true => Some(follow::listen(&manager).await),
            false => None,
        };
        let answer = self.answer(&manager).await?;
        settle(common, &manager, &answer, &self.done, self.options, stream).await
    }

    async fn answer(&self, manager: &Manager) -> Result<Answer, Trouble> {
        let body = self.body.clone();
        manager
            .send(self.method, &self.path, &self.query, body)
            .await
    }

    async fn send_dry(&mut self, common: &Common, manager: &Manager) -> Result<(), Trouble> {
        manager.must_know_dry_runs().await?;
        self.query.push(("dryRun", "true"));
        let answer = self.answer(manager).await?;
        print_answer(common.output(), &answer.body, || {
            let plan: Plan = parse(&answer.body)?;
            let form = common.form();
            let places = plan.placement.as_ref().map(|it| places(it, form));
            Ok(steps(&plan.steps, None, form) + &places.unwrap_or_default())
        })
    }
}

/// Prints what a change is answered, and waits for its deployment if that is wished.
pub(super) async fn settle(
    common: &Common,
    manager: &Manager,
    answer: &Answer,
    done: &str,
    options: &Options,
    stream: Option<follow::Listening>,
) -> Result<(), Trouble> {
    let deployment = deployment_of(answer);
    print_answer(common.output(), &answer.body, || {
        Ok(match &deployment {
            Some(id) => format!("{done}; deployment {id}\n"),
            None => format!("{done}\n"),
        })
    })?;
    match (deployment, stream) {
        (Some(id), Some(stream)) => {
            follow::to_end(manager, stream, &id, options.wait.limit()).await?;
            say(&format!("deployment {id} has succeeded"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Which deployment a change has started: a header tells, and for Marathons that leave it out, the
/// body.
pub(super) fn deployment_of(answer: &Answer) -> Option<String> {
    let from_header = answer.header("Marathon-Deployment-Id");
    from_header.or_else(|| {
        let started: Started = serde_json::from_slice(&answer.body).ok()?;
        let first = started.deployments.into_iter().next();
        started.deployment_id.or(first.map(|first| first.id))
    })
}

/// Where instances would go, and what those lack that would go nowhere.
fn places(placement: &Placement, form: Form) -> String {
    let mut table = Table::new(&["INSTANCES", "HOST", "AGENT", "APP"]);
    let mut lacks = String::new();
    for app in &placement.apps {
        for host in &app.hosts {
            table.row(vec![
                host.instances.to_string(),
                host.hostname.clone(),
                host.agent_id.clone(),
                app.id.clone(),
            ]);
        }
        if app.unplaced > 0 {
            let (count, id) = (app.unplaced, &app.id);
            lacks.push_str(&format!("{count} of {id} would wait for other offers\n"));
        }
        for lack in &app.reasons {
            let (reason, offers) = (&lack.reason, lack.offers);
            let (example, unblock) = (&lack.example, &lack.unblock);
            lacks.push_str(&format!(
                "  {reason} in {offers} offers, as on {example}; {unblock}\n"
            ));
        }
    }
    let mut text = match table.is_empty() {
        true => String::new(),
        false => format!("\n{}", table.fitted(0, form.columns)),
    };
    let notes = placement.note.iter().map(|note| format!("{note}\n"));
    let rest: String = notes.chain([lacks]).collect();
    if !rest.is_empty() {
        text.push('\n');
        text.push_str(&rest);
    }
    text
}

/// The steps of a plan; `current` counts from 1.
pub(super) fn steps(steps: &[Step], current: Option<u32>, form: Form) -> String {
    let mut table = Table::new(&["STEP", "ACTION", "APP"]);
    for (number, step) in (1_u32..).zip(steps) {
        let mark = match current {
            Some(current) if current == number => " *",
            _ => "",
        };
        for action in &step.actions {
            table.row(vec![
                format!("{number}{mark}"),
                action.action.clone(),
                action.subject().to_owned(),
            ]);
        }
    }
    match table.is_empty() {
        true => "nothing would be done\n".to_owned(),
        false => table.fitted(0, form.columns),
    }
}
