//! Two frameworks share two agents.

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, scalar, task};

/// Launches one-CPU tasks on whatever is offered until nothing more comes.
fn take_one(framework: &mut Framework, offer: &Value, number: usize) {
    let mut one = task(&format!("t{number}"), offer, "sleep 1000");
    one["resources"] = json!([scalar("cpus", 1.0), scalar("mem", 32.0)]);
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [one]}}]);
    framework.accept(offer, launch, 0.0);
}

#[test]
fn two_frameworks_share_two_agents_fairly() {
    let cluster = Cluster::start(2);
    let mut frameworks = [
        Framework::simple(cluster.master.address, "one", &[]),
        Framework::simple(cluster.master.address, "two", &[]),
    ];
    let mut launched = [0_usize, 0];
    // Eight CPUs: each offer is used for one of them and the rest given back, so that the
    // allocator decides again each time who is next.
    until("all CPUs in use", || {
        for (framework, count) in frameworks.iter_mut().zip(&mut launched) {
            let events = framework.events_within(std::time::Duration::from_millis(50));
            for event in events {
                for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
                    let cpus = offer["resources"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .find_map(|resource| {
                            (resource["name"] == "cpus")
                                .then(|| resource["scalar"]["value"].as_f64())
                        });
                    if cpus.flatten().unwrap_or(0.0) >= 1.0 {
                        take_one(framework, offer, *count);
                        *count += 1;
                    }
                }
                framework.acknowledge(&event["update"]["status"]);
            }
        }
        (launched.iter().sum::<usize>() == 8).then_some(())
    });
    assert_eq!(launched, [4, 4], "an even split of eight CPUs");
}
