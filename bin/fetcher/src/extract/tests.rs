//! Archives of all kinds, good and harmful, made here and extracted for real.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use ::tar::{Builder, EntryType, Header};
use ::zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

struct Place {
    outer: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("box")).unwrap();
        let sandbox = Sandbox::open(&outer.path().join("box")).unwrap();
        Place { outer, sandbox }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.outer.path().join("box").join(inner)
    }

    fn text(&self, inner: &str) -> String {
        fs::read_to_string(self.path(inner)).unwrap()
    }

    fn mode(&self, inner: &str) -> u32 {
        let metadata = fs::symlink_metadata(self.path(inner)).unwrap();
        metadata.permissions().mode() & 0o7777
    }

    fn extract(&self, kind: Archive, bytes: &[u8]) -> Result<(), String> {
        let path = self.outer.path().join("archive");
        fs::write(&path, bytes).unwrap();
        let file = File::open(path).unwrap();
        extract(&kind, file, &self.sandbox).map_err(|error| error.to_string())
    }

    fn tar(&self, entries: &[Entry<'_>]) -> Result<(), String> {
        self.extract(Archive::Tar, &tar_of(entries))
    }

    /// Nothing is beside the sandbox but the archive.
    #[track_caller]
    fn nothing_came_out(&self) {
        assert_eq!(fs::read_dir(self.outer.path()).unwrap().count(), 2);
    }
}

/// An entry of a tar archive: name, kind, where it links to, mode, content.
struct Entry<'a>(&'a str, EntryType, &'a str, u32, &'a str);

fn file<'a>(name: &'a str, text: &'a str) -> Entry<'a> {
    Entry(name, EntryType::Regular, "", 0o644, text)
}

fn link<'a>(name: &'a str, to: &'a str) -> Entry<'a> {
    Entry(name, EntryType::Symlink, to, 0o777, "")
}

fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Entry(name, kind, to, mode, text) in entries {
        let mut header = Header::new_gnu();
        // Names that the builder would refuse.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_000_000_000);
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn compressed(mut writer: impl Write, content: &[u8]) {
    writer.write_all(content).unwrap();
    writer.flush().unwrap();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compressed(
        flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast()),
        content,
    );
    out
}

#[test]
fn tar_is_read_however_it_is_compressed() {
    let plain = tar_of(&[file("a/b", "content")]);
    let mut bzip2 = Vec::new();
    compressed(
        bzip2::write::BzEncoder::new(&mut bzip2, bzip2::Compression::fast()),
        &plain,
    );
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    xz.write_all(&plain).unwrap();
    let xz = xz.finish().unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [gzip(&plain), bzip2, xz, zstd, plain] {
        let place = Place::new();
        place.extract(Archive::Tar, &bytes).unwrap();
        assert_eq!(place.text("a/b"), "content");
    }
}

#[test]
fn links_directories_modes_and_times_are_kept() {
    let place = Place::new();
    let entries = [
        Entry("./", EntryType::Directory, "", 0o700, ""),
        Entry("shut/", EntryType::Directory, "", 0o555, ""),
        Entry("shut/run", EntryType::Regular, "", 0o755, "run"),
        link("link", "shut/run"),
        link("elsewhere", "/nonexistent/absolute"),
        Entry("hard", EntryType::Link, "shut/run", 0o644, ""),
    ];
    place.tar(&entries).unwrap();
    assert_eq!([place.mode("shut"), place.mode("shut/run")], [0o555, 0o755]);
    assert_eq!(place.text("link"), "run");
    assert_eq!(place.text("hard"), "run");
    let target = fs::read_link(place.path("elsewhere")).unwrap();
    assert_eq!(target, Path::new("/nonexistent/absolute"));
    assert_eq!(
        fs::metadata(place.path("hard")).unwrap().mtime(),
        1_000_000_000
    );
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../evil", "a/../../evil", "/evil", "a/.."] {
        let place = Place::new();
        let why = place.tar(&[file(name, "evil")]).unwrap_err();
        assert_eq!(why, format!("entry '{name}' leads out of the sandbox"));
        place.nothing_came_out();
    }
}

#[test]
fn links_that_lead_out_are_not_followed() {
    for target in ["..", "/", "a/../..", "."] {
        let place = Place::new();
        let to = match target {
            "/" => place.outer.path().to_str().unwrap(),
            other => other,
        };
        let entries = [file("a/x", ""), link("out", to), file("out/evil", "evil")];
        let done = place.tar(&entries);
        match target {
            "." => assert_eq!(place.text("evil"), "evil"),
            _ => {
                let why = done.unwrap_err();
                assert_eq!(why, "entry 'out/evil': it leads out of the sandbox");
                place.nothing_came_out();
            }
        }
    }
}

#[test]
fn a_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to() {
    let place = Place::new();
    fs::write(place.outer.path().join("kept"), "kept").unwrap();
    place
        .tar(&[link("f", "../kept"), file("f", "new")])
        .unwrap();
    assert_eq!(place.text("f"), "new");
    assert_eq!(
        fs::read_to_string(place.outer.path().join("kept")).unwrap(),
        "kept"
    );
    // As with a link that was there before.
    symlink("../kept", place.path("g")).unwrap();
    place.tar(&[file("g", "new")]).unwrap();
    assert_eq!(
        fs::read_to_string(place.outer.path().join("kept")).unwrap(),
        "kept"
    );
}

#[test]
fn hard_links_lead_nowhere_else() {
    let place = Place::new();
    fs::write(place.outer.path().join("secret"), "secret").unwrap();
    let secret = place.outer.path().join("secret");
    let hard = |to| Entry("h", EntryType::Link, to, 0o644, "");
    for to in ["../secret", secret.to_str().unwrap()] {
        let why = place.tar(&[hard(to)]).unwrap_err();
        assert_eq!(why, "entry 'h' leads out of the sandbox");
    }
    let why = place
        .tar(&[link("out", ".."), hard("out/secret")])
        .unwrap_err();
    assert_eq!(why, "entry 'h': it leads out of the sandbox");
    assert!(!place.path("h").exists());
}

#[test]
fn devices_and_pipes_are_refused_and_special_bits_dropped() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let place = Place::new();
        let why = place.tar(&[Entry("dev", kind, "", 0o666, "")]).unwrap_err();
        assert!(why.starts_with("entry 'dev' is a device, a pipe"), "{why}");
        assert!(!place.path("dev").exists());
    }
    let place = Place::new();
    place
        .tar(&[Entry("su", EntryType::Regular, "", 0o6755, "x")])
        .unwrap();
    assert_eq!(place.mode("su"), 0o755);
}

#[test]
fn broken_archives_are_told() {
    let place = Place::new();
    let whole = gzip(&tar_of(&[file("a", &"x".repeat(10_000))]));
    for bytes in [
        &whole[..whole.len() / 2],
        b"<html>no archive</html>".repeat(50).as_slice(),
    ] {
        let why = place.extract(Archive::Tar, bytes).unwrap_err();
        assert!(why.starts_with("it cannot be read: "), "{why}");
    }
    for kind in [Archive::Zip, Archive::Gzip("a".into())] {
        let why = place.extract(kind, b"neither").unwrap_err();
        assert!(why.starts_with("it cannot be read: "), "{why}");
    }
}

#[test]
fn what_becomes_too_much_is_stopped() {
    let place = Place::new();
    let mut bomb = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(300 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..300 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let why = place.extract(Archive::Tar, &bomb).unwrap_err();
    assert!(
        why.ends_with("it looks like an archive made to fill disks"),
        "{why}"
    );
    assert!(fs::metadata(place.path("zeros")).unwrap().len() <= 256 << 20);
}

fn zip_of(fill: impl FnOnce(&mut ZipWriter<io::Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

#[test]
fn zip_is_read() {
    let place = Place::new();
    let bytes = zip_of(|zip| {
        let options = SimpleFileOptions::default();
        zip.add_directory("d/", options.unix_permissions(0o555))
            .unwrap();
        zip.start_file("d/run", options.unix_permissions(0o4755))
            .unwrap();
        zip.write_all(b"run").unwrap();
        zip.add_symlink("link", "d/run", options).unwrap();
    });
    place.extract(Archive::Zip, &bytes).unwrap();
    assert_eq!([place.mode("d"), place.mode("d/run")], [0o555, 0o755]);
    assert_eq!(place.text("link"), "run");
}

#[test]
fn zip_leads_nowhere_else() {
    for name in ["../evil", "/evil", "a/../../evil"] {
        let place = Place::new();
        let bytes = zip_of(|zip| {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(b"evil").unwrap();
        });
        let done = place.extract(Archive::Zip, &bytes);
        assert_eq!(
            done.unwrap_err(),
            format!("entry '{name}' leads out of the sandbox")
        );
        place.nothing_came_out();
    }
    let place = Place::new();
    let bytes = zip_of(|zip| {
        let options = SimpleFileOptions::default();
        zip.add_symlink("out", "..", options).unwrap();
        zip.start_file("out/evil", options).unwrap();
        zip.write_all(b"evil").unwrap();
    });
    let why = place.extract(Archive::Zip, &bytes).unwrap_err();
    assert_eq!(why, "entry 'out/evil': it leads out of the sandbox");
    place.nothing_came_out();
}

#[test]
fn gzip_is_one_file() {
    let place = Place::new();
    let mut two = gzip(b"one ");
    two.extend(gzip(b"two"));
    place.extract(Archive::Gzip("text".into()), &two).unwrap();
    assert_eq!(place.text("text"), "one two");
}
