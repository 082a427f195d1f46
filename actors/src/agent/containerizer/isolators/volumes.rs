//! `volume/host_path` and `volume/sandbox_path`: directories and files that a container sees at
//! other places. Mounts nothing itself; follows no link in a sandbox.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use futures_util::future::BoxFuture;
use nix::errno::Errno;
use tepui_protocol::v1::volume::Mode;
use tepui_protocol::v1::volume::source::Type;
use tepui_protocol::v1::volume::source::sandbox_path::Type as Whose;
use tepui_protocol::v1::{ContainerInfo, Volume};
use tokio::sync::oneshot;

use crate::agent::containerizer::isolator::{Container, Isolator, Mount, Plan};
use crate::agent::no_links;

/// Stack in bytes of a thread that only looks up paths: the kernel's longest one is a page.
const STACK_BYTES: usize = 128 * 1024;

/// Access to directories and files that are made.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Shows what is on the host. (Mesos: `VolumeHostPathIsolatorProcess`.)
#[derive(Default)]
pub(in super::super) struct HostPath {
    /// Directories in which what is not there is made.
    pub(in super::super) force_creation: Vec<PathBuf>,
    /// Directories of which something may be shown; none stands for all.
    pub(in super::super) prefixes: Option<Vec<PathBuf>>,
}

/// Shows one place of the sandbox at another one. (Mesos: `VolumeSandboxPathIsolatorProcess`.)
pub(in super::super) struct SandboxPath;

impl Isolator for HostPath {
    fn name(&self) -> &'static str {
        "volume/host_path"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        for (volume, path) in volumes(container).filter_map(|it| Some((it, host_path(it)?))) {
            if !path.starts_with('/') {
                return Err(format!("Path '{path}' in HOST_PATH volume is not absolute"));
            }
            let source = self.source(path)?;
            let found = fs::metadata(&source)
                .map_err(|error| format!("Path '{path}' is not accessible on host: {error}"))?;
            mount(container, volume, source, found.is_dir(), plan)?;
        }
        Ok(())
    }
}

impl HostPath {
    /// The path without links, made if it may be, where it may be shown.
    fn source(&self, path: &str) -> Result<PathBuf, String> {
        let refused =
            |error: io::Error| format!("Path '{path}' is not accessible on host: {error}");
        let asked = Path::new(path);
        let is_plain = !asked.components().any(|part| part == Component::ParentDir);
        let mut forced = self.force_creation.iter();
        let may_be_made = is_plain && forced.any(|directory| asked.starts_with(directory));
        // What is not there yet is judged by where it would be.
        let mut there = asked;
        while may_be_made && !there.exists() {
            there = there.parent().unwrap_or(Path::new("/"));
        }
        let missing = asked.strip_prefix(there).unwrap_or(Path::new(""));
        // Whoever mounts it opens what these names lead to, and follows no link that was put there
        // meanwhile.
        let real = there.canonicalize().map_err(refused)?;
        let is_missing = missing != Path::new("");
        let source = if is_missing {
            real.join(missing)
        } else {
            real.clone()
        };
        if !self.may_show(&source) {
            return Err(format!(
                "Path '{path}' in HOST_PATH volume may not be shown: it is in none of the \
                 directories of --host_path_volume_prefixes"
            ));
        }
        if is_missing {
            let mut above = no_links::open(&real).map_err(refused)?;
            for name in missing {
                (above, _) =
                    no_links::enter_or_make(&above, name, DIRECTORY_MODE).map_err(refused)?;
            }
        }
        Ok(source)
    }

    fn may_show(&self, source: &Path) -> bool {
        let contains = |prefix: &PathBuf| {
            let real = prefix.canonicalize();
            real.is_ok_and(|real| source.starts_with(real))
        };
        let prefixes = self.prefixes.as_ref();
        prefixes.is_none_or(|prefixes| prefixes.iter().any(contains))
    }
}

impl Isolator for SandboxPath {
    fn name(&self) -> &'static str {
        "volume/sandbox_path"
    }

    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), String> {
        for (volume, path) in volumes(container).filter_map(|it| Some((it, sandbox_path(it)?))) {
            let (whose, path) = path?;
            if path.is_absolute() {
                let path = path.display();
                return Err(format!(
                    "Path '{path}' in SANDBOX_PATH volume is absolute, expected a relative one"
                ));
            }
            let source = match whose {
                Of::Parent => make_in_parent(container, path)?,
                Of::Itself => make(&container.directory, container.owner, path, true)?,
            };
            mount(container, volume, source, true, plan)?;
        }
        Ok(())
    }
}

/// Looks up what volumes show of the host, and ends when all was found or not: a disk of the network
/// that does not answer holds up nobody but those who wait for it. None if there is nothing to look
/// up. What is found is not kept: the kernel knows it then.
pub(in super::super) fn look_up(info: Option<&ContainerInfo>) -> Option<BoxFuture<'static, ()>> {
    let volumes = info.iter().flat_map(|info| &info.volumes);
    let paths: Vec<PathBuf> = volumes.filter_map(host_path).map(PathBuf::from).collect();
    if paths.is_empty() {
        return None;
    }
    let (done, all) = oneshot::channel();
    // Not one of the runtime's threads, for which a stopping agent waits.
    let thread = std::thread::Builder::new()
        .name("host-paths".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            for path in paths {
                // Whether it is there is said by whoever shows it.
                let _ = path.canonicalize();
            }
            let _ = done.send(());
        });
    if let Err(error) = thread {
        tracing::warn!(%error, "the host paths of a container are not looked up ahead");
    }
    Some(Box::pin(async move {
        // An error means that it was not looked up.
        let _ = all.await;
    }))
}

pub(super) fn volumes(container: &Container) -> impl Iterator<Item = &Volume> {
    container.info.iter().flat_map(|info| &info.volumes)
}

/// The path on the host that a volume shows, if it does.
fn host_path(volume: &Volume) -> Option<&str> {
    if volume.image.is_some() {
        return None;
    }
    match &volume.source {
        Some(source) if source.r#type() == Type::HostPath => {
            Some(source.host_path.as_ref().map_or("", |host| &host.path))
        }
        Some(_) => None,
        None => volume
            .host_path
            .as_deref()
            .filter(|path| path.starts_with('/')),
    }
}

/// Whose sandbox a volume shows a place of.
enum Of {
    Itself,
    Parent,
}

/// The path in a sandbox that a volume shows, if it does. A host path that is relative is one.
fn sandbox_path(volume: &Volume) -> Option<Result<(Of, &Path), String>> {
    if volume.image.is_some() {
        return None;
    }
    if let Some(source) = &volume.source {
        if source.r#type() != Type::SandboxPath {
            return None;
        }
        let sandbox = source.sandbox_path.as_ref();
        return Some(match sandbox {
            Some(path) if path.r#type() == Whose::Parent => Ok((Of::Parent, Path::new(&path.path))),
            Some(path) => Ok((Of::Itself, Path::new(&path.path))),
            None => Err("'sandbox_path' is missing in a volume's source".to_owned()),
        });
    }
    let path = volume.host_path.as_deref()?;
    (!path.starts_with('/')).then(|| Ok((Of::Itself, Path::new(path))))
}

/// Plans a mount. Where the container sees the volume must exist if it is outside of the sandbox and
/// on the host.
pub(super) fn mount(
    container: &Container,
    volume: &Volume,
    source: PathBuf,
    is_directory: bool,
    plan: &mut Plan,
) -> Result<(), String> {
    let at = Path::new(&volume.container_path);
    let in_root = at.is_absolute() && container.has_image;
    let target = match at.is_absolute() {
        _ if in_root => at.to_owned(),
        false => make(&container.directory, container.owner, at, is_directory)?,
        true => at.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("Absolute container path '{}' does not exist", at.display())
            }
            _ => format!(
                "Absolute container path '{}' cannot be used: {error}",
                at.display()
            ),
        })?,
    };
    plan.mount_namespace = true;
    plan.mounts.push(Mount::Bind {
        source,
        target,
        read_only: volume.mode() == Mode::Ro,
        in_root,
    });
    Ok(())
}

/// Makes a directory in the sandbox of the container around this one, whose owner it gets.
fn make_in_parent(container: &Container, relative: &Path) -> Result<PathBuf, String> {
    let parent = container.called.as_ref().and_then(|it| it.parent.as_ref());
    let Some(parent) = parent else {
        let why = "SANDBOX_PATH volume of type PARENT only works for nested container";
        return Err(why.to_owned());
    };
    let directory = Path::new(&parent.directory);
    let found = no_links::open(directory).and_then(|opened| File::from(opened).metadata());
    let found =
        found.map_err(|error| format!("Failed to look at the parent's sandbox: {error}"))?;
    make(directory, Some((found.uid(), found.gid())), relative, true)
}

/// Makes a directory or an empty file in a sandbox if it is not there, and gives its path. A task that
/// runs may own the sandbox, or the one that this is in.
fn make(
    sandbox: &Path,
    owner: Option<(u32, u32)>,
    relative: &Path,
    is_directory: bool,
) -> Result<PathBuf, String> {
    let refused = |why: &str| format!("Path '{}' in the sandbox {why}", relative.display());
    let mut path = sandbox.to_owned();
    let mut above = no_links::open(sandbox)
        .map_err(|error| refused(&format!("cannot be used: the sandbox: {error}")))?;
    let mut names = Vec::new();
    for part in relative.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(refused("must not leave it")),
        }
    }
    let last = names
        .len()
        .checked_sub(1)
        .ok_or_else(|| refused("is empty"))?;
    for (at, name) in names.into_iter().enumerate() {
        path.push(name);
        let made = match at < last || is_directory {
            true => make_directory(&above, name, owner),
            false => make_file(&above, name, owner),
        };
        above = made.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOTDIR | Errno::ELOOP | Errno::EISDIR) => {
                refused("is something else already")
            }
            _ => refused(&format!("cannot be made: {error}")),
        })?;
    }
    Ok(path)
}

fn make_directory(above: &OwnedFd, name: &OsStr, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    let (inner, is_new) = no_links::enter_or_make(above, name, DIRECTORY_MODE)?;
    if is_new {
        no_links::give(&inner, owner)?;
    }
    Ok(inner)
}

fn make_file(above: &OwnedFd, name: &OsStr, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    match no_links::make_file(above, name, FILE_MODE) {
        Ok(file) => {
            no_links::give(&file, owner)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = File::from(no_links::look(above, name)?);
            match found.metadata()?.is_dir() {
                true => Err(Errno::EISDIR.into()),
                false => Ok(found.into()),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tepui_core::agent::container_resources::ContainerResources;
    use tepui_core::ids::ContainerId;

    use super::*;

    fn container(directory: &Path, volumes: Vec<Volume>) -> Container {
        Container {
            id: ContainerId::from("c"),
            directory: directory.to_owned(),
            owner: None,
            resources: ContainerResources::default(),
            info: Some(ContainerInfo {
                volumes,
                ..ContainerInfo::default()
            }),
            called: None,
            has_image: false,
        }
    }

    fn volume(host: &str, inner: &str) -> Volume {
        Volume {
            mode: Mode::Ro as i32,
            container_path: inner.to_owned(),
            host_path: Some(host.to_owned()),
            ..Volume::default()
        }
    }

    fn plan(isolator: &dyn Isolator, directory: &Path, volume: Volume) -> Result<Plan, String> {
        let mut plan = Plan::default();
        isolator.prepare(&container(directory, vec![volume]), &mut plan)?;
        Ok(plan)
    }

    #[test]
    fn a_host_path_is_mounted_in_the_sandbox() {
        let dir = tempfile::tempdir().unwrap();
        let planned = plan(&HostPath::default(), dir.path(), volume("/etc", "a/b")).unwrap();
        assert!(planned.mount_namespace);
        let target = dir.path().join("a/b");
        assert!(target.is_dir());
        let expected = Mount::Bind {
            source: "/etc".into(),
            target,
            read_only: true,
            in_root: false,
        };
        assert_eq!(planned.mounts, [expected]);
        // Not its business.
        let planned = plan(&HostPath::default(), dir.path(), volume("data", "/mnt")).unwrap();
        assert_eq!(planned, Plan::default());
    }

    #[test]
    fn only_what_is_in_the_given_directories_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (shown, hidden) = (dir.path().join("shown"), dir.path().join("hidden"));
        for path in [
            shown.join("inner"),
            hidden.clone(),
            dir.path().join("shown2"),
        ] {
            fs::create_dir_all(path).unwrap();
        }
        symlink(&hidden, shown.join("link")).unwrap();
        let isolator = HostPath {
            force_creation: vec![shown.join("made"), hidden.join("made")],
            prefixes: Some(vec![shown.clone()]),
        };
        let sandbox = tempfile::tempdir().unwrap();
        let plan = |path: &str| {
            let path = dir.path().join(path);
            let volume = volume(path.to_str().unwrap(), "a");
            plan(&isolator, sandbox.path(), volume)
        };
        assert!(plan("shown/inner").is_ok());
        let others = ["hidden", "shown/link", "shown/../hidden", "shown2"];
        for path in others.into_iter().chain(["hidden/made/x"]) {
            let why = plan(path).unwrap_err();
            assert!(why.contains("--host_path_volume_prefixes"), "{path}: {why}");
        }
        assert!(!hidden.join("made").exists());
        plan("shown/made/a/b").unwrap();
        assert!(shown.join("made/a/b").is_dir());
        assert!(plan("shown/made/../x").is_err());
        assert!(plan("shown/other").is_err());
    }

    #[test]
    fn a_path_of_the_sandbox_is_mounted_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let planned = plan(&SandboxPath, dir.path(), volume("data", "/mnt")).unwrap();
        let expected = Mount::Bind {
            source: dir.path().join("data"),
            target: "/mnt".into(),
            read_only: true,
            in_root: false,
        };
        assert_eq!(planned.mounts, [expected]);
        assert!(dir.path().join("data").is_dir());
    }

    #[test]
    fn a_place_of_the_parents_sandbox_is_for_those_that_have_one() {
        use tepui_core::agent::messages::{Called, Parent};
        use tepui_protocol::v1::volume::{Source, source};
        let dir = tempfile::tempdir().unwrap();
        let mut volume = volume("", "mine");
        volume.host_path = None;
        volume.source = Some(Source {
            r#type: Some(Type::SandboxPath as i32),
            sandbox_path: Some(source::SandboxPath {
                r#type: Some(Whose::Parent as i32),
                path: "shared".to_owned(),
            }),
            ..Source::default()
        });
        let refused = plan(&SandboxPath, dir.path(), volume.clone());
        assert!(refused.is_err_and(|why| why.contains("only works for nested")));
        let own = dir.path().join("containers/c");
        fs::create_dir_all(&own).unwrap();
        let mut inner = container(&own, vec![volume]);
        inner.called = Some(Called {
            parent: Some(Parent {
                container: ContainerId::from("p"),
                directory: dir.path().to_string_lossy().into_owned(),
                pid: 1,
                root_directory: dir.path().to_string_lossy().into_owned(),
            }),
            limits_of: ContainerId::from("p"),
            is_debug: false,
        });
        let mut planned = Plan::default();
        SandboxPath.prepare(&inner, &mut planned).unwrap();
        let expected = Mount::Bind {
            source: dir.path().join("shared"),
            target: own.join("mine"),
            read_only: true,
            in_root: false,
        };
        assert_eq!(planned.mounts, [expected]);
        assert!(dir.path().join("shared").is_dir());
    }

    #[test]
    fn no_path_leaves_the_sandbox() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        for at in ["../x", "a/../../x", "link/x", "link", ""] {
            assert!(
                plan(&HostPath::default(), dir.path(), volume("/etc", at)).is_err(),
                "{at}"
            );
        }
        assert!(plan(&HostPath::default(), dir.path(), volume("/no/such", "a")).is_err());
        assert!(plan(&HostPath::default(), dir.path(), volume("/etc", "/no/such")).is_err());
    }

    #[test]
    fn a_sandbox_whose_place_was_taken_by_a_link_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let (outer, elsewhere) = (real.join("outer"), real.join("elsewhere"));
        for path in [&outer, &elsewhere.join("c")] {
            fs::create_dir_all(path).unwrap();
        }
        // What the owner of the outer sandbox can do while a container is launched in it.
        symlink(&elsewhere, outer.join("containers")).unwrap();
        let sandbox = outer.join("containers/c");
        for refused in [
            plan(&HostPath::default(), &sandbox, volume("/etc", "a/b")),
            plan(&SandboxPath, &sandbox, volume("data", "/mnt")),
            plan(&SandboxPath, &sandbox, volume("data", "inner")),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
        assert_eq!(fs::read_dir(elsewhere.join("c")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_planned_is_not_mounted_from_where_a_link_leads() {
        use crate::agent::containerizer::mounts::open;
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let (shown, sandbox) = (real.join("shown"), real.join("sandbox"));
        for path in [shown.join("a"), sandbox.clone(), real.join("hidden")] {
            fs::create_dir_all(path).unwrap();
        }
        let isolator = HostPath {
            prefixes: Some(vec![shown.clone()]),
            ..HostPath::default()
        };
        let volume = volume(shown.join("a").to_str().unwrap(), "inner");
        let planned = plan(&isolator, &sandbox, volume).unwrap();
        let [Mount::Bind { source, target, .. }] = &planned.mounts[..] else {
            panic!("{planned:?}");
        };
        assert!(open(source).is_ok() && open(target).is_ok());
        for path in [source, target] {
            fs::remove_dir(path).unwrap();
            symlink(real.join("hidden"), path).unwrap();
            assert!(open(path).is_err(), "{}", path.display());
        }
    }

    #[tokio::test]
    async fn paths_are_looked_up_ahead_where_there_are_some() {
        let none = container(Path::new("/sandbox"), vec![volume("data", "/mnt")]);
        assert!(look_up(none.info.as_ref()).is_none());
        let some = container(Path::new("/sandbox"), vec![volume("/no/such", "a")]);
        look_up(some.info.as_ref()).unwrap().await;
    }
}
