//! The file that tells a restarted agent what it was doing, and the thread that writes it.
//! Decides nothing: the core says what is recorded, and what that means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use actix::{Addr, Message};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
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

/// Room on the disk that is set aside for further records, in bytes: tasks that fill the disk must
/// not end the agent, which has to tell of them.
const RESERVE_BYTES: u64 = 1024 * 1024;

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
        Ok(_) => match fs::read(&file) {
            Ok(bytes) => bytes,
            // A bad block stays bad.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                set_aside(&file, &error.to_string())?;
                return Ok(Restored::default());
            }
            Err(error) => return Err(error),
        },
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

/// What the journal's thread is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Append these records, which are order number so-and-so.
    Append(u64, Vec<Record>),
    /// Begin a new journal that says this.
    Replace(Vec<Record>),
}

/// Appends records on a thread of its own; those that wait are synced together.
pub(super) struct Journal {
    jobs: mpsc::Sender<(Job, Addr<AgentActor>)>,
    orders: u64,
}

impl Journal {
    /// Begins a journal with these records, in place of an earlier one, and starts its thread.
    ///
    /// # Errors
    /// When it cannot be written, or the system has no more threads.
    pub(super) fn start(work_dir: &Path, records: &[Record]) -> io::Result<Journal> {
        let mut writer = Writer::new(path(work_dir));
        writer.replace(records)?;
        let (journal, queue) = Journal::new();
        std::thread::Builder::new()
            .name("journal".into())
            .stack_size(STACK_BYTES)
            .spawn(move || write(&mut writer, &queue))?;
        Ok(journal)
    }

    /// A journal, and what its thread is to do.
    pub(super) fn new() -> (Journal, mpsc::Receiver<(Job, Addr<AgentActor>)>) {
        let (jobs, queue) = mpsc::channel();
        (Journal { jobs, orders: 0 }, queue)
    }

    /// Orders records to be appended; gives the order's number. `actor` is told when they are.
    pub(super) fn append(
        &mut self,
        records: Vec<Record>,
        actor: Addr<AgentActor>,
    ) -> Result<u64, String> {
        self.orders += 1;
        let order = self.orders;
        self.send(Job::Append(order, records), actor)
            .map(|()| order)
    }

    /// Orders a new journal that says all there is to say after all that was ordered before.
    pub(super) fn replace(
        &self,
        records: Vec<Record>,
        actor: Addr<AgentActor>,
    ) -> Result<(), String> {
        self.send(Job::Replace(records), actor)
    }

    fn send(&self, job: Job, actor: Addr<AgentActor>) -> Result<(), String> {
        let sent = self.jobs.send((job, actor));
        sent.map_err(|_| "the journal's thread has ended".to_owned())
    }
}

/// The journal's thread: until the actor is gone, or the journal cannot be written.
fn write(writer: &mut Writer, queue: &mpsc::Receiver<(Job, Addr<AgentActor>)>) {
    while let Ok((first, actor)) = queue.recv() {
        let more = queue.try_iter().map(|(job, _)| job);
        let batch = std::iter::once(first).chain(more);
        let result = writer.perform(batch).map_err(|error| error.to_string());
        let failed = result.is_err();
        actor.do_send(Recorded { result });
        if failed {
            return;
        }
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Length of the file, and what it was when it was written anew.
    bytes: u64,
    fresh_bytes: u64,
    /// Length that it can have even on a disk that is full.
    reserved_bytes: u64,
    durable: u64,
}

impl Writer {
    fn new(path: PathBuf) -> Self {
        Writer {
            path,
            file: None,
            bytes: 0,
            fresh_bytes: 0,
            reserved_bytes: 0,
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
                    match self.replace(&records) {
                        // It says what the records before it say.
                        Ok(()) => new.clear(),
                        Err(error) if self.goes_on_after(&error) => {
                            tracing::warn!(%error, "the journal is not written anew for now");
                            self.fresh_bytes = self.bytes;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if !new.is_empty() {
            file.write_all(&new)?;
            file.sync_data()?;
            self.bytes += new.len() as u64;
            self.reserve();
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
        self.reserved_bytes = 0;
        self.reserve();
        Ok(())
    }

    /// Whether the journal can be appended to even though it cannot be written anew.
    fn goes_on_after(&self, error: &io::Error) -> bool {
        let is_full = [Errno::ENOSPC as i32, Errno::EDQUOT as i32];
        self.file.is_some()
            && error
                .raw_os_error()
                .is_some_and(|code| is_full.contains(&code))
    }

    /// Sets room aside when half of it is used.
    fn reserve(&mut self) {
        if self.bytes + RESERVE_BYTES / 2 < self.reserved_bytes {
            return;
        }
        let wanted = self.bytes + RESERVE_BYTES;
        let length = i64::try_from(wanted).ok();
        let Some((file, length)) = self.file.as_ref().zip(length) else {
            return;
        };
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
            Ok(()) => self.reserved_bytes = wanted,
            // Not all file systems can, and a full disk may be empty again next time.
            Err(error) => tracing::debug!(%error, "no room is set aside for the journal"),
        }
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
        let mut writer = Writer::new(path(work_dir));
        writer.replace(records).unwrap();
        writer
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
    fn room_is_set_aside_and_is_no_part_of_the_journal() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), &[admitted("a")]);
        let found = fs::metadata(path(dir.path())).unwrap();
        assert!(found.len() < 1000 && found.blocks() * 512 >= RESERVE_BYTES);
        writer
            .perform([Job::Append(1, vec![admitted("b")])].into_iter())
            .unwrap();
        assert_eq!(hostname(dir.path()).as_deref(), Some("b"));
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
    fn a_cut_off_record_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        writer(dir.path(), &[admitted("a")]);
        let begin = fs::read(&file).unwrap().len();
        writer(dir.path(), &[admitted("a"), admitted("b")]);
        let whole = fs::read(&file).unwrap();
        for end in begin..whole.len() {
            fs::write(&file, &whole[..end]).unwrap();
            assert_eq!(hostname(dir.path()).as_deref(), Some("a"), "{end}");
            assert!(file.exists(), "{end}");
        }
    }

    /// A journal with something of every kind.
    fn busy() -> Vec<Record> {
        let id = |value: &str| v1::FrameworkId {
            value: value.to_owned(),
        };
        let framework = v1::FrameworkInfo {
            id: Some(id("F")),
            ..Default::default()
        };
        let executor = journal::Executor {
            framework_id: "F".to_owned(),
            info: Pb(v1::ExecutorInfo::default()),
            kind: journal::ExecutorKind::Custom,
            container: "c".to_owned(),
            directory: "/d".to_owned(),
            pid: Some(7),
            ever_sent: true,
            ended: false,
            volumes: Default::default(),
        };
        let task = v1::Task {
            framework_id: id("F"),
            ..Default::default()
        };
        let status = v1::TaskStatus {
            uuid: Some(vec![1; 16]),
            ..Default::default()
        };
        vec![
            admitted("a"),
            Record::Framework {
                info: Pb(framework),
            },
            Record::Executor(Box::new(executor)),
            Record::Task {
                executor_id: String::new(),
                task: Pb(task),
            },
            Record::Update {
                framework_id: "F".to_owned(),
                status: Pb(status),
            },
            admitted("b"),
        ]
    }

    #[test]
    fn damage_anywhere_costs_what_follows_it_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        let records = busy();
        let mut ends = Vec::new();
        for count in 0..=records.len() {
            writer(dir.path(), &records[..count]);
            ends.push(fs::read(&file).unwrap().len());
        }
        let whole = fs::read(&file).unwrap();
        let last = ends[records.len() - 1];
        for at in HEADER.len()..last {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&file, &damaged).unwrap();
            let restored = recover(dir.path()).unwrap();
            let before = ends.iter().filter(|end| **end <= at).count() - 1;
            let expected = Restored::read(records[..before].to_vec());
            assert_eq!(restored, expected, "byte {at}");
            assert!(!file.exists(), "byte {at}");
            fs::remove_file(file.with_extension("damaged-1")).unwrap();
        }
    }

    #[test]
    fn a_piece_that_is_there_twice_is_no_reason_to_give_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        writer(dir.path(), &busy());
        let whole = fs::read(&file).unwrap();
        for begin in HEADER.len()..whole.len() - 1 {
            let end = (begin + 1 + begin % 60).min(whole.len());
            let twice = [&whole[..end], &whole[begin..]].concat();
            fs::write(&file, &twice).unwrap();
            let restored = recover(dir.path()).unwrap();
            assert!(restored.info().is_some() || begin < 40, "{begin}..{end}");
            // What is there after the next start is whole.
            writer(dir.path(), &[admitted("new")]);
            assert_eq!(hostname(dir.path()).as_deref(), Some("new"));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // Nothing is at the beginning of a process's memory: as with a bad block, reading fails.
        std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
        assert_eq!(hostname(dir.path()), None);
        assert!(!file.exists());
        writer(dir.path(), &[admitted("a")]);
        assert_eq!(hostname(dir.path()).as_deref(), Some("a"));
        // Where reading is not allowed at all, nothing is touched.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(recover(dir.path()).is_err());
        assert!(file.is_dir());
    }

    #[test]
    fn a_journal_that_cannot_be_written_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), &[]);
        writer.file = Some(File::open(path(dir.path())).unwrap());
        let append = std::iter::once(Job::Append(1, vec![admitted("a")]));
        assert!(writer.perform(append).is_err());
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        writer(dir.path(), &[]);
        for number in 1..=2 {
            fs::write(&file, b"this is no journal").unwrap();
            assert_eq!(hostname(dir.path()), None);
            assert!(!file.exists());
            assert!(file.with_extension(format!("damaged-{number}")).exists());
        }
    }
}
