//! Ten thousand instances of one app.

use std::time::Duration;

use tepui_protocol::v1::TaskState;

use super::super::*;
use super::fixture::*;

#[test]
fn the_work_grows_with_the_number_of_events_not_with_its_square() {
    const N: u32 = 10_000;
    let settings = EngineSettings {
        launch_tokens: N,
        kill_chunk_size: N as usize,
        ..EngineSettings::default()
    };
    let mut f = Fixture::with(settings);
    let wanted = f.stamp(app("/a", N));
    f.deploy(wanted);
    let version = f.root[&path("/a")].version;
    let ids: Vec<_> = (0..N).map(|_| f.new_id("/a")).collect();
    for id in &ids {
        f.launch("/a", version, id).expect("wanted");
        f.skip();
        f.status(id, TaskState::TaskRunning);
        f.skip();
    }
    assert!(f.engine.deployments().is_empty());
    let none = f.scaled("/a", 0);
    f.deploy(none);
    f.pass(Duration::from_secs(1));
    assert_eq!(f.confirm_kills(), N as usize);
    assert!(f.engine.deployments().is_empty() && f.store.is_empty());
    // Two per launch, and one per status, goal, end and change of the app, with some to spare.
    let work = f.engine.work();
    assert!(work < 15 * u64::from(N), "{work} index changes");
}
