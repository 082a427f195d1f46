//! What tasks may do: as whom they run, which rights they have, and which they never get. Needs root.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use serde_json::{Value, json};

use super::isolation::{Isolated, executor_pid, read, sized};
use super::operations;
use crate::support::cgroups::{Cgroups, need_root};
use crate::support::cluster::{Cluster, binary, free_port, start_agent_after, start_master};
use crate::support::framework::{Encoding, Framework, task};

/// A user that every system has.
const NOBODY: u32 = 65534;

/// Where everybody may look: sandboxes are below a directory of root's.
struct Open {
    dir: tempfile::TempDir,
}

impl Open {
    fn new() -> Open {
        let dir = tempfile::tempdir().expect("directory");
        open_to_everybody(dir.path());
        Open { dir }
    }

    /// A program that tells whose rights it has, and would have those of root.
    fn program(&self) -> PathBuf {
        let program = self.dir.path().join("id");
        std::fs::copy("/usr/bin/id", &program).expect("a copy");
        let setuid = std::fs::Permissions::from_mode(0o4755);
        std::fs::set_permissions(&program, setuid).expect("mode");
        program
    }
}

fn open_to_everybody(path: &Path) {
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, everybody).expect("mode");
}

/// The cgroups of an agent, which go when it has ended.
struct Own(Cgroups);

impl Own {
    fn new(name: &str) -> Own {
        need_root();
        let root = format!("tepui-test-{name}-{}", std::process::id());
        Own(Cgroups { root })
    }

    /// The flags of an agent with one launcher.
    fn flags(&self, launcher: &str) -> [String; 2] {
        let root = &self.0.root;
        [
            format!("--launcher={launcher}"),
            format!("--cgroups_root={root}"),
        ]
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// What a script says that `nobody` runs, by an agent that is there already.
fn said_by_nobody(cluster: &Cluster, name: &str, script: &str) -> String {
    open_to_everybody(cluster.dir.path());
    let mut framework = Framework::simple(cluster.master.address, name, &[]);
    let offer = framework.offer();
    let mut asks = task("asks", &offer, script);
    asks["command"]["user"] = json!("nobody");
    framework.launch(&offer, &[asks]);
    framework.await_state("asks", "TASK_FINISHED");
    let run = format!(
        "slaves/latest/frameworks/{}/executors/asks/runs/latest",
        framework.id
    );
    read(cluster.work_dir(0).join(run).join("stdout"))
}

/// Who a program that is setuid runs as when `nobody` starts it, by an agent with these flags.
fn seen(name: &str, launcher: &str, more: &[&str]) -> String {
    let own = Own::new(name);
    let open = Open::new();
    let program = open.program();
    let flags = own.flags(launcher);
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(more);
    let cluster = Cluster::with(1, &[], &flags);
    let script = format!("test $(id -u) = {NOBODY} && {} -u", program.display());
    let stdout = said_by_nobody(&cluster, name, &script);
    stdout.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn tasks_get_no_rights_from_programs_that_are_setuid() {
    assert_eq!(seen("refused", "posix", &[]), "65534");
    assert_eq!(seen("refused-linux", "linux", &[]), "65534");
}

#[test]
fn tasks_get_them_where_the_operator_says_so() {
    let allowed = ["--no-no_new_privs"];
    assert_eq!(seen("allowed", "posix", &allowed), "0");
    assert_eq!(seen("allowed-linux", "linux", &allowed), "0");
}

#[test]
fn a_task_owns_its_sandbox_and_its_volume() {
    for launcher in ["posix", "linux"] {
        let own = Own::new("owner");
        let flags = own.flags(launcher);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let cluster = Cluster::with(1, &[], &flags);
        open_to_everybody(cluster.dir.path());
        let master = cluster.master.address;
        let mut framework = Framework::subscribe(master, Encoding::Json, operations::web());
        let offer = framework.offer();
        let script = "id -un; touch mine; echo kept > data/file";
        let mut task = operations::task_on_volume("owner", &offer, script);
        task["command"]["user"] = json!("nobody");
        let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [task]}});
        let (reserve, create) = (operations::reserve("r"), operations::create("c"));
        framework.accept(&offer, json!([reserve, create, launch]), 0.0);
        framework.await_state("owner", "TASK_FINISHED");
        let work_dir = cluster.work_dir(0);
        let run = format!(
            "slaves/latest/frameworks/{}/executors/owner/runs/latest",
            framework.id
        );
        let sandbox = work_dir.join(run);
        let stdout = read(sandbox.join("stdout"));
        assert_eq!(stdout.lines().last(), Some("nobody"), "{launcher}");
        let volume = work_dir.join("volumes/roles/web/kept");
        let all = [
            sandbox.clone(),
            sandbox.join("mine"),
            volume.clone(),
            volume.join("file"),
        ];
        for path in all {
            let owner = std::fs::metadata(&path).expect("it is there").uid();
            assert_eq!(owner, NOBODY, "{launcher}: {}", path.display());
        }
    }
}

/// All groups count that the host gives a user. Only the agent sees this list of groups.
fn groups_of_nobody(launcher: &str) -> String {
    let own = Own::new("groups");
    let dir = tempfile::tempdir().expect("directory");
    let groups = dir.path().join("group");
    let mut text = read("/etc/group");
    text.push_str("tepui-extra:x:54321:nobody\n");
    std::fs::write(&groups, text).expect("groups");
    open_to_everybody(&groups);
    let master = start_master(dir.path(), &[]);
    let setup = format!(
        "exec unshare --mount sh -c 'mount --bind {} /etc/group && exec \"$0\" \"$@\"' \"$0\" \"$@\"",
        groups.display()
    );
    let flags = own.flags(launcher);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let address = master.address.to_string();
    let work_dir = dir.path().join("agent-1");
    let agent = start_agent_after(&setup, free_port(), &work_dir, &address, &flags);
    let cluster = Cluster {
        agents: vec![agent],
        master,
        dir,
    };
    let script = "id -u; id -G; grep NoNewPrivs /proc/self/status";
    said_by_nobody(&cluster, "groups", script)
}

#[test]
fn tasks_are_in_all_groups_of_their_user() {
    for launcher in ["posix", "linux"] {
        let said = groups_of_nobody(launcher);
        let expected = "65534\n65534 54321\nNoNewPrivs:\t1\n";
        assert!(said.ends_with(expected), "{launcher}: {said}");
    }
}

/// What the kernel tells of a task's rights and limits, by the words it has for them.
fn rights(isolated: &mut Isolated, id: &str, user: &str, info: &Value) -> Vec<String> {
    let offer = isolated.framework.offer();
    let script = "grep -o '^Cap.*' /proc/self/status > rights; \
                  for limit in -Sn -Hn -c; do ulimit $limit; done >> rights";
    let mut asks = sized(id, &offer, 32.0, script);
    asks["command"]["user"] = json!(user);
    asks["container"] = json!({"type": "MESOS"});
    for (key, value) in info.as_object().expect("an object") {
        asks["container"][key] = value.clone();
    }
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [asks]}}]);
    isolated.framework.accept(&offer, launch, 0.0);
    isolated.framework.await_state(id, "TASK_FINISHED");
    let text = read(isolated.sandbox(id).join("rights"));
    text.split_whitespace().map(str::to_owned).collect()
}

/// The sets of capabilities that the kernel tells, all of which are these.
fn all_are(mask: &str) -> Vec<String> {
    let names = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
    let pairs = names
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{mask:0>16}")]);
    pairs.collect()
}

#[test]
fn rights_and_limits_are_those_that_were_asked_for_whoever_the_user_is() {
    let allowed = r#"--bounding_capabilities={"capabilities":["CHOWN","DAC_OVERRIDE","KILL"]}"#;
    let isolation = "posix/rlimits,linux/capabilities,filesystem/linux,namespaces/pid";
    let mut isolated = Isolated::with("rights", isolation, &[allowed]);
    open_to_everybody(isolated.cluster().dir.path());
    let info = json!({
        "linux_info": {
            "effective_capabilities": {"capabilities": ["CHOWN"]},
            "bounding_capabilities": {"capabilities": ["CHOWN"]},
        },
        "rlimit_info": {"rlimits": [
            {"type": "RLMT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLMT_CORE"},
        ]},
    });
    for user in ["nobody", "root"] {
        let all = rights(&mut isolated, user, user, &info);
        assert_eq!(all[..10], all_are("1"), "{user}");
        assert_eq!(all[10..], ["100", "200", "unlimited"], "{user}");
    }
    // Where a framework asks for nothing, root keeps what the operator allows, and others nothing.
    let plain = json!({});
    let of_root = rights(&mut isolated, "plain-root", "root", &plain);
    assert_eq!(of_root[..10], all_are("23"));
    let of_nobody = rights(&mut isolated, "plain-nobody", "nobody", &plain);
    let (held, bounds) = (&of_nobody[5], &of_nobody[7]);
    assert_eq!(held, &"0".repeat(16));
    assert_eq!(bounds, &format!("{:0>16}", "23"));
    // More than is allowed is refused, with what is.
    let offer = isolated.framework.offer();
    let mut greedy = sized("greedy", &offer, 32.0, "true");
    greedy["container"] = json!({"type": "MESOS", "linux_info": {
        "effective_capabilities": {"capabilities": ["SYS_ADMIN"]},
    }});
    isolated.framework.launch(&offer, &[greedy]);
    let failed = isolated.framework.await_state("greedy", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("'{SYS_ADMIN}', but only '{CHOWN, "),
        "{message}"
    );
    isolated.wait_until_nothing_is_left();
}

#[test]
fn nobody_can_write_to_the_program_that_a_container_was_started_from() {
    let program = binary("tepui-agent");
    let before = std::fs::metadata(&program).expect("the agent's program");
    let isolation = "filesystem/linux,namespaces/pid";
    let mut isolated = Isolated::with("sealed", isolation, &[]);
    let offer = isolated.framework.offer();
    // The first process of the container's namespace is the helper.
    let script = "readlink /proc/1/exe > exe; echo x > /proc/1/exe; echo $? > status; \
                  : > done; exec sleep 1000";
    isolated
        .framework
        .launch(&offer, &[sized("t", &offer, 32.0, script)]);
    let running = isolated.framework.await_state("t", "TASK_RUNNING");
    let sandbox = isolated.sandbox("t");
    crate::support::cluster::until("the attempt", || {
        sandbox.join("done").exists().then_some(())
    });
    let seen = read(sandbox.join("exe"));
    assert!(seen.starts_with("/memfd:"), "{seen}");
    assert_ne!(read(sandbox.join("status")).trim(), "0");
    let helper = format!("/proc/{}/exe", executor_pid(&running));
    let helper = std::fs::File::open(helper).expect("the helper's program");
    let seals = fcntl(&helper, FcntlArg::F_GET_SEALS).expect("seals");
    let all = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    let seals = SealFlag::from_bits_truncate(seals);
    assert!(seals.contains(all), "{seals:?}");
    // Also once nobody runs it: there is a name of it as long as somebody has it open.
    let by_name = format!("/proc/self/fd/{}", helper.as_raw_fd());
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
    let written = std::fs::write(by_name, "x");
    assert!(written.is_err(), "it was written to");
    let after = std::fs::metadata(&program).expect("the agent's program");
    assert_eq!(
        (before.ino(), before.len(), before.mtime_nsec()),
        (after.ino(), after.len(), after.mtime_nsec())
    );
}
