//! The file that tells a restarted agent what it was doing, and the thread that writes it.
//! Decides nothing: the core says what is recorded, and what that means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use actix::{Addr, Message};
use tepui_core::agent::journal::Restored;
use tepui_protocol::journal::{self, End, HEADER, Record};

use super::actor::AgentActor;
use super::checkpoint::make_durable;

/// The journal, below the work directory.
const FILE: &str = "meta/agent.journal";

/// Largest journal that is read, in bytes; one that an agent keeps is far smaller.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Stack of the journal's thread in bytes.
const STACK_BYTES: usize = 256 * 1024;

/// Length below which a journal is not written anew, in bytes.
const SHORT_BYTES: u64 = 1024 * 1024;

/// A journal is written anew when it is so many times as long as it was then.
const GROWTH: u64 = 4;

/// Where the journal of this work directory is.
pub(super) fn path(work_dir: &Path) -> PathBuf {
    work_dir.join(FILE)
}

/// What an earlier run has recorded. What cannot be read is set aside, and what was recorded
/// before it is used: an agent must not fail at every start because of a bad block.
///
/// # Errors
/// When the file can neither be read nor set aside.
pub(super) fn recover(work_dir: &Path) -> io::Result<Restored> {
    let file = path(work_dir);
    let bytes = match fs::metadata(&file) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            let length = metadata.len();
            set_aside(&file, &format!("it has {length} bytes"))?;
            return Ok(Restored::default());
        }
        Ok(_) => fs::read(&file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Restored::default()),
        Err(error) => return Err(error),
    };
    let found = journal::read(&bytes);
    match &found.end {
        End::Whole => {}
        End::Torn => tracing::warn!(
            file = %file.display(),
            bytes = bytes.len() - found.good_bytes,
            "the last record was cut off, and does not count"
        ),
        End::Damaged(why) => set_aside(&file, why)?,
    }
    let restored = Restored::read(found.records);
    if restored.misfits() > 0 {
        let misfits = restored.misfits();
        set_aside(
            &file,
            &format!("{misfits} records fit to nothing before them"),
        )?;
    }
    Ok(restored)
}

/// Keeps a copy of a damaged journal for whoever wants to look into it.
fn set_aside(file: &Path, why: &str) -> io::Result<()> {
    let mut number = 1;
    let kept = loop {
        let kept = file.with_extension(format!("damaged-{number}"));
        if !kept.exists() {
            break kept;
        }
        number += 1;
    };
    fs::rename(file, &kept)?;
    tracing::error!(
        file = %file.display(), kept = %kept.display(), why,
        "the agent's journal is damaged; only what was recorded before the damage is recovered"
    );
    Ok(())
}

/// Records up to this number are durable, or the journal cannot be written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Recorded {
    pub(super) result: Result<Durable, String>,
}

/// How far the journal is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Durable {
    /// Number of the last order that is durable.
    pub(super) order: u64,
    /// Whether the journal has become so long that it should be written anew.
    pub(super) is_long: bool,
}

enum Job {
    Append(u64, Vec<Record>),
    Replace(Vec<Record>),
}

/// Appends records on a thread of its own; those that wait are synced together.
pub(super) struct Journal {
    jobs: mpsc::Sender<Job>,
    orders: u64,
}

impl Journal {
    /// Begins a journal with these records, in place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn start(work_dir: &Path, records: &[Record]) -> io::Result<Prepared> {
        let mut writer = Writer::new(path(work_dir));
        writer.replace(records)?;
        Ok(Prepared { writer })
    }

    /// Orders records to be appended; gives the order's number.
    pub(super) fn append(&mut self, records: Vec<Record>) -> Result<u64, String> {
        self.orders += 1;
        let order = self.orders;
        self.send(Job::Append(order, records)).map(|()| order)
    }

    /// Orders a new journal that says all there is to say after all that was ordered before.
    pub(super) fn replace(&self, records: Vec<Record>) -> Result<(), String> {
        self.send(Job::Replace(records))
    }

    fn send(&self, job: Job) -> Result<(), String> {
        let sent = self.jobs.send(job);
        sent.map_err(|_| "the journal's thread has ended".to_owned())
    }
}

/// A journal that is there, but has no thread yet.
pub(super) struct Prepared {
    writer: Writer,
}

impl Prepared {
    /// Starts the thread, which tells `actor` what is durable.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn serve(self, actor: Addr<AgentActor>) -> io::Result<Journal> {
        let (jobs, queue) = mpsc::channel();
        let mut writer = self.writer;
        std::thread::Builder::new()
            .name("journal".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Ok(first) = queue.recv() {
                    let batch = std::iter::once(first).chain(queue.try_iter());
                    let result = writer.perform(batch).map_err(|error| error.to_string());
                    let failed = result.is_err();
                    actor.do_send(Recorded { result });
                    if failed {
                        return;
                    }
                }
            })?;
        Ok(Journal { jobs, orders: 0 })
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Length of the file, and what it was when it was written anew.
    bytes: u64,
    fresh_bytes: u64,
    durable: u64,
}

impl Writer {
    fn new(path: PathBuf) -> Self {
        Writer {
            path,
            file: None,
            bytes: 0,
            fresh_bytes: 0,
            durable: 0,
        }
    }

    /// Performs all jobs of a batch and makes them durable.
    fn perform(&mut self, batch: impl Iterator<Item = Job>) -> io::Result<Durable> {
        let mut new = Vec::new();
        for job in batch {
            match job {
                Job::Append(order, records) => {
                    for record in &records {
                        journal::append(record, &mut new).map_err(io::Error::other)?;
                    }
                    self.durable = order;
                }
                Job::Replace(records) => {
                    // It says what the records before it say.
                    new.clear();
                    self.replace(&records)?;
                }
            }
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if !new.is_empty() {
            file.write_all(&new)?;
            file.sync_data()?;
            self.bytes += new.len() as u64;
        }
        Ok(Durable {
            order: self.durable,
            is_long: self.bytes > (self.fresh_bytes * GROWTH).max(SHORT_BYTES),
        })
    }

    fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = HEADER.to_vec();
        for record in records {
            journal::append(record, &mut bytes).map_err(io::Error::other)?;
        }
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        make_durable(directory)?;
        let target = self.path.with_extension("target");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&target)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&target, &self.path)?;
        File::open(directory)?.sync_all()?;
        self.file = Some(file);
        self.bytes = bytes.len() as u64;
        self.fresh_bytes = self.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tepui_protocol::pb::Pb;
    use tepui_protocol::v1;

    use super::*;

    fn admitted(hostname: &str) -> Record {
        Record::Agent {
            info: Pb(v1::AgentInfo {
                id: Some(v1::AgentId {
                    value: "S1".to_owned(),
                }),
                hostname: hostname.to_owned(),
                ..Default::default()
            }),
            boot_id: None,
        }
    }

    fn hostname(work_dir: &Path) -> Option<String> {
        let restored = recover(work_dir).unwrap();
        restored.info().map(|info| info.hostname.clone())
    }

    fn writer(work_dir: &Path, records: &[Record]) -> Writer {
        Journal::start(work_dir, records).unwrap().writer
    }

    #[test]
    fn what_was_recorded_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(hostname(dir.path()), None);
        let mut writer = writer(dir.path(), &[]);
        assert_eq!(hostname(dir.path()), None);
        let jobs = [
            Job::Append(1, vec![admitted("a")]),
            Job::Append(2, vec![admitted("b")]),
        ];
        let durable = writer.perform(jobs.into_iter()).unwrap();
        assert_eq!((durable.order, durable.is_long), (2, false));
        assert_eq!(hostname(dir.path()).as_deref(), Some("b"));
        // What replaces says all that was before, and more follows.
        let jobs = [
            Job::Append(3, vec![admitted("c")]),
            Job::Replace(vec![admitted("d")]),
            Job::Append(4, vec![admitted("e")]),
        ];
        assert_eq!(writer.perform(jobs.into_iter()).unwrap().order, 4);
        let bytes = fs::read(path(dir.path())).unwrap();
        assert_eq!(
            journal::read(&bytes).records,
            [admitted("d"), admitted("e")]
        );
    }

    #[test]
    fn a_journal_that_has_grown_asks_to_be_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), &[]);
        let long = "x".repeat(700_000);
        let append = |order| std::iter::once(Job::Append(order, vec![admitted(&long)]));
        assert!(!writer.perform(append(1)).unwrap().is_long);
        assert!(writer.perform(append(2)).unwrap().is_long);
        let replace = std::iter::once(Job::Replace(vec![admitted(&long)]));
        assert!(!writer.perform(replace).unwrap().is_long);
    }

    #[test]
    fn a_cut_off_record_does_not_count_and_a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        writer(dir.path(), &[admitted("a"), admitted("b")]);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(hostname(dir.path()).as_deref(), Some("a"));
        assert!(file.exists());
        for number in 1..=2 {
            fs::write(&file, b"this is no journal").unwrap();
            assert_eq!(hostname(dir.path()), None);
            assert!(!file.exists());
            assert!(file.with_extension(format!("damaged-{number}")).exists());
        }
    }
}
