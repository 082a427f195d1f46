//! `namespaces/pid` and `namespaces/ipc`: containers that see neither the processes nor the shared
//! memory of others. Each needs `filesystem/linux` for what it mounts.

use crate::agent::containerizer::isolator::{Container, Isolator, Mount, Plan};
use tepui_protocol::v1::LinuxInfo;
use tepui_protocol::v1::linux_info::IpcMode;

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// Where programs look for shared memory.
const SHM: &str = "/dev/shm";

/// Hides processes. (Mesos: `NamespacesPidIsolatorProcess`.)
pub(in super::super) struct PidNamespace {
    /// Whether containers must have a namespace of their own.
    pub(in super::super) disallow_sharing: bool,
}

impl Isolator for PidNamespace {
    fn name(&self) -> &'static str {
        "namespaces/pid"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        let asks = linux(container).is_some_and(LinuxInfo::share_pid_namespace);
        let shares = asks || container.is_debug();
        if shares && container.is_nested() {
            // What is at `/proc` there fits to it.
            plan.joins_pids = true;
            plan.joins_mounts = true;
            return Ok(());
        }
        if shares && self.disallow_sharing {
            let why = "Sharing agent pid namespace with top-level container is not allowed";
            return Err(why.to_owned());
        }
        if !shares {
            plan.pid_namespace = true;
            plan.mount_namespace = true;
            plan.mounts.push(Mount::Proc);
        }
        Ok(())
    }
}

/// Hides shared memory. (Mesos: `NamespacesIPCIsolatorProcess`.)
pub(in super::super) struct IpcNamespace {
    /// Size of `/dev/shm` in bytes where the framework names none.
    pub(in super::super) default_shm_size: Option<u64>,
    /// Whether containers must have a namespace of their own.
    pub(in super::super) disallow_sharing: bool,
}

impl Isolator for IpcNamespace {
    fn name(&self) -> &'static str {
        "namespaces/ipc"
    }

    /// Where nothing is said, there is a namespace, though `/dev/shm` is the host's.
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        if container.is_debug() {
            plan.joins_ipc = true;
            plan.joins_mounts = true;
            return Ok(());
        }
        let linux = linux(container);
        let mode = linux.and_then(|linux| linux.ipc_mode.map(|_| linux.ipc_mode()));
        let asked = linux.and_then(|linux| linux.shm_size);
        if asked.is_some() && mode != Some(IpcMode::Private) {
            let why = "Only support specifying the size of /dev/shm when the IPC mode is `PRIVATE`";
            return Err(why.to_owned());
        }
        match mode {
            None if container.is_nested() => plan.joins_ipc = true,
            Some(IpcMode::ShareParent) if container.is_nested() && container.has_image => {
                let why = "Sharing /dev/shm with the container around is not supported yet for \
                           containers with an image";
                return Err(why.to_owned());
            }
            Some(IpcMode::ShareParent) if container.is_nested() => {
                plan.joins_ipc = true;
                plan.joins_mounts = true;
            }
            None => plan.ipc_namespace = true,
            Some(IpcMode::Private) => {
                plan.ipc_namespace = true;
                plan.mount_namespace = true;
                let asked = asked.map(|megabytes| u64::from(megabytes) * BYTES_PER_MEGABYTE);
                plan.mounts.push(Mount::Tmpfs {
                    target: SHM.into(),
                    size: asked.or(self.default_shm_size),
                });
            }
            Some(IpcMode::ShareParent) if self.disallow_sharing => {
                let why = "Sharing agent IPC namespace with top-level container is not allowed";
                return Err(why.to_owned());
            }
            Some(IpcMode::ShareParent) => {}
            Some(IpcMode::Unknown) => return Err("Unknown IPC mode".to_owned()),
        }
        Ok(())
    }
}

fn linux(container: &Container) -> Option<&LinuxInfo> {
    container.info.as_ref()?.linux_info.as_ref()
}
