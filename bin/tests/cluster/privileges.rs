//! Whether tasks get rights from programs that are setuid. Needs root.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::support::cluster::Cluster;
use crate::support::framework::{Framework, task};

/// Where everybody may look: sandboxes are below a directory of root's.
struct Open {
    dir: tempfile::TempDir,
}

impl Open {
    fn new() -> Open {
        let dir = tempfile::tempdir().expect("directory");
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).expect("mode");
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

/// Who a program that is setuid runs as when `nobody` starts it, by an agent with these flags.
fn seen(name: &str, flags: &[&str]) -> String {
    let open = Open::new();
    let program = open.program();
    let cluster = Cluster::with(1, &[], flags);
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(cluster.dir.path(), everybody).expect("mode");
    let mut framework = Framework::simple(cluster.master.address, name, &[]);
    let offer = framework.offer();
    let script = format!("test $(id -u) = 65534 && {} -u", program.display());
    let mut asks = task("asks", &offer, &script);
    asks["command"]["user"] = json!("nobody");
    framework.launch(&offer, &[asks]);
    framework.await_state("asks", "TASK_FINISHED");
    let run = format!(
        "slaves/latest/frameworks/{}/executors/asks/runs/latest",
        framework.id
    );
    let stdout = std::fs::read_to_string(cluster.work_dir(0).join(run).join("stdout"));
    let stdout = stdout.expect("stdout");
    stdout.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn tasks_get_no_rights_from_programs_that_are_setuid() {
    assert_eq!(seen("refused", &[]), "65534");
}

#[test]
fn tasks_get_them_where_the_operator_says_so() {
    assert_eq!(seen("allowed", &["--no-no_new_privs"]), "0");
}
