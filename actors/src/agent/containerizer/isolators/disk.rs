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
use tokio::sync::Semaphore;

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
    /// Its sandbox, if it was given any disk: nothing is said of how much one may take that was not.
    sandbox: Option<Share>,
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
    /// Whoever holds it looks at a disk: one container at a time, however many there are.
    turn: Arc<Semaphore>,
}

impl Du {
    pub(in super::super) fn new(interval: Duration, enforces: bool, work_dir: &Path) -> Self {
        Du {
            interval,
            enforces,
            work_dir: work_dir.to_owned(),
            containers: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
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
        let used = before.sandbox.and_then(|sandbox| sandbox.used);
        Known {
            sandbox: quota(resources).map(|quota| Share { quota, used }),
            volumes: volumes.collect(),
        }
    }
}

impl Known {
    /// The places to look at, of which the sandbox is one.
    fn places(&self, sandbox: &Path) -> Vec<PathBuf> {
        let sandbox = self.sandbox.map(|_| sandbox.to_owned());
        let volumes = self.volumes.keys().cloned();
        sandbox.into_iter().chain(volumes).collect()
    }

    /// Takes what was found; what takes too much, if anything does. It may have got other resources
    /// since somebody looked.
    fn seen(&mut self, sandbox: &Path, found: &[(PathBuf, u64)]) -> Option<Limitation> {
        for (path, used) in found {
            let known = self.volumes.get_mut(path).map(|volume| &mut volume.share);
            let is_sandbox = path == sandbox;
            let known = known.or(self.sandbox.as_mut().filter(|_| is_sandbox));
            if let Some(share) = known {
                share.used = Some(*used);
            }
        }
        let of_sandbox = self.sandbox.and_then(|share| {
            let used = share.used.filter(|used| *used > share.quota)?;
            Some(limitation(used, share.quota))
        });
        of_sandbox.or_else(|| self.volumes.values().find_map(Volume::limitation))
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

/// What each of these places takes.
fn look(places: Vec<PathBuf>) -> Vec<(PathBuf, u64)> {
    let of_one = |path: PathBuf| {
        let taken = used(&path);
        (path, taken)
    };
    places.into_iter().map(of_one).collect()
}

/// Bytes of disk that a container may take besides its persistent volumes; none where nothing was
/// said of that. (Mesos: `PosixDiskIsolatorProcess::update`.)
fn quota(resources: &ContainerResources) -> Option<u64> {
    let disks = resources.requests.iter();
    let disks = disks.filter(|entry| entry.name() == "disk" && !entry.is_persistent_volume());
    let amounts = disks.map(|entry| entry.scalar_milli().unwrap_or_default());
    amounts.reduce(i64::saturating_add).map(bytes)
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
        if container.is_nested() {
            return None;
        }
        let (id, directory) = (container.id.clone(), container.directory.clone());
        let (containers, interval, enforces) =
            (self.containers.clone(), self.interval, self.enforces);
        let turn = self.turn.clone();
        Some(Box::pin(async move {
            loop {
                tokio::time::sleep(interval).await;
                let places = lock(&containers).get(&id).map(|it| it.places(&directory));
                let places = places.filter(|places| !places.is_empty());
                let Some(places) = places else { continue };
                let Ok(own_turn) = turn.clone().acquire_owned().await else {
                    continue;
                };
                let looking = tokio::task::spawn_blocking(move || {
                    let found = look(places);
                    drop(own_turn);
                    found
                });
                let Ok(found) = looking.await else { continue };
                let mut all = lock(&containers);
                let too_much = all.get_mut(&id).and_then(|it| it.seen(&directory, &found));
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
            let volumes = known.volumes.values().map(Volume::statistics);
            statistics.disk_statistics = volumes.collect();
            let Some(Share { quota, used }) = known.sandbox else {
                return;
            };
            statistics.disk_limit_bytes = Some(quota);
            statistics.disk_used_bytes = used;
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

    fn container(id: &str, directory: &Path, resources: &str) -> Container {
        Container {
            id: ContainerId::from(id),
            directory: directory.to_owned(),
            owner: None,
            resources: ContainerResources {
                requests: tepui_core::resources::Resources::parse(resources, "*").unwrap(),
                limits: BTreeMap::new(),
            },
            info: None,
            called: None,
            has_image: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sandbox_without_disk_has_no_quota_and_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![1; 2 << 20]).unwrap();
        let isolator = Du::new(Duration::from_secs(1), true, dir.path());
        let without = container("c", dir.path(), "cpus:1;mem:32");
        isolator.prepare(&without, &mut Plan::default()).unwrap();
        let mut watch = isolator.watch(&without).unwrap();
        let patience = Duration::from_secs(60);
        let told = tokio::time::timeout(patience, &mut watch).await;
        assert!(told.is_err(), "{told:?}");
        let mut statistics = v1::ResourceStatistics::default();
        isolator.usage(&without.id, &mut statistics);
        assert_eq!(statistics, v1::ResourceStatistics::default());
        // A task that brings some makes it one.
        let given = container("c", dir.path(), "disk:1").resources;
        isolator.update(&without.id, &given).unwrap();
        let told = tokio::time::timeout(patience, watch).await.unwrap();
        assert!(told.message.ends_with("exceeds quota (1MB)"), "{told:?}");
        // What is in a container takes of that one's disk.
        let nested = container("c.d", dir.path(), "disk:1");
        assert!(isolator.watch(&nested).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_looked_at_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![1; 2 << 20]).unwrap();
        let isolator = Du::new(Duration::from_secs(1), true, dir.path());
        let container = container("c", dir.path(), "disk:1");
        isolator.prepare(&container, &mut Plan::default()).unwrap();
        let others = isolator.turn.clone().acquire_owned().await.unwrap();
        let mut watch = isolator.watch(&container).unwrap();
        let patience = Duration::from_secs(60);
        let told = tokio::time::timeout(patience, &mut watch).await;
        assert!(told.is_err(), "it is not its turn: {told:?}");
        drop(others);
        tokio::time::timeout(patience, watch).await.unwrap();
    }

    #[tokio::test]
    async fn a_sandbox_that_grows_too_large_ends_its_container() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![1; 2 << 20]).unwrap();
        let container = container("c", dir.path(), "disk:1");
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
        assert!(known.sandbox.is_none());
        let sandbox = Path::new("/no/such");
        let paths = known.places(sandbox);
        assert_eq!(paths.len(), 2);
        assert!(known.seen(sandbox, &look(paths)).is_none());
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
