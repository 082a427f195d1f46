//! Turns the `.proto` files into Rust types and their JSON codecs.
//! Nothing is downloaded and no outside program is run: protox compiles in process.

#[path = "build/names.rs"]
mod names;
#[path = "build/tables.rs"]
mod tables;

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;

/// Every file of the v1 API, relative to `proto/`.
const FILES: &[&str] = &[
    "mesos/v1/mesos.proto",
    "mesos/v1/scheduler/scheduler.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/allocator/allocator.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/resource_provider/resource_provider.proto",
];

/// Rarely set, large fields: boxed so that a task without them stays small.
const BOXED: &[&str] = &[
    ".mesos.v1.TaskInfo.container",
    ".mesos.v1.TaskInfo.command",
    ".mesos.v1.TaskInfo.executor",
    ".mesos.v1.TaskInfo.health_check",
    ".mesos.v1.TaskInfo.check",
    ".mesos.v1.TaskInfo.discovery",
    ".mesos.v1.Task.container",
    ".mesos.v1.Task.health_check",
    ".mesos.v1.Task.discovery",
    ".mesos.v1.ExecutorInfo.container",
    ".mesos.v1.ExecutorInfo.command",
    ".mesos.v1.ExecutorInfo.discovery",
    ".mesos.v1.Resource.disk",
    ".mesos.v1.TaskStatus.container_status",
    ".mesos.v1.TaskStatus.check_status",
    ".mesos.v1.TaskStatus.limitation",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    let mut set = protox::compile(FILES, [&root])?;
    drop_oneofs(&mut set);
    let out = std::env::var("OUT_DIR")?;
    let out = Path::new(&out);
    std::fs::write(out.join("tables.rs"), tables::generate(&set)?)?;
    std::fs::write(out.join("every_message.rs"), tables::every_message(&set))?;
    drop_deprecations(&mut set);
    let mut config = prost_build::Config::new();
    config.btree_map(["."]);
    config.compile_well_known_types();
    config.include_file("v1_modules.rs");
    for field in BOXED {
        config.boxed(*field);
    }
    config.compile_fds(set)?;
    Ok(())
}

/// Makes members of a `oneof` plain optional fields.
///
/// The bytes on the wire are the same, and the JSON codec has one shape of field less.
/// Where exactly one member must be set, validation says so.
fn drop_oneofs(set: &mut FileDescriptorSet) {
    fn message(descriptor: &mut prost_types::DescriptorProto) {
        descriptor.oneof_decl.clear();
        for field in &mut descriptor.field {
            field.oneof_index = None;
        }
        descriptor.nested_type.iter_mut().for_each(message);
    }
    for file in &mut set.file {
        file.message_type.iter_mut().for_each(message);
    }
}

/// Spares the code that must handle deprecated fields a warning at each use: they are still spoken.
fn drop_deprecations(set: &mut FileDescriptorSet) {
    fn message(descriptor: &mut prost_types::DescriptorProto) {
        for options in descriptor
            .field
            .iter_mut()
            .filter_map(|f| f.options.as_mut())
        {
            options.deprecated = None;
        }
        descriptor.nested_type.iter_mut().for_each(message);
    }
    for file in &mut set.file {
        file.message_type.iter_mut().for_each(message);
    }
}
