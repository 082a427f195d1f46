//! Does what an order says, step by step, and writes down in the sandbox what was done.
//! Knows no standard input or output.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use tepui_protocol::fetch::{Answer, Archive, Item, Job, Order, Source};

use crate::copy::{self, CopyError};
use crate::extract::extract;
use crate::http::Client;
use crate::image;
use crate::rights;
use crate::sandbox::{Sandbox, relative};

/// Access to an executable (Mesos: `chmodExecutable`).
const EXECUTABLE_MODE: u32 = 0o755;

/// What unpacking keeps from all but the owner, where an image says nothing.
const UNPACKING_UMASK: u32 = 0o022;

/// Where a task's errors go; the fetcher says there what it does, as Mesos's does.
const LOG: &str = "stderr";

/// Tells the agent something.
type Say<'a> = &'a mut dyn FnMut(&Answer) -> io::Result<()>;

/// Does what the order says; the last answer.
pub(crate) fn perform(order: Order, say: Say<'_>) -> Answer {
    match try_to(order, say) {
        Ok(answer) => answer,
        Err(CopyError::TooLarge) => Answer::TooLarge,
        Err(CopyError::Failed(why)) => Answer::Failed(why),
    }
}

fn try_to(order: Order, say: Say<'_>) -> Result<Answer, CopyError> {
    let directory = match &order.job {
        Job::Size { .. } => None,
        Job::Download { directory, .. } => Some(directory),
        Job::Fetch { sandbox, .. } => Some(sandbox),
        Job::Unpack(order) => Some(&order.directory),
    };
    // The user need not be allowed to go through the directories above.
    let opened = directory.map(|path| {
        let opened = Sandbox::open(Path::new(path));
        opened.map_err(|error| format!("Failed to open '{path}': {error}"))
    });
    let opened = opened.transpose().map_err(CopyError::Failed)?;
    if let Some(user) = &order.user {
        rights::take(user).map_err(CopyError::Failed)?;
    }
    rights::bound_memory().map_err(CopyError::Failed)?;
    let client = Client::new(Duration::from_millis(order.stall_timeout_ms));
    let mut begin = |uri: &str| {
        let told = say(&Answer::Fetching(uri.to_owned()));
        told.map_err(|error| CopyError::Failed(format!("the agent does not listen: {error}")))
    };
    match (order.job, opened) {
        (Job::Size { uri, source }, _) => {
            begin(&uri)?;
            let size = copy::size(&source, &client).map_err(CopyError::Failed)?;
            Ok(Answer::Size(size))
        }
        (
            Job::Download {
                uri,
                source,
                name,
                limit,
                ..
            },
            Some(cache),
        ) => {
            begin(&uri)?;
            let size = copy_to(&source, &cache, &name, limit, &client)?;
            Ok(Answer::Size(size))
        }
        (Job::Fetch { items, .. }, Some(sandbox)) => {
            for item in &items {
                begin(&item.uri)?;
                fetch(item, &sandbox, &client)?;
            }
            Ok(Answer::Done)
        }
        (Job::Unpack(order), Some(directory)) => {
            begin(&order.image)?;
            // Directories that an image does not tell of are for everybody.
            umask(Mode::from_bits_truncate(UNPACKING_UMASK));
            let unpacked = image::unpack(&order, &directory);
            let failed = |error: image::ImageError| CopyError::Failed(error.to_string());
            Ok(Answer::Unpacked(unpacked.map_err(failed)?))
        }
        (Job::Download { .. } | Job::Fetch { .. } | Job::Unpack(_), None) => {
            Err(CopyError::Failed("the order names no directory".to_owned()))
        }
    }
}

/// Brings one thing into the sandbox, and writes down how that went.
fn fetch(item: &Item, sandbox: &Sandbox, client: &Client) -> Result<(), CopyError> {
    log(sandbox, &format!("Fetching URI '{}'", item.uri));
    let fetched = bring(item, sandbox, client);
    log(
        sandbox,
        &match &fetched {
            Ok(what) => format!("Fetched '{}' to '{what}'", item.uri),
            Err(CopyError::TooLarge) => format!("Failed to fetch '{}': it is too large", item.uri),
            Err(CopyError::Failed(why)) => format!("Failed to fetch '{}': {why}", item.uri),
        },
    );
    fetched.map(drop)
}

fn bring(item: &Item, sandbox: &Sandbox, client: &Client) -> Result<String, CopyError> {
    let archive = match (&item.copy_to, &item.source) {
        (Some(name), source) => {
            copy_to(source, sandbox, name, u64::MAX, client)?;
            if item.executable {
                make_executable(sandbox, name)?;
            }
            None
        }
        (None, Source::File(path)) => Some(copy::open_file(path).map_err(CopyError::Failed)?),
        (None, Source::Http(_)) => None,
    };
    let Some(kind) = &item.extract else {
        return Ok(item.copy_to.clone().unwrap_or_default());
    };
    let archive = match (archive, &item.copy_to) {
        (Some(cached), _) => cached,
        (None, Some(name)) => sandbox
            .read(Path::new(name))
            .map_err(|error| failed_with(name, &error))?,
        (None, None) => return Err(CopyError::Failed("the order names no file".to_owned())),
    };
    let extracted = extract(kind, archive, sandbox);
    extracted.map_err(|why| CopyError::Failed(format!("Failed to extract the archive: {why}")))?;
    Ok(match kind {
        Archive::Gzip(name) => name.clone(),
        Archive::Tar | Archive::Zip => ".".to_owned(),
    })
}

/// Copies a source to a name below a directory.
fn copy_to(
    source: &Source,
    directory: &Sandbox,
    name: &str,
    limit: u64,
    client: &Client,
) -> Result<u64, CopyError> {
    let path = relative(name.as_bytes()).filter(|path| path.file_name().is_some());
    let path = path.ok_or_else(|| CopyError::Failed(format!("'{name}' is no place for a file")))?;
    let mut opened = copy::open(source, client).map_err(CopyError::Failed)?;
    let created = directory.overwrite(&path, opened.mode);
    let mut file = created.map_err(|error| failed_with(name, &error))?;
    copy::copy(&mut *opened.content, &mut file, limit)
}

fn make_executable(sandbox: &Sandbox, name: &str) -> Result<(), CopyError> {
    let file = sandbox.read(Path::new(name));
    let permissions = std::fs::Permissions::from_mode(EXECUTABLE_MODE);
    file.and_then(|file| file.set_permissions(permissions))
        .map_err(|error| CopyError::Failed(format!("Failed to chmod executable '{name}': {error}")))
}

fn failed_with(name: &str, error: &io::Error) -> CopyError {
    CopyError::Failed(format!("Failed to create '{name}' in the sandbox: {error}"))
}

/// Adds a line to the task's errors, which is no reason to fail.
fn log(sandbox: &Sandbox, line: &str) {
    if let Ok(mut file) = sandbox.append(Path::new(LOG)) {
        let _ = writeln!(file, "{line}");
    }
}
