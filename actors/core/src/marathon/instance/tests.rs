//! Conditions, counts and the order of victims.

use tepui_protocol::marathon::KillSelection;
use tepui_protocol::v1::task_status::Reason;
use uuid::Uuid;

use super::*;

fn instance(number: u128, condition: Condition, active_since: Option<i64>) -> Instance {
    let app = PathId::new("/a");
    Instance {
        id: InstanceId::new(&app, Uuid::from_u128(number)),
        app,
        version: Timestamp::from_millis(1),
        place: Place::default(),
        condition,
        goal: Goal::Running,
        since: Timestamp::from_millis(5),
        active_since: active_since.map(Timestamp::from_millis),
        incarnation: 1,
        staged_at: Some(Timestamp::from_millis(4)),
        started_at: None,
        mesos_state: None,
        host_ports: vec![31000],
        ip_addresses: Vec::new(),
        unreachable_since: None,
        health: Vec::new(),
    }
}

#[test]
fn statuses_lead_to_conditions() {
    use TaskState::*;
    for (state, reason, condition) in [
        (TaskStaging, None, Condition::Staging),
        (TaskStarting, None, Condition::Starting),
        (TaskRunning, None, Condition::Running),
        (TaskKilling, None, Condition::Killing),
        (TaskFinished, None, Condition::Finished),
        (TaskFailed, None, Condition::Failed),
        (TaskKilled, None, Condition::Killed),
        (TaskError, None, Condition::Error),
        (TaskDropped, None, Condition::Dropped),
        (TaskUnreachable, None, Condition::Unreachable),
        (TaskGone, None, Condition::Gone),
        (TaskGoneByOperator, None, Condition::Gone),
        (TaskUnknown, None, Condition::Unknown),
        (TaskLost, None, Condition::Gone),
        (TaskLost, Some(Reason::InvalidOffers), Condition::Gone),
        (TaskLost, Some(Reason::TaskUnknown), Condition::Unknown),
        (
            TaskLost,
            Some(Reason::Reconciliation),
            Condition::Unreachable,
        ),
        (
            TaskLost,
            Some(Reason::AgentDisconnected),
            Condition::Unreachable,
        ),
        (TaskLost, Some(Reason::AgentRemoved), Condition::Unreachable),
    ] {
        assert_eq!(
            Condition::of_status(state, reason),
            condition,
            "{state:?} {reason:?}"
        );
    }
}

#[test]
fn inactive_instances_are_neither_active_nor_terminal() {
    let inactive = Condition::UnreachableInactive;
    assert!(!inactive.is_active() && !inactive.is_terminal() && inactive.is_unreachable());
    assert_eq!(inactive.api_state(), "TASK_UNREACHABLE");
    assert!(Condition::Killing.is_active() && Condition::Unknown.is_terminal());
}

#[test]
fn counts_look_at_mesos_states_and_results() {
    let mut running = instance(1, Condition::Running, Some(1));
    assert_eq!(TaskCounts::of(&running).tasks_staged, 1, "no state yet");
    running.mesos_state = Some(TaskState::TaskStarting);
    assert_eq!(TaskCounts::of(&running), TaskCounts::default());
    running.mesos_state = Some(TaskState::TaskRunning);
    running.health = vec![Health::default(); 2];
    running.health[0].alive = Some(true);
    let counts = TaskCounts::of(&running);
    assert_eq!((counts.tasks_running, counts.tasks_healthy), (1, 1));
    assert!(
        !running.serves() && running.healthy().is_none(),
        "one check said nothing"
    );
    running.health[1].alive = Some(false);
    let counts = TaskCounts::of(&running);
    assert_eq!((counts.tasks_healthy, counts.tasks_unhealthy), (0, 1));
}

#[test]
fn an_instance_is_written_and_read_back_without_its_health() {
    let mut before = instance(1, Condition::Running, Some(1));
    before.mesos_state = Some(TaskState::TaskRunning);
    before.health = vec![Health::default()];
    let text = serde_json::to_string(&before).expect("text");
    assert!(text.contains(r#""mesosState":"TASK_RUNNING""#), "{text}");
    let after: Instance = serde_json::from_str(&text).expect("an instance");
    before.health.clear();
    assert_eq!(after, before);
}

/// The numbers of the instances in the order in which they are given up.
fn order(instances: &[Instance], app: &App) -> Vec<usize> {
    let mut victims = Victims::default();
    let entry = |i: &Instance| {
        (
            Victims::group(app, i),
            VictimKey::of(i, app.kill_selection, false),
        )
    };
    for instance in instances {
        let (group, key) = entry(instance);
        victims.insert(group, key);
    }
    let mut order = Vec::new();
    while let Some(first) = victims.first().cloned() {
        let at = instances.iter().position(|i| i.id == *first.id());
        let at = at.expect("one of them");
        order.push(at + 1);
        let (group, key) = entry(&instances[at]);
        victims.remove(&group, &key);
    }
    order
}

fn app(constraints: &str, selection: KillSelection) -> App {
    let text = format!(
        r#"{{"id":"/a","backoffFactor":2.0,"backoffSeconds":10,"constraints":{constraints},"cpus":1.0,"disk":0.0,"executor":"","instances":1,"maxLaunchDelaySeconds":60,"mem":64.0,"gpus":0,"requirePorts":false,"upgradeStrategy":{{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0}},"version":"2021-07-01T10:00:00.000Z","killSelection":"YOUNGEST_FIRST","unreachableStrategy":"disabled","role":"*"}}"#
    );
    let mut app: App = serde_json::from_str(&text).expect("an app");
    app.kill_selection = selection;
    app
}

#[test]
fn the_unreachable_and_unfinished_go_first_then_age_decides() {
    let instances = [
        instance(1, Condition::Running, Some(10)),
        instance(2, Condition::Running, Some(20)),
        instance(3, Condition::Starting, None),
        instance(4, Condition::Unreachable, Some(5)),
        instance(5, Condition::Staging, None),
        instance(6, Condition::Provisioned, None),
    ];
    let youngest = order(&instances, &app("[]", KillSelection::YoungestFirst));
    assert_eq!(youngest, [4, 5, 3, 2, 1, 6]);
    let oldest = order(&instances, &app("[]", KillSelection::OldestFirst));
    assert_eq!(oldest, [4, 5, 3, 1, 2, 6]);
}

#[test]
fn the_fullest_group_gives_first() {
    let on = |number, host: &str, since| {
        let mut instance = instance(number, Condition::Running, Some(since));
        instance.place.host = host.to_owned();
        instance
    };
    let instances = [
        on(1, "x", 1),
        on(2, "x", 2),
        on(3, "x", 3),
        on(4, "y", 9),
        on(5, "z", 8),
    ];
    let app = app(
        r#"[["hostname","GROUP_BY","3"]]"#,
        KillSelection::YoungestFirst,
    );
    assert_eq!(order(&instances, &app), [3, 2, 4, 5, 1]);
}
