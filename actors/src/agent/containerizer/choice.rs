//! Which isolators an agent uses: reads the names of `--isolation` and says what does not fit.
//! Knows what each needs, and nothing of what it does.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::Uid;
use tepui_core::agent::Isolation;

use super::cgroups::{self, Cgroups, Controller};
use super::config::{ContainerizerConfig, LauncherKind};
use super::isolator::Isolator;
use super::isolators::capabilities::LinuxCapabilities;
use super::isolators::cpu::Cpu;
use super::isolators::disk::Du;
use super::isolators::filesystem::LinuxFilesystem;
use super::isolators::image_volumes::ImageVolumes;
use super::isolators::mem::Mem;
use super::isolators::namespaces::{IpcNamespace, PidNamespace};
use super::isolators::pids::Pids;
use super::isolators::process::{NoNewPrivileges, Rlimits};
use super::isolators::volumes::{HostPath, SandboxPath};
use super::provisioner::Provisioner;

/// An isolator's name, and what it needs.
struct Known {
    name: &'static str,
    /// Whether only root can use it.
    needs_root: bool,
    /// Whether it needs the linux launcher.
    needs_linux: bool,
    /// Whether it needs `filesystem/linux`.
    needs_mounts: bool,
}

const fn known(name: &'static str, needs: (bool, bool, bool)) -> Known {
    let (needs_root, needs_linux, needs_mounts) = needs;
    Known {
        name,
        needs_root,
        needs_linux,
        needs_mounts,
    }
}

/// All isolators, in the order in which they prepare a container.
const KNOWN: &[Known] = &[
    known("filesystem/posix", (false, false, false)),
    known("filesystem/linux", (true, true, false)),
    known("posix/cpu", (false, false, false)),
    known("posix/mem", (false, false, false)),
    known("posix/rlimits", (false, false, false)),
    known("cgroups/cpu", (true, true, false)),
    known("cgroups/mem", (true, true, false)),
    known("cgroups/pids", (true, true, false)),
    known("linux/capabilities", (true, false, false)),
    known("linux/nnp", (false, false, false)),
    known("namespaces/ipc", (true, true, true)),
    known("namespaces/pid", (true, true, true)),
    known("volume/sandbox_path", (true, true, true)),
    known("volume/host_path", (true, true, true)),
    known("volume/image", (true, true, true)),
    known("docker/runtime", (true, true, true)),
    known("disk/du", (false, false, false)),
];

/// Old names, and what they stand for.
const OLD_NAMES: &[(&str, &[&str])] = &[
    ("process", &["posix/cpu", "posix/mem"]),
    ("cgroups", &["cgroups/cpu", "cgroups/mem"]),
    ("posix/disk", &["disk/du"]),
];

/// The isolators of cgroups, and what each needs.
const OF_CGROUPS: [(&str, Controller); 3] = [
    ("cgroups/cpu", Controller::Cpu),
    ("cgroups/mem", Controller::Memory),
    ("cgroups/pids", Controller::Pids),
];

/// Stands for all of these that the kernel has.
const ALL_CGROUPS: &str = "cgroups/all";

/// The isolators that were asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice(BTreeSet<&'static str>);

impl Choice {
    /// Reads the names, with those that Mesos adds.
    ///
    /// # Errors
    /// What is unknown, or does not fit.
    pub(super) fn read(config: &ContainerizerConfig) -> Result<Self, String> {
        let mut chosen = BTreeSet::new();
        for name in &config.isolation {
            if name == ALL_CGROUPS {
                chosen.extend(all_cgroups(&config.cgroups_hierarchy)?);
                continue;
            }
            let new = OLD_NAMES.iter().find(|(old, _)| old == name);
            let names = new.map_or_else(|| vec![name.as_str()], |(_, new)| new.to_vec());
            for name in names {
                chosen.insert(find(name)?.name);
            }
        }
        if chosen.contains("filesystem/linux") {
            if chosen.contains("filesystem/posix") {
                let why = "using multiple filesystem isolators simultaneously is disallowed";
                return Err(why.to_owned());
            }
            chosen.extend(["volume/image", "volume/host_path", "volume/sandbox_path"]);
        }
        let choice = Choice(chosen);
        choice.check(config, Uid::effective().is_root())?;
        Ok(choice)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn check(&self, config: &ContainerizerConfig, is_root: bool) -> Result<(), String> {
        for isolator in KNOWN.iter().filter(|known| self.has(known.name)) {
            let name = isolator.name;
            if isolator.needs_linux && config.launcher != LauncherKind::Linux {
                return Err(format!(
                    "the isolator '{name}' needs the launcher 'linux' (see --launcher)"
                ));
            }
            if isolator.needs_mounts && !self.has("filesystem/linux") {
                return Err(format!(
                    "the isolator '{name}' needs the isolator 'filesystem/linux'"
                ));
            }
            if isolator.needs_root && !is_root {
                return Err(format!("the isolator '{name}' needs root permissions"));
            }
        }
        if config.launcher == LauncherKind::Linux && !is_root {
            return Err("the launcher 'linux' needs root permissions".to_owned());
        }
        // Without `docker/runtime`, what images say of their programs counts for nothing.
        if config.images.is_some() && !self.has("filesystem/linux") {
            let why = "--image_providers needs the isolator 'filesystem/linux' (see --isolation)";
            return Err(why.to_owned());
        }
        Ok(())
    }

    /// Whether what images say of their programs counts.
    pub(super) fn reads_runtime(&self) -> bool {
        self.has("docker/runtime")
    }

    /// What of cgroups is needed.
    pub(super) fn controllers(&self) -> Vec<Controller> {
        let mut all = vec![Controller::Processes];
        for (name, controller) in OF_CGROUPS {
            if self.has(name) {
                all.push(controller);
            }
        }
        all
    }

    /// What containers can ask for, with images or without.
    pub(super) fn abilities(&self, has_images: bool) -> Isolation {
        let limiting = ["cgroups/cpu", "cgroups/mem", "disk/du"];
        Isolation {
            limits: limiting.iter().any(|name| self.has(name)),
            rlimits: self.has("posix/rlimits"),
            capabilities: self.has("linux/capabilities"),
            ipc: self.has("namespaces/ipc"),
            host_paths: self.has("volume/host_path"),
            sandbox_paths: self.has("volume/sandbox_path"),
            images: has_images,
            image_volumes: has_images && self.has("volume/image"),
            ..Isolation::default()
        }
    }

    /// The isolators themselves. Those that only name what every container has do nothing.
    ///
    /// # Errors
    /// When one cannot work with its settings.
    pub(super) fn isolators(
        &self,
        config: &ContainerizerConfig,
        work_dir: &Path,
        cgroups: Option<&Arc<dyn Cgroups>>,
        provisioner: &Arc<Provisioner>,
    ) -> Result<Vec<Box<dyn Isolator>>, String> {
        let mut all = Vec::new();
        for isolator in KNOWN.iter().filter(|known| self.has(known.name)) {
            if let Some(made) = make(isolator.name, config, work_dir, cgroups, provisioner)? {
                all.push(made);
            }
        }
        Ok(all)
    }
}

/// The isolators of cgroups that can be used here. (As Mesos does, it leaves out what the kernel does
/// not have, and what is not supported.)
fn all_cgroups(hierarchy: &Path) -> Result<Vec<&'static str>, String> {
    let found = OF_CGROUPS.into_iter();
    let found = found.filter(|(_, controller)| cgroups::offers(hierarchy, *controller));
    let names: Vec<&str> = found.map(|(name, _)| name).collect();
    match names.is_empty() {
        false => Ok(names),
        true => Err(format!(
            "the isolator '{ALL_CGROUPS}' finds no cgroup subsystem at '{}' (see \
             --cgroups_hierarchy)",
            hierarchy.display()
        )),
    }
}

fn find(name: &str) -> Result<&'static Known, String> {
    let found = KNOWN.iter().find(|known| known.name == name);
    found.ok_or_else(|| {
        let mut names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        names.push(ALL_CGROUPS);
        format!(
            "unknown isolator '{name}', expected some of {}",
            names.join(", ")
        )
    })
}

fn make(
    name: &str,
    config: &ContainerizerConfig,
    work_dir: &Path,
    cgroups: Option<&Arc<dyn Cgroups>>,
    provisioner: &Arc<Provisioner>,
) -> Result<Option<Box<dyn Isolator>>, String> {
    let cgroups = || {
        let cgroups = cgroups.cloned();
        cgroups.ok_or_else(|| format!("the isolator '{name}' needs cgroups"))
    };
    Ok(Some(match name {
        "filesystem/linux" => Box::new(LinuxFilesystem {
            provisioner: provisioner.clone(),
            sandbox_directory: config.sandbox_directory.clone(),
        }),
        "volume/image" => Box::new(ImageVolumes {
            provisioner: provisioner.clone(),
        }),
        "posix/rlimits" => Box::new(Rlimits),
        "cgroups/cpu" => Box::new(Cpu {
            cgroups: cgroups()?,
            enable_cfs: config.cgroups_enable_cfs,
            revocable_low_priority: config.revocable_cpu_low_priority,
        }),
        "cgroups/mem" => Box::new(Mem {
            cgroups: cgroups()?,
            limit_swap: config.cgroups_limit_swap,
        }),
        "cgroups/pids" => Box::new(Pids {
            cgroups: cgroups()?,
            limit: config.cgroups_pids_limit,
        }),
        "linux/capabilities" => Box::new(LinuxCapabilities::new(
            config.effective_capabilities.as_ref(),
            config.bounding_capabilities.as_ref(),
        )?),
        "linux/nnp" => Box::new(NoNewPrivileges),
        "namespaces/ipc" => Box::new(IpcNamespace {
            default_shm_size: config.default_container_shm_size,
            disallow_sharing: config.disallow_sharing_agent_ipc_namespace,
        }),
        "namespaces/pid" => Box::new(PidNamespace {
            disallow_sharing: config.disallow_sharing_agent_pid_namespace,
        }),
        "volume/sandbox_path" => Box::new(SandboxPath),
        "volume/host_path" => Box::new(HostPath {
            force_creation: config.host_path_volume_force_creation.clone(),
            prefixes: config.host_path_volume_prefixes.clone(),
        }),
        "disk/du" => Box::new(Du::new(
            config.container_disk_watch_interval,
            config.enforce_container_disk_quota,
            work_dir,
        )),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::containerizer::config::ImagesConfig;

    fn config(isolation: &str, launcher: LauncherKind) -> ContainerizerConfig {
        ContainerizerConfig {
            isolation: isolation.split(',').map(str::to_owned).collect(),
            launcher,
            ..ContainerizerConfig::default()
        }
    }

    fn read(isolation: &str, launcher: LauncherKind) -> Result<Choice, String> {
        Choice::read(&config(isolation, launcher))
    }

    fn provisioner() -> Arc<Provisioner> {
        let opened = Provisioner::open(None, None, "/nonexistent".as_ref(), "/nonexistent".into());
        Arc::new(opened.unwrap())
    }

    #[test]
    fn images_need_mounts_and_nothing_else() {
        let chosen = |names: &[&'static str]| Choice(names.iter().copied().collect());
        let mut config = config("", LauncherKind::Linux);
        let all = chosen(&["filesystem/linux", "docker/runtime", "volume/image"]);
        all.check(&config, true).unwrap();
        assert!(!all.abilities(false).images && !all.abilities(false).image_volumes);
        config.images = Some(ImagesConfig {
            providers: Vec::new(),
            docker_registry: "/images".into(),
            docker_store_dir: "/store".into(),
            gc: None,
        });
        let alone = chosen(&["filesystem/linux"]);
        alone.check(&config, true).unwrap();
        assert!(alone.abilities(true).images && !alone.reads_runtime());
        assert_eq!(
            chosen(&["posix/cpu"]).check(&config, true).unwrap_err(),
            "--image_providers needs the isolator 'filesystem/linux' (see --isolation)"
        );
        assert!(all.abilities(true).image_volumes && all.reads_runtime());
    }

    #[test]
    fn all_cgroups_are_those_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let all = |root: &Path| all_cgroups(root);
        let why = all(dir.path()).unwrap_err();
        assert!(why.contains("--cgroups_hierarchy"), "{why}");
        for tree in ["cpu", "cpuacct", "pids", "blkio"] {
            std::fs::create_dir(dir.path().join(tree)).unwrap();
            std::fs::write(dir.path().join(tree).join("cgroup.procs"), "").unwrap();
        }
        assert_eq!(all(dir.path()).unwrap(), ["cgroups/cpu", "cgroups/pids"]);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "io memory pids\n").unwrap();
        assert_eq!(all(dir.path()).unwrap(), ["cgroups/mem", "cgroups/pids"]);
    }

    #[test]
    fn unknown_names_are_refused_with_those_that_are_known() {
        let why = read("posix/cpu,cgroups/cpi", LauncherKind::Posix).unwrap_err();
        assert!(why.starts_with("unknown isolator 'cgroups/cpi', expected some of "));
        assert!(why.contains("cgroups/cpu") && why.contains("disk/du"));
    }

    #[test]
    fn old_names_stand_for_new_ones() {
        assert_eq!(
            read("process,posix/disk", LauncherKind::Posix),
            read("posix/cpu,posix/mem,disk/du", LauncherKind::Posix)
        );
    }

    #[test]
    fn what_an_isolator_needs_must_be_there() {
        let posix = |isolation| read(isolation, LauncherKind::Posix).unwrap_err();
        assert_eq!(
            posix("cgroups/cpu"),
            "the isolator 'cgroups/cpu' needs the launcher 'linux' (see --launcher)"
        );
        let chosen = Choice(["namespaces/pid"].into());
        let config = config("namespaces/pid", LauncherKind::Linux);
        assert_eq!(
            chosen.check(&config, true).unwrap_err(),
            "the isolator 'namespaces/pid' needs the isolator 'filesystem/linux'"
        );
        let chosen = Choice(["cgroups/mem"].into());
        assert_eq!(
            chosen.check(&config, false).unwrap_err(),
            "the isolator 'cgroups/mem' needs root permissions"
        );
        assert_eq!(
            Choice(BTreeSet::new()).check(&config, false).unwrap_err(),
            "the launcher 'linux' needs root permissions"
        );
        assert!(posix("filesystem/posix,filesystem/linux").contains("multiple filesystem"));
    }

    #[test]
    fn volumes_come_with_mounts() {
        let chosen = Choice(
            [
                "filesystem/linux",
                "volume/host_path",
                "volume/sandbox_path",
            ]
            .into(),
        );
        let config = config("filesystem/linux", LauncherKind::Linux);
        chosen.check(&config, true).unwrap();
        let abilities = chosen.abilities(false);
        assert!(abilities.host_paths && abilities.sandbox_paths && !abilities.limits);
        let made = chosen
            .isolators(&config, Path::new("/w"), None, &provisioner())
            .unwrap();
        let names: Vec<&str> = made.iter().map(|isolator| isolator.name()).collect();
        assert_eq!(
            names,
            [
                "filesystem/linux",
                "volume/sandbox_path",
                "volume/host_path"
            ]
        );
    }

    #[test]
    fn every_isolator_but_those_that_are_only_names_can_be_made() {
        let cgroups: Arc<dyn Cgroups> = {
            let dir = tempfile::tempdir().unwrap();
            Arc::new(super::super::cgroups::V2::open(dir.path(), "m", &[]).unwrap())
        };
        let only_names = [
            "filesystem/posix",
            "posix/cpu",
            "posix/mem",
            "docker/runtime",
        ];
        for known in KNOWN {
            let config = ContainerizerConfig::default();
            let made = make(
                known.name,
                &config,
                Path::new("/w"),
                Some(&cgroups),
                &provisioner(),
            )
            .unwrap();
            assert_eq!(
                made.is_none(),
                only_names.contains(&known.name),
                "{}",
                known.name
            );
            if let Some(made) = made {
                assert_eq!(made.name(), known.name);
            }
        }
    }
}
