//! Containers whose root file system is that of an image. Needs root, cgroups at `/sys/fs/cgroup`, and
//! busybox, linked statically.

mod archive;
mod store;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::agent_restart::is_alive;
use super::groups::{launch_group, seen_at, with_volume};
use super::isolation::{ALL, Isolated, executor_pid, read, sized};
use super::{nested, operations};
use crate::support::cluster::until;
use crate::support::framework::{Encoding, Framework, scalar};

/// An agent with images, its registry and its store.
struct Imaged {
    isolated: Isolated,
    dir: tempfile::TempDir,
}

impl Imaged {
    fn start(name: &str) -> Imaged {
        Imaged::with(name, ALL, &[])
    }

    fn with(name: &str, isolation: &str, more: &[&str]) -> Imaged {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (registry, store) = (dir.path().join("registry"), dir.path().join("store"));
        std::fs::create_dir(&registry).expect("registry");
        archive::docker(&registry, "app:latest", &archive::settings());
        let isolation = format!("{isolation},docker/runtime,volume/image");
        let registry = format!("--docker_registry={}", registry.display());
        let store = format!("--docker_store_dir={}", store.display());
        let mut flags = vec!["--image_providers=docker,oci", &registry, &store];
        flags.extend(more);
        let isolated = Isolated::with(name, &isolation, &flags);
        Imaged { isolated, dir }
    }

    fn registry(&self) -> PathBuf {
        self.dir.path().join("registry")
    }

    fn launch(&mut self, id: &str, image: &str, command: Value) {
        let offer = self.isolated.framework.offer();
        let task = self.task(id, &offer, image, command);
        self.isolated.framework.launch(&offer, &[task]);
    }

    fn task(&self, id: &str, offer: &Value, image: &str, command: Value) -> Value {
        let mut task = sized(id, offer, 64.0, "");
        task["command"] = command;
        task["container"] = in_image(image);
        task
    }

    /// Runs a task to its good end and gives its sandbox.
    fn run(&mut self, id: &str, image: &str, command: Value) -> PathBuf {
        self.launch(id, image, command);
        let ended = self.isolated.framework.await_end(id);
        let sandbox = self.isolated.sandbox(id);
        let said = std::fs::read_to_string(sandbox.join("stderr")).unwrap_or_default();
        assert_eq!(ended["state"], "TASK_FINISHED", "{ended:#}\n{said}");
        sandbox
    }

    /// Nothing is left of any container, neither on the disk nor among mounts.
    fn wait_until_nothing_is_left(&mut self) {
        self.isolated.wait_until_nothing_is_left();
        let work_dir = self.isolated.cluster().work_dir(0);
        let containers = work_dir.join("provisioner/containers");
        let left = std::fs::read_dir(containers).expect("directory").count();
        assert_eq!(left, 0, "directories of root file systems");
        let mounts = read("/proc/self/mountinfo");
        for directory in [&work_dir, &self.dir.path().to_owned()] {
            let name = directory.file_name().expect("a name").to_string_lossy();
            let parent = directory.parent().expect("a parent").display();
            assert!(!mounts.contains(&format!("{parent}/{name}")), "{mounts}");
        }
    }

    /// The names of the layers that are unpacked.
    fn layers(&self) -> BTreeSet<String> {
        let layers = self.dir.path().join("store/layers");
        let entries = std::fs::read_dir(layers).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("a name"));
        names.collect()
    }

    fn prune(&mut self, excluded: &[&str]) {
        let images: Vec<Value> = excluded.iter().map(|name| image(name)).collect();
        let call = json!({"type": "PRUNE_IMAGES", "prune_images": {"excluded_images": images}});
        let answer = nested::call(self.isolated.cluster(), &call);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn image(name: &str) -> Value {
    json!({"type": "DOCKER", "docker": {"name": name}})
}

fn in_image(name: &str) -> Value {
    json!({"type": "MESOS", "mesos": {"image": image(name)}})
}

fn shell(script: &str) -> Value {
    json!({"shell": true, "value": script})
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    read(path).lines().map(str::to_owned).collect()
}

#[test]
fn a_task_sees_its_image_and_its_sandbox_only() {
    let mut imaged = Imaged::start("image");
    let script = "ls / > root; cat /data/file /data/other > data; pwd > pwd; \
                  ls /dev > dev; echo $MESOS_SANDBOX > sandbox; echo ${BOTH}-${FROM_IMAGE} > env; \
                  ls -d /proc/[0-9]* | wc -l > processes; echo x > /dev/null; \
                  touch /changed /tmp/changed; cat /etc/resolv.conf > resolv; \
                  (echo x > /sys/x) 2> sys; (echo x > /proc/sys/kernel/hostname) 2> proc; true";
    let mut command = shell(&format!("cd $MESOS_SANDBOX && {script}"));
    command["environment"] = json!({"variables": [{"name": "BOTH", "value": "task"}]});
    let sandbox = imaged.run("t", "app", command);
    let root = lines(sandbox.join("root"));
    let expected = [
        "bin", "data", "dev", "entry", "etc", "mnt", "proc", "sys", "tmp", "wd",
    ];
    assert_eq!(root, expected);
    assert_eq!(read(sandbox.join("data")), "abovebelow");
    assert_eq!(read(sandbox.join("sandbox")), "/mnt/mesos/sandbox\n");
    assert_eq!(read(sandbox.join("env")), "task-image\n");
    let devices = lines(sandbox.join("dev"));
    for device in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "shm", "fd",
    ] {
        assert!(devices.iter().any(|it| it == device), "{devices:?}");
    }
    let processes: u32 = read(sandbox.join("processes"))
        .trim()
        .parse()
        .expect("a number");
    assert!(processes < 10, "{processes} processes");
    assert_eq!(read(sandbox.join("resolv")), read("/etc/resolv.conf"));
    for file in ["sys", "proc"] {
        assert!(read(sandbox.join(file)).contains("Read-only"), "{file}");
    }
    // What it changed is not in the image: the next one sees nothing of it.
    let again = imaged.run("u", "app:latest", shell("ls / /tmp > $MESOS_SANDBOX/root"));
    assert!(!read(again.join("root")).contains("changed"));
    imaged.wait_until_nothing_is_left();
}

#[test]
fn what_the_image_says_of_its_programs_is_honoured() {
    let mut imaged = Imaged::start("runtime");
    let mut settings = archive::settings();
    settings["User"] = json!("app");
    archive::docker(&imaged.registry(), "user:latest", &settings);
    let sandbox = imaged.run("t", "user", json!({"shell": false}));
    let told = |name: &str| read(sandbox.join(name)).trim().to_owned();
    assert_eq!(told("entry"), "/entry always by default");
    assert_eq!(told("pwd"), "/wd/dir");
    assert_eq!(told("uid"), "1234");
    assert_eq!(told("groups"), "1235 33");
    let environment = told("env");
    for expected in [
        "FROM_IMAGE=image",
        "PATH=/bin",
        "MESOS_SANDBOX=/mnt/mesos/sandbox",
    ] {
        assert!(
            environment.lines().any(|line| line == expected),
            "{environment}"
        );
    }
    let owner = std::fs::metadata(&sandbox).expect("the sandbox");
    assert_eq!((owner.uid(), owner.gid()), (1234, 1235));
    // Arguments take the place of the image's, and a user of the task's that of the image.
    let command = json!({"shell": false, "arguments": ["a", "b"], "user": "root"});
    let sandbox = imaged.run("u", "user", command);
    assert_eq!(read(sandbox.join("entry")), "/entry always a b\n");
    assert_eq!(read(sandbox.join("uid")), "0\n");
    // Where nothing is named, nothing runs.
    settings["User"] = json!("nobody-knows");
    archive::docker(&imaged.registry(), "unknown:latest", &settings);
    imaged.launch("v", "unknown", json!({"shell": false}));
    let failed = imaged.isolated.framework.await_state("v", "TASK_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(
        message.contains("'nobody-knows'") && message.contains("/etc/passwd"),
        "{message}"
    );
    archive::docker(&imaged.registry(), "empty:latest", &json!({}));
    imaged.launch("w", "empty", json!({"shell": false}));
    let failed = imaged.isolated.framework.await_state("w", "TASK_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("No executable is found"), "{message}");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn checks_run_in_the_image() {
    let mut imaged = Imaged::start("check");
    let offer = imaged.isolated.framework.offer();
    let mut task = imaged.task("t", &offer, "app", shell("exec sleep 1000"));
    task["health_check"] = json!({
        "type": "COMMAND", "delay_seconds": 0.0, "interval_seconds": 0.1,
        "timeout_seconds": 30.0, "grace_period_seconds": 0.0, "consecutive_failures": 1,
        "command": {"value": "test -x /entry && test ! -e /usr && echo $FROM_IMAGE > /tmp/checked"},
    });
    imaged.isolated.framework.launch(&offer, &[task]);
    let running = until("a healthy task", || {
        let status = imaged.isolated.framework.update("t");
        assert_ne!(status["state"], "TASK_FAILED", "{status:#}");
        status["healthy"].as_bool().map(|healthy| (healthy, status))
    });
    assert!(running.0, "{:#}", running.1);
    imaged.isolated.framework.kill("t");
    imaged.isolated.framework.await_state("t", "TASK_KILLED");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn volumes_are_seen_in_the_image() {
    let mut imaged = Imaged::start("volumes");
    let host = imaged.dir.path().join("host");
    std::fs::create_dir(&host).expect("directory");
    std::fs::write(host.join("file"), "host").expect("file");
    let offer = imaged.isolated.framework.offer();
    let script = "cd $MESOS_SANDBOX; cat /deep/in/image/file inner/file > seen; \
                  touch /deep/in/image/mine 2> refused; cat /other/data/file > other; \
                  touch /other/mine && cat $MESOS_SANDBOX/theirs/data/file >> other";
    let mut task = imaged.task("t", &offer, "app", shell(script));
    task["container"]["volumes"] = json!([
        {"mode": "RO", "container_path": "/deep/in/image", "host_path": host},
        {"mode": "RO", "container_path": "inner", "host_path": host},
        {"mode": "RW", "container_path": "/other", "image": image("app")},
        {"mode": "RO", "container_path": "theirs", "image": image("app")},
    ]);
    imaged.isolated.framework.launch(&offer, &[task]);
    imaged.isolated.framework.await_state("t", "TASK_FINISHED");
    let sandbox = imaged.isolated.sandbox("t");
    assert_eq!(read(sandbox.join("seen")), "hosthost");
    assert!(read(sandbox.join("refused")).contains("Read-only"));
    assert_eq!(read(sandbox.join("other")), "aboveabove");
    assert_eq!(std::fs::read_dir(&host).expect("directory").count(), 1);
    // A container without an image may have one as a volume.
    let offer = imaged.isolated.framework.offer();
    let mut task = sized("u", &offer, 32.0, "cat theirs/data/file > seen");
    task["container"] = json!({"type": "MESOS", "volumes": [
        {"mode": "RO", "container_path": "theirs", "image": image("app")},
    ]});
    imaged.isolated.framework.launch(&offer, &[task]);
    imaged.isolated.framework.await_state("u", "TASK_FINISHED");
    let sandbox = imaged.isolated.sandbox("u");
    assert_eq!(read(sandbox.join("seen")), "above");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn links_of_an_image_lead_nowhere_else() {
    let mut imaged = Imaged::start("links");
    let outside = imaged.dir.path().join("outside");
    std::fs::create_dir(&outside).expect("directory");
    let outside = outside.to_str().expect("a path");
    let links = [
        // As many images have it.
        ("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
        ("mnt", "../../../../data"),
        ("volume", "/../../tmp"),
    ];
    archive::docker_with_links(&imaged.registry(), "links:latest", &links);
    archive::docker_with_links(&imaged.registry(), "away:latest", &[("mnt", outside)]);
    let offer = imaged.isolated.framework.offer();
    let script = "cat /etc/resolv.conf > resolv; ls -d /data/mesos/sandbox > seen; \
                  cat /volume/inner/file >> seen; cat data/file >> seen";
    let command = shell(&format!("cd $MESOS_SANDBOX && {script}"));
    let mut task = imaged.task("t", &offer, "links", command);
    let host = imaged.dir.path().join("host");
    std::fs::create_dir(&host).expect("directory");
    std::fs::write(host.join("file"), "host").expect("file");
    task["container"]["volumes"] = json!([
        {"mode": "RO", "container_path": "/volume/inner", "host_path": host},
        {"mode": "RO", "container_path": "data", "host_path": host},
    ]);
    let away = imaged.task("u", &offer, "away", shell("true"));
    imaged.isolated.framework.launch(&offer, &[task, away]);
    let failed = imaged.isolated.framework.await_state("u", "TASK_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("'/mnt/mesos/sandbox'"), "{message}");
    imaged.isolated.framework.await_state("t", "TASK_FINISHED");
    let sandbox = imaged.isolated.sandbox("t");
    assert_eq!(read(sandbox.join("resolv")), read("/etc/resolv.conf"));
    let seen = read(sandbox.join("seen"));
    assert_eq!(seen, "/data/mesos/sandbox\nhosthost");
    for made in [outside, "/tmp/inner", "/data/mesos"] {
        let is_empty = std::fs::read_dir(made).map_or(true, |mut found| found.next().is_none());
        assert!(is_empty, "{made}");
    }
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_persistent_volume_is_seen_in_the_image() {
    let mut imaged = Imaged::start("persistent");
    let mut settings = archive::settings();
    settings["User"] = json!("app");
    archive::docker(&imaged.registry(), "user:latest", &settings);
    let offer = imaged.isolated.framework.offer();
    let decline = json!({"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 1000.0}});
    let decline = json!({"type": "DECLINE", "decline": decline});
    imaged.isolated.framework.accepted(decline);
    let master = imaged.isolated.cluster().master.address;
    let mut web = operations::web();
    web["checkpoint"] = json!(true);
    let mut framework = Framework::subscribe(master, Encoding::Json, web);
    let offer = framework.offer();
    framework.accept(&offer, json!([operations::reserve("reserve")]), 0.0);
    operations::finished(&mut framework, "reserve");
    let offer = framework.offer();
    let write = "id -u > $MESOS_SANDBOX/data/file";
    let mut task = operations::task_on_volume("write", &offer, write);
    task["container"] = in_image("user");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [task]}});
    framework.accept(&offer, json!([operations::create("create"), launch]), 0.0);
    framework.await_state("write", "TASK_FINISHED");
    let offer = operations::offer_with_volume(&mut framework);
    let check = "test \"$(cat data/file)\" = 1234";
    let task = operations::task_on_volume("read", &offer, check);
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
    framework.accept(&offer, launch, 0.0);
    framework.await_state("read", "TASK_FINISHED");
    // Mounted read-only, it cannot be written to by its owner either.
    let offer = operations::offer_with_volume(&mut framework);
    let check = "test \"$(cat $MESOS_SANDBOX/data/file)\" = 1234 && \
                 ! echo no > $MESOS_SANDBOX/data/file";
    let mut task = operations::task_reading_volume("look", &offer, check);
    task["container"] = in_image("user");
    framework.launch(&offer, &[task]);
    framework.await_state("look", "TASK_FINISHED");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_member_sees_its_persistent_volume_in_its_image() {
    let mut imaged = Imaged::start("member-volume");
    let offer = imaged.isolated.framework.offer();
    imaged.isolated.framework.accept(&offer, json!([]), 1000.0);
    let master = imaged.isolated.cluster().master.address;
    let mut framework = Framework::subscribe(master, Encoding::Json, operations::web());
    let offer = with_volume(&mut framework);
    let script = "test -x /entry && echo kept > $MESOS_SANDBOX/data/db/file";
    let mut member = operations::task_on_volume("write", &offer, script);
    member["container"] = in_image("app");
    launch_group(&framework, &offer, &[seen_at(member, "data/db")]);
    framework.await_state("write", "TASK_FINISHED");
    framework.expect("FAILURE");
    framework.accepted(json!({"type": "REVIVE"}));
    let offer = operations::offer_with_volume(&mut framework);
    let check = "test \"$(cat data/file)\" = kept";
    let task = operations::task_on_volume("read", &offer, check);
    framework.launch(&offer, &[task]);
    framework.await_state("read", "TASK_FINISHED");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_missing_or_broken_image_fails_its_own_task_only() {
    let mut imaged = Imaged::start("broken");
    let registry = imaged.registry();
    let whole = std::fs::read(registry.join("app:latest.tar")).expect("an archive");
    std::fs::write(registry.join("cut:latest.tar"), &whole[..whole.len() / 2]).expect("to write");
    std::fs::write(registry.join("none:latest.tar"), "no archive").expect("to write");
    let offer = imaged.isolated.framework.offer();
    let wrong = ["missing", "cut", "none", "../app"];
    let id = |image: &str| format!("t-{}", image.trim_start_matches("../"));
    let broken = wrong.map(|image| imaged.task(&id(image), &offer, image, shell("true")));
    let mut tasks = vec![imaged.task("n", &offer, "app", shell("exec sleep 1000"))];
    tasks.extend(broken);
    imaged.isolated.framework.launch(&offer, &tasks);
    for image in wrong {
        let failed = imaged
            .isolated
            .framework
            .await_state(&id(image), "TASK_FAILED");
        let message = failed["message"].as_str().expect("a message");
        assert!(message.contains(image), "{image}: {message}");
    }
    let neighbour = imaged.isolated.framework.await_state("n", "TASK_RUNNING");
    let pid = i32::try_from(executor_pid(&neighbour)).expect("pid");
    assert!(is_alive(pid));
    imaged.isolated.framework.kill("n");
    imaged.isolated.framework.await_state("n", "TASK_KILLED");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_task_in_an_image_outlives_the_agent() {
    let mut imaged = Imaged::start("restart");
    imaged.launch("t", "app", shell("exec sleep 1000"));
    let running = imaged.isolated.framework.await_state("t", "TASK_RUNNING");
    let pid = i32::try_from(executor_pid(&running)).expect("pid");
    imaged.isolated.cluster().agents[0].signal(Signal::SIGKILL);
    imaged.isolated.cluster().agents[0].wait();
    // What nobody knows of is removed.
    let containers = imaged
        .isolated
        .cluster()
        .work_dir(0)
        .join("provisioner/containers");
    std::fs::create_dir_all(containers.join("nobody/rootfses/root/upper")).expect("to make");
    imaged.isolated.restart_agent();
    assert!(is_alive(pid));
    assert_eq!(
        std::fs::read_dir(&containers).expect("directory").count(),
        1
    );
    // Its layers are used, whoever has forgotten what for.
    imaged.prune(&[]);
    assert_eq!(imaged.layers().len(), 2);
    imaged.isolated.framework.kill("t");
    imaged.isolated.framework.await_state("t", "TASK_KILLED");
    until("its end", || (!is_alive(pid)).then_some(()));
    imaged.wait_until_nothing_is_left();
    imaged.prune(&["app:latest"]);
    assert_eq!(imaged.layers().len(), 2, "it is excluded");
    imaged.prune(&[]);
    assert_eq!(imaged.layers(), BTreeSet::new());
    // It is unpacked again.
    imaged.run("u", "app", shell("test -x /entry"));
    imaged.wait_until_nothing_is_left();
}

#[test]
fn an_oci_image_is_copied_where_no_overlay_is_wanted() {
    let flags = ["--image_provisioner_backend=copy"];
    // Without a pid namespace, the helper is the executor itself.
    let mut imaged = Imaged::with("copy", "filesystem/linux", &flags);
    archive::oci(&imaged.registry(), "oci:1", &archive::settings());
    let sandbox = imaged.run("t", "oci:1", json!({"shell": false}));
    assert_eq!(read(sandbox.join("entry")), "/entry always by default\n");
    let script = "cd $MESOS_SANDBOX; ls / > root; cat /data/file > data; touch /data/file /gone";
    let sandbox = imaged.run("u", "oci:1", shell(script));
    assert!(!lines(sandbox.join("root")).contains(&"gone".to_owned()));
    assert_eq!(read(sandbox.join("data")), "above");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_member_of_a_group_has_an_image_of_its_own() {
    let mut imaged = Imaged::start("member");
    let offer = imaged.isolated.framework.offer();
    let script = "ls / > $MESOS_SANDBOX/root; echo $FROM_IMAGE >> $MESOS_SANDBOX/root";
    let mut member = imaged.task("m", &offer, "app", shell(script));
    member["container"]["linux_info"] = json!({});
    let plain = sized("p", &offer, 32.0, "test -d /usr");
    launch_group(&imaged.isolated.framework, &offer, &[member, plain]);
    for name in ["m", "p"] {
        imaged.isolated.framework.await_state(name, "TASK_FINISHED");
    }
    let links = imaged.isolated.sandbox("group").join("tasks");
    let root = lines(links.join("m/root"));
    assert!(
        root.contains(&"entry".to_owned()) && !root.contains(&"usr".to_owned()),
        "{root:?}"
    );
    assert_eq!(root.last().map(String::as_str), Some("image"));
    imaged.wait_until_nothing_is_left();
}

#[test]
fn an_executor_of_a_framework_runs_in_an_image() {
    let mut imaged = Imaged::start("custom");
    let offer = imaged.isolated.framework.offer();
    let mut task = sized("t", &offer, 64.0, "");
    let script = "cd $MESOS_SANDBOX; ls / > root; echo $FROM_IMAGE $MESOS_EXECUTOR_ID >> root";
    task.as_object_mut().expect("a task").remove("command");
    task["executor"] = json!({
        "type": "CUSTOM", "executor_id": {"value": "own"},
        "framework_id": {"value": imaged.isolated.framework.id},
        "command": shell(script), "container": in_image("app"),
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    });
    imaged.isolated.framework.launch(&offer, &[task]);
    // It never subscribes.
    let failed = imaged.isolated.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    let root = lines(imaged.isolated.sandbox("own").join("root"));
    assert!(root.contains(&"entry".to_owned()) && !root.contains(&"usr".to_owned()));
    assert_eq!(root.last().map(String::as_str), Some("image own"));
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_member_is_checked_in_its_image() {
    let mut imaged = Imaged::start("member-check");
    let offer = imaged.isolated.framework.offer();
    let script = "echo mine > $MESOS_SANDBOX/mark; exec sleep 1000";
    let mut member = imaged.task("m", &offer, "app", shell(script));
    let look = "test -x /entry && test ! -e /usr && test $MESOS_SANDBOX = /mnt/mesos/sandbox && \
                test -e $MESOS_SANDBOX/mark && exit 7";
    member["check"] = json!({
        "type": "COMMAND", "command": {"command": {"value": look}},
        "delay_seconds": 0.5, "interval_seconds": 0.1, "timeout_seconds": 30.0,
    });
    launch_group(&imaged.isolated.framework, &offer, &[member]);
    let found = until("a check that passes", || {
        let status = imaged.isolated.framework.update("m");
        assert_ne!(status["state"], "TASK_FAILED", "{status:#}");
        status["check_status"]["command"]["exit_code"].as_i64()
    });
    assert_eq!(found, 7);
    imaged.isolated.framework.kill("m");
    imaged.isolated.framework.await_state("m", "TASK_KILLED");
    imaged.wait_until_nothing_is_left();
}

#[test]
fn a_container_stands_alone_in_an_image_and_others_join_it() {
    let mut imaged = Imaged::start("alone");
    let id = nested::chain(&["a"]);
    let asked = json!({"container": in_image("app"), "command": {"shell": true,
        "value": "while test ! -e /tmp/end; do sleep 0.05; done"}});
    let cluster = imaged.isolated.cluster();
    nested::launch(cluster, &id, "", &asked);
    // It shares the processes of the one around it, and so its files.
    let inner = nested::chain(&["a", "b"]);
    let shares =
        json!({"container": {"type": "MESOS", "linux_info": {"share_pid_namespace": true}}});
    let script = "test -x /entry && pwd > pwd && touch /tmp/end";
    nested::launch(cluster, &inner, script, &shares);
    assert_eq!(nested::wait(cluster, &inner)["exit_status"], 0);
    assert_eq!(nested::wait(cluster, &id)["exit_status"], 0);
    // One with an image of its own may see the processes of one without.
    let (outer, inner) = (nested::chain(&["n"]), nested::chain(&["n", "i"]));
    nested::launch(cluster, &outer, "exec sleep 1000", &json!({}));
    let mut shares = json!({"container": in_image("app")});
    shares["container"]["linux_info"] = json!({"share_pid_namespace": true});
    let script = "test -x /entry && grep -q sleep /proc/[0-9]*/cmdline";
    nested::launch(cluster, &inner, script, &shares);
    assert_eq!(nested::wait(cluster, &inner)["exit_status"], 0);
    nested::signal(cluster, &outer, Signal::SIGKILL);
    nested::wait(cluster, &outer);
    // What an image says counts here, too.
    let id = nested::chain(&["c"]);
    let asked = json!({"container": in_image("app"), "command": {"shell": false}});
    nested::launch(cluster, &id, "", &asked);
    assert_eq!(nested::wait(cluster, &id)["exit_status"], 0);
    let sandbox = cluster.work_dir(0).join("containers/c");
    assert_eq!(read(sandbox.join("entry")), "/entry always by default\n");
    for name in ["a", "n", "c"] {
        assert_eq!(nested::remove(cluster, &nested::chain(&[name])).status, 200);
    }
    let missing = json!({"container": in_image("missing"), "command": {"value": "true"}});
    let refused = nested::call(cluster, &nested::launch_with(&id, "true", &missing));
    assert!(
        refused.status >= 400 && refused.text().contains("missing"),
        "{}",
        refused.text()
    );
    imaged.wait_until_nothing_is_left();
}
