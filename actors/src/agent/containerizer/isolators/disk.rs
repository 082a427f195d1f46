//! `disk/du`: how much disk a container's sandbox takes, and the end of those that take too much.
//! Limits nothing before it happens, and counts no persistent volume. (Mesos:
//! `PosixDiskIsolatorProcess`.)

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::Limitation;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use crate::agent::containerizer::cgroups::Wait;
use crate::agent::containerizer::isolator::{Container, Isolator, Plan};
use crate::flags::format_bytes;

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// Bytes of a block, as the kernel counts them whatever the file system does.
const BLOCK_BYTES: u64 = 512;

/// What is known of a container.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    quota: u64,
    /// None until it was looked at.
    used: Option<u64>,
}

/// Watches disks.
pub(in super::super) struct Du {
    interval: Duration,
    /// Whether containers that take too much are ended.
    enforces: bool,
    containers: Arc<Mutex<BTreeMap<ContainerId, Known>>>,
}

impl Du {
    pub(in super::super) fn new(interval: Duration, enforces: bool) -> Self {
        Du {
            interval,
            enforces,
            containers: Arc::default(),
        }
    }
}

fn lock(
    known: &Mutex<BTreeMap<ContainerId, Known>>,
) -> MutexGuard<'_, BTreeMap<ContainerId, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of disk that a container may take besides its persistent volumes.
fn quota(resources: &ContainerResources) -> u64 {
    let all = &resources.requests;
    let milli = all.scalar_milli("disk") - all.persistent_volumes().scalar_milli("disk");
    milli
        .max(0)
        .unsigned_abs()
        .saturating_mul(BYTES_PER_MEGABYTE)
        / 1000
}

/// Bytes of disk that all below a directory takes. Links are not followed, a file with several
/// names counts once, and other file systems do not count.
fn used(root: &Path) -> u64 {
    let Ok(device) = fs::symlink_metadata(root).map(|found| found.dev()) else {
        return 0;
    };
    let mut sum = 0_u64;
    let mut linked = HashSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.dev() != device
                || (found.nlink() > 1 && !found.is_dir() && !linked.insert(found.ino()))
            {
                continue;
            }
            sum = sum.saturating_add(found.blocks().saturating_mul(BLOCK_BYTES));
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    sum
}

fn limitation(used: u64, quota: u64) -> Limitation {
    let (shown, allowed) = (format_bytes(used), format_bytes(quota));
    let megabytes = used as f64 / BYTES_PER_MEGABYTE as f64;
    Limitation {
        reason: v1::task_status::Reason::ContainerLimitationDisk,
        message: format!("Disk usage ({shown}) exceeds quota ({allowed})"),
        resources: vec![v1::Resource {
            name: "disk".to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: megabytes }),
            ..v1::Resource::default()
        }],
    }
}

impl Isolator for Du {
    fn name(&self) -> &'static str {
        "disk/du"
    }

    fn prepare(&self, container: &Container, _: &mut Plan) -> Result<(), String> {
        self.recover(container);
        Ok(())
    }

    /// What is in a container takes of that one's disk.
    fn recover(&self, container: &Container) {
        if container.is_nested() {
            return;
        }
        let known = Known {
            quota: quota(&container.resources),
            used: None,
        };
        lock(&self.containers).insert(container.id.clone(), known);
    }

    fn watch(&self, container: &Container) -> Option<Wait<Limitation>> {
        let (id, directory) = (container.id.clone(), container.directory.clone());
        let (containers, interval, enforces) =
            (self.containers.clone(), self.interval, self.enforces);
        Some(Box::pin(async move {
            loop {
                tokio::time::sleep(interval).await;
                let directory = directory.clone();
                let Ok(used) = tokio::task::spawn_blocking(move || used(&directory)).await else {
                    continue;
                };
                let known = {
                    let mut containers = lock(&containers);
                    let known = containers.entry(id.clone()).or_default();
                    known.used = Some(used);
                    *known
                };
                if enforces && used > known.quota {
                    return limitation(used, known.quota);
                }
            }
        }))
    }

    fn update(&self, id: &ContainerId, resources: &ContainerResources) -> Result<(), String> {
        if let Some(known) = lock(&self.containers).get_mut(id) {
            known.quota = quota(resources);
        }
        Ok(())
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        if let Some(known) = lock(&self.containers).get(id) {
            statistics.disk_limit_bytes = Some(known.quota);
            statistics.disk_used_bytes = known.used;
        }
    }

    fn cleanup(&self, id: &ContainerId) -> Result<(), String> {
        lock(&self.containers).remove(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_sandbox_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        let empty = used(dir.path());
        let file = dir.path().join("inner/file");
        fs::write(&file, vec![1; 3 << 20]).unwrap();
        fs::hard_link(&file, dir.path().join("second")).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let grown = used(dir.path()) - empty;
        assert!((3 << 20..4 << 20).contains(&grown), "{grown}");
        assert_eq!(used(&dir.path().join("nothing")), 0);
    }

    #[test]
    fn the_end_is_told_with_figures() {
        let told = limitation(3 << 20, 1 << 20);
        assert_eq!(told.message, "Disk usage (3MB) exceeds quota (1MB)");
        assert_eq!(told.resources[0].scalar.unwrap().value, 3.0);
    }

    #[tokio::test]
    async fn a_sandbox_that_grows_too_large_ends_its_container() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![1; 2 << 20]).unwrap();
        let container = Container {
            id: ContainerId::from("c"),
            directory: dir.path().to_owned(),
            owner: None,
            resources: ContainerResources {
                requests: tepui_core::resources::Resources::parse("disk:1", "*").unwrap(),
                limits: BTreeMap::new(),
            },
            info: None,
            called: None,
            has_image: false,
        };
        let isolator = Du::new(Duration::from_millis(1), true);
        isolator.prepare(&container, &mut Plan::default()).unwrap();
        let told = isolator.watch(&container).unwrap().await;
        assert_eq!(
            told.reason,
            v1::task_status::Reason::ContainerLimitationDisk
        );
        let mut statistics = v1::ResourceStatistics::default();
        isolator.usage(&container.id, &mut statistics);
        assert_eq!(statistics.disk_limit_bytes, Some(1 << 20));
        assert!(statistics.disk_used_bytes.unwrap() >= 2 << 20);
    }
}
