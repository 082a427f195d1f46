//! `filesystem/linux`: a mount namespace, in which nothing a container mounts is seen by the host, and
//! the root file system of those that have an image. Mounts nothing itself; the helper does.

use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::containerizer::isolator::{Container, Isolator, Plan, Root};
use crate::agent::containerizer::provisioner::Provisioner;

/// Gives containers mounts of their own. (Mesos: `LinuxFilesystemIsolatorProcess`.)
pub(in super::super) struct LinuxFilesystem {
    /// Makes root file systems.
    pub(in super::super) provisioner: Arc<Provisioner>,
    /// Where sandboxes are seen in them.
    pub(in super::super) sandbox_directory: PathBuf,
}

impl Isolator for LinuxFilesystem {
    fn name(&self) -> &'static str {
        "filesystem/linux"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        plan.joins_mounts = container.is_debug();
        plan.mount_namespace = true;
        if !container.has_image {
            return Ok(());
        }
        let root = self.provisioner.root(&container.id);
        let (tree, _) = root.ok_or("the container's image was not provisioned")?;
        plan.root = Some(Root {
            path: tree.rootfs(),
            sandbox: container.directory.clone(),
            sandbox_directory: self.sandbox_directory.clone(),
            working_directory: None,
            user: None,
            volumes: Vec::new(),
        });
        plan.trees.push(tree);
        Ok(())
    }
}
