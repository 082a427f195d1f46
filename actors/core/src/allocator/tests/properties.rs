//! Random rows of commands: all invariants hold after every step, and nothing is lost.

use proptest::prelude::*;

use super::*;

const AGENTS: [&str; 3] = ["A", "B", "C"];
const FRAMEWORKS: [&str; 3] = ["F", "G", "H"];
const ROLES: [&str; 4] = ["*", "x", "x/y", "z"];
const TOTALS: [&str; 4] = [
    "cpus:4;mem:128;ports:[1-20]",
    "cpus(x):2;cpus:1.5;mem:64",
    "mem(x/y):32;mem:32;zones:{a,b}",
    "cpus:1",
];
const PARTS: [&str; 5] = [
    "cpus:1",
    "mem:16;cpus:0.5",
    "ports:[3-7]",
    "cpus(x):1",
    "zones:{a}",
];

#[derive(Debug, Clone)]
enum Step {
    AddFramework(usize, Vec<usize>, bool),
    UpdateFramework(usize, Vec<usize>, bool),
    Activate(usize),
    Deactivate(usize),
    RemoveFramework(usize),
    AddAgent(usize, usize, Option<(usize, usize, usize)>),
    UpdateAgent(usize, usize, bool),
    SwitchAgent(usize, bool),
    RemoveAgent(usize),
    Return(usize, Option<u64>),
    Release(usize, usize, usize, usize),
    Charge(usize, usize, usize, usize),
    Transform(usize),
    Revive(usize, usize),
    Suppress(usize, usize),
    Allocate,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let agent = || 0..AGENTS.len();
    let framework = || 0..FRAMEWORKS.len();
    let role = || 0..ROLES.len();
    let roles = || prop::collection::vec(0..ROLES.len(), 0..3);
    let total = || 0..TOTALS.len();
    let part = || 0..PARTS.len();
    prop_oneof![
        4 => (framework(), roles(), any::<bool>()).prop_map(|(f, r, a)| Step::AddFramework(f, r, a)),
        2 => (framework(), roles(), any::<bool>())
            .prop_map(|(f, r, s)| Step::UpdateFramework(f, r, s)),
        1 => framework().prop_map(Step::Activate),
        1 => framework().prop_map(Step::Deactivate),
        1 => framework().prop_map(Step::RemoveFramework),
        4 => (agent(), total(), prop::option::of((framework(), role(), part())))
            .prop_map(|(a, t, u)| Step::AddAgent(a, t, u)),
        2 => (agent(), total(), any::<bool>()).prop_map(|(a, t, n)| Step::UpdateAgent(a, t, n)),
        1 => (agent(), any::<bool>()).prop_map(|(a, on)| Step::SwitchAgent(a, on)),
        1 => agent().prop_map(Step::RemoveAgent),
        6 => (0_usize..8, prop::option::of(0_u64..5)).prop_map(|(p, t)| Step::Return(p, t)),
        2 => (framework(), agent(), role(), part())
            .prop_map(|(f, a, r, p)| Step::Release(f, a, r, p)),
        1 => (framework(), agent(), role(), part())
            .prop_map(|(f, a, r, p)| Step::Charge(f, a, r, p)),
        1 => (0_usize..8).prop_map(Step::Transform),
        1 => (framework(), role()).prop_map(|(f, r)| Step::Revive(f, r)),
        1 => (framework(), role()).prop_map(|(f, r)| Step::Suppress(f, r)),
        6 => Just(Step::Allocate),
        1 => (1_u64..4).prop_map(Step::Wait),
    ]
}

fn facts(roles: &[usize]) -> FrameworkFacts {
    let mut names: Vec<&str> = roles.iter().map(|role| ROLES[*role]).collect();
    names.sort_unstable();
    names.dedup();
    framework_facts(&names, &[Capability::MultiRole])
}

/// The command of a step; steps about an earlier proposal need one.
fn command(step: &Step, open: &mut Vec<Proposal>) -> Option<Command> {
    let f = |i: &usize| FrameworkId::from(FRAMEWORKS[*i]);
    let a = |i: &usize| AgentId::from(AGENTS[*i]);
    let part = |r: &usize, p: &usize| bag(PARTS[*p]).allocated_to(ROLES[*r]);
    Some(match step {
        Step::AddFramework(i, roles, active) => Command::AddFramework {
            id: f(i),
            generation: 1,
            facts: facts(roles),
            used: Vec::new(),
            active: *active,
        },
        Step::UpdateFramework(i, roles, suppress) => {
            let mut facts = facts(roles);
            if *suppress {
                facts.suppressed = facts.roles.clone();
            }
            Command::UpdateFramework { id: f(i), facts }
        }
        Step::Activate(i) => Command::ActivateFramework {
            id: f(i),
            generation: 2,
        },
        Step::Deactivate(i) => Command::DeactivateFramework(f(i)),
        Step::RemoveFramework(i) => Command::RemoveFramework(f(i)),
        Step::AddAgent(i, total, used) => Command::AddAgent {
            id: a(i),
            generation: 1,
            facts: agent_facts(""),
            total: bag(TOTALS[*total]),
            used: used
                .iter()
                .map(|(i, role, p)| (f(i), part(role, p)))
                .collect(),
            unavailability: None,
        },
        Step::UpdateAgent(i, total, attributes) => Command::UpdateAgent {
            id: a(i),
            facts: agent_facts(if *attributes { "k:v" } else { "" }),
            total: bag(TOTALS[*total]),
        },
        Step::SwitchAgent(i, true) => Command::ActivateAgent(a(i)),
        Step::SwitchAgent(i, false) => Command::DeactivateAgent(a(i)),
        Step::RemoveAgent(i) => Command::RemoveAgent(a(i)),
        Step::Return(at, seconds) => {
            let proposal = (*at < open.len()).then(|| open.swap_remove(*at))?;
            let refusal = seconds.map(|seconds| Refusal {
                timeout: Duration::from_secs(seconds),
            });
            let Proposal {
                framework,
                agent,
                resources,
                ..
            } = proposal;
            Command::Release {
                framework,
                agent,
                resources,
                refusal,
            }
        }
        Step::Release(i, agent, role, p) => Command::Release {
            framework: f(i),
            agent: a(agent),
            resources: part(role, p),
            refusal: None,
        },
        Step::Charge(i, agent, role, p) => Command::Charge {
            framework: f(i),
            agent: a(agent),
            resources: part(role, p),
        },
        Step::Transform(at) => {
            let proposal = open.get(*at)?;
            let consumed = proposal.resources.unreserved();
            let milli = consumed.scalar_milli("cpus");
            (milli > 0).then_some(())?;
            let consumed = bag("cpus:0.5").allocated_to(&proposal.role);
            Command::Transform {
                framework: proposal.framework.clone(),
                agent: proposal.agent.clone(),
                consumed,
                converted: bag("cpus(x):0.5").allocated_to(&proposal.role),
            }
        }
        Step::Revive(i, role) => Command::Revive {
            framework: f(i),
            roles: vec![Role::from(ROLES[*role])],
        },
        Step::Suppress(i, role) => Command::Suppress {
            framework: f(i),
            roles: vec![Role::from(ROLES[*role])],
        },
        Step::Allocate | Step::Wait(_) => return None,
    })
}

fn perform(c: &mut Cluster, step: &Step, open: &mut Vec<Proposal>) {
    match step {
        Step::Allocate => open.extend(c.propose()),
        Step::Wait(seconds) => c.now.mono = c.now.mono + Duration::from_secs(*seconds),
        _ => {
            if let Some(command) = command(step, open) {
                c.apply(command);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn invariants_hold_after_every_step(steps in prop::collection::vec(steps(), 1..60)) {
        let mut c = Cluster::new();
        let mut open = Vec::new();
        for step in &steps {
            perform(&mut c, step, &mut open);
        }
    }

    #[test]
    fn the_same_steps_propose_the_same(steps in prop::collection::vec(steps(), 1..40)) {
        let run = || {
            let mut c = Cluster::new();
            let mut open = Vec::new();
            for step in &steps {
                perform(&mut c, step, &mut open);
            }
            open
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn removing_everything_leaves_nothing(steps in prop::collection::vec(steps(), 1..40)) {
        let mut c = Cluster::new();
        let mut open = Vec::new();
        for step in &steps {
            perform(&mut c, step, &mut open);
        }
        for framework in FRAMEWORKS {
            c.apply(Command::RemoveFramework(FrameworkId::from(framework)));
        }
        for agent in AGENTS {
            c.apply(Command::RemoveAgent(AgentId::from(agent)));
        }
        let figures = c.allocator.figures();
        prop_assert!(figures.resources.values().all(|amounts| *amounts == (0, 0)));
        prop_assert!(figures.dominant_shares.is_empty());
        prop_assert_eq!(c.allocator.next_deadline(), None);
        prop_assert!(c.allocator.allocate(c.now).is_empty());
        prop_assert!(!c.allocator.wants_run());
    }

    /// After a run, whoever is listed has a filter or nothing is left that it could take:
    /// a second run with all agents marked finds nothing more to give.
    #[test]
    fn a_run_leaves_nothing_that_could_be_offered(steps in prop::collection::vec(steps(), 1..40)) {
        let mut c = Cluster::new();
        let mut open = Vec::new();
        for step in &steps {
            perform(&mut c, step, &mut open);
        }
        c.propose();
        c.allocator.mark_all();
        prop_assert_eq!(c.propose(), Vec::new());
    }
}
