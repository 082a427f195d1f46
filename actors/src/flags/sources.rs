//! Collects flags as they were written: command line, environment, configuration directory.
//! Does not know which flags exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::{FlagError, Origin};

/// What the names of environment variables begin with.
const ENV_PREFIX: &str = "MESOS_";

/// The largest file read for a flag; configuration is small, a device or a log is a mistake.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A flag as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The name, in small letters, perhaps with `no-` in front.
    pub name: String,
    /// What stands behind the `=`.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Origin,
}

/// Reads arguments of the forms `--name=value`, `--name` and `--no-name`; `--` ends them.
pub(super) fn command_line(
    args: impl Iterator<Item = OsString>,
) -> Result<Vec<Written>, FlagError> {
    let mut flags = Vec::new();
    for arg in args {
        let arg = arg
            .into_string()
            .map_err(|arg| FlagError::NotUnicode(arg.to_string_lossy().into_owned()))?;
        let arg = arg.trim();
        if arg == "--" {
            break;
        }
        let Some(flag) = arg.strip_prefix("--") else {
            return Err(FlagError::Argument(arg.to_owned()));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        flags.push(Written {
            name: name.to_lowercase(),
            value,
            origin: Origin::CommandLine,
        });
    }
    Ok(flags)
}

/// Reads the variables `MESOS_NAME`. Those that are no flags are for others and left to the caller.
pub(super) fn environment(env: impl Iterator<Item = (OsString, OsString)>) -> Vec<Written> {
    let mut flags: Vec<Written> = env
        .filter_map(|(key, value)| {
            let key = key.into_string().ok()?;
            let name = key.strip_prefix(ENV_PREFIX)?.to_lowercase();
            let value = value.to_string_lossy().into_owned();
            Some(Written {
                name,
                value: Some(value),
                origin: Origin::Environment(key),
            })
        })
        .collect();
    flags.sort_by(|a, b| a.name.cmp(&b.name));
    flags
}

/// Reads a directory with one file per flag. A file `port` holds the port; files `?quiet` and
/// `?no-quiet` switch a boolean. Names that begin with a dot are left alone, as editors, packagers
/// and Kubernetes use them for themselves.
pub(super) fn config_dir(path: &Path, origin: &Origin) -> Result<Vec<Written>, FlagError> {
    let unreadable = |error: std::io::Error| FlagError::ConfigDir {
        origin: origin.clone(),
        path: path.to_owned(),
        why: error.to_string(),
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();

    let mut flags = Vec::new();
    for file in files {
        let Some(name) = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
        else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        flags.push(config_file(&name, file)?);
    }
    Ok(flags)
}

/// Reads one file of the configuration directory.
fn config_file(name: &str, path: PathBuf) -> Result<Written, FlagError> {
    let origin = Origin::ConfigFile(path.clone());
    if let Some(switch) = name.strip_prefix('?') {
        return Ok(Written {
            name: switch.to_lowercase(),
            value: None,
            origin,
        });
    }
    let value = read_file(&path, name, &origin)?;
    Ok(Written {
        name: name.to_lowercase(),
        value: Some(value),
        origin,
    })
}

/// Reads a file that holds a flag's value; space around it does not count.
pub(super) fn read_file(path: &Path, name: &str, origin: &Origin) -> Result<String, FlagError> {
    let unreadable = |why: String| FlagError::Unreadable {
        name: name.to_owned(),
        origin: origin.clone(),
        path: path.to_owned(),
        why,
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(unreadable(format!(
            "it is larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok(text.trim().to_owned())
}
