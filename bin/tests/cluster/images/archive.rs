//! Archives with images, made of this machine's busybox.
//! Checks nothing.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Programs of busybox that scripts use.
const PROGRAMS: [&str; 18] = [
    "sh", "ls", "cat", "echo", "sleep", "id", "pwd", "env", "test", "grep", "mkdir", "touch",
    "readlink", "wc", "stat", "sort", "true", "rm",
];

/// What the image starts with: tells what it was told.
const ENTRY: &str = "#!/bin/sh\n\
    echo \"$0 $*\" > $MESOS_SANDBOX/entry\n\
    id -u > $MESOS_SANDBOX/uid; id -G > $MESOS_SANDBOX/groups; pwd > $MESOS_SANDBOX/pwd\n\
    env | sort > $MESOS_SANDBOX/env\n";

pub(super) const USERS: &str = "root:x:0:0::/:/bin/sh\napp:x:1234:1235::/:/bin/sh\n";

/// What the settings of an image are.
pub(super) fn settings() -> Value {
    json!({
        "Env": ["PATH=/bin", "FROM_IMAGE=image", "BOTH=image"],
        "Entrypoint": ["/entry", "always"],
        "Cmd": ["by", "default"],
        "WorkingDir": "/wd/dir",
    })
}

/// What belongs to root.
fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = header(tar::EntryType::Regular, mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).expect("a file");
}

fn directory(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32) {
    let mut header = header(tar::EntryType::Directory, mode);
    tar.append_data(&mut header, path, &[][..])
        .expect("a directory");
}

/// Two layers: the second one hides something of the first.
fn layers() -> [Vec<u8>; 2] {
    let mut below = tar::Builder::new(Vec::new());
    for path in ["bin", "etc", "gone", "data"] {
        directory(&mut below, path, 0o755);
    }
    directory(&mut below, "tmp", 0o1777);
    let busybox = std::fs::read("/bin/busybox").expect("busybox, linked statically");
    file(&mut below, "bin/busybox", 0o755, &busybox);
    for program in PROGRAMS {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        let path = format!("bin/{program}");
        below
            .append_link(&mut header, path, "busybox")
            .expect("a link");
    }
    file(&mut below, "etc/passwd", 0o644, USERS.as_bytes());
    file(&mut below, "etc/group", 0o644, b"root:x:0:\nweb:x:33:app\n");
    file(&mut below, "gone/file", 0o644, b"below");
    file(&mut below, "data/file", 0o644, b"below");
    file(&mut below, "data/other", 0o644, b"below");
    let mut above = tar::Builder::new(Vec::new());
    file(&mut above, ".wh.gone", 0o644, b"");
    file(&mut above, "data/file", 0o644, b"above");
    file(&mut above, "entry", 0o755, ENTRY.as_bytes());
    [below, above].map(|tar| tar.into_inner().expect("a layer"))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(bytes)
        .expect("to write");
    let output = child.wait_with_output().expect("its output");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().next().expect("a digest").to_owned()
}

fn config(layers: &[Vec<u8>], settings: &Value) -> Vec<u8> {
    let ids = layers
        .iter()
        .map(|layer| format!("sha256:{}", sha256(layer)));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": settings,
        "rootfs": {"type": "layers", "diff_ids": ids.collect::<Vec<_>>()},
    });
    serde_json::to_vec(&config).expect("JSON")
}

/// Writes what `docker save` would.
pub(super) fn docker(registry: &Path, name: &str, settings: &Value) {
    write_docker(registry, name, settings, &layers());
}

/// As [`docker`], with links above all else: their paths, and what they say.
pub(super) fn docker_with_links(registry: &Path, name: &str, links: &[(&str, &str)]) {
    let mut above = tar::Builder::new(Vec::new());
    for (path, target) in links {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        above
            .append_link(&mut header, path, target)
            .expect("a link");
    }
    let mut all = Vec::from(layers());
    all.push(above.into_inner().expect("a layer"));
    write_docker(registry, name, &settings(), &all);
}

fn write_docker(registry: &Path, name: &str, settings: &Value, layers: &[Vec<u8>]) {
    let config = config(layers, settings);
    let config_name = format!("{}.json", sha256(&config));
    let mut all = tar::Builder::new(Vec::new());
    let mut names = Vec::new();
    for layer in layers {
        let name = format!("{}/layer.tar", sha256(layer));
        file(&mut all, &name, 0o644, layer);
        names.push(name);
    }
    file(&mut all, &config_name, 0o644, &config);
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    file(&mut all, "manifest.json", 0o644, &manifest);
    let bytes = all.into_inner().expect("an archive");
    std::fs::write(registry.join(format!("{name}.tar")), bytes).expect("to write");
}

/// Writes an OCI archive.
pub(super) fn oci(registry: &Path, name: &str, settings: &Value) {
    let layers = layers();
    let config = config(&layers, settings);
    let mut all = tar::Builder::new(Vec::new());
    file(
        &mut all,
        "oci-layout",
        0o644,
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    let mut blob = |kind: &str, bytes: &[u8]| {
        let digest = sha256(bytes);
        file(&mut all, &format!("blobs/sha256/{digest}"), 0o644, bytes);
        let media = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let of_layers = layers.iter().map(|layer| blob("layer.v1.tar", layer));
    let of_layers: Vec<Value> = of_layers.collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", &config), "layers": of_layers,
    });
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    let manifest = blob("manifest.v1+json", &manifest);
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    let index = serde_json::to_vec(&index).expect("JSON");
    file(&mut all, "index.json", 0o644, &index);
    let bytes = all.into_inner().expect("an archive");
    std::fs::write(registry.join(format!("{name}.tar")), bytes).expect("to write");
}
