//! The directories of the fetcher's cache: one of this agent, and in it one of each user.
//! Looks into no file.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// Access to the directories above those of users.
const PARENT_MODE: u32 = 0o755;

/// Access to a user's directory: what one may read another may not.
const USER_MODE: u32 = 0o700;

/// What is to be changed when the directory is not safe.
const FLAG: &str = "--fetcher_cache_dir";

/// Name of the directory of what is fetched without switching users.
pub(super) const NO_USER: &str = ".agent";

/// Rights of others that let them put something in another's place, unless it sticks.
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// This agent's part of the cache directory.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Removes what an earlier run has left. Agents of one machine may have one cache directory;
    /// what tells them apart is their work directory, which is never used by two.
    pub(super) fn empty(cache_dir: &Path, work_dir: &Path) -> io::Result<Self> {
        let own = fs::metadata(work_dir)?;
        let path = cache_dir.join(format!("agent-{:x}-{:x}", own.dev(), own.ino()));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let text = format!("cannot empty {}: {error}", path.display());
                Err(io::Error::new(error.kind(), text))
            }
            _ => Ok(Place(path)),
        }
    }

    /// The directory of what is cached for a user, made if need be; `owner` is the user when the
    /// agent has other rights.
    ///
    /// # Errors
    /// When it cannot be made, or others could put something in its place.
    pub(super) fn of_user(
        &self,
        user: Option<&str>,
        owner: Option<&str>,
    ) -> Result<PathBuf, String> {
        let failed = |error: io::Error| format!("cannot use {}: {error}", self.0.display());
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(PARENT_MODE).create(&self.0);
        made.map_err(failed)?;
        // Where it leads now it leads for good, as others cannot change it.
        let path = real_and_ours(&self.0, FLAG)?.join(user.unwrap_or(NO_USER));
        if path.is_dir() {
            return Ok(path);
        }
        let mut builder = DirBuilder::new();
        let made = builder
            .mode(USER_MODE)
            .create(&path)
            .or_else(allow_existing);
        made.map_err(failed)?;
        if let Some(name) = owner {
            let user = User::from_name(name).map_err(|error| failed(error.into()))?;
            let user = user.ok_or_else(|| format!("there is no user '{name}'"))?;
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(&path, Some(uid), Some(gid)).map_err(failed)?;
        }
        fs::set_permissions(&path, Permissions::from_mode(USER_MODE)).map_err(failed)?;
        Ok(path)
    }
}

/// Another launch may have made it at the same time.
fn allow_existing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    }
}

/// The path without links, and sees to it that nobody but the agent and root can change where it
/// leads: the default is below a directory that everybody may write to.
/// `flag` names what to change if it is not so.
pub(in crate::agent) fn real_and_ours(path: &Path, flag: &str) -> Result<PathBuf, String> {
    let real = path.canonicalize();
    let real = real.map_err(|error| format!("cannot use {}: {error}", path.display()))?;
    for above in real.ancestors() {
        let found = above.metadata();
        let found = found.map_err(|error| format!("cannot use {}: {error}", above.display()))?;
        let owner = Uid::from_raw(found.uid());
        if !owner.is_root() && owner != Uid::effective() {
            return Err(format!(
                "{} belongs to another user, who could replace what is below it; give {flag} a \
                 directory of the agent's user",
                above.display()
            ));
        }
        if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
            return Err(format!(
                "everybody may write to {} and could replace what is below it; give {flag} another \
                 directory",
                above.display()
            ));
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn an_agent_empties_its_own_part_only() {
        let (cache, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let other_work = tempfile::tempdir().unwrap();
        let place = Place::empty(cache.path(), work.path()).unwrap();
        let other = Place::empty(cache.path(), other_work.path()).unwrap();
        let own = place.of_user(Some("root"), None).unwrap();
        let others = other.of_user(None, None).unwrap();
        assert_eq!(mode(&own), USER_MODE);
        assert_ne!(own, place.of_user(None, None).unwrap());
        fs::write(own.join("c1-x"), "x").unwrap();
        Place::empty(cache.path(), work.path()).unwrap();
        assert!(!own.exists());
        assert!(others.exists());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let (cache, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(cache.path(), Permissions::from_mode(0o777)).unwrap();
        let place = Place::empty(cache.path(), work.path()).unwrap();
        let why = place.of_user(None, None).unwrap_err();
        assert!(why.starts_with("everybody may write to "), "{why}");
        fs::set_permissions(cache.path(), Permissions::from_mode(0o1777)).unwrap();
        place.of_user(None, None).unwrap();
    }
}
