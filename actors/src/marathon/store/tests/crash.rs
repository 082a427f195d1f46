//! Kills a process that writes in a loop: all it was told to be stored is there, each batch whole.
//! Power loss is redb's own business; the system keeps what a killed process has written.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::*;

/// Tells the child where to write.
const DIR: &str = "TEPUI_TEST_STORE_DIR";

/// Where the child notes what it was told to be stored.
const ACKNOWLEDGED: &str = "acknowledged";

/// Records of one batch; all hold the number of the batch.
const RECORDS: u64 = 7;

/// Writes until it is killed. Batch `n` puts `n` into all records, and makes one of its own.
fn write_for_ever(dir: &Path) {
    let (open, records) = Store::open(in_dir(dir), Ear::deaf()).expect("open");
    let first = number_in(&records).map_or(0, |last| last + 1);
    let noted = dir.join(ACKNOWLEDGED);
    for number in first.. {
        let mut batch = Batch::new();
        let value = number.to_string().into_bytes();
        for record in 0..RECORDS {
            batch.put(instance(&record.to_string()), value.clone());
        }
        batch.put(Key::item(Kind::Meta, number.to_string()), vec![7; 5_000]);
        let noted = noted.clone();
        let done = move || {
            let file = OpenOptions::new().append(true).create(true).open(noted);
            writeln!(file.expect("a file"), "{number}").expect("noted");
        };
        let mut job: (Batch, Done) = (batch, Box::new(done));
        while let Err(refused) = open.apply(job.0, job.1) {
            assert_eq!(refused.reason, Reason::Full);
            job = (refused.batch, refused.done);
            std::thread::yield_now();
        }
        // A few wait at a time, so that some are folded.
        while open.queued_bytes() > 50_000 {
            std::thread::yield_now();
        }
    }
}

/// The number all records hold; panics when they hold several, which is half a batch.
fn number_in(records: &[Record]) -> Option<u64> {
    let instances = records.iter().filter(|(key, _)| key.kind == Kind::Instance);
    let mut values: Vec<&Vec<u8>> = instances.map(|(_, value)| value).collect();
    if values.is_empty() {
        return None;
    }
    assert_eq!(values.len() as u64, RECORDS);
    values.dedup();
    assert_eq!(values.len(), 1, "half a batch: {values:?}");
    let text = std::str::from_utf8(values[0]).expect("a number");
    Some(text.parse().expect("a number"))
}

fn acknowledged(dir: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(ACKNOWLEDGED)).unwrap_or_default();
    // The last line may be cut.
    let (whole, _) = text.rsplit_once('\n')?;
    Some(whole.lines().next_back()?.parse().expect("a number"))
}

/// Opens what a crash left and compares it with what was acknowledged before.
fn check(dir: &Path, acknowledged: Option<u64>) {
    let records = content(in_dir(dir));
    let last = number_in(&records);
    assert!(
        last >= acknowledged,
        "{last:?} there, {acknowledged:?} acknowledged"
    );
    let own = records.iter().filter(|(key, _)| key.kind == Kind::Meta);
    assert_eq!(own.count() as u64, last.map_or(0, |last| last + 1));
}

fn start(dir: &Path) -> Child {
    let test = "marathon::store::tests::crash::survives_a_kill_at_any_moment";
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("a child")
}

#[allow(clippy::disallowed_methods, reason = "a real process works meanwhile")]
fn wait(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

#[test]
fn survives_a_kill_at_any_moment() {
    if let Some(dir) = std::env::var_os(DIR) {
        return write_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("directory");
    let mut most = None;
    for round in 0..8 {
        let mut child = start(dir.path());
        // The first rounds hit the making of the file, later ones the middle of writes.
        wait(5 + 37 * round);
        if round >= 4 {
            for _ in 0..3 {
                copy_while_it_stands_still(&child, dir.path());
                wait(11);
            }
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        let acknowledged = acknowledged(dir.path());
        check(dir.path(), acknowledged);
        most = most.max(acknowledged);
    }
    assert!(most > Some(20), "hardly anything was written: {most:?}");
}

/// Checks a copy of the file as it is at one moment.
fn copy_while_it_stands_still(child: &Child, dir: &Path) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, Signal::SIGSTOP).expect("stopped");
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("standing still");
    let copy = tempfile::tempdir().expect("directory");
    if dir.join(FILE_NAME).exists() {
        std::fs::copy(dir.join(FILE_NAME), copy.path().join(FILE_NAME)).expect("copied");
    }
    let acknowledged = acknowledged(dir);
    kill(pid, Signal::SIGCONT).expect("going on");
    check(copy.path(), acknowledged);
}

/// A file with records, closed as it should be.
fn whole_file(dir: &Path) -> Vec<u8> {
    let (open, _) = Store::open(in_dir(dir), Ear::deaf()).expect("open");
    for number in 0..200 {
        store(&open, put(&number.to_string(), &"x".repeat(1_000)));
    }
    open.close().expect("closed");
    std::fs::read(dir.join(FILE_NAME)).expect("a file")
}

#[test]
fn a_file_cut_short_or_with_a_damaged_header_is_never_read_wrong() {
    let dir = tempfile::tempdir().expect("directory");
    let whole = whole_file(dir.path());
    let good = content(in_dir(dir.path()));
    let path = dir.path().join(FILE_NAME);
    let mut variants = Vec::new();
    for part in [4096, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        variants.push((format!("cut to {part}"), whole[..part].to_vec()));
    }
    for at in [0, 16, 64, 100, 192, 300] {
        let mut bytes = whole.clone();
        bytes[at..at + 16].fill(0xa5);
        variants.push((format!("header at {at}"), bytes));
    }
    for (what, bytes) in variants {
        std::fs::write(&path, &bytes).expect("written");
        match Store::open(in_dir(dir.path()), Ear::deaf()) {
            Err(error) => {
                let is_damaged = matches!(error, StoreError::Damaged { .. });
                assert!(is_damaged, "{what}: {error}");
                let same = std::fs::read(&path).expect("a file") == bytes;
                assert!(same, "{what}: it was changed");
            }
            Ok((open, records)) => {
                open.close().expect("closed");
                assert!(records == good, "{what}: other records");
            }
        }
    }
}
