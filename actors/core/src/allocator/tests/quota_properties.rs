//! What quota promises, on random events: no allocation goes beyond a limit or takes what a
//! guarantee needs, and guarantees are met where there is enough.

use proptest::prelude::*;

use super::events::{Event, World, events};
use super::model::is_plain;
use super::*;

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn no_run_exceeds_a_limit(events in events(true)) {
        let mut world = World::new();
        for event in &events {
            let before = world.models[0].clone();
            world.perform(event);
            if !matches!(event, Event::Allocate) {
                continue;
            }
            let after = &world.models[0];
            for (role, quota) in &after.quotas {
                let (had, has) = (before.consumed(role), after.consumed(role));
                for (name, limit) in &quota.limits.0 {
                    let within = has.get(name) <= *limit || has.get(name) == had.get(name);
                    prop_assert!(within, "{role} got {name} beyond {quota:?}");
                }
            }
        }
    }

    #[test]
    fn no_run_takes_what_guarantees_need(events in events(true)) {
        let mut world = World::new();
        for event in &events {
            let before = world.models[0].clone();
            world.perform(event);
            if !matches!(event, Event::Allocate) {
                continue;
            }
            let after = &world.models[0];
            for (name, needed) in &after.required().0 {
                let was_there = before.available().get(name) >= before.required().get(name);
                let is_there = after.available().get(name) >= *needed;
                prop_assert!(is_there || !was_there, "{name} was taken");
            }
        }
    }

    /// Enough in the cluster, frameworks that take anything: then one run meets all guarantees,
    /// whatever others hold and want.
    #[test]
    fn guarantees_are_met_when_resources_suffice(
        agents in prop::collection::vec((1_u32..9, 32_u32..99, 0_u32..3, 0_u32..40), 1..12),
        parts in prop::collection::vec((0_u32..5, 0_u32..5, any::<bool>()), 1..5),
        seed in any::<u8>(),
    ) {
        let mut c = Cluster::with(AllocatorConfig {
            min_allocatable_resources: Vec::new(),
            seed: [seed; 32],
            ..Default::default()
        });
        let mut free = Resources::new();
        for (number, (cpus, mem, used_cpus, used_mem)) in agents.iter().enumerate() {
            let used_cpus = used_cpus.min(cpus);
            let used_mem = used_mem.min(mem);
            let used = [("N", "none", format!("cpus:{used_cpus};mem:{used_mem}"))];
            let used = used.each_ref().map(|(f, r, text)| (*f, *r, text.as_str()));
            let total = format!("cpus:{cpus};mem:{mem}");
            c.add_agent_with(&format!("A{number}"), &total, agent_facts(""), &used);
            free.add(&bag(&format!("cpus:{};mem:{}", cpus - used_cpus, mem - used_mem)));
        }
        // Guarantees take up to all that is free, in parts as drawn.
        let sum = |of: fn(&(u32, u32, bool)) -> u32| parts.iter().map(of).sum::<u32>().max(1);
        let (all_cpus, all_mem) = (i64::from(sum(|p| p.0)), i64::from(sum(|p| p.1)));
        let mut guarantees = Vec::new();
        for (number, (cpus, mem, limited)) in parts.iter().enumerate() {
            let milli = |name: &str, part: u32, all: i64| free.scalar_milli(name) * i64::from(part) / all;
            let mut guarantee = Quantities::default();
            guarantee.add_milli("cpus", milli("cpus", *cpus, all_cpus));
            guarantee.add_milli("mem", milli("mem", *mem, all_mem));
            let limits = if *limited { Limits(guarantee.0.clone()) } else { Limits::default() };
            let role = format!("q{number}");
            c.apply(Command::SetQuota {
                role: Role::from(role.as_str()),
                quota: Quota { guarantees: guarantee.clone(), limits },
            });
            guarantees.push((role, guarantee));
        }
        c.add_framework("N", &["none"]);
        for (role, _) in &guarantees {
            c.add_framework(role, &[role]);
        }
        let mut given: BTreeMap<String, Quantities> = BTreeMap::new();
        for p in c.propose() {
            let plain = p.resources.filter(is_plain).quantities();
            given.entry(p.role.to_string()).or_default().add(&plain);
        }
        for (role, guarantee) in &guarantees {
            let got = given.remove(role).unwrap_or_default();
            prop_assert!(got.contains(guarantee), "{role} got {got} of {guarantee}");
        }
    }
}
