//! `disk/du`: how much disk a container's sandbox and its persistent volumes take, and the end of
//! containers of which one of these takes too much. Limits nothing before it happens. (Mesos:
//! `PosixDiskIsolatorProcess`.)

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::Limitation;
use tepui_core::agent::volumes::{self, VolumeKind};
use tepui_core::ids::ContainerId;
use tepui_core::resources::{Entry, Format};
use tepui_protocol::v1;

use crate::agent::containerizer::cgroups::Wait;
use crate::agent::containerizer::isolator::{Container, Isolator, Plan};
use crate::flags::format_bytes;

const BYTES_PER_MEGABYTE: u64 = 1 << 20;

/// Bytes of a block, as the kernel counts them whatever the file system does.
const BLOCK_BYTES: u64 = 512;

/// How much one place may take, and takes.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    quota: u64,
    /// None until it was looked at.
    used: Option<u64>,
}

/// A persistent volume of a container.
#[derive(Debug, Clone)]
struct Volume {
    id: String,
    share: Share,
    /// Whether it is a disk of its own, which cannot take more than there is of it.
    is_mount: bool,
    resource: Entry,
}

/// What is known of a container.
#[derive(Debug, Clone, Default)]
struct Known {
    sandbox: Share,
    /// Its persistent volumes, by their directories.
    volumes: BTreeMap<PathBuf, Volume>,
}

/// Watches disks.
pub(in super::super) struct Du {
    interval: Duration,
    /// Whether containers that take too much are ended.
    enforces: bool,
    /// Below which persistent volumes are.
    work_dir: PathBuf,
    containers: Arc<Mutex<BTreeMap<ContainerId, Known>>>,
}

impl Du {
    pub(in super::super) fn new(interval: Duration, enforces: bool, work_dir: &Path) -> Self {
        Du {
            interval,
            enforces,
            work_dir: work_dir.to_owned(),
            containers: Arc::default(),
        }
    }

    /// What a container with these resources may take; what it was seen to take stays known.
    fn known(&self, resources: &ContainerResources, before: &Known) -> Known {
        let work_dir = self.work_dir.to_string_lossy();
        let found = volumes::by_path(&work_dir, &resources.requests);
        let found = found.unwrap_or_else(|why| {
            tracing::error!(why, "the disk that persistent volumes take is not watched");
            BTreeMap::new()
        });
        let volumes = found.into_iter().map(|(path, (volume, resource))| {
            let path = PathBuf::from(path);
            let seen = before.volumes.get(&path);
            let share = Share {
                quota: bytes(resource.scalar_milli().unwrap_or_default()),
                used: seen.and_then(|volume| volume.share.used),
            };
            let known = Volume {
                id: volume.id,
                share,
                is_mount: volume.kind == VolumeKind::Mount,
                resource,
            };
            (path, known)
        });
        Known {
            sandbox: Share {
                quota: quota(resources),
                used: before.sandbox.used,
            },
            volumes: volumes.collect(),
        }
    }
}

impl Known {
    /// Takes what was found; what takes too much, if anything does.
    fn seen(&mut self, sandbox: u64, volumes: &[(PathBuf, u64)]) -> Option<Limitation> {
        self.sandbox.used = Some(sandbox);
        for (path, used) in volumes {
            if let Some(volume) = self.volumes.get_mut(path) {
                volume.share.used = Some(*used);
            }
        }
        if sandbox > self.sandbox.quota {
            return Some(limitation(sandbox, self.sandbox.quota));
        }
        self.volumes.values().find_map(Volume::limitation)
    }
}

impl Volume {
    fn limitation(&self) -> Option<Limitation> {
        let used = self.share.used?;
        if self.is_mount || used <= self.share.quota {
            return None;
        }
        let told = limitation(used, self.share.quota);
        Some(Limitation {
            message: format!("{} of persistent volume '{}'", told.message, self.id),
            resources: vec![self.resource.to_v1(Format::PostRefinement)],
            ..told
        })
    }

    fn statistics(&self) -> v1::DiskStatistics {
        let resource = self.resource.to_v1(Format::PostRefinement);
        let disk = resource.disk.unwrap_or_default();
        v1::DiskStatistics {
            source: disk.source,
            persistence: disk.persistence,
            limit_bytes: Some(self.share.quota),
            used_bytes: self.share.used,
        }
    }
}

fn lock(
    known: &Mutex<BTreeMap<ContainerId, Known>>,
) -> MutexGuard<'_, BTreeMap<ContainerId, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at a sandbox and at the volumes with it.
fn look(directory: &Path, volumes: Vec<PathBuf>) -> (u64, Vec<(PathBuf, u64)>) {
    let of_one = |path: PathBuf| {
        let taken = used(&path);
        (path, taken)
    };
    (used(directory), volumes.into_iter().map(of_one).collect())
}

/// Bytes of disk that a container may take besides its persistent volumes.
fn quota(resources: &ContainerResources) -> u64 {
    let all = &resources.requests;
    let milli = all.scalar_milli("disk") - all.persistent_volumes().scalar_milli("disk");
    bytes(milli)
}

/// Bytes of so many thousandths of a megabyte.
fn bytes(milli: i64) -> u64 {
    let milli = milli.max(0).unsigned_abs();
    milli.saturating_mul(BYTES_PER_MEGABYTE) / 1000
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
        let known = self.known(&container.resources, &Known::default());
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
                let known = lock(&containers).get(&id).cloned().unwrap_or_default();
                let volumes: Vec<PathBuf> = known.volumes.into_keys().collect();
                let looking = tokio::task::spawn_blocking(move || look(&directory, volumes));
                let Ok((sandbox, volumes)) = looking.await else {
                    continue;
                };
                // It may have got other resources meanwhile.
                let too_much = match lock(&containers).get_mut(&id) {
                    Some(known) => known.seen(sandbox, &volumes),
                    None => None,
                };
                if let Some(limitation) = too_much.filter(|_| enforces) {
                    return limitation;
                }
            }
        }))
    }

    fn update(&self, id: &ContainerId, resources: &ContainerResources) -> Result<(), String> {
        if let Some(known) = lock(&self.containers).get_mut(id) {
            *known = self.known(resources, known);
        }
        Ok(())
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        if let Some(known) = lock(&self.containers).get(id) {
            let Share { quota, used } = known.sandbox;
            statistics.disk_limit_bytes = Some(quota);
            statistics.disk_used_bytes = used;
            let volumes = known.volumes.values().map(Volume::statistics);
            statistics.disk_statistics = volumes.collect();
            // The last one is the sandbox, as in Mesos.
            statistics.disk_statistics.push(v1::DiskStatistics {
                limit_bytes: Some(quota),
                used_bytes: used,
                ..v1::DiskStatistics::default()
            });
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
        let isolator = Du::new(Duration::from_millis(1), true, dir.path());
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

    fn volume(id: &str, megabytes: f64, mount: Option<&Path>) -> v1::Resource {
        use v1::resource::disk_info::{Persistence, Source, source};
        let source = mount.map(|root| Source {
            r#type: source::Type::Mount as i32,
            mount: Some(source::Mount {
                root: Some(root.to_string_lossy().into_owned()),
            }),
            ..Source::default()
        });
        v1::Resource {
            name: "disk".to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: megabytes }),
            reservations: vec![v1::resource::ReservationInfo {
                r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
                role: Some("web".to_owned()),
                ..v1::resource::ReservationInfo::default()
            }],
            disk: Some(Box::new(v1::resource::DiskInfo {
                persistence: Some(Persistence {
                    id: id.to_owned(),
                    principal: None,
                }),
                source,
                ..v1::resource::DiskInfo::default()
            })),
            ..v1::Resource::default()
        }
    }

    #[test]
    fn volumes_are_watched_apart_from_the_sandbox_and_mounts_are_not_limited() {
        let dir = tempfile::tempdir().unwrap();
        let small = dir.path().join("volumes/roles/web/small");
        let disk = dir.path().join("disk");
        for path in [&small, &disk] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("file"), vec![1; 2 << 20]).unwrap();
        }
        let mut all = vec![
            volume("small", 4.0, None),
            volume("large", 1.0, Some(&disk)),
        ];
        let given = |all: &[v1::Resource]| ContainerResources {
            requests: tepui_core::resources::Resources::from_v1(all).unwrap(),
            limits: BTreeMap::new(),
        };
        let isolator = Du::new(Duration::from_secs(1), true, dir.path());
        let mut known = isolator.known(&given(&all), &Known::default());
        assert_eq!(known.sandbox.quota, 0);
        let paths: Vec<PathBuf> = known.volumes.keys().cloned().collect();
        assert_eq!(paths.len(), 2);
        let (_, found) = look(Path::new("/no/such"), paths);
        assert!(known.seen(0, &found).is_none());
        // A volume that has shrunk is too small for what is in it.
        all[0] = volume("small", 1.0, None);
        let known = isolator.known(&given(&all), &known);
        let told = known.volumes.values().find_map(Volume::limitation).unwrap();
        assert!(
            told.message
                .ends_with("exceeds quota (1MB) of persistent volume 'small'"),
            "{}",
            told.message
        );
        assert_eq!(told.resources[0].scalar.unwrap().value, 1.0);
        let statistics: Vec<_> = known.volumes.values().map(Volume::statistics).collect();
        let of_small = statistics.iter().find(|one| one.source.is_none()).unwrap();
        assert_eq!(of_small.persistence.as_ref().unwrap().id, "small");
        assert_eq!(of_small.limit_bytes, Some(1 << 20));
        assert!(of_small.used_bytes.unwrap() >= 2 << 20);
        assert!(statistics.iter().all(|one| one.used_bytes.is_some()));
    }
}
