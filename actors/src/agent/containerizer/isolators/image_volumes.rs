//! `volume/image`: images that a container sees as directories.
//! Mounts nothing itself; what a container changes in one is gone with it.

use std::sync::Arc;

use crate::agent::containerizer::isolator::{Container, Isolator, Plan};
use crate::agent::containerizer::isolators::volumes::{mount, volumes};
use crate::agent::containerizer::provisioner::Provisioner;

/// Shows images. (Mesos: `VolumeImageIsolatorProcess`.)
pub(in super::super) struct ImageVolumes {
    /// Makes their file systems.
    pub(in super::super) provisioner: Arc<Provisioner>,
}

impl Isolator for ImageVolumes {
    fn name(&self) -> &'static str {
        "volume/image"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        let asked = volumes(container).filter(|volume| volume.image.is_some());
        let mut trees = self.provisioner.volumes(&container.id).into_iter();
        for volume in asked {
            let tree = trees.next().ok_or("a volume's image was not provisioned")?;
            mount(container, volume, tree.rootfs(), true, plan)?;
            plan.trees.push(tree);
        }
        Ok(())
    }
}
