//! What dominant resource fairness promises (Ghodsi and others, NSDI 2011), on random clusters:
//! equal weighted shares, sharing incentive, no envy, nothing left that somebody could use.

use proptest::prelude::*;

use super::*;

/// A role with one framework that runs equal tasks.
#[derive(Debug, Clone)]
struct Tenant {
    name: String,
    weight: f64,
    /// Cpus and memory of a task.
    demand: [u32; 2],
    tasks: u32,
}

/// One agent, given away task by task: each offer is used for one task, the rest comes back.
struct Filling {
    c: Cluster,
    total: [u32; 2],
    tenants: Vec<Tenant>,
}

#[derive(Debug, PartialEq)]
enum Turn {
    Took,
    /// An offer did not suffice for a task of this tenant, and was refused for long.
    Refused(usize),
    NobodyIsNext,
}

fn text(amounts: [u32; 2]) -> String {
    format!("cpus:{};mem:{}", amounts[0], amounts[1])
}

fn tenants(demands: &[([u32; 2], f64)]) -> Vec<Tenant> {
    let tenant = |(number, (demand, weight)): (usize, &([u32; 2], f64))| Tenant {
        name: format!("t{number}"),
        weight: *weight,
        demand: *demand,
        tasks: 0,
    };
    demands.iter().enumerate().map(tenant).collect()
}

impl Filling {
    fn new(total: [u32; 2], tenants: Vec<Tenant>) -> Self {
        let mut c = Cluster::with(AllocatorConfig {
            min_allocatable_resources: Vec::new(),
            ..Default::default()
        });
        for tenant in &tenants {
            c.set_weights(&[(&tenant.name, tenant.weight)]);
            c.add_framework(&tenant.name, &[&tenant.name]);
        }
        c.add_agent("A", &text(total));
        Filling { c, total, tenants }
    }

    fn turn(&mut self) -> Turn {
        let offers = self.c.allocator.allocate(self.c.now).offers;
        assert!(offers.len() < 2, "an offer takes all that is free");
        let Some(offer) = offers.into_iter().next() else {
            return Turn::NobodyIsNext;
        };
        let id = offer.framework.as_str();
        let at = self
            .tenants
            .iter()
            .position(|tenant| tenant.name == id)
            .unwrap();
        let tenant = &mut self.tenants[at];
        let task = bag(&text(tenant.demand)).allocated_to(&tenant.name);
        let mut release = Command::Release {
            framework: offer.framework,
            agent: offer.agent,
            resources: offer.resources.clone(),
            refusal: None,
        };
        let Command::Release {
            resources, refusal, ..
        } = &mut release
        else {
            unreachable!();
        };
        let turn = if offer.resources.contains(&task) {
            tenant.tasks += 1;
            resources.subtract(&task);
            Turn::Took
        } else {
            *refusal = Some(Refusal {
                timeout: Duration::from_secs(10_000),
            });
            Turn::Refused(at)
        };
        self.c.allocator.apply(self.c.now, release);
        turn
    }

    /// Until a task does not fit.
    fn fill_until_refused(&mut self) {
        while self.turn() == Turn::Took {}
        self.c.check();
    }

    /// Until everybody has refused what is left.
    fn fill(&mut self) {
        while self.turn() != Turn::NobodyIsNext {}
        self.c.check();
    }

    /// The dominant share of so many tasks.
    fn share(&self, tenant: &Tenant, tasks: u32) -> f64 {
        let part =
            |kind: usize| f64::from(tasks * tenant.demand[kind]) / f64::from(self.total[kind]);
        part(0).max(part(1))
    }
}

/// The paper's own example: two users, 9 cpus and 18 GB.
#[test]
fn the_worked_example_of_the_paper() {
    let demands = [([1, 4], 1.0), ([3, 1], 1.0)];
    let mut filling = Filling::new([9, 18], tenants(&demands));
    filling.fill();
    let tasks: Vec<u32> = filling.tenants.iter().map(|tenant| tenant.tasks).collect();
    assert_eq!(tasks, [3, 2]);
    let shares = filling.c.allocator.figures().dominant_shares;
    assert!(
        shares.values().all(|share| *share == 2.0 / 3.0),
        "{shares:?}"
    );
}

/// Its variant with weights: twice the weight, twice the share.
#[test]
fn the_worked_example_with_weights() {
    let demands = [([1, 4], 2.0), ([3, 1], 1.0)];
    let mut filling = Filling::new([36, 72], tenants(&demands));
    filling.fill_until_refused();
    // A task's weighted share is 4/72 by 2 or 3/36, so 3 tasks of the first go with 1 of the
    // second, until less memory is left than the first needs for one.
    let [first, second] = [0, 1].map(|at| filling.tenants[at].tasks);
    assert_eq!((first, second), (16, 6));
}

fn demand() -> impl Strategy<Value = ([u32; 2], f64)> {
    ([1_u32..=8, 1_u32..=8], 1_u8..=4).prop_map(|(demand, weight)| (demand, f64::from(weight)))
}

fn filling() -> impl Strategy<Value = ([u32; 2], Vec<([u32; 2], f64)>)> {
    (
        [40_u32..=200, 40_u32..=200],
        prop::collection::vec(demand(), 2..=5),
    )
}

/// Floats that should be equal differ in their last places.
const ROUNDING: f64 = 1e-9;

proptest! {
    #![proptest_config(cases(60))]

    /// Whoever was served last had the smallest weighted share before.
    #[test]
    fn weighted_shares_differ_by_one_task_at_most((total, demands) in filling()) {
        let mut filling = Filling::new(total, tenants(&demands));
        filling.fill_until_refused();
        for other in filling.tenants.iter().filter(|other| other.tasks > 0) {
            let before = filling.share(other, other.tasks - 1) / other.weight;
            for tenant in &filling.tenants {
                let own = filling.share(tenant, tenant.tasks) / tenant.weight;
                prop_assert!(before <= own + ROUNDING, "{other:?} before {tenant:?}");
            }
        }
    }

    /// Nobody would do better with its part of the cluster for itself, but for the tasks at the
    /// edge: the last one of the largest share, and the one that did not fit.
    #[test]
    fn sharing_is_worth_it((total, demands) in filling()) {
        let mut filling = Filling::new(total, tenants(&demands));
        filling.fill_until_refused();
        let all = &filling.tenants;
        let weights: f64 = all.iter().map(|tenant| tenant.weight).sum();
        let edge = all.iter().map(|tenant| filling.share(tenant, 1)).fold(0.0, f64::max);
        let last = all.iter().map(|tenant| filling.share(tenant, 1) / tenant.weight);
        let last = last.fold(0.0, f64::max);
        for tenant in all {
            let own = filling.share(tenant, tenant.tasks) / tenant.weight;
            prop_assert!(own + last + ROUNDING >= (1.0 - edge) / weights, "{tenant:?} of {all:?}");
        }
    }

    /// Nobody could run more tasks with what another of its weight has, but for the last task.
    #[test]
    fn nobody_envies_another((total, demands) in filling()) {
        let mut filling = Filling::new(total, tenants(&demands));
        filling.fill_until_refused();
        for tenant in &filling.tenants {
            for other in filling.tenants.iter().filter(|other| other.tasks > 0) {
                let held = |kind: usize| f64::from((other.tasks - 1) * other.demand[kind]);
                let scaled = |kind: usize| held(kind) * tenant.weight / other.weight;
                let tasks = |kind: usize| scaled(kind) / f64::from(tenant.demand[kind]);
                let possible = tasks(0).min(tasks(1));
                prop_assert!(possible <= f64::from(tenant.tasks) + ROUNDING, "{tenant:?} envies {other:?}");
            }
        }
    }

    /// What is left in the end is too little for everybody.
    #[test]
    fn nothing_usable_is_left((total, demands) in filling()) {
        let mut filling = Filling::new(total, tenants(&demands));
        filling.fill();
        let used = |kind: usize| -> u32 {
            filling.tenants.iter().map(|tenant| tenant.tasks * tenant.demand[kind]).sum()
        };
        let free = [total[0] - used(0), total[1] - used(1)];
        for tenant in &filling.tenants {
            let fits = tenant.demand[0] <= free[0] && tenant.demand[1] <= free[1];
            prop_assert!(!fits, "{tenant:?} fits into {free:?}");
        }
    }

    /// Whole agents of any size: without one of its agents, nobody has more than another.
    #[test]
    fn whole_agents_are_shared_fairly(
        agents in prop::collection::vec([1_u32..=9, 32_u32..=99], 1..60),
        weights in prop::collection::vec(1_u8..=4, 2..=6),
        of_one_role in any::<bool>(),
    ) {
        let mut c = Cluster::new();
        let mut weight_of = BTreeMap::new();
        for (number, weight) in weights.iter().enumerate() {
            let name = format!("t{number}");
            let weight = if of_one_role { 1.0 } else { f64::from(*weight) };
            c.set_weights(&[(&name, weight)]);
            c.add_framework(&name, &[if of_one_role { "*" } else { &name }]);
            weight_of.insert(name, weight);
        }
        let mut total = [0, 0];
        for (number, agent) in agents.iter().enumerate() {
            c.add_agent(&format!("A{number}"), &text(*agent));
            total = [total[0] + agent[0], total[1] + agent[1]];
        }
        let mut given: BTreeMap<String, Vec<Resources>> = BTreeMap::new();
        for p in c.propose() {
            given.entry(p.framework.to_string()).or_default().push(p.resources);
        }
        prop_assert_eq!(given.values().map(Vec::len).sum::<usize>(), agents.len());
        let share = |amounts: [i64; 2]| -> f64 {
            let part = |kind: usize| amounts[kind] as f64 / (f64::from(total[kind]) * 1000.0);
            part(0).max(part(1))
        };
        let amounts = |r: &Resources| [r.scalar_milli("cpus"), r.scalar_milli("mem")];
        let sum = |name: &str| -> [i64; 2] {
            let own = given.get(name).into_iter().flatten().map(amounts);
            own.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
        };
        for (name, bundles) in &given {
            let all = sum(name);
            let without = bundles.iter().map(amounts).map(|one| share([all[0] - one[0], all[1] - one[1]]));
            let without = without.fold(f64::INFINITY, f64::min) / weight_of[name];
            for (other, weight) in &weight_of {
                let own = share(sum(other)) / weight;
                prop_assert!(without <= own + ROUNDING, "{name} has more than {other}");
            }
        }
    }

    /// Shares draw level as tasks end, however unequal they were.
    #[test]
    fn shares_converge_as_resources_come_back(
        agents in 5_usize..60,
        weights in prop::collection::vec(1_u8..=4, 2..=5),
    ) {
        let mut c = Cluster::new();
        let names: Vec<String> = (0..weights.len()).map(|number| format!("t{number}")).collect();
        for (name, weight) in names.iter().zip(&weights) {
            c.set_weights(&[(name, f64::from(*weight))]);
            c.add_framework(name, &[name]);
        }
        // The first one has everything.
        for agent in 0..agents {
            let used = [(names[0].as_str(), names[0].as_str(), "cpus:1;mem:64")];
            c.add_agent_with(&format!("A{agent}"), "cpus:1;mem:64", agent_facts(""), &used);
        }
        let mut counts = vec![0_usize; weights.len()];
        counts[0] = agents;
        for agent in 0..agents {
            c.release(&names[0], &names[0], &format!("A{agent}"), "cpus:1;mem:64");
            let proposals = c.propose();
            prop_assert_eq!(proposals.len(), 1);
            let to = names.iter().position(|name| *name == proposals[0].framework.as_str()).unwrap();
            counts[0] -= 1;
            counts[to] += 1;
        }
        for (more, weight) in counts.iter().zip(&weights).filter(|(more, _)| **more > 0) {
            for (less, other) in counts.iter().zip(&weights) {
                let (more, less) = ((more - 1) as f64, *less as f64);
                prop_assert!(more / f64::from(*weight) <= less / f64::from(*other) + ROUNDING, "{counts:?}");
            }
        }
    }
}
