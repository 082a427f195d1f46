//! What an isolator is: one duty in the life of a container, and what it may ask for.
//! Runs no process; a launcher carries out the plan.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::{Called, Limitation};
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use super::cgroups::Wait;

/// A container as its isolators see it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Container {
    /// Its id.
    pub(in super::super) id: ContainerId,
    /// Its sandbox, which exists.
    pub(in super::super) directory: PathBuf,
    /// User and group of its processes, where they are not the agent's.
    pub(in super::super) owner: Option<(u32, u32)>,
    /// What it is given.
    pub(in super::super) resources: ContainerResources,
    /// What the framework asks for.
    pub(in super::super) info: Option<v1::ContainerInfo>,
    /// What else is known of one that was launched by a call.
    pub(in super::super) called: Option<Called>,
    /// Whether it has the root file system of an image.
    pub(in super::super) has_image: bool,
}

impl Container {
    /// The container whose limits it shares; none if it has its own.
    pub(super) fn shares_limits_of(&self) -> Option<&ContainerId> {
        let limits_of = self.called.as_ref().map(|called| &called.limits_of);
        limits_of.filter(|id| **id != self.id)
    }

    /// Whether it looks at the one it is in.
    pub(super) fn is_debug(&self) -> bool {
        self.called.as_ref().is_some_and(|called| called.is_debug)
    }

    /// Whether it is in another one.
    pub(super) fn is_nested(&self) -> bool {
        self.id.depth() > 0
    }
}

/// What is to be done to a process before it becomes a container's first one. Steps are taken in
/// the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Plan {
    /// Where the helper, which then stays, writes how the program has ended.
    pub(in super::super) status: Option<PathBuf>,
    /// Files of cgroups, which it enters by writing to them.
    pub(in super::super) cgroups: Vec<PathBuf>,
    /// The process whose namespaces it may join.
    pub(in super::super) leader: Option<u32>,
    /// Whether it joins the IPC namespace of that process.
    pub(in super::super) joins_ipc: bool,
    /// Whether it joins the pid namespace of that process.
    pub(in super::super) joins_pids: bool,
    /// Whether it sees the mounts of that process, and adds its own to them.
    pub(in super::super) joins_mounts: bool,
    /// Whether it starts in the directory that this process is in, wherever the container's own
    /// sandbox is.
    pub(in super::super) joins_directory: bool,
    /// Whether it gets an IPC namespace of its own.
    pub(in super::super) ipc_namespace: bool,
    /// Whether it gets a mount namespace, in which nothing it mounts is seen by the host.
    pub(in super::super) mount_namespace: bool,
    /// Whether it gets a pid namespace, as the first process of which the helper stays.
    pub(in super::super) pid_namespace: bool,
    /// Images whose layers are mounted over each other.
    pub(in super::super) trees: Vec<Tree>,
    /// What is mounted, in this order.
    pub(in super::super) mounts: Vec<Mount>,
    /// The root file system, if not the host's.
    pub(in super::super) root: Option<Root>,
    /// Limits of the process.
    pub(in super::super) rlimits: Vec<Rlimit>,
    /// Capabilities, where they are not simply those of its user.
    pub(in super::super) capabilities: Option<Capabilities>,
    /// Whether no program it runs may give it more rights.
    pub(in super::super) no_new_privs: bool,
}

/// The file system of an image, in a directory of its own: a link to each layer by its number, the
/// lowest first, `upper` for what is changed, `work` for the kernel, and `rootfs`, where it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Tree {
    pub(in super::super) directory: PathBuf,
    /// How many layers are to be mounted; none if all was copied to `rootfs`.
    pub(in super::super) layers: usize,
}

impl Tree {
    /// Where it is seen.
    pub(super) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// What overlayfs is told, whose paths are relative to the directory.
    pub(super) fn options(&self) -> String {
        let links: Vec<String> = (0..self.layers).rev().map(|at| at.to_string()).collect();
        format!("lowerdir={},upperdir=upper,workdir=work", links.join(":"))
    }
}

/// The root file system of a container, and what it says of its programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Root {
    /// Where it is.
    pub(in super::super) path: PathBuf,
    /// The sandbox, and where it is seen within the root.
    pub(in super::super) sandbox: PathBuf,
    pub(in super::super) sandbox_directory: PathBuf,
    /// Made if it is not there.
    pub(in super::super) working_directory: Option<PathBuf>,
    /// Who runs the program, in the image's own words, where nobody else says.
    pub(in super::super) user: Option<String>,
    /// Persistent volumes that whoever runs the program is to own.
    pub(in super::super) volumes: Vec<PathBuf>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Mount {
    /// The processes of the pid namespace, at `/proc`.
    Proc,
    /// Memory as a file system of a size in bytes.
    Tmpfs { target: PathBuf, size: Option<u64> },
    /// A file or directory at a second place.
    Bind {
        source: PathBuf,
        target: PathBuf,
        read_only: bool,
        /// Whether the target is a path in the root file system of the container, which is made if
        /// it is not there.
        in_root: bool,
    },
}

/// A limit of a process; no value means that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Rlimit {
    /// The number that the API has for it (`RLimitInfo.RLimit.Type`).
    pub(in super::super) kind: i32,
    pub(in super::super) soft: Option<u64>,
    pub(in super::super) hard: Option<u64>,
}

/// Sets of capabilities, one bit each, counted as the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Capabilities {
    /// Those that the process has; where nothing is said, those of its user within the bounds.
    pub(in super::super) effective: Option<u64>,
    /// Those beyond which it can never get.
    pub(in super::super) bounding: u64,
}

/// One duty in the life of a container. Each is called on a thread that may wait for the kernel.
///
/// A container is known by its id; an isolator that needs to know more of it in a later step keeps
/// that itself, and finds it again in `recover`. There is no step after the process has started
/// (Mesos: `Isolator::isolate`): what is to be done to it is done by itself, before it runs what
/// it was given.
pub(in super::super) trait Isolator: Send + Sync {
    /// Its name in `--isolation`.
    fn name(&self) -> &'static str;

    /// Makes ready what the container needs and adds to the plan. What it has made is taken back
    /// by `cleanup`, also after an error.
    ///
    /// # Errors
    /// Why the container cannot be launched.
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String>;

    /// Takes up a container that an earlier run of the agent has started.
    fn recover(&self, _container: &Container) {}

    /// Ends when the container is to be ended because it used more than it may.
    fn watch(&self, _container: &Container) -> Option<Wait<Limitation>> {
        None
    }

    /// Gives the container other resources.
    ///
    /// # Errors
    /// What it has not got, and why.
    fn update(&self, _id: &ContainerId, _resources: &ContainerResources) -> Result<(), String> {
        Ok(())
    }

    /// Adds what it knows of the use of resources.
    fn usage(&self, _id: &ContainerId, _statistics: &mut v1::ResourceStatistics) {}

    /// Takes back what `prepare` has made, if it is there, once no process of it is left.
    ///
    /// # Errors
    /// What is left; the step may be tried again.
    fn cleanup(&self, _id: &ContainerId) -> Result<(), String> {
        Ok(())
    }
}
