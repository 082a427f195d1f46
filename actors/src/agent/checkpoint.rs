//! The checkpoint of an agent's reservations, volumes and operations, and the volumes' directories.
//! Decides nothing: the core says what is written, made and removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use actix::Addr;
use tepui_core::agent::messages::{Checkpoint, Input};
use tepui_core::agent::paths;
use tepui_core::agent::recovery::{self, Recovered};
use tepui_protocol::checkpoint::{self, ResourcesAndOperations};
use tepui_protocol::v1;

use super::actor::{AgentActor, Tell};
use super::volumes;

/// Largest checkpoint that is read, in bytes; one that an agent writes is far smaller.
const MAX_CHECKPOINT_BYTES: u64 = 256 * 1024 * 1024;

/// Stack of the checkpoint thread in bytes; it only writes files and removes directories.
const STACK_BYTES: usize = 512 * 1024;

/// Why the checkpoint of an earlier run cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be read.
    #[error("cannot read the checkpoint {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file is not what an agent wrote.
    #[error(
        "the checkpoint {0} is damaged: {1}; restore it from a copy, or remove it to give up the \
         reservations and persistent volumes of this agent (the volumes' data stays on disk)"
    )]
    Damaged(PathBuf, String),
    /// The resources the agent is started with are not enough.
    #[error(
        "the reservations and persistent volumes in the checkpoint {0} are incompatible with the \
         agent's resources: {1}; start the agent with --resources that contain them, or remove \
         the checkpoint to give them up (the volumes' data stays on disk)"
    )]
    Incompatible(PathBuf, String),
    /// A volume that the checkpoint names is not there and cannot be made.
    #[error("a persistent volume of the checkpoint {0} is not usable: {1}")]
    Volume(PathBuf, String),
}

/// Reads the checkpoint of an earlier run and brings the volumes' directories in line with it.
///
/// # Errors
/// When there is one that cannot be used; nothing was changed then, but for directories made.
pub(super) fn recover(work_dir: &Path, given: &[v1::Resource]) -> Result<Recovered, RecoverError> {
    let file = work_dir.join(paths::RESOURCES_AND_OPERATIONS);
    let stored = load(&file)?;
    let mut recovered = recovery::recover(&work_dir.to_string_lossy(), given, stored)
        .map_err(|why| RecoverError::Incompatible(file.clone(), why))?;
    for volume in recovered.to_make() {
        volumes::make(volume).map_err(|why| RecoverError::Volume(file.clone(), why))?;
    }
    let left: Vec<_> = recovered.to_remove().cloned().collect();
    for volume in left {
        match volumes::remove(&volume) {
            Ok(()) => recovered.removed(&volume.path),
            Err(why) => tracing::error!(why, "a destroyed volume is still on disk"),
        }
    }
    for root in recovered.roots(&work_dir.to_string_lossy()) {
        volumes::sweep(Path::new(&root), recovered.to_make());
    }
    Ok(recovered)
}

/// What an earlier run has written; nothing when there is no file.
fn load(file: &Path) -> Result<ResourcesAndOperations, RecoverError> {
    let unreadable = |error| RecoverError::Unreadable(file.to_owned(), error);
    let length = match fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(ResourcesAndOperations::default());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let damaged = |why: String| RecoverError::Damaged(file.to_owned(), why);
    if length > MAX_CHECKPOINT_BYTES {
        return Err(damaged(format!(
            "it has {length} bytes, expected at most {MAX_CHECKPOINT_BYTES}"
        )));
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    checkpoint::decode(&bytes).map_err(|error| damaged(error.to_string()))
}

/// Takes all steps of a checkpoint; the paths of volumes whose data could not be removed.
///
/// # Errors
/// When a directory could not be made or the file not be replaced; nothing has changed then.
pub(super) fn perform(work_dir: &Path, order: &Checkpoint) -> Result<Vec<String>, String> {
    let made = make(order)?;
    if let Err(error) = write(work_dir, &order.state) {
        volumes::unmake(&made);
        return Err(format!("Failed to checkpoint resources: {error}"));
    }
    Ok(remove(order))
}

/// First step: new volumes get their directories. Gives those that were not there.
pub(super) fn make(order: &Checkpoint) -> Result<Vec<PathBuf>, String> {
    let mut made = Vec::new();
    for new in &order.make {
        let cleared = match new.clear {
            true => volumes::remove(&new.volume),
            false => Ok(()),
        };
        match cleared.and_then(|()| volumes::make(&new.volume)) {
            Ok(true) => made.push(PathBuf::from(&new.volume.path)),
            Ok(false) => {}
            Err(why) => {
                volumes::unmake(&made);
                return Err(why);
            }
        }
    }
    Ok(made)
}

/// Second step: the file is replaced, durably and at once.
pub(super) fn write(work_dir: &Path, state: &ResourcesAndOperations) -> io::Result<()> {
    let bytes = checkpoint::encode(state).map_err(io::Error::other)?;
    let file = work_dir.join(paths::RESOURCES_AND_OPERATIONS);
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_durable(directory)?;
    let target = file.with_extension("target");
    let mut new = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&target)?;
    new.write_all(&bytes)?;
    new.sync_all()?;
    fs::rename(&target, &file)?;
    File::open(directory)?.sync_all()
}

/// Last step: the data of destroyed volumes goes.
fn remove(order: &Checkpoint) -> Vec<String> {
    let mut left = Vec::new();
    for volume in &order.remove {
        if let Err(why) = volumes::remove(volume) {
            tracing::error!(why, "a destroyed volume is still on disk");
            left.push(volume.path.clone());
        }
    }
    left
}

/// Makes a directory and its parents so that a crash does not undo it.
pub(super) fn make_durable(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        make_durable(parent)?;
        fs::create_dir(directory)?;
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Writes checkpoints on a thread of its own, so that a slow disk holds nothing else up.
pub(super) struct Checkpoints {
    orders: mpsc::Sender<(Box<Checkpoint>, Addr<AgentActor>)>,
}

impl Checkpoints {
    pub(super) fn start(work_dir: &Path) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel::<(Box<Checkpoint>, Addr<AgentActor>)>();
        let work_dir = work_dir.to_owned();
        std::thread::Builder::new()
            .name("checkpoints".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                for (order, actor) in queue {
                    let result = perform(&work_dir, &order);
                    actor.do_send(Tell(Input::Checkpointed { result }));
                }
            })?;
        Ok(Checkpoints { orders })
    }

    pub(super) fn write(&self, order: Box<Checkpoint>, actor: Addr<AgentActor>) {
        if let Err(mpsc::SendError((_, actor))) = self.orders.send((order, actor)) {
            let result = Err("the checkpoint thread has ended".to_owned());
            actor.do_send(Tell(Input::Checkpointed { result }));
        }
    }
}
