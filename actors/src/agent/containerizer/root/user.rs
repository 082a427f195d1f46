//! The user that an image names: looked up in the image's own files, and given the sandbox.
//! Loads nothing of the image's, as the system's own look-up might.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::inside::{Inside, read};
use crate::agent::containerizer::helper::Identity;

/// Longest file of users or groups that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Finds the user of an image: `user`, `uid`, `user:group` or `uid:gid`, where numbers need not be in
/// its files.
pub(in super::super) fn find(root: &Path, named: &str) -> Result<Identity, String> {
    let inside = Inside::open(root)?;
    let file = |path| {
        read(&inside, path, MAX_BYTES)
            .map_err(|error| format!("Failed to read '{path}' of the image: {error}"))
    };
    resolve(named, &file("/etc/passwd")?, &file("/etc/group")?)
}

fn resolve(named: &str, users: &str, groups: &str) -> Result<Identity, String> {
    let (user, group) = named.split_once(':').unwrap_or((named, ""));
    let number: Option<u32> = user.parse().ok();
    let known = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        let is_it = name == user || number == Some(uid);
        is_it.then_some((name, uid, gid))
    });
    let (name, uid, own_group) = match (known, number) {
        (Some(known), _) => known,
        (None, Some(uid)) => ("", uid, 0),
        (None, None) => {
            return Err(format!(
                "The image's user '{user}' is not in its '/etc/passwd'"
            ));
        }
    };
    if group.is_empty() {
        let others = members(groups).filter(|(_, _, list)| list.split(',').any(|one| one == name));
        let others = others.map(|(_, gid, _)| gid).filter(|_| !name.is_empty());
        let others = others.filter(|gid| *gid != own_group);
        let all = std::iter::once(own_group).chain(others).collect();
        return Ok(Identity {
            uid,
            gid: own_group,
            groups: all,
        });
    }
    let known = members(groups).find(|(name, ..)| *name == group);
    let gid = known.map(|(_, gid, _)| gid).or(group.parse().ok());
    let gid =
        gid.ok_or_else(|| format!("The image's group '{group}' is not in its '/etc/group'"))?;
    Ok(Identity {
        uid,
        gid,
        groups: vec![gid],
    })
}

/// Name, number and members of each group.
fn members(groups: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// Gives a sandbox to a user, with all that was made in it for root. Follows no link: what is in it
/// may belong to somebody else already.
pub(in super::super) fn give(sandbox: &Path, identity: &Identity) -> Result<(), String> {
    let failed = |error: Errno| {
        format!(
            "Failed to give the sandbox to the image's user {}: {error}",
            identity.uid
        )
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let root = File::open("/").map_err(|error| error.to_string())?;
    let directory = openat2(&root, sandbox, how).map_err(failed)?;
    give_one(&directory, identity).map_err(failed)
}

/// Gives a persistent volume to a user, not what is in it, as it is done for other containers.
pub(in super::super) fn give_volume(volume: &Path, identity: &Identity) -> Result<(), String> {
    chown(volume, Some(identity.uid), Some(identity.gid)).map_err(|error| {
        format!(
            "Failed to give the persistent volume '{}' to the image's user {}: {error}",
            volume.display(),
            identity.uid
        )
    })
}

fn give_one(directory: &OwnedFd, identity: &Identity) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    fchown(directory, Some(uid), Some(gid))?;
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let unreadable = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let found = entry.metadata().map_err(unreadable)?;
        if found.is_dir() {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let how = OpenHow::new()
                .flags(flags)
                .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH);
            give_one(&openat2(directory, name.as_os_str(), how)?, identity)?;
        } else if found.nlink() == 1 {
            // One with more names may be anywhere else.
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(directory, name.as_os_str(), Some(uid), Some(gid), flags)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nbroken:x\nweb:x:33:app,other\napp:x:1001:app\nlog:x:4:other\n";

    #[test]
    fn users_are_found_in_the_images_files() {
        let found = |named| {
            let found = resolve(named, USERS, GROUPS).unwrap();
            (found.uid, found.gid, found.groups)
        };
        assert_eq!(found("app"), (1000, 1001, vec![1001, 33]));
        assert_eq!(found("1000"), found("app"));
        assert_eq!(found("app:web"), (1000, 33, vec![33]));
        assert_eq!(found("app:7"), (1000, 7, vec![7]));
        assert_eq!(found("77"), (77, 0, vec![0]));
        assert_eq!(found("77:78"), (77, 78, vec![78]));
        assert_eq!(found("root"), (0, 0, vec![0]));
        let why = resolve("nobody", USERS, GROUPS).unwrap_err();
        assert_eq!(why, "The image's user 'nobody' is not in its '/etc/passwd'");
        assert!(resolve("app:nobody", USERS, GROUPS).is_err());
        assert!(resolve("-1", "", "").is_err());
    }

    #[test]
    fn a_sandbox_is_given_without_following_links() {
        use std::fs;
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let (sandbox, other) = (real.join("sandbox"), real.join("other"));
        fs::create_dir_all(sandbox.join("a/b")).unwrap();
        fs::write(sandbox.join("a/file"), "").unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        symlink(&other, sandbox.join("link")).unwrap();
        fs::hard_link(other.join("file"), sandbox.join("hard")).unwrap();
        let identity = Identity {
            uid: 12345,
            gid: 54321,
            groups: vec![],
        };
        give(&sandbox, &identity).unwrap();
        let owner = |path: &Path| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.uid(), found.gid())
        };
        for path in ["", "a", "a/b", "a/file", "link"] {
            assert_eq!(owner(&sandbox.join(path)), (12345, 54321), "{path}");
        }
        assert_eq!(
            (owner(&other), owner(&other.join("file"))),
            ((0, 0), (0, 0))
        );
        assert!(give(&sandbox.join("link"), &identity).is_err());
    }
}
