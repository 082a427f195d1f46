//! Tests of backups: they hold everything, and archives that hold anything else are refused.
//! Names of entries are tested where they are made.

use std::io::Write;
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use super::*;

const FORMAT_ENTRY: &str = "meta/items/internal:storage:version";

fn some_records() -> Batch {
    let mut batch = Batch::new();
    batch.put(app(7), b"{}".to_vec());
    batch.put(root(7), app(7).to_string().into_bytes());
    batch.put(Key::item(Kind::FrameworkId, "id"), b"f-1".to_vec());
    batch.put(Key::item(Kind::Meta, ""), vec![0; 100_000]);
    // Longer than a name in the old form of archives.
    let id = "/long".repeat(100);
    batch.put(Key::item(Kind::TaskFailure, id), Vec::new());
    batch
}

#[test]
fn a_backup_restores_everything() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("directory");
    for name in ["backup.tar", "backup.tar.gz"] {
        let path = dir.path().join(name);
        let memory = Memory::default();
        let place = Place::Memory(memory.clone());
        let (open, _) = Store::open(settings(place.clone()), Ear::deaf()).expect("open");
        // What is applied before it is in it, what comes later is not.
        open.apply(some_records(), Box::new(|| {})).expect("taken");
        let (done, made) = channel();
        let tell = Box::new(move |made| done.send(made).expect("a test"));
        open.backup(path.clone(), tell);
        open.apply(put("later", "1"), Box::new(|| {}))
            .expect("taken");
        made.recv_timeout(PATIENCE)
            .expect("made")
            .expect("a backup");
        open.close().expect("closed");
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let own = dir.path().join("own.tar");
        let mut again = settings(place.clone());
        again.restore = Some(path.clone());
        again.backup = Some(own.clone());
        let restored = content(again);
        assert_eq!(restored.len(), 5);
        assert_eq!(content(settings(place)), restored);
        // The own backup was made before.
        let before = archive::read(&own).expect("a backup");
        assert_eq!(before.len(), 6);
        assert_eq!(archive::read(&path).expect("a backup"), restored);
        let whole = std::fs::read(&path).expect("a file");
        assert_eq!(whole.starts_with(&[0x1f, 0x8b]), name.ends_with("gz"));
        // None of its beginnings is taken for it, but for what lacks nothing but its padding.
        let padding = if name.ends_with("gz") { 0 } else { 1536 };
        for end in (0..whole.len() - padding).step_by(97) {
            std::fs::write(&own, &whole[..end]).expect("written");
            assert!(archive::read(&own).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_backup_that_fails_harms_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let memory = Memory::default();
    let (open, _) = Store::open(settings(Place::Memory(memory)), Ear::deaf()).expect("open");
    let (done, made) = channel();
    let tell = Box::new(move |made| done.send(made).expect("a test"));
    open.backup(dir.path().join("not/there.tar"), tell);
    let made = made.recv_timeout(PATIENCE).expect("told");
    assert!(matches!(made, Err(ArchiveError::File { .. })), "{made:?}");
    store(&open, put("a", "1"));
    open.close().expect("closed");
}

/// Puts entries into an archive without looking at their names.
struct Forger {
    path: PathBuf,
    archive: Builder<Vec<u8>>,
}

impl Forger {
    fn new(dir: &Path) -> Forger {
        Forger {
            path: dir.join("forged.tar"),
            archive: Builder::new(Vec::new()),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Forger {
        self.append(name, value, EntryType::Regular);
        self
    }

    fn append(&mut self, name: &str, value: &str, kind: EntryType) {
        let mut header = Header::new_gnu();
        let field = &mut header.as_gnu_mut().expect("a header").name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(value.len() as u64);
        header.set_cksum();
        self.archive
            .append(&header, value.as_bytes())
            .expect("an entry");
    }

    fn format(self, records: u32) -> Forger {
        let content = format!(r#"{{"format":1,"records":{records}}}"#);
        self.with(FORMAT_ENTRY, &content)
    }

    fn read(self) -> Result<Vec<Record>, ArchiveError> {
        let bytes = self.archive.into_inner().expect("an archive");
        let mut file = std::fs::File::create(&self.path).expect("a file");
        file.write_all(&bytes).expect("written");
        archive::read(&self.path)
    }

    fn refusal(self) -> String {
        self.read().expect_err("refused").to_string()
    }
}

#[test]
fn archives_with_anything_else_are_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let new = || Forger::new(dir.path());
    let good = new().format(1).with("instance/items/a", "1").read();
    assert_eq!(good.expect("good"), [(instance("a"), b"1".to_vec())]);

    assert!(new().refusal().contains("it is empty"));
    let absolute = new().format(1).with("/instance/items/a", "1");
    assert!(absolute.refusal().contains("absolute name"));
    let upwards = new().format(1).with("instance/../../a", "1");
    assert!(upwards.refusal().contains("'..' in its name"));
    let unknown = new().format(1).with("pods/items/a", "1");
    assert!(unknown.refusal().contains("named as no record is"));
    let twice = new().format(2).with("instance/items/a", "1");
    let twice = twice.with("instance/items/a", "2").refusal();
    assert!(twice.contains("is there twice"), "{twice}");
    let twice = new().format(0).format(0).refusal();
    assert!(twice.contains("is there twice"), "{twice}");
    let late = new().with("instance/items/a", "1").format(1).refusal();
    assert!(late.contains("first entry"), "{late}");
    let few = new().format(2).with("instance/items/a", "1").refusal();
    assert!(few.contains("1 records instead of 2"), "{few}");
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Directory] {
        let mut forged = new().format(1);
        forged.append("instance/items/a", "", kind);
        let refusal = forged.refusal();
        assert!(refusal.contains("no plain file"), "{refusal}");
    }
}

#[test]
fn archives_of_other_formats_are_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let new = || Forger::new(dir.path());
    let newer = new().with(FORMAT_ENTRY, r#"{"format":2,"parts":[]}"#);
    let newer = newer.with("things/x", "").read().expect_err("refused");
    assert!(
        matches!(newer, ArchiveError::TooNew { found: 2, .. }),
        "{newer}"
    );
    for content in [
        "",
        "1",
        "{}",
        r#"{"format":0,"records":0}"#,
        r#"{"format":1}"#,
    ] {
        let refusal = new().with(FORMAT_ENTRY, content).refusal();
        assert!(refusal.contains("its format is"), "{refusal}");
    }
    let missing = archive::read(&dir.path().join("missing")).expect_err("missing");
    assert!(matches!(missing, ArchiveError::File { .. }), "{missing}");

    // A store that shall be restored from such an archive stays as it is.
    let memory = Memory::default();
    let place = Place::Memory(memory);
    let (open, _) = Store::open(settings(place.clone()), Ear::deaf()).expect("open");
    store(&open, put("a", "1"));
    open.close().expect("closed");
    let mut restoring = settings(place.clone());
    restoring.restore = Some(dir.path().join("forged.tar"));
    let refused = Store::open(restoring, Ear::deaf()).expect_err("refused");
    assert!(matches!(refused, StoreError::Archive(_)), "{refused}");
    assert_eq!(content(settings(place)).len(), 1);
}
