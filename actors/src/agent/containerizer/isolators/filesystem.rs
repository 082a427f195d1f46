//! `filesystem/linux`: a mount namespace, in which nothing a container mounts is seen by the host.
//! Mounts nothing itself; volumes do.

use crate::agent::containerizer::isolator::{Container, Isolator, Plan};

/// Gives containers mounts of their own. (Mesos: `LinuxFilesystemIsolatorProcess`.)
pub(in super::super) struct LinuxFilesystem;

impl Isolator for LinuxFilesystem {
    fn name(&self) -> &'static str {
        "filesystem/linux"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        plan.joins_mounts = container.is_debug();
        plan.mount_namespace = true;
        Ok(())
    }
}
