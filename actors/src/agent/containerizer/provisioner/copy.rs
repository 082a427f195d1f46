//! Copies a layer over those below it: what it hides of them is removed.
//! Follows no link, and makes no devices.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::mkfifo;
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

/// Says in a layer that a directory shows nothing of those below.
const OPAQUE: &str = "trusted.overlay.opaque";

/// The kernel's own bound on an attribute's value, and on all of a file's names.
const MAX_ATTRIBUTE_BYTES: usize = 64 << 10;

/// Copies what is in a directory of a layer to where it is seen.
///
/// # Errors
/// What cannot be copied, or that nobody needs it any more.
pub(super) fn layer(from: &Path, to: &Path, is_killed: &dyn Fn() -> bool) -> Result<(), String> {
    if is_killed() {
        return Err("it was killed while its image was copied".to_owned());
    }
    let entries = fs::read_dir(from).map_err(|error| failed(from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let found = entry.metadata().map_err(|error| failed(&source, &error))?;
        one(&source, &target, &found, is_killed)?;
    }
    Ok(())
}

fn one(
    source: &Path,
    target: &Path,
    found: &Metadata,
    is_killed: &dyn Fn() -> bool,
) -> Result<(), String> {
    let told = |error: io::Error| failed(source, &error);
    let kind = found.file_type();
    let before = fs::symlink_metadata(target).ok();
    let both_directories = kind.is_dir() && before.as_ref().is_some_and(Metadata::is_dir);
    if let Some(before) = before
        && (!both_directories || is_opaque(source))
    {
        let removed = match before.is_dir() {
            true => fs::remove_dir_all(target),
            false => fs::remove_file(target),
        };
        removed.map_err(told)?;
    }
    if kind.is_char_device() && found.rdev() == 0 {
        // It stood for the end of what was just removed.
        return Ok(());
    }
    if kind.is_dir() {
        if !target.exists() {
            fs::create_dir(target).map_err(told)?;
        }
        layer(source, target, is_killed)?;
    } else if kind.is_symlink() {
        symlink(fs::read_link(source).map_err(told)?, target).map_err(told)?;
    } else if kind.is_file() {
        copy_file(source, target).map_err(told)?;
    } else if kind.is_fifo() {
        mkfifo(target, Mode::S_IRUSR)
            .map_err(io::Error::from)
            .map_err(told)?;
    } else if kind.is_socket() {
        let made = mknod(target, SFlag::S_IFSOCK, Mode::S_IRUSR, 0);
        made.map_err(io::Error::from).map_err(told)?;
    } else {
        return Ok(());
    }
    like(source, target, found).map_err(told)
}

/// Files that are one in the layer become several.
fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut to = File::create_new(target)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// Owner, rights, attributes and time.
fn like(source: &Path, target: &Path, found: &Metadata) -> io::Result<()> {
    lchown(target, Some(found.uid()), Some(found.gid()))?;
    if found.is_symlink() {
        return Ok(());
    }
    // Set after the owner, whose change takes the bits away that give rights.
    fs::set_permissions(target, fs::Permissions::from_mode(found.mode() & 0o7777))?;
    for name in attributes(source)? {
        if name != OPAQUE {
            let value = attribute(source, &name)?.unwrap_or_default();
            lsetxattr(target, &name, &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn is_opaque(directory: &Path) -> bool {
    let value = attribute(directory, OPAQUE);
    value.is_ok_and(|value| value.as_deref() == Some(b"y"))
}

/// The names of a file's attributes.
fn attributes(path: &Path) -> io::Result<Vec<String>> {
    let mut list = vec![0; MAX_ATTRIBUTE_BYTES];
    let length = match llistxattr(path, list.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = list
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

fn attribute(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; MAX_ATTRIBUTE_BYTES];
    match lgetxattr(path, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("Failed to copy '{}' of the image: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_hides_and_replaces_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        let [below, above, root] = ["below", "above", "root"].map(|name| dir.path().join(name));
        for path in ["kept", "opaque/old", "gone", "dir"] {
            fs::create_dir_all(below.join(path)).unwrap();
        }
        fs::write(below.join("file"), "below").unwrap();
        fs::write(below.join("gone/file"), "x").unwrap();
        symlink(dir.path(), below.join("link")).unwrap();
        fs::create_dir_all(above.join("opaque/new")).unwrap();
        let opaque = above.join("opaque");
        lsetxattr(&opaque, OPAQUE, b"y", XattrFlags::empty()).unwrap();
        mknod(&above.join("gone"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
        fs::write(above.join("file"), "above").unwrap();
        fs::write(above.join("dir"), "now a file").unwrap();
        fs::create_dir(above.join("link")).unwrap();
        fs::write(above.join("link/inner"), "x").unwrap();
        lchown(above.join("file"), Some(7), Some(8)).unwrap();
        fs::set_permissions(above.join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::create_dir(&root).unwrap();
        for from in [&below, &above] {
            layer(from, &root, &|| false).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["dir", "file", "kept", "link", "opaque"]);
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "above");
        assert!(root.join("dir").is_file() && root.join("opaque/new").is_dir());
        assert!(!root.join("opaque/old").exists());
        assert_eq!(attribute(&root.join("opaque"), OPAQUE).unwrap(), None);
        let file = fs::metadata(root.join("file")).unwrap();
        assert_eq!(
            (file.uid(), file.gid(), file.mode() & 0o7777),
            (7, 8, 0o4711)
        );
        // Nothing was written where the link led to.
        assert!(root.join("link/inner").is_file() && !dir.path().join("inner").exists());
        assert!(layer(&below, &root, &|| true).is_err());
    }
}
