//! Tests of when the allocator's actor runs its core, under a paused clock.
//! What the core proposes is tested in core.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use tepui_core::allocator::AllocatorFigures;
use tepui_core::allocator::messages::{Command, Notice, Proposal, Proposals};
use tepui_core::allocator::reasons::Explanation;
use tepui_core::ids::{FrameworkId, Role};
use tepui_core::master::messages::Input;
use tepui_core::resources::Resources;
use tepui_core::time::{Mono, Now};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    AllocatorActor, AllocatorCore, Commands, DEBOUNCE, FILTER_SLACK, MAX_PROPOSED, rest_after,
};
use crate::clock::Clock;
use crate::master::ToMaster;
use crate::master::testing::mailbox;
use crate::metrics::AllocatorMetrics;

/// What the scripted core saw and is to say.
#[derive(Default)]
struct Script {
    commands: usize,
    runs: Vec<Mono>,
    wants_run: bool,
    deadline: Option<Mono>,
    /// Proposed in a run beside the usual one.
    more: usize,
}

/// Proposes one thing in every run, or more.
struct Scripted(Arc<Mutex<Script>>);

impl AllocatorCore for Scripted {
    fn apply(&mut self, _now: Now, command: Command) -> Option<Notice> {
        let mut script = self.0.lock().unwrap();
        script.commands += 1;
        script.wants_run |= matches!(command, Command::ActivateAgent(_));
        None
    }

    fn allocate(&mut self, now: Now) -> Proposals {
        let mut script = self.0.lock().unwrap();
        script.runs.push(now.mono);
        script.wants_run = false;
        script.deadline = None;
        let one = |place: usize| Proposal {
            framework: "F".into(),
            framework_generation: 1,
            role: "*".into(),
            agent: format!("S{place}").as_str().into(),
            agent_generation: 1,
            resources: Resources::new(),
        };
        let offers = (0..=script.more).map(one).collect();
        Proposals {
            offers,
            ..Proposals::default()
        }
    }

    fn wants_run(&self) -> bool {
        self.0.lock().unwrap().wants_run
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.0.lock().unwrap().deadline
    }

    fn figures(&self) -> AllocatorFigures {
        AllocatorFigures {
            runs: self.0.lock().unwrap().runs.len() as u64,
            ..AllocatorFigures::default()
        }
    }

    fn explain(&self, _: &FrameworkId, _: &Role) -> Option<Vec<Explanation>> {
        None
    }
}

struct Fixture {
    script: Arc<Mutex<Script>>,
    allocator: Addr<AllocatorActor>,
    inputs: UnboundedReceiver<ToMaster>,
    clock: Clock,
    metrics: Arc<AllocatorMetrics>,
}

fn start() -> Fixture {
    tokio::time::pause();
    let script = Arc::new(Mutex::new(Script::default()));
    let (master, inputs) = mailbox();
    let clock = Clock::start();
    let core = Box::new(Scripted(script.clone()));
    let interval = Duration::from_secs(1);
    let metrics = Arc::new(AllocatorMetrics::default());
    let allocator = AllocatorActor::new(core, clock, interval, master, metrics.clone()).start();
    Fixture {
        script,
        allocator,
        inputs,
        clock,
        metrics,
    }
}

impl Fixture {
    fn tell(&self, commands: Vec<Command>) {
        self.allocator.do_send(Commands(commands));
    }

    async fn proposed(&mut self) {
        match self.inputs.recv().await {
            Some(ToMaster::Input(Input::Proposed(proposals))) => assert_eq!(proposals.len(), 1),
            _ => panic!("proposals must come"),
        }
    }

    fn runs(&self) -> Vec<Mono> {
        self.script.lock().unwrap().runs.clone()
    }
}

#[actix::test]
async fn many_proposals_come_in_parts_and_in_order() {
    let mut fixture = start();
    fixture.script.lock().unwrap().more = 2 * MAX_PROPOSED;
    fixture.tell(vec![Command::ActivateAgent("S1".into())]);
    let mut agents = Vec::new();
    for count in [MAX_PROPOSED, MAX_PROPOSED, 1] {
        match fixture.inputs.recv().await {
            Some(ToMaster::Input(Input::Proposed(proposals))) => {
                assert_eq!(proposals.len(), count);
                agents.extend(proposals.into_iter().map(|one| one.agent.to_string()));
            }
            _ => panic!("proposals must come"),
        }
    }
    let all: Vec<String> = (0..=2 * MAX_PROPOSED)
        .map(|place| format!("S{place}"))
        .collect();
    assert_eq!(agents, all);
}

#[actix::test]
async fn changes_that_come_together_share_one_run() {
    let mut fixture = start();
    let begin = fixture.clock.now().mono;
    fixture.tell(vec![
        Command::ActivateAgent("S1".into()),
        Command::ActivateAgent("S2".into()),
    ]);
    tokio::time::sleep(DEBOUNCE / 2).await;
    fixture.tell(vec![Command::ActivateAgent("S3".into())]);
    fixture.proposed().await;
    let runs = fixture.runs();
    assert_eq!(runs.len(), 1);
    assert_eq!(fixture.script.lock().unwrap().commands, 3);
    let waited = runs[0].since(begin);
    assert!(waited >= DEBOUNCE && waited < DEBOUNCE * 2, "{waited:?}");
}

#[actix::test]
async fn a_change_that_frees_nothing_starts_no_run() {
    let mut fixture = start();
    fixture.tell(vec![Command::DeactivateAgent("S1".into())]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.runs(), []);
    assert!(fixture.inputs.try_recv().is_err());
    assert_eq!(fixture.script.lock().unwrap().commands, 1);
}

#[actix::test]
async fn the_end_of_a_filter_starts_a_run() {
    let mut fixture = start();
    let end = fixture.clock.now().mono + Duration::from_secs(5);
    fixture.script.lock().unwrap().deadline = Some(end);
    fixture.tell(vec![]);
    fixture.proposed().await;
    let late = fixture.runs()[0].since(end);
    assert!(late >= FILTER_SLACK && late < FILTER_SLACK * 2, "{late:?}");
}

#[actix::test]
async fn a_change_does_not_wait_for_the_end_of_a_filter() {
    let mut fixture = start();
    let begin = fixture.clock.now().mono;
    fixture.script.lock().unwrap().deadline = Some(begin + Duration::from_secs(5));
    fixture.tell(vec![]);
    fixture.tell(vec![Command::ActivateAgent("S1".into())]);
    fixture.proposed().await;
    assert!(fixture.runs()[0].since(begin) < Duration::from_secs(1));
}

#[test]
fn a_long_run_is_followed_by_a_longer_rest() {
    let interval = Duration::from_secs(1);
    assert_eq!(rest_after(Duration::ZERO, interval), Duration::ZERO);
    let run = Duration::from_millis(20);
    assert_eq!(rest_after(run, interval), Duration::from_millis(80));
    assert_eq!(rest_after(Duration::from_secs(5), interval), interval);
}

#[actix::test]
async fn figures_are_published_after_what_changes_them() {
    let mut fixture = start();
    fixture.tell(vec![Command::ActivateAgent("S1".into())]);
    fixture.proposed().await;
    while fixture.metrics.figures.load().runs == 0 {
        tokio::time::sleep(DEBOUNCE).await;
    }
    assert_eq!(fixture.runs().len(), 1);
}
