//! Where the archive of an image is, and whether it is still the same.
//! Reads none of it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::reference::Reference;

/// With what names of archives end.
const ENDING: &str = ".tar";

/// The files one of which is in each directory that holds an image, and which change with it.
const LISTS: [&str; 3] = ["index.json", "manifest.json", "repositories"];

/// Tells an archive from another one of the same name. Whatever is written to a file changes one of
/// these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Archive {
    /// An archive, or a directory.
    pub(super) path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Finds the archive of an image below the registry's directory.
///
/// # Errors
/// When there is none: where it was looked for.
pub(super) fn find(registry: &Path, image: &Reference) -> Result<Archive, String> {
    let mut tried = Vec::new();
    for name in image.paths() {
        let file = registry.join(format!("{name}{ENDING}"));
        let directory = registry.join(&name);
        for path in [file, directory] {
            match read(&path) {
                Ok(archive) => return Ok(archive),
                Err(error) if is_absence(&error) => tried.push(format!("'{}'", path.display())),
                Err(error) => {
                    let path = path.display();
                    return Err(format!(
                        "Failed to read the image's archive '{path}': {error}"
                    ));
                }
            }
        }
    }
    let tried = tried.join(", ");
    Err(format!(
        "Failed to find archive for image '{image}' at {tried}"
    ))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read(path: &Path) -> io::Result<Archive> {
    let mut found = fs::metadata(path)?;
    if found.is_dir() {
        let lists = LISTS.iter().map(|name| fs::metadata(path.join(name)));
        let list = lists.filter_map(Result::ok).next();
        found = list.ok_or(io::ErrorKind::NotFound)?;
    }
    Ok(Archive {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
        bytes: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_found_by_its_name_and_known_by_its_content() {
        let registry = tempfile::tempdir().unwrap();
        let image = Reference::parse("a/b").unwrap();
        let why = find(registry.path(), &image).unwrap_err();
        let first = registry.path().join("a/b.tar");
        let begin = format!(
            "Failed to find archive for image 'a/b' at '{}', ",
            first.display()
        );
        assert!(why.starts_with(&begin), "{why}");

        let layout = registry.path().join("a/b");
        fs::create_dir_all(&layout).unwrap();
        assert!(find(registry.path(), &image).is_err(), "an empty directory");
        fs::write(layout.join("index.json"), "{}").unwrap();
        assert_eq!(find(registry.path(), &image).unwrap().path, layout);

        fs::write(&first, "one").unwrap();
        let one = find(registry.path(), &image).unwrap();
        assert_eq!(one.path, first);
        assert_eq!(find(registry.path(), &image).unwrap(), one);
        fs::write(registry.path().join("new"), "two").unwrap();
        fs::rename(registry.path().join("new"), &first).unwrap();
        assert_ne!(find(registry.path(), &image).unwrap(), one);
    }
}
