//! The URIs of tasks are fetched into their sandboxes before they start: real agents, a real server.
//! How archives are read is tested in `tepui-fetcher` itself.

mod cache;
mod server;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::abuse::on_a_small_disk;
use crate::support::cluster::{Cluster, metric, until};
use crate::support::framework::{Framework, task};
use crate::support::marathon::Marathon;
use server::{Serve, Server};

/// A cluster with one agent and a framework that has been offered it.
struct Fixture {
    cluster: Cluster,
    framework: Framework,
    offer: Value,
}

impl Fixture {
    fn start(agent_flags: &[&str]) -> Fixture {
        let cluster = Cluster::with(1, &[], agent_flags);
        let mut framework = Framework::simple(cluster.master.address, "fetch", &[]);
        let offer = framework.offer();
        Fixture {
            cluster,
            framework,
            offer,
        }
    }

    /// A task that runs a command when its URIs are there.
    fn task(&self, id: &str, command: &str, uris: &[Value]) -> Value {
        let mut task = task(id, &self.offer, command);
        task["command"]["uris"] = json!(uris);
        task
    }

    fn launch(&mut self, tasks: &[Value]) {
        self.framework.launch(&self.offer, tasks);
    }

    /// Launches one task that must fail before it starts; says why.
    fn failure(mut self, uris: &[Value]) -> String {
        let task = self.task("t", "true", uris);
        self.launch(&[task]);
        let failed = self.framework.update("t");
        assert_eq!(failed["state"], "TASK_FAILED", "{failed}");
        assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
        let agent = self.cluster.agents[0].address;
        until("the count", || {
            let count = metric(agent, "containerizer/fetcher/task_fetches_failed");
            (count == 1.0).then_some(())
        });
        let message = failed["message"].as_str().expect("message");
        let rest = message.strip_prefix("Failed to launch container: ");
        rest.unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    /// A file outside of all sandboxes.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.cluster.dir.path().join(name);
        std::fs::write(&path, content).expect("file");
        path
    }

    fn agent_metric(&self, key: &str) -> f64 {
        metric(self.cluster.agents[0].address, key)
    }
}

fn uri(value: impl AsRef<str>) -> Value {
    json!({"value": value.as_ref()})
}

fn content(text: &str) -> Serve {
    Serve::Content(text.as_bytes().to_vec())
}

/// An archive made by the system's tar from files of this content.
fn archive(dir: &Path, name: &str, flag: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let from = dir.join(format!("{name}.d"));
    for (path, text) in files {
        let path = from.join(path);
        std::fs::create_dir_all(path.parent().expect("directory")).expect("directory");
        std::fs::write(&path, text).expect("file");
    }
    let to = dir.join(name);
    let done = std::process::Command::new("tar")
        .arg(flag)
        .arg(&to)
        .arg("-C")
        .arg(&from)
        .arg(".")
        .status();
    assert!(done.expect("tar is missing: install it").success());
    std::fs::read(&to).expect("archive")
}

#[test]
fn files_of_all_kinds_are_there_when_the_task_starts() {
    let scratch = tempfile::tempdir().expect("directory");
    let tar = archive(
        scratch.path(),
        "a.tar.gz",
        "-czf",
        &[("in/tar", "from the tar")],
    );
    let server = Server::start([
        ("/plain.txt", content("plain")),
        ("/moved", Serve::Redirect("/plain.txt".into())),
        ("/a.tar.gz", Serve::Content(tar.clone())),
        ("/kept.tar.gz", Serve::Content(tar)),
        ("/run.sh", content("#!/bin/sh\necho executed > executed\n")),
    ]);
    let home = tempfile::tempdir().expect("directory");
    std::fs::write(home.path().join("relative"), "relative").expect("file");
    let home_flag = format!("--frameworks_home={}", home.path().display());
    let mut fixture = Fixture::start(&[&home_flag]);
    let local = fixture.file("local file", "local");
    let uris = [
        uri(server.url("/plain.txt")),
        uri(server.url("/moved")),
        uri(server.url("/a.tar.gz")),
        json!({"value": server.url("/kept.tar.gz"), "extract": false, "output_file": "k/kept.tar.gz"}),
        json!({"value": server.url("/run.sh"), "executable": true}),
        uri(format!("file://{}", local.display())),
        json!({"value": local.to_str(), "output_file": "deep/er/copy"}),
        uri("relative"),
    ];
    let command = "set -e; ./run.sh; test \"$(cat plain.txt)\" = plain; test \"$(cat moved)\" = plain; \
                   test \"$(cat in/tar)\" = 'from the tar'; test -f a.tar.gz; test -f k/kept.tar.gz; \
                   test \"$(cat 'local file')\" = local; test \"$(cat deep/er/copy)\" = local; \
                   test \"$(cat relative)\" = relative; test \"$(cat executed)\" = executed; \
                   grep -q \"Fetching URI 'relative'\" stderr";
    let task = fixture.task("t", command, &uris);
    fixture.launch(&[task]);
    assert_eq!(fixture.framework.update("t")["state"], "TASK_STARTING");
    let ended = until("the end", || {
        let status = fixture.framework.update("t");
        (status["state"] != "TASK_RUNNING").then_some(status)
    });
    assert_eq!(ended["state"], "TASK_FINISHED", "{ended}");
    assert_eq!(
        fixture.agent_metric("containerizer/fetcher/task_fetches_succeeded"),
        1.0
    );
}

#[test]
fn a_status_that_is_no_success_fails_the_task() {
    let server = Server::start([("/gone", Serve::Status(410))]);
    let url = server.url("/absent");
    let why = Fixture::start(&[]).failure(&[uri(&url)]);
    assert_eq!(
        why,
        format!(
            "Failed to fetch '{url}': Error downloading resource, received HTTP return code 404"
        )
    );
    let url = server.url("/gone");
    let why = Fixture::start(&[]).failure(&[json!({"value": url, "cache": true})]);
    assert!(why.ends_with("received HTTP return code 410"), "{why}");
}

#[test]
fn a_server_that_is_not_there_fails_the_task() {
    let url = "http://127.0.0.1:9/x";
    let why = Fixture::start(&[]).failure(&[uri(url)]);
    let begin = format!("Failed to fetch '{url}': Error downloading resource: ");
    assert!(why.starts_with(&begin), "{why}");
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn a_server_that_falls_silent_fails_the_task() {
    let server = Server::start([("/slow", Serve::Silent(b"begin".to_vec()))]);
    let url = server.url("/slow");
    let why = Fixture::start(&["--fetcher_stall_timeout=300ms"]).failure(&[uri(&url)]);
    assert_eq!(
        why,
        format!(
            "Failed to fetch '{url}': Error downloading resource: no byte came for 0.3 seconds \
             (see --fetcher_stall_timeout)"
        )
    );
}

#[test]
fn a_body_that_is_cut_off_fails_the_task() {
    let server = Server::start([("/cut", Serve::CutAfter(4, b"0123456789".to_vec()))]);
    let url = server.url("/cut");
    let why = Fixture::start(&[]).failure(&[uri(&url)]);
    let begin = format!("Failed to fetch '{url}': Error downloading resource: ");
    assert!(why.starts_with(&begin), "{why}");
    assert!(why.contains("after 4 of 10 bytes"), "{why}");
}

#[test]
fn what_cannot_be_fetched_at_all_is_refused_clearly() {
    let why = Fixture::start(&[]).failure(&[uri("ftp://host/file")]);
    assert_eq!(
        why,
        "Failed to fetch 'ftp://host/file': the scheme 'ftp' is not supported, expected http, https, \
         file, or a path"
    );
    let why =
        Fixture::start(&[]).failure(&[json!({"value": "/etc/passwd", "output_file": "../x"})]);
    assert!(
        why.contains("URI output file must be within the sandbox directory"),
        "{why}"
    );
}

#[test]
fn an_archive_that_leads_out_of_the_sandbox_harms_nobody() {
    let mut fixture = Fixture::start(&[]);
    let dir = fixture.cluster.dir.path().to_owned();
    // The second is a link out of the sandbox, and a file that goes through it.
    let out = dir.join("out");
    std::fs::create_dir(&out).expect("directory");
    let made = std::process::Command::new("python3")
        .arg("-c")
        .arg(HARMFUL)
        .arg(&dir)
        .arg(&out)
        .status();
    assert!(made.expect("python3 is missing: install it").success());
    let tasks: Vec<_> = ["parent.tar", "link.tar"]
        .iter()
        .map(|name| {
            let path = dir.join(name);
            fixture.task(name, "true", &[uri(path.to_str().expect("path"))])
        })
        .collect();
    fixture.launch(&tasks);
    let failed = fixture.framework.await_state("parent.tar", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("entry '../evil' leads out of the sandbox"),
        "{message}"
    );
    let failed = fixture.framework.await_state("link.tar", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("entry 'link/evil': it leads out of the sandbox"),
        "{message}"
    );
    assert_eq!(std::fs::read_dir(&out).expect("directory").count(), 0);
}

/// Writes `parent.tar` and `link.tar` into the first argument; the link leads to the second.
const HARMFUL: &str = "
import io, sys, tarfile
def entry(archive, name, text):
    info = tarfile.TarInfo(name)
    info.size = len(text)
    archive.addfile(info, io.BytesIO(text))
with tarfile.open(sys.argv[1] + '/parent.tar', 'w') as archive:
    entry(archive, '../evil', b'evil')
with tarfile.open(sys.argv[1] + '/link.tar', 'w') as archive:
    info = tarfile.TarInfo('link')
    info.type, info.linkname = tarfile.SYMTYPE, sys.argv[2]
    archive.addfile(info)
    entry(archive, 'link/evil', b'evil')
";

#[test]
fn an_archive_made_to_fill_disks_fails_the_task() {
    let fixture = Fixture::start(&[]);
    let path = fixture.cluster.dir.path().join("bomb.tar.bz2");
    let made = std::process::Command::new("python3")
        .arg("-c")
        .arg(BOMB)
        .arg(&path)
        .status();
    assert!(made.expect("python3 is missing: install it").success());
    let path = path.to_str().expect("path").to_owned();
    let why = fixture.failure(&[uri(&path)]);
    let begin = format!("Failed to fetch '{path}': Failed to extract the archive: ");
    assert!(why.starts_with(&begin), "{why}");
    assert!(
        why.contains("it looks like an archive made to fill disks"),
        "{why}"
    );
}

/// Writes a small archive of one large file of zeros.
const BOMB: &str = "
import bz2, sys, tarfile
info = tarfile.TarInfo('zeros')
info.size = 300 << 20
with open(sys.argv[1], 'wb') as file:
    packer = bz2.BZ2Compressor(9)
    file.write(packer.compress(info.tobuf()))
    for _ in range(300):
        file.write(packer.compress(bytes(1 << 20)))
    file.write(packer.compress(bytes(1024)))
    file.write(packer.flush())
";

#[test]
fn a_kill_ends_the_fetching_and_nothing_else() {
    let server = Server::start([("/slow", Serve::Silent(b"begin".to_vec()))]);
    let mut fixture = Fixture::start(&[]);
    let slow = fixture.task("slow", "true", &[uri(server.url("/slow"))]);
    let other = fixture.task("other", "sleep 1000", &[]);
    fixture.launch(&[slow, other]);
    // One that waits for a server does not delay another.
    fixture.framework.await_state("other", "TASK_RUNNING");
    until("the request", || {
        (server.count("GET", "/slow") == 1).then_some(())
    });
    fixture.framework.kill("slow");
    let killed = fixture.framework.await_state("slow", "TASK_KILLED");
    assert_eq!(killed["reason"], "REASON_TASK_KILLED_DURING_LAUNCH");
    let agent = fixture.cluster.agents[0].address;
    until("the executor's end", || {
        (metric(agent, "slave/executors_terminated") == 1.0).then_some(())
    });
    let agent_pid = fixture.cluster.agents[0].pid();
    until("the fetcher's end", || {
        fetchers(agent_pid).is_empty().then_some(())
    });
    assert_eq!(metric(agent, "slave/tasks_running"), 1.0);
}

/// Processes of the fetcher that an agent has started.
fn fetchers(agent: i32) -> Vec<String> {
    let tasks = format!("/proc/{agent}/task");
    let threads = std::fs::read_dir(tasks).expect("threads").flatten();
    let children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<_> = children
        .flat_map(|line| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    pids.into_iter()
        .filter(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "tepui-fetcher"
        })
        .collect()
}

#[test]
fn an_agent_that_dies_takes_its_fetchers_along_and_their_tasks_fail() {
    let server = Server::start([("/slow", Serve::Silent(b"begin".to_vec()))]);
    let cluster = Cluster::start(1);
    let mut info = crate::support::framework::info("restart", &[]);
    info["checkpoint"] = json!(true);
    let encoding = crate::support::framework::Encoding::Json;
    let mut framework = Framework::subscribe(cluster.master.address, encoding, info);
    let offer = framework.offer();
    let mut fixture = Fixture {
        cluster,
        framework,
        offer,
    };
    let slow = fixture.task("slow", "true", &[uri(server.url("/slow"))]);
    fixture.launch(&[slow]);
    until("the request", || {
        (server.count("GET", "/slow") == 1).then_some(())
    });
    let pid = fixture.cluster.agents[0].pid();
    let fetcher = fetchers(pid).pop().expect("a fetcher");
    fixture.cluster.agents[0].signal(nix::sys::signal::Signal::SIGKILL);
    fixture.cluster.agents[0].wait();
    until("the fetcher's end", || {
        let state = std::fs::read_to_string(format!("/proc/{fetcher}/stat"));
        state
            .map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
    fixture.cluster.restart_agent(0, &[]);
    let ended = fixture.framework.await_state("slow", "TASK_FAILED");
    assert_eq!(ended["source"], "SOURCE_AGENT", "{ended}");
}

#[test]
fn a_task_gets_only_what_its_user_may_read() {
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "this test runs as root"
    );
    let shared = tempfile::tempdir().expect("directory");
    open_to_all(shared.path());
    let secret = shared.path().join("secret");
    std::fs::write(&secret, "root's").expect("file");
    set_mode(&secret, 0o600);
    let public = shared.path().join("public");
    std::fs::write(&public, "everybody's").expect("file");
    let mut fixture = Fixture::start(&["--switch_user=true"]);
    open_to_all(fixture.cluster.dir.path());
    let as_nobody = |fixture: &Fixture, id: &str, path: &Path| {
        let command = "test \"$(stat -c %U public)\" = nobody";
        let mut task = fixture.task(id, command, &[uri(path.to_str().expect("path"))]);
        task["command"]["user"] = json!("nobody");
        task
    };
    let tasks = [
        as_nobody(&fixture, "secret", &secret),
        as_nobody(&fixture, "public", &public),
    ];
    fixture.launch(&tasks);
    let failed = fixture.framework.await_state("secret", "TASK_FAILED");
    let path = secret.display();
    assert_eq!(
        failed["message"],
        format!(
            "Failed to launch container: Failed to fetch '{path}': Failed to read '{path}': \
             Permission denied (os error 13)"
        )
    );
    fixture.framework.await_state("public", "TASK_FINISHED");
}

/// Another user must be able to come through.
fn open_to_all(dir: &Path) {
    set_mode(dir, 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("mode");
}

#[test]
fn an_app_that_fetches_runs() {
    let server = Server::start([("/message", content("fetched"))]);
    let cluster = Cluster::start(1);
    let marathon = Marathon::start(cluster.dir.path(), cluster.master.address, &[]);
    marathon.change(
        "POST",
        "/v2/apps",
        &json!({
            "id": "/fetching",
            "cmd": "grep -q fetched message && sleep 1000",
            "instances": 1,
            "cpus": 0.1,
            "mem": 32,
            "fetch": [{"uri": server.url("/message")}],
        }),
    );
    marathon.await_running("/fetching", 1);
    assert_eq!(server.count("GET", "/message"), 1);
}

#[test]
fn what_finds_no_room_says_so_and_names_its_uri() {
    let server = Server::start([("/large", Serve::Content(vec![b'x'; 24 << 20]))]);
    for is_local in [false, true] {
        let (unmount, cluster) = on_a_small_disk("size=16m");
        let local = cluster.dir.path().join("large");
        std::fs::write(&local, vec![b'x'; 24 << 20]).expect("a file");
        let value = match is_local {
            true => local.display().to_string(),
            false => server.url("/large"),
        };
        let mut framework = Framework::simple(cluster.master.address, "full", &[]);
        let offer = framework.offer();
        let mut fetching = task("t", &offer, "true");
        fetching["command"]["uris"] = json!([uri(&value)]);
        framework.launch(&offer, &[fetching]);
        let failed = framework.await_state("t", "TASK_FAILED");
        assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
        let message = failed["message"].as_str().expect("a message");
        assert!(message.contains(&format!("'{value}'")), "{message}");
        assert!(message.contains("No space left on device"), "{message}");
        drop(cluster);
        drop(unmount);
    }
}
