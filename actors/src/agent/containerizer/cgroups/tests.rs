//! Both versions on trees of ordinary files, and what of each this machine's kernel has.
//! The latter needs root, and cgroups at `/sys/fs/cgroup`: of version 1, 2 or both.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// Makes files with their parents.
fn files(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn text(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap()
}

const ALL: &[Controller] = &[
    Controller::Processes,
    Controller::Cpu,
    Controller::Memory,
    Controller::Pids,
];

fn v1() -> (tempfile::TempDir, Arc<dyn Cgroups>) {
    let dir = tempfile::tempdir().unwrap();
    for subsystem in ["freezer", "cpu", "cpuacct", "memory", "pids"] {
        files(dir.path(), &[(&format!("{subsystem}/cgroup.procs"), "")]);
    }
    let cgroups = open(dir.path(), "m", ALL).unwrap();
    (dir, cgroups)
}

#[test]
fn version_1_has_a_tree_for_each_controller() {
    let (dir, cgroups) = v1();
    for controller in ALL {
        cgroups.create(*controller, "c").unwrap();
    }
    assert!(cgroups.create(Controller::Cpu, "c").is_err(), "it is there");
    let entrances = cgroups.entrances(Controller::Cpu, "c");
    let expected = ["cpu", "cpuacct"].map(|it| dir.path().join(it).join("m/c/cgroup.procs"));
    assert_eq!(entrances, expected);
    files(
        dir.path(),
        &[
            ("cpu/m/c/cpu.shares", ""),
            ("cpu/m/c/cpu.cfs_period_us", ""),
            ("cpu/m/c/cpu.cfs_quota_us", ""),
            ("memory/m/c/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/m/c/memory.memsw.limit_in_bytes", ""),
            ("memory/m/c/memory.soft_limit_in_bytes", ""),
        ],
    );
    cgroups.set_cpu("c", 512, Quota::Micros(50_000)).unwrap();
    assert_eq!(text(dir.path(), "cpu/m/c/cpu.shares"), "512");
    assert_eq!(text(dir.path(), "cpu/m/c/cpu.cfs_period_us"), "100000");
    assert_eq!(text(dir.path(), "cpu/m/c/cpu.cfs_quota_us"), "50000");
    cgroups.set_soft_limit("c", 7).unwrap();
    assert_eq!(
        text(dir.path(), "memory/m/c/memory.soft_limit_in_bytes"),
        "7"
    );
    assert_eq!(
        cgroups.hard_limit("c").unwrap(),
        None,
        "the kernel's largest is none"
    );
}

#[test]
fn version_1_counts() {
    let (dir, cgroups) = v1();
    files(
        dir.path(),
        &[
            ("cpuacct/m/c/cpuacct.stat", "user 250\nsystem 50\n"),
            (
                "cpu/m/c/cpu.stat",
                "nr_periods 10\nnr_throttled 3\nthrottled_time 2000000000\n",
            ),
            ("memory/m/c/memory.usage_in_bytes", "4096\n"),
            (
                "memory/m/c/memory.stat",
                "rss 1\ntotal_cache 20\ntotal_rss 30\ntotal_swap 0\n",
            ),
            ("pids/m/c/pids.current", "4\n"),
        ],
    );
    let cpu = cgroups.cpu("c").unwrap();
    assert_eq!((cpu.user_secs, cpu.system_secs), (2.5, 0.5));
    assert_eq!(
        (cpu.periods, cpu.throttled, cpu.throttled_secs),
        (10, 3, 2.0)
    );
    let memory = cgroups.memory("c").unwrap();
    assert_eq!(
        (memory.total, memory.anonymous, memory.cache),
        (4096, Some(30), Some(20))
    );
    assert_eq!((memory.swap, memory.mapped), (Some(0), None));
    assert_eq!(cgroups.threads("c").unwrap(), 4);
    assert!(cgroups.processes("nobody").unwrap().is_empty());
}

#[test]
fn version_1_says_what_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path(), &[("freezer/cgroup.procs", "")]);
    let why = open(dir.path(), "m", ALL).unwrap_err();
    assert!(why.contains("'cpu' is not mounted"), "{why}");
}

fn v2() -> (tempfile::TempDir, Arc<dyn Cgroups>) {
    let dir = tempfile::tempdir().unwrap();
    files(
        dir.path(),
        &[
            ("cgroup.controllers", "cpu memory pids"),
            ("cgroup.subtree_control", ""),
            ("m/cgroup.subtree_control", ""),
        ],
    );
    let cgroups = open(dir.path(), "m", ALL).unwrap();
    (dir, cgroups)
}

#[test]
fn version_2_has_one_tree() {
    let (dir, cgroups) = v2();
    for level in ["", "m/"] {
        let file = format!("{level}cgroup.subtree_control");
        assert_eq!(text(dir.path(), &file), "+cpu +memory +pids");
    }
    for controller in ALL {
        cgroups.create(*controller, "c").unwrap();
    }
    let entrances = cgroups.entrances(Controller::Processes, "c");
    assert_eq!(entrances, [dir.path().join("m/c/leaf/cgroup.procs")]);
    assert!(cgroups.entrances(Controller::Memory, "c").is_empty());
    files(
        dir.path(),
        &[
            ("m/c/cpu.weight", ""),
            ("m/c/cpu.max", ""),
            ("m/c/memory.low", ""),
            ("m/c/memory.max", "max\n"),
            ("m/c/memory.swap.max", ""),
            ("m/c/pids.max", ""),
        ],
    );
    assert_eq!(cgroups.hard_limit("c").unwrap(), None);
    cgroups.set_cpu("c", 512, Quota::Unset).unwrap();
    assert_eq!(text(dir.path(), "m/c/cpu.weight"), "50");
    assert_eq!(text(dir.path(), "m/c/cpu.max"), "");
    cgroups.set_cpu("c", 2, Quota::Infinite).unwrap();
    assert_eq!(text(dir.path(), "m/c/cpu.max"), "max 100000");
    cgroups.set_cpu("c", 2, Quota::Micros(50_000)).unwrap();
    assert_eq!(text(dir.path(), "m/c/cpu.max"), "50000 100000");
    cgroups.set_hard_limit("c", Some(64), true).unwrap();
    assert_eq!(text(dir.path(), "m/c/memory.swap.max").trim(), "0");
    assert!(text(dir.path(), "m/c/memory.max").starts_with("64"));
    cgroups.set_soft_limit("c", 7).unwrap();
    assert_eq!(text(dir.path(), "m/c/memory.low"), "7");
    cgroups.set_pids("c", 60).unwrap();
    assert_eq!(text(dir.path(), "m/c/pids.max"), "60");
}

#[test]
fn version_2_kills_at_once_where_the_kernel_can_and_else_what_is_frozen() {
    let (dir, cgroups) = v2();
    cgroups.kill("nobody").unwrap();
    // Held up, so that it can only be killed; nothing but its number is in the file.
    let mut victim = Command::new("sleep").arg("1000").spawn().unwrap();
    let procs = format!("{}\n", victim.id());
    files(
        dir.path(),
        &[
            ("m/c/cgroup.procs", ""),
            ("m/c/leaf/cgroup.procs", &procs),
            ("m/c/cgroup.freeze", "7"),
            ("m/c/cgroup.events", "populated 1\nfrozen 1\n"),
            ("m/c/cgroup.kill", ""),
        ],
    );
    cgroups.kill("c").unwrap();
    assert_eq!(text(dir.path(), "m/c/cgroup.kill"), "1");
    assert_eq!(text(dir.path(), "m/c/cgroup.freeze"), "7");
    assert!(victim.try_wait().unwrap().is_none(), "that is the kernel's");
    fs::remove_file(dir.path().join("m/c/cgroup.kill")).unwrap();
    cgroups.kill("c").unwrap();
    assert_eq!(text(dir.path(), "m/c/cgroup.freeze"), "0", "it is thawed");
    assert!(!victim.wait().unwrap().success());
}

#[tokio::test]
async fn version_2_does_without_the_most_that_was_used() {
    let (dir, cgroups) = v2();
    files(
        dir.path(),
        &[
            ("m/c/memory.events", "oom 1\n"),
            ("m/c/memory.max", "64\n"),
            ("m/c/memory.current", "50\n"),
            ("m/c/memory.stat", "anon 30\n"),
        ],
    );
    let seen = cgroups.out_of_memory("c").await.unwrap();
    assert_eq!((seen.limit, seen.most), (Some(64), Some(50)));
}

#[test]
fn processes_that_were_refused_are_counted() {
    let (v1, v2) = (v1(), v2());
    for ((dir, cgroups), file) in [(v1, "pids/m/c/pids.events"), (v2, "m/c/pids.events")] {
        files(dir.path(), &[(file, "max 3\n")]);
        assert_eq!(cgroups.refused("c").unwrap(), 3);
        assert!(cgroups.refused("nobody").is_err());
    }
}

/// A shell that waits until it is in its cgroup before it runs the script.
fn shell(entrances: &[PathBuf], script: &str) -> Child {
    let enter: Vec<String> = entrances
        .iter()
        .map(|file| format!("echo 0 > {}", file.display()))
        .collect();
    Command::new("sh")
        .arg("-c")
        .arg(format!("{} && {script}", enter.join(" && ")))
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Kills and looks again, as a containerizer does, until nothing is left.
fn destroy(cgroups: &dyn Cgroups, id: &str) {
    for _ in 0..100_000 {
        if cgroups.processes(id).unwrap().is_empty() {
            return;
        }
        cgroups.kill(id).unwrap();
        std::thread::yield_now();
    }
    panic!("processes are left");
}

/// Multiplies as fast as it can, in sessions of their own, up to a number that does no harm.
const BOMB: &str = "ulimit -u 400 2>/dev/null; \
                    bomb() { i=0; while [ $i -lt 10 ]; do setsid sh -c \
                    'while :; do sleep 1 & sleep 0.01; done' & i=$((i+1)); done; }; bomb; wait";

fn a_bomb_is_killed(cgroups: &dyn Cgroups) {
    cgroups.create(Controller::Processes, "bomb").unwrap();
    let mut shell = shell(&cgroups.entrances(Controller::Processes, "bomb"), BOMB);
    while cgroups.processes("bomb").unwrap().len() < 50 {
        std::thread::yield_now();
    }
    destroy(cgroups, "bomb");
    assert!(!shell.wait().unwrap().success());
    // What has just ended may be on its way out.
    while cgroups.remove(Controller::Processes, "bomb").is_err() {
        std::thread::yield_now();
    }
    assert!(cgroups.processes("bomb").unwrap().is_empty());
}

fn own_root(name: &str) -> String {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes cgroups: run it as root"
    );
    format!("tepui-test-{name}-{}", std::process::id())
}

const HIERARCHY: &str = "/sys/fs/cgroup";

/// The tree of version 2: all there is, or beside those of version 1.
fn unified() -> PathBuf {
    let root = Path::new(HIERARCHY);
    let all = [root.to_owned(), root.join("unified")];
    let found = all
        .into_iter()
        .find(|it| it.join("cgroup.controllers").exists());
    found.expect("cgroups of version 2 at /sys/fs/cgroup or /sys/fs/cgroup/unified")
}

/// The cgroups that an agent would use here, and what is to be removed once they are empty.
fn of_machine(root: &str, controllers: &[Controller]) -> (Arc<dyn Cgroups>, Vec<PathBuf>) {
    let hierarchy = Path::new(HIERARCHY);
    let trees: Vec<PathBuf> = match hierarchy.join("cgroup.controllers").exists() {
        true => vec![hierarchy.to_owned()],
        false => {
            let trees = controllers.iter().flat_map(|it| v1::subsystems(*it));
            trees.map(|tree| hierarchy.join(tree)).collect()
        }
    };
    let made = open(hierarchy, root, controllers).unwrap();
    (made, trees.iter().map(|tree| tree.join(root)).collect())
}

#[test]
fn the_kernel_kills_a_fork_bomb_as_an_agent_would_have_it() {
    let (cgroups, made) = of_machine(&own_root("bomb"), &[Controller::Processes]);
    a_bomb_is_killed(&*cgroups);
    made.iter().for_each(|it| fs::remove_dir(it).unwrap());
}

#[test]
fn the_kernel_kills_a_fork_bomb_by_its_cgroup() {
    let root = own_root("v2");
    let hierarchy = unified();
    let cgroups = V2::open(&hierarchy, &root, &[Controller::Processes]).unwrap();
    a_bomb_is_killed(&cgroups);
    fs::remove_dir(hierarchy.join(root)).unwrap();
}

#[test]
fn the_kernel_controls_a_container_in_another_one_and_kills_it_alone() {
    let root = own_root("inner");
    let hierarchy = unified();
    // Whatever controllers version 1 has left over: the rule is the same for all.
    let offered = fs::read_to_string(hierarchy.join("cgroup.controllers")).unwrap();
    let wanted: Vec<String> = offered
        .split_whitespace()
        .map(|it| format!("+{it}"))
        .collect();
    let cgroups = V2::with_controllers(&hierarchy, &root, &wanted.join(" ")).unwrap();
    let start = |id: &str| {
        cgroups.create(Controller::Processes, id).unwrap();
        let shell = shell(
            &cgroups.entrances(Controller::Processes, id),
            "exec sleep 1000",
        );
        while cgroups.processes(id).unwrap().is_empty() {
            std::thread::yield_now();
        }
        // Refused where a cgroup above has processes of its own.
        cgroups.create(Controller::Memory, id).unwrap();
        shell
    };
    let (mut outer, mut inner) = (start("c"), start("c.d"));
    let of_inner = hierarchy.join(&root).join("c/mesos/d");
    let controlled = fs::read_to_string(of_inner.join("cgroup.controllers")).unwrap();
    assert_eq!(controlled, offered);
    let both: BTreeSet<u32> = cgroups.processes("c").unwrap().into_iter().collect();
    assert_eq!(both, [outer.id(), inner.id()].into());
    destroy(&cgroups, "c.d");
    inner.wait().unwrap();
    assert_eq!(cgroups.processes("c").unwrap(), [outer.id()]);
    let removed = |id: &str| cgroups.remove(Controller::Processes, id);
    while removed("c.d").is_err() {
        std::thread::yield_now();
    }
    assert!(removed("c").is_err(), "it has a process");
    destroy(&cgroups, "c");
    outer.wait().unwrap();
    while removed("c").is_err() {
        std::thread::yield_now();
    }
    // What the hierarchy has been told to control stays, as other tests may need it.
    fs::remove_dir(hierarchy.join(root)).unwrap();
}

#[tokio::test]
async fn the_kernel_tells_when_memory_is_used_up() {
    let both = [Controller::Processes, Controller::Memory];
    let (cgroups, made) = of_machine(&own_root("oom"), &both);
    for controller in both {
        cgroups.create(controller, "c").unwrap();
    }
    cgroups.set_hard_limit("c", Some(16 << 20), false).unwrap();
    let mut entrances = cgroups.entrances(Controller::Processes, "c");
    entrances.extend(cgroups.entrances(Controller::Memory, "c"));
    let told = cgroups.out_of_memory("c");
    let mut shell = shell(&entrances, "exec tail /dev/zero");
    let seen = told.await.unwrap();
    assert_eq!(seen.limit, Some(16 << 20));
    assert!(seen.most.unwrap() > 15 << 20, "{seen:?}");
    assert!(seen.statistics.contains("anon") || seen.statistics.contains("total_rss"));
    shell.wait().unwrap();
    destroy(&*cgroups, "c");
    for controller in both {
        while cgroups.remove(controller, "c").is_err() {
            std::thread::yield_now();
        }
    }
    made.iter().for_each(|it| fs::remove_dir(it).unwrap());
}

#[test]
fn the_kernel_counts_the_processes_that_it_refuses() {
    let both = [Controller::Processes, Controller::Pids];
    let (cgroups, made) = of_machine(&own_root("pids"), &both);
    for controller in both {
        cgroups.create(controller, "c").unwrap();
    }
    cgroups.set_pids("c", 4).unwrap();
    assert_eq!(cgroups.refused("c").unwrap(), 0);
    let mut entrances = cgroups.entrances(Controller::Processes, "c");
    entrances.extend(cgroups.entrances(Controller::Pids, "c"));
    let many = "for i in 1 2 3 4 5 6; do sleep 1000 & done; exec sleep 1000";
    let mut shell = shell(&entrances, many);
    while cgroups.refused("c").unwrap() == 0 {
        std::thread::yield_now();
    }
    destroy(&*cgroups, "c");
    shell.wait().unwrap();
    for controller in both {
        while cgroups.remove(controller, "c").is_err() {
            std::thread::yield_now();
        }
    }
    made.iter().for_each(|it| fs::remove_dir(it).unwrap());
}

#[tokio::test]
async fn the_kernel_tells_of_changes_of_a_file() {
    let root = own_root("events");
    let hierarchy = unified();
    let cgroups = V2::open(&hierarchy, &root, &[Controller::Processes]).unwrap();
    cgroups.create(Controller::Processes, "c").unwrap();
    let events = hierarchy.join(&root).join("c/cgroup.events");
    let entrances = cgroups.entrances(Controller::Processes, "c");
    let mut shell = shell(&entrances, "read line");
    files::changed(&events, |text| text.contains("populated 0"))
        .await
        .unwrap();
    shell.wait().unwrap();
    cgroups.remove(Controller::Processes, "c").unwrap();
    fs::remove_dir(hierarchy.join(root)).unwrap();
}
