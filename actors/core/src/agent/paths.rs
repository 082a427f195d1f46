//! Mesos's layout of the work directory, as text.
//! Touches no file.

use tepui_protocol::v1::resource::disk_info::source::Type as SourceType;

use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId};
use crate::resources::Entry;
use crate::resources::roles::validate_role;

/// Longest name of a directory entry, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Sandbox of one run of an executor.
pub fn run(
    work_dir: &str,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> String {
    let executor = executor_dir(work_dir, agent, framework, executor);
    format!("{executor}/runs/{container}")
}

/// Directory of all runs of an executor, in `runs` below it.
pub fn executor_dir(
    work_dir: &str,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
) -> String {
    let framework = framework_dir(work_dir, agent, framework);
    format!("{framework}/executors/{executor}")
}

/// Directory of everything of one framework on an agent.
pub fn framework_dir(work_dir: &str, agent: &AgentId, framework: &FrameworkId) -> String {
    let agent = agent_dir(work_dir, agent);
    format!("{agent}/frameworks/{framework}")
}

/// Directory of everything of one agent id.
pub fn agent_dir(work_dir: &str, agent: &AgentId) -> String {
    format!("{}/{agent}", join(work_dir, "slaves"))
}

/// Sandbox of a container in another one, below that one's.
pub fn nested(parent: &str, container: &ContainerId) -> String {
    format!("{parent}/containers/{}", container.name())
}

/// Sandbox of a container that stands alone.
pub fn standalone(work_dir: &str, container: &ContainerId) -> String {
    format!("{}/{container}", join(work_dir, "containers"))
}

/// The checkpoint of reservations, volumes and operations, below the work directory.
pub const RESOURCES_AND_OPERATIONS: &str = "meta/resources/resources_and_operations.state";

/// Directory of a persistent volume: below the work directory for a root disk, below the disk's
/// own root for a PATH disk, and that root itself for a MOUNT disk.
///
/// Roots that are not absolute lie below the work directory. The `/` of a hierarchical role is
/// written as a space, which no role contains.
///
/// # Errors
/// When the entry is no such volume, or its names cannot be names of directories.
pub fn persistent_volume(work_dir: &str, volume: &Entry) -> Result<String, String> {
    let disk = volume.disk();
    let persistence = disk.and_then(|disk| disk.persistence.as_ref());
    let id = persistence.map_or("", |persistence| persistence.id.as_str());
    if !is_safe_name(id) {
        return Err(format!(
            "the persistence id {id:?} cannot name a directory: it must be 1 to \
             {MAX_NAME_BYTES} bytes long, without '/', and neither '.' nor '..'"
        ));
    }
    let role = volume
        .reservation_role()
        .ok_or_else(|| format!("the persistent volume '{id}' is not reserved"))?;
    validate_role(role)?;
    let directory = |root: &str| {
        let roles = join(root, "volumes/roles");
        format!("{roles}/{}/{id}", role.replace('/', " "))
    };
    let Some(source) = disk.and_then(|disk| disk.source.as_ref()) else {
        return Ok(directory(work_dir));
    };
    if source.id.is_some() {
        return Err(format!(
            "the persistent volume '{id}' is on a disk of a storage plugin, which is not supported"
        ));
    }
    let kind = SourceType::try_from(source.r#type).unwrap_or(SourceType::Unknown);
    let path = source.path.as_ref().and_then(|path| path.root.as_deref());
    let mount = source
        .mount
        .as_ref()
        .and_then(|mount| mount.root.as_deref());
    match (kind, path, mount) {
        (SourceType::Path, Some(root), _) => Ok(directory(&below(work_dir, root))),
        (SourceType::Mount, _, Some(root)) => Ok(below(work_dir, root)),
        (SourceType::Path | SourceType::Mount, _, _) => Err(format!(
            "the disk of the persistent volume '{id}' names no root"
        )),
        (SourceType::Block | SourceType::Raw | SourceType::Unknown, _, _) => Err(format!(
            "the persistent volume '{id}' is on a disk of type {}, which holds no directory",
            kind.as_str_name()
        )),
    }
}

/// Whether an id can be the name of a directory of its own.
pub fn is_safe_name(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_NAME_BYTES
        && id != "."
        && id != ".."
        && !id.contains(['/', '\0'])
}

/// Whether a path leads from a directory to something below it, in the shortest way.
pub(super) fn is_safe_path(path: &str) -> bool {
    path.split('/').all(is_safe_name)
}

pub(super) fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

/// A root as it was given, if absolute, else below the work directory.
pub(super) fn below(work_dir: &str, root: &str) -> String {
    match root.starts_with('/') {
        true => root.to_owned(),
        false => join(work_dir, root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_safe() {
        for bad in ["", ".", "..", "a/b", "../x", "a\0b", &"x".repeat(256)] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
        for good in ["a", "...", "a b", "ä", &"x".repeat(255)] {
            assert!(is_safe_name(good), "{good:?}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", "./a", "../a"] {
            assert!(!is_safe_path(bad), "{bad:?}");
        }
        assert!(is_safe_path("a") && is_safe_path("a/b/...c"));
    }
}
