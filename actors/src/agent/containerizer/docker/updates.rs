//! What a container may use from now on: the order that changes it (Mesos:
//! `DockerContainerizerProcess::__update`), and those that wait for their turn. Asks no Engine.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::ids::ContainerId;

use super::create::{self, CFS_PERIOD_US};

/// Bytes that the kernel takes for no limit: the Engine refuses -1 for memory.
const NO_LIMIT: i64 = 0x7FFF_FFFF_FFFF_F000;

/// The order that gives a container these resources, where the Engine says this of its present ones.
///
/// The hard limit of memory only rises: with less than it has in use the container would be ended.
pub(super) fn order(resources: &ContainerResources, enable_cfs: bool, present: &Value) -> Value {
    let number = |name: &str| present.get(name).and_then(Value::as_i64).unwrap_or(0);
    let mut order = json!({});
    let amount = |kind: &str| resources.requests.scalar_milli(kind) as f64 / 1000.0;
    if amount("cpus") > 0.0 {
        order["CpuShares"] = json!(create::shares(amount("cpus")));
    }
    let most = resources.limits.get("cpus").copied();
    let most = most.or_else(|| (enable_cfs && amount("cpus") > 0.0).then(|| amount("cpus")));
    // The task has asked for another way to say the same, and the Engine takes only one of them.
    if let Some(most) = most.filter(|_| number("NanoCpus") == 0) {
        let quota = match most.is_finite() {
            true => json!(create::quota(most)),
            false => json!(-1),
        };
        order["CpuPeriod"] = json!(CFS_PERIOD_US as u64);
        order["CpuQuota"] = quota;
    }
    if amount("mem") > 0.0 {
        order["MemoryReservation"] = json!(create::bytes(amount("mem")));
    }
    let hard = match resources.limits.get("mem") {
        Some(limit) if limit.is_finite() => Some(create::bytes(*limit)),
        Some(_) => Some(NO_LIMIT),
        None => (amount("mem") > 0.0).then(|| create::bytes(amount("mem"))),
    };
    let before = match number("Memory") {
        0 => NO_LIMIT,
        before => before,
    };
    if let Some(hard) = hard.filter(|hard| *hard > before) {
        order["Memory"] = json!(hard);
        order["MemorySwap"] = json!(with_swap(hard, before, number("MemorySwap")));
    }
    order
}

/// Memory and swap together: as much swap as memory, which is what the Engine gives, unless the task
/// has asked for another amount of swap, which then stays.
fn with_swap(memory: i64, before: i64, before_with_swap: i64) -> i64 {
    if before_with_swap < 0 || memory == NO_LIMIT {
        return NO_LIMIT;
    }
    let is_default = before_with_swap == 0 || before_with_swap == before.saturating_mul(2);
    let swap = match is_default {
        true => memory,
        false => before_with_swap.saturating_sub(before).max(0),
    };
    memory.saturating_add(swap).min(NO_LIMIT)
}

/// Changes that wait: of each container the newest, behind the one that is under way.
#[derive(Debug, Default)]
pub(super) struct Updates {
    all: Mutex<HashMap<ContainerId, Option<ContainerResources>>>,
}

impl Updates {
    fn all(&self) -> MutexGuard<'_, HashMap<ContainerId, Option<ContainerResources>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; says whether nobody is at work for the container yet.
    pub(super) fn add(&self, id: &ContainerId, resources: &ContainerResources) -> bool {
        let mut all = self.all();
        all.insert(id.clone(), Some(resources.clone())).is_none()
    }

    /// The next one of a container, for whoever is at work; without any that work is over.
    pub(super) fn next(&self, id: &ContainerId) -> Option<ContainerResources> {
        let mut all = self.all();
        let next = all.get_mut(id).and_then(Option::take);
        if next.is_none() {
            all.remove(id);
        }
        next
    }

    /// Whether the one under way is still what is wanted.
    pub(super) fn is_last(&self, id: &ContainerId) -> bool {
        matches!(self.all().get(id), Some(None))
    }

    /// The container ends.
    pub(super) fn forget(&self, id: &ContainerId) {
        self.all().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tepui_core::resources::Resources;

    const MB: i64 = 1 << 20;

    fn given(text: &str, limits: &[(&str, f64)]) -> ContainerResources {
        let limits = limits
            .iter()
            .map(|(kind, limit)| ((*kind).to_owned(), *limit));
        ContainerResources {
            requests: Resources::parse(text, "*").unwrap(),
            limits: limits.collect(),
        }
    }

    fn memory(resources: &ContainerResources, memory: i64, swap: i64) -> (Value, Value, Value) {
        let present = json!({"Memory": memory, "MemorySwap": swap});
        let order = order(resources, false, &present);
        let part = |name: &str| order[name].clone();
        (
            part("MemoryReservation"),
            part("Memory"),
            part("MemorySwap"),
        )
    }

    #[test]
    fn the_hard_limit_of_memory_rises_and_never_falls() {
        let given = |mem: i64| given(&format!("cpus:1;mem:{mem}"), &[]);
        let none = Value::Null;
        let risen = (json!(256 * MB), json!(256 * MB), json!(512 * MB));
        assert_eq!(memory(&given(256), 64 * MB, 128 * MB), risen);
        let fallen = (json!(64 * MB), none.clone(), none.clone());
        assert_eq!(memory(&given(64), 256 * MB, 512 * MB), fallen);
        assert_eq!(memory(&given(64), 0, 0), fallen);
        // The least that a container has.
        let least = (json!(32 * MB), none.clone(), none);
        assert_eq!(memory(&given(1), 64 * MB, 128 * MB), least);
    }

    #[test]
    fn the_swap_that_a_task_has_asked_for_stays() {
        let given = given("cpus:1;mem:256", &[]);
        let swap = |before| memory(&given, 64 * MB, before).2;
        assert_eq!(swap(64 * MB), json!(256 * MB));
        assert_eq!(swap(74 * MB), json!(266 * MB));
        assert_eq!(swap(-1), json!(NO_LIMIT));
    }

    #[test]
    fn what_becomes_infinite_is_said() {
        let all = [("cpus", f64::INFINITY), ("mem", f64::INFINITY)];
        let infinite = given("cpus:1;mem:64", &all);
        let present = json!({"Memory": 64 * MB, "MemorySwap": 128 * MB});
        let expected = json!({
            "CpuShares": 1024, "CpuPeriod": 100_000, "CpuQuota": -1,
            "MemoryReservation": 64 * MB, "Memory": NO_LIMIT, "MemorySwap": NO_LIMIT,
        });
        assert_eq!(order(&infinite, false, &present), expected);
        let again = json!({"Memory": NO_LIMIT, "MemorySwap": NO_LIMIT});
        assert_eq!(order(&infinite, false, &again)["Memory"], Value::Null);
    }

    #[test]
    fn a_quota_in_other_words_is_left_alone() {
        let given = given("cpus:0.5;mem:64", &[]);
        assert_eq!(order(&given, true, &json!({}))["CpuQuota"], json!(50_000));
        let nano = json!({"NanoCpus": 1_000_000_000});
        assert_eq!(order(&given, true, &nano)["CpuQuota"], Value::Null);
        assert_eq!(order(&given, false, &json!({}))["CpuQuota"], Value::Null);
    }

    #[test]
    fn of_those_that_wait_the_newest_counts() {
        let updates = Updates::default();
        let id = ContainerId::from("c");
        let of = |cpus| given(&format!("cpus:{cpus}"), &[]);
        assert!(updates.add(&id, &of(1)));
        assert_eq!(updates.next(&id), Some(of(1)));
        assert!(updates.is_last(&id));
        assert!(!updates.add(&id, &of(2)) && !updates.add(&id, &of(3)));
        assert!(!updates.is_last(&id));
        assert_eq!(updates.next(&id), Some(of(3)));
        assert_eq!(updates.next(&id), None);
        assert!(updates.add(&id, &of(4)), "that work is over");
        updates.forget(&id);
        assert!(!updates.is_last(&id));
    }
}
