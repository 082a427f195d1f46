//! What is cached is downloaded once, for one user, as long as there is room.
//! The accounts are tested in the core.

use serde_json::{Value, json};

use super::server::{Serve, Server};
use super::{Fixture, archive, content};
use crate::support::cluster::until;

const USED: &str = "containerizer/fetcher/cache_size_used_bytes";

fn cached(url: String) -> Value {
    json!({"value": url, "cache": true})
}

/// The flags of an agent with a cache of this size in a directory of its own.
fn flags(dir: &tempfile::TempDir, size: &str) -> [String; 2] {
    [
        format!("--fetcher_cache_dir={}", dir.path().display()),
        format!("--fetcher_cache_size={size}"),
    ]
}

impl Fixture {
    fn with_cache(dir: &tempfile::TempDir, size: &str) -> Fixture {
        let flags = flags(dir, size);
        Fixture::start(&[&flags[0], &flags[1]])
    }

    /// Runs a task to its end.
    fn finish(&mut self, id: &str, command: &str, uris: &[Value]) {
        let task = self.task(id, command, uris);
        self.launch(&[task]);
        self.framework.await_state(id, "TASK_FINISHED");
        // What is left of the first offer has come back with another.
        self.offer = self.framework.offer();
    }
}

#[test]
fn what_is_cached_is_downloaded_once() {
    let dir = tempfile::tempdir().expect("directory");
    let scratch = tempfile::tempdir().expect("directory");
    let tar = archive(scratch.path(), "a.tar", "-cf", &[("inner", "in the tar")]);
    let size = tar.len() as f64;
    let server = Server::start([("/a.tar", Serve::Content(tar)), ("/b", content("bbb"))]);
    let mut fixture = Fixture::with_cache(&dir, "1MB");
    let uris = [cached(server.url("/a.tar")), cached(server.url("/b"))];
    // An archive is extracted from the cache, and is not in the sandbox.
    let command =
        "test \"$(cat inner)\" = 'in the tar' && test ! -e a.tar && test \"$(cat b)\" = bbb";
    let tasks: Vec<_> = ["t1", "t2", "t3"]
        .iter()
        .map(|id| fixture.task(id, command, &uris))
        .collect();
    fixture.launch(&tasks);
    for id in ["t1", "t2", "t3"] {
        fixture.framework.await_state(id, "TASK_FINISHED");
    }
    for path in ["/a.tar", "/b"] {
        assert_eq!(server.count("HEAD", path), 1, "{path}");
        assert_eq!(server.count("GET", path), 1, "{path}");
    }
    assert_eq!(fixture.agent_metric(USED), size + 3.0);
    assert_eq!(
        fixture.agent_metric("containerizer/fetcher/cache_size_total_bytes"),
        1024.0 * 1024.0
    );
}

#[test]
fn what_nobody_needs_makes_room() {
    let dir = tempfile::tempdir().expect("directory");
    let kilobyte = |letter: u8| Serve::Content(vec![letter; 1024]);
    let server = Server::start([
        ("/a", kilobyte(b'a')),
        ("/b", kilobyte(b'b')),
        ("/c", kilobyte(b'c')),
        ("/large", Serve::Content(vec![b'x'; 4096])),
    ]);
    let mut fixture = Fixture::with_cache(&dir, "2KB");
    let mut run = |id: &str, path: &str| {
        let command = format!("test -s {}", path.trim_start_matches('/'));
        fixture.finish(id, &command, &[cached(server.url(path))]);
    };
    run("t1", "/a");
    run("t2", "/b");
    run("t3", "/a");
    run("t4", "/c");
    // Only `b` has gone for `c`: `a` was asked for later.
    run("t5", "/a");
    run("t6", "/large");
    run("t7", "/large");
    run("t8", "/b");
    let gets = |path| server.count("GET", path);
    assert_eq!([gets("/a"), gets("/b"), gets("/c")], [1, 2, 1]);
    assert_eq!(gets("/large"), 2, "it is larger than the cache");
    assert_eq!(fixture.agent_metric(USED), 2048.0);
    let files = files_below(dir.path());
    assert_eq!(files, 2, "evicted files are removed");
}

fn files_below(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).expect("directory").flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            _ => 1,
        })
        .sum()
}

#[test]
fn a_failure_is_everybodys_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let server = Server::start([("/cut", Serve::CutAfter(2, b"0123456789".to_vec()))]);
    let mut fixture = Fixture::with_cache(&dir, "1MB");
    let url = server.url("/cut");
    let tasks: Vec<_> = ["t1", "t2"]
        .iter()
        .map(|id| fixture.task(id, "true", &[cached(url.clone())]))
        .collect();
    fixture.launch(&tasks);
    for id in ["t1", "t2"] {
        let failed = fixture.framework.await_state(id, "TASK_FAILED");
        let message = failed["message"].as_str().expect("message");
        assert!(
            message.contains(&format!("Failed to fetch '{url}': ")),
            "{message}"
        );
        assert!(message.contains("after 2 of 10 bytes"), "{message}");
    }
    until("an empty cache", || {
        (fixture.agent_metric(USED) == 0.0).then_some(())
    });
    assert_eq!(files_below(dir.path()), 0);
}

#[test]
fn the_cache_is_empty_after_a_restart() {
    let dir = tempfile::tempdir().expect("directory");
    let server = Server::start([("/a", content("aaa"))]);
    let mut fixture = Fixture::with_cache(&dir, "1MB");
    fixture.finish("t1", "test -s a", &[cached(server.url("/a"))]);
    assert_eq!(files_below(dir.path()), 1);
    fixture.cluster.agents[0].signal(nix::sys::signal::Signal::SIGTERM);
    fixture.cluster.agents[0].wait();
    let flags = flags(&dir, "1MB");
    fixture.cluster.restart_agent(0, &[&flags[0], &flags[1]]);
    assert_eq!(files_below(dir.path()), 0);
    assert_eq!(fixture.agent_metric(USED), 0.0);
}
