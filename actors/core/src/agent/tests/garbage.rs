//! When sandboxes are removed: after their time, earlier on a full disk, never in use.
//! Removes nothing.

use std::time::Duration;

use super::*;
use crate::agent::garbage::{GarbageSettings, MAX_GARBAGE, Place, Removals};

const DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

fn keeping(delay: Duration) -> Settings {
    Settings {
        garbage: Some(GarbageSettings {
            delay,
            disk_headroom: 0.1,
            containers: true,
        }),
        ..settings()
    }
}

fn place(parts: &[&str]) -> Place {
    let agent = parts[0].into();
    match parts[1..] {
        [] => Place::Agent(agent),
        [framework] => Place::Framework(agent, framework.into()),
        [framework, executor] => Place::Executor(agent, framework.into(), executor.into()),
        [framework, executor, run] => {
            Place::Run(agent, framework.into(), executor.into(), run.into())
        }
        _ => panic!("no such place"),
    }
}

/// Launches a command, whose executor has the task's id.
fn launch(agent: &mut Fixture, task: &str) -> ContainerId {
    agent.run(command_task(task, "true"));
    agent.launch().container
}

/// Its container ends, and the framework hears of it.
fn fail(agent: &mut Fixture, container: &ContainerId) {
    agent.input(Input::Exited {
        container: container.clone(),
        status: Some(9),
    });
    let update = agent.update();
    agent.acknowledge(&update);
}

/// All places that an agent has removed.
fn removed(agent: &mut Fixture) -> Vec<Place> {
    match agent.effect() {
        Effect::Remove(mut places) => {
            places.sort();
            places
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_place_has_mesos_path() {
    let path = place(&["S", "f", "e", "r"]).path("/w");
    assert_eq!(path, "/w/slaves/S/frameworks/f/executors/e/runs/r");
    assert_eq!(
        place(&["S", "f", "e"]).path("/w"),
        "/w/slaves/S/frameworks/f/executors/e"
    );
    assert_eq!(place(&["S", "f"]).path("/w/"), "/w/slaves/S/frameworks/f");
    assert_eq!(place(&["S"]).path("/w"), "/w/slaves/S");
}

#[test]
fn what_is_found_goes_when_it_is_old_enough_unless_it_is_used() {
    let mut agent = Fixture::registered_with(keeping(DELAY));
    let container = launch(&mut agent, "t");
    let found = vec![
        (place(&[AGENT]), DELAY),
        (place(&[AGENT, FRAMEWORK]), DELAY),
        (place(&[AGENT, FRAMEWORK, "t"]), DELAY),
        (place(&[AGENT, FRAMEWORK, "t", container.as_str()]), DELAY),
        (place(&[AGENT, FRAMEWORK, "t", "before"]), DELAY),
        (place(&["old"]), DELAY - Duration::from_secs(1)),
        (place(&["older", FRAMEWORK, "t"]), DELAY * 2),
    ];
    agent.input(Input::SandboxesFound { found });
    let expected = [
        place(&[AGENT, FRAMEWORK, "t", "before"]),
        place(&["older", FRAMEWORK, "t"]),
    ];
    assert_eq!(removed(&mut agent), expected);
    assert_eq!(agent.snapshot().garbage.pending, 3);
    let removals = Removals {
        succeeded: 1,
        failed: 1,
        missing: 0,
    };
    agent.input(Input::SandboxesRemoved { removals });
    let figures = agent.snapshot().garbage;
    assert_eq!(
        (figures.succeeded, figures.failed, figures.pending),
        (1, 1, 1)
    );
}

#[test]
fn a_sandbox_goes_after_its_time_with_what_is_around_it() {
    let mut agent = Fixture::registered_with(keeping(Duration::from_millis(500)));
    let container = launch(&mut agent, "t");
    fail(&mut agent, &container);
    assert_eq!(agent.snapshot().garbage.pending, 3);
    agent.wait_for_deadline();
    let expected = [
        place(&[AGENT, FRAMEWORK, "t", container.as_str()]),
        place(&[AGENT, FRAMEWORK, "t"]),
        place(&[AGENT, FRAMEWORK]),
    ];
    assert_eq!(removed(&mut agent), expected);
    // What it was is still told.
    assert_eq!(agent.snapshot().completed_frameworks.len(), 1);
}

#[test]
fn what_is_used_again_stays_but_for_its_earlier_runs() {
    let mut agent = Fixture::registered_with(keeping(Duration::from_millis(500)));
    let first = launch(&mut agent, "t");
    fail(&mut agent, &first);
    let second = launch(&mut agent, "t");
    assert_ne!(first, second);
    agent.wait_for_deadline();
    let expected = [place(&[AGENT, FRAMEWORK, "t", first.as_str()])];
    assert_eq!(removed(&mut agent), expected);
}

#[test]
fn a_full_disk_shortens_the_time() {
    let mut agent = Fixture::registered_with(keeping(DELAY));
    let found = [0.2, 0.5].map(|age| {
        let name = format!("age {age}");
        (place(&[name.as_str()]), DELAY.mul_f64(age))
    });
    agent.input(Input::SandboxesFound {
        found: found.to_vec(),
    });
    // 1 - 0.1 - 0.3 = 0.6 of the time is allowed.
    agent.input(Input::DiskUsed { share: 0.3 });
    agent.nothing();
    agent.input(Input::DiskUsed { share: 0.5 });
    assert_eq!(removed(&mut agent), [place(&["age 0.5"])]);
    // It is not fuller than that: nothing more is said until it is looked at again.
    agent.input(Input::Tick);
    agent.input(Input::DiskUsed { share: 0.95 });
    assert_eq!(removed(&mut agent), [place(&["age 0.2"])]);
}

#[test]
fn no_more_waits_than_may() {
    let mut agent = Fixture::registered_with(keeping(DELAY));
    let found = (0..MAX_GARBAGE + 2).map(|at| {
        let age = Duration::from_micros(at as u64);
        (place(&[format!("{at}").as_str()]), age)
    });
    agent.input(Input::SandboxesFound {
        found: found.collect(),
    });
    let gone = removed(&mut agent);
    let oldest = [MAX_GARBAGE, MAX_GARBAGE + 1].map(|at| place(&[format!("{at}").as_str()]));
    assert_eq!(gone, oldest);
}
