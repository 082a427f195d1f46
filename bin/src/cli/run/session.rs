//! The framework behind `tepui run`: takes one offer, launches one task, follows it to its end.
//! Where the framework is subscribed is kept in `place`.

use std::time::Duration;

use tepui_actors::client::{self, ClientError, Subscription};
use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use v1::TaskState;
use v1::scheduler::{Event, event};

use super::exit::{exit_status, is_terminal};
use super::output::{self, CopyError};
use super::place::Place;
use super::{Failure, Interrupts};

/// Seconds for which offers that are of no use are not made again.
const REFUSE_SECONDS: f64 = 5.0;

/// Time after which the user is told that nothing fits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time to copy the last output after the task has ended.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two questions what became of the task, while no master has told.
const RECONCILE_PAUSE: Duration = Duration::from_secs(5);

/// What ends a step of the session.
enum Trouble {
    /// The master is lost; another one may know the task.
    Lost(ClientError),
    /// There is nothing more to be done.
    Failed(Failure),
}

/// Where the task is in its life.
enum Phase {
    /// No offer has fitted yet.
    Waiting,
    /// It has been launched on this agent.
    Launched(v1::AgentId),
    /// It has ended with this status.
    Ended(u8),
}

/// One run of one task.
pub(super) struct Session {
    place: Place,
    subscription: Subscription,
    needed: Resources,
    task: v1::TaskInfo,
    phase: Phase,
    asked_to_end: bool,
    /// The master was changed, and has not told of the task since.
    unsure: bool,
    ended: watch::Sender<bool>,
    output: Option<JoinHandle<Result<(), CopyError>>>,
}

impl Session {
    pub(super) fn new(
        place: Place,
        subscription: Subscription,
        needed: Resources,
        task: v1::TaskInfo,
    ) -> Self {
        Session {
            place,
            subscription,
            needed,
            task,
            phase: Phase::Waiting,
            asked_to_end: false,
            unsure: false,
            ended: watch::Sender::new(false),
            output: None,
        }
    }

    /// Follows the task to its end, and then ends the framework whatever the outcome.
    pub(super) async fn run(mut self, interrupts: &mut Interrupts) -> Result<u8, Failure> {
        let outcome = self.follow(interrupts).await;
        if outcome.is_ok() {
            self.finish_output().await;
        }
        let teardown = client::teardown(&self.place.framework_id());
        let torn_down = self.subscription.call(&teardown).await;
        if let (Ok(_), Err(error)) = (&outcome, torn_down) {
            eprintln!("tepui: the framework could not be ended: {error}");
        }
        outcome
    }

    async fn follow(&mut self, interrupts: &mut Interrupts) -> Result<u8, Failure> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut warned = false;
        let mut questions = tokio::time::interval(RECONCILE_PAUSE);
        questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Phase::Ended(status) = self.phase {
                return Ok(status);
            }
            let done = tokio::select! {
                event = self.subscription.next() => match event {
                    Ok(event) => self.on_event(event).await,
                    Err(error) => Err(Trouble::Lost(error)),
                },
                signal = interrupts.next() => {
                    if self.interrupted().await {
                        return Ok(128 + signal);
                    }
                    Ok(())
                }
                copied = wait_for(&mut self.output) => {
                    self.output_ended(copied).await;
                    Ok(())
                }
                _ = questions.tick(), if self.unsure => self.ask_for_task().await,
                () = &mut patience, if !warned => {
                    warned = true;
                    self.warn_of_waiting();
                    Ok(())
                }
            };
            match done {
                Ok(()) => {}
                Err(Trouble::Failed(failure)) => return Err(failure),
                Err(Trouble::Lost(error)) => {
                    eprintln!("tepui: lost the master ({error}); looking for the one that leads");
                    self.subscription = tokio::select! {
                        again = self.place.subscribe_again() => again?,
                        signal = interrupts.next() => return Ok(128 + signal),
                    };
                    self.unsure = true;
                    questions.reset_immediately();
                }
            }
        }
    }

    /// Another master may not know the task yet, or never have heard of it: it answers when all
    /// agents that may run it are back.
    async fn ask_for_task(&mut self) -> Result<(), Trouble> {
        let Phase::Launched(agent_id) = &self.phase else {
            self.unsure = false;
            return Ok(());
        };
        let framework_id = self.place.framework_id();
        let question = client::reconcile(&framework_id, &self.task.task_id, agent_id);
        self.call(question).await?;
        if self.asked_to_end {
            let kill = client::kill(&framework_id, &self.task.task_id, Some(agent_id));
            self.call(kill).await?;
        }
        Ok(())
    }

    async fn on_event(&mut self, event: Event) -> Result<(), Trouble> {
        if let Some(offers) = event.offers {
            return self.on_offers(offers.offers).await;
        }
        if let Some(update) = event.update {
            return self.on_update(update.status).await;
        }
        if let Some(event::Error { message, .. }) = event.error {
            let why = format!("the master ends the framework: {message}");
            return Err(Trouble::Failed(Failure(why)));
        }
        // Heartbeats, rescinded offers (a launch on one is answered by an update) and the like.
        Ok(())
    }

    /// Takes the first offer that fits and declines all others.
    async fn on_offers(&mut self, offers: Vec<v1::Offer>) -> Result<(), Trouble> {
        let mut useless = Vec::new();
        for offer in offers {
            if matches!(self.phase, Phase::Waiting) && !self.asked_to_end && self.fits(&offer) {
                self.launch(offer).await?;
            } else {
                useless.push(offer.id);
            }
        }
        if !useless.is_empty() {
            let framework_id = self.place.framework_id();
            self.call(client::decline(&framework_id, useless, REFUSE_SECONDS))
                .await?;
        }
        Ok(())
    }

    fn fits(&self, offer: &v1::Offer) -> bool {
        // An offer that cannot be read, perhaps of a newer master, is of no use.
        Resources::from_v1(&offer.resources)
            .is_ok_and(|offered| offered.non_revocable().contains(&self.needed))
    }

    async fn launch(&mut self, offer: v1::Offer) -> Result<(), Trouble> {
        let framework_id = self.place.framework_id();
        let mut task = self.task.clone();
        task.agent_id = offer.agent_id.clone();
        task.resources = self.needed.to_v1(Format::PostRefinement);
        eprintln!(
            "tepui: task {} is launched on {}",
            task.task_id.value, offer.hostname
        );
        if let Some(agent_url) = client::agent_url(&offer) {
            let copying = output::copy(
                agent_url,
                framework_id.clone(),
                // The executor of a command task bears the id of its task.
                task.task_id.value.clone(),
                self.ended.subscribe(),
            );
            self.output = Some(tokio::spawn(copying));
        }
        self.phase = Phase::Launched(offer.agent_id);
        self.call(client::accept(
            &framework_id,
            vec![offer.id],
            vec![task],
            0.0,
        ))
        .await?;
        self.call(client::suppress(&framework_id)).await
    }

    async fn on_update(&mut self, status: v1::TaskStatus) -> Result<(), Trouble> {
        self.unsure = false;
        let acknowledge = client::acknowledge(&self.place.framework_id(), &status);
        self.show(&status);
        match acknowledge {
            Some(acknowledge) => self.call(acknowledge).await,
            None => Ok(()),
        }
    }

    fn show(&mut self, status: &v1::TaskStatus) {
        let message = status.message.clone().unwrap_or_default();
        // A state unknown to this program comes from a newer master; it is shown, not acted on.
        let state = TaskState::try_from(status.state);
        let name = state.map_or("a state unknown to this program", |state| {
            state.as_str_name()
        });
        match message.as_str() {
            "" => eprintln!("tepui: {name}"),
            message => eprintln!("tepui: {name}: {message}"),
        }
        if let Ok(state) = state
            && is_terminal(state)
        {
            self.phase = Phase::Ended(exit_status(state, &message));
        }
    }

    /// Ends the task at the user's wish; true when there is nothing to wait for.
    async fn interrupted(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.asked_to_end, true);
        let Phase::Launched(agent_id) = &self.phase else {
            return true;
        };
        if !first {
            return true;
        }
        eprintln!("tepui: killing the task; interrupt again to leave without waiting for it");
        let framework_id = self.place.framework_id();
        let kill = client::kill(&framework_id, &self.task.task_id, Some(agent_id));
        let killed = self.subscription.call(&kill).await;
        if let Err(error) = &killed {
            eprintln!("tepui: the task could not be killed: {error}");
        }
        killed.is_err()
    }

    /// The output cannot be copied any more. When it cannot even be written, as into a closed pipe,
    /// nobody wants the task either; in any other case the task goes on.
    async fn output_ended(&mut self, copied: Result<(), CopyError>) {
        self.output = None;
        if let Err(error) = copied {
            eprintln!("tepui: {error}");
            if matches!(error, CopyError::Output(_)) {
                self.interrupted().await;
            }
        }
    }

    /// Lets the copying end by itself now that the task has ended.
    async fn finish_output(&mut self) {
        self.ended.send_replace(true);
        if self.output.is_none() {
            return;
        }
        match tokio::time::timeout(LAST_OUTPUT_TIMEOUT, wait_for(&mut self.output)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => eprintln!("tepui: {why}"),
            Err(_) => eprintln!("tepui: the end of the task's output did not come in time"),
        }
    }

    fn warn_of_waiting(&self) {
        if matches!(self.phase, Phase::Waiting) {
            eprintln!(
                "tepui: still waiting for an offer with {}",
                self.needed.unallocated()
            );
        }
    }

    /// A call that is refused shows an error of ours; one that does not get through may at the next
    /// master.
    async fn call(&self, call: v1::scheduler::Call) -> Result<(), Trouble> {
        let called = self.subscription.call(&call).await;
        called.map_err(|error| match error {
            ClientError::Refused { status, .. } if !matches!(status, 403 | 503) => {
                Trouble::Failed(Failure(format!("a call to the master failed: {error}")))
            }
            error => Trouble::Lost(error),
        })
    }
}

/// Waits for the copying to end; for ever when nothing is copied.
async fn wait_for(output: &mut Option<JoinHandle<Result<(), CopyError>>>) -> Result<(), CopyError> {
    match output {
        Some(copying) => copying
            .await
            .unwrap_or_else(|error| Err(CopyError::Stopped(error))),
        None => std::future::pending().await,
    }
}
