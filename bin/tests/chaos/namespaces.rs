//! Runs a test in namespaces of its own, so that it can cut networks and leaves nothing behind.
//! Starts no program of the cluster itself.
//!
//! Network, processes and mounts are private: the kernel ends every process and removes every
//! interface when the first process in there ends, however the test ends.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::zookeeper::JAR;

/// Set within the namespaces.
const INSIDE: &str = "TEPUI_CHAOS_INSIDE";

/// The first process of the namespaces runs this: it waits for the test, and for every orphan that
/// comes to it, as `init` does. A crashed agent leaves orphans.
const FIRST_PROCESS: &str = "\"$0\" \"$@\"; exit $?";

/// Whether this process runs within them.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test of this program within new namespaces; fails when it does.
pub fn run(test: &str) {
    check_what_is_needed();
    let program = std::env::current_exe().expect("the test's program");
    let mut child = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "sh", "-c", FIRST_PROCESS])
        .arg(program)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .spawn()
        .expect("unshare, of the Debian package util-linux");
    // Its standard input stays open as long as this process lives.
    let input = child.stdin.take();
    let status = child.wait().expect("the test's end");
    drop(input);
    assert!(
        status.success(),
        "failed, see above (exit status {:?}, signal {:?})",
        status.code(),
        status.signal()
    );
}

/// Makes the namespaces ready; must be called first within them.
pub fn settle_in() {
    std::thread::spawn(|| {
        // Nobody writes: this returns when the one outside has ended, and nobody waits any more.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    std::fs::create_dir_all("/run/netns").expect("/run/netns");
    // What `ip netns` puts there is seen here only.
    crate::network::run("mount", &["-t", "tmpfs", "tmpfs", "/run/netns"]);
}

fn check_what_is_needed() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test cuts off real processes from each other and needs network namespaces for that: \
         run it as root (or in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    );
    let programs = [
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("mount", "mount"),
        ("java", "default-jre-headless"),
    ];
    for (program, package) in programs {
        let found = std::env::var("PATH").is_ok_and(|path| {
            let mut places = path.split(':');
            places.any(|place| Path::new(place).join(program).exists())
        });
        assert!(
            found,
            "{program} is missing: install the Debian package {package}"
        );
    }
    assert!(
        Path::new(JAR).exists(),
        "{JAR} is missing: install the Debian package zookeeper"
    );
}
