//! What becomes of the entries of layers.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use ::tar::{Builder, EntryType, Header};

use super::*;

fn directory(name: &str) -> (&str, EntryType, &str) {
    (name, EntryType::Directory, "")
}

fn link<'a>(name: &'a str, to: &'a str) -> (&'a str, EntryType, &'a str) {
    (name, EntryType::Symlink, to)
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether it says that the name is gone.
fn is_gone(path: PathBuf) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    found.file_type().is_char_device() && found.rdev() == 0
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 64];
    let count = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    Some(value[..count].to_vec())
}

fn is_opaque(path: PathBuf) -> bool {
    attribute(&path, "trusted.overlay.opaque") == Some(b"y".to_vec())
}

#[test]
fn everything_that_is_a_files_own_is_kept() {
    let mut builder = Builder::new(Vec::new());
    let mut entry = |name: &str, kind: EntryType, mode: u32, (uid, gid): (u64, u64), text: &str| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_234_567_890);
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if name == "bin/ping" {
            let extensions = [
                ("SCHILY.xattr.security.capability", &capability[..]),
                ("SCHILY.xattr.user.note", b"kept"),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                ("SCHILY.xattr.security.selinux", b"label"),
            ];
            builder.append_pax_extensions(extensions).unwrap();
        }
        match kind {
            EntryType::Symlink | EntryType::Link => {
                header.set_size(0);
                builder.append_link(&mut header, name, text).unwrap();
            }
            _ => {
                header.set_size(text.len() as u64);
                let content = text.as_bytes();
                builder.append_data(&mut header, name, content).unwrap();
            }
        }
    };
    entry("./", EntryType::Directory, 0o751, (0, 0), "");
    entry("tmp/", EntryType::Directory, 0o1777, (0, 0), "");
    entry("bin/", EntryType::Directory, 0o555, (7, 8), "");
    entry("bin/su", EntryType::Regular, 0o4755, (1000, 2000), "su");
    entry("bin/ping", EntryType::Regular, 0o755, (0, 0), "ping");
    entry("bin/same", EntryType::Link, 0o644, (0, 0), "bin/su");
    entry("bin/sh", EntryType::Symlink, 0o777, (5, 6), "/bin/su");
    entry("pipe", EntryType::Fifo, 0o622, (3, 4), "");
    let place = Place::new();
    let rootfs = place.unpack_layer(&builder.into_inner().unwrap()).unwrap();

    let found = |name: &str| {
        let found = fs::symlink_metadata(rootfs.join(name)).unwrap();
        let mode = found.permissions().mode() & 0o7777;
        (mode, found.uid(), found.gid(), found.mtime())
    };
    let time = 1_234_567_890;
    assert_eq!(found(""), (0o751, 0, 0, time));
    assert_eq!(found("tmp"), (0o1777, 0, 0, time));
    assert_eq!(found("bin"), (0o555, 7, 8, time));
    assert_eq!(found("bin/su"), (0o4755, 1000, 2000, time));
    assert_eq!(found("bin/sh"), (0o777, 5, 6, time));
    assert_eq!(found("pipe"), (0o622, 3, 4, time));
    let pipe = fs::symlink_metadata(rootfs.join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
    let inode = |name: &str| fs::metadata(rootfs.join(name)).unwrap().ino();
    assert_eq!(inode("bin/same"), inode("bin/su"));
    assert_eq!(
        fs::read_link(rootfs.join("bin/sh")).unwrap(),
        Path::new("/bin/su")
    );

    let ping = |name: &str| attribute(&rootfs.join("bin/ping"), name);
    assert_eq!(
        ping("security.capability").unwrap()[5],
        4,
        "NET_BIND_SERVICE"
    );
    assert_eq!(ping("user.note").unwrap(), b"kept");
    for name in [
        "user.overlay.opaque",
        "trusted.overlay.opaque",
        "security.selinux",
    ] {
        assert_eq!(ping(name), None, "{name}");
    }
}

#[test]
fn what_a_layer_hides_is_there_in_the_form_of_overlayfs() {
    let entries = [
        directory("etc/"),
        file("etc/.wh.passwd", ""),
        directory("srv/"),
        file("srv/.wh..wh..opq", ""),
        file("srv/new", "new"),
        // A directory that is told only by what is in it.
        file("opt/.wh..wh..opq", ""),
        // What an older file system of Docker kept for itself.
        file("etc/.wh..wh.plnk", ""),
    ];
    let mut layer = tar_of(&entries);
    // A name that is no text.
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..9].copy_from_slice(b"etc/.wh.\xff");
    header.set_size(0);
    header.set_cksum();
    layer.truncate(layer.len() - 1024);
    layer.extend(header.as_bytes());
    layer.extend([0; 1024]);
    let place = Place::new();
    let rootfs = place.unpack_layer(&layer).unwrap();
    assert!(is_gone(rootfs.join("etc/passwd")));
    let no_text = std::ffi::OsStr::from_bytes(b"\xff");
    assert!(is_gone(rootfs.join("etc").join(no_text)));
    assert_eq!(fs::read_dir(rootfs.join("etc")).unwrap().count(), 2);
    assert!(is_opaque(rootfs.join("srv")) && is_opaque(rootfs.join("opt")));
    assert!(!is_opaque(rootfs.join("etc")));
    assert_eq!(text(rootfs.join("srv/new")), "new");
    assert_eq!(fs::read_dir(rootfs.join("srv")).unwrap().count(), 1);
}

#[test]
fn what_a_layer_hides_and_brings_anew_is_new_in_either_order() {
    let gone = ["a", "b", "c", "d"].map(|name| format!(".wh.{name}"));
    let gone = gone.each_ref().map(|name| file(name, ""));
    let new = [
        file("a", "a"),
        directory("b/"),
        file("b/x", "x"),
        file("c/y", "y"),
        link("d", "a"),
    ];
    let orders = [[&gone[..], &new].concat(), [&new[..], &gone].concat()];
    for entries in orders {
        let place = Place::new();
        let rootfs = place.unpack_layer(&tar_of(&entries)).unwrap();
        assert_eq!(text(rootfs.join("a")), "a");
        assert_eq!(text(rootfs.join("b/x")), "x");
        assert_eq!(text(rootfs.join("c/y")), "y");
        assert_eq!(text(rootfs.join("d")), "a");
        // What was in these directories below is not to be seen.
        assert!(is_opaque(rootfs.join("b")) && is_opaque(rootfs.join("c")));
        assert_eq!(fs::read_dir(&rootfs).unwrap().count(), 4);
    }
}

#[test]
fn nothing_is_made_outside_of_the_image() {
    for name in [
        "../evil",
        "a/../../evil",
        "..",
        ".wh...",
        "a/.wh..",
        "/../evil",
    ] {
        let place = Place::new();
        let why = place
            .unpack_layer(&tar_of(&[file(name, "evil")]))
            .unwrap_err();
        let expected = format!("layer 'layer0/layer.tar': entry '{name}' leads out of the image");
        assert_eq!(why, expected);
        assert!(!place.path("evil").exists());
    }
    let place = Place::new();
    fs::write(place.path("secret"), "secret").unwrap();
    let secret = place.text("secret");
    for to in [secret.as_str(), "../../../secret"] {
        let entries = [("hard", EntryType::Link, to)];
        assert!(place.unpack_layer(&tar_of(&entries)).is_err(), "{to}");
    }
}

#[test]
fn links_lead_to_what_is_in_the_image() {
    let place = Place::new();
    let outer = place.text("");
    let outer = outer.trim_end_matches('/');
    let entries = [
        directory("usr/"),
        directory("usr/lib/"),
        link("lib", "usr/lib"),
        link("abs", "/usr"),
        link("up", "../../../usr"),
        // Absolute names are the image's, too.
        file("/lib/one", "1"),
        file("abs/two", "2"),
        file("up/three", "3"),
        // A file takes the place of a link, not of what it leads to.
        link("f", "usr/lib/one"),
        file("f", "new"),
        link("out", outer),
    ];
    let rootfs = place.unpack_layer(&tar_of(&entries)).unwrap();
    assert_eq!(text(rootfs.join("usr/lib/one")), "1");
    assert_eq!(text(rootfs.join("usr/two")), "2");
    assert_eq!(text(rootfs.join("usr/three")), "3");
    assert_eq!(text(rootfs.join("f")), "new");
    assert_eq!(fs::read_link(rootfs.join("out")).unwrap(), Path::new(outer));

    let place = Place::new();
    let outer = place.text("");
    let outer = outer.trim_end_matches('/');
    let entries = [link("out", outer), file("out/evil", "evil")];
    assert!(
        place.unpack_layer(&tar_of(&entries)).is_err(),
        "it leads to nothing here"
    );
    assert!(!place.path("evil").exists());
}

#[test]
fn directories_are_not_deeper_than_others_can_walk() {
    let layer = |names: &[String]| {
        let mut builder = Builder::new(Vec::new());
        for name in names {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(0);
            if let Some((from, to)) = name.split_once(" -> ") {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, from, to).unwrap();
            } else {
                builder.append_data(&mut header, name, &b""[..]).unwrap();
            }
        }
        builder.into_inner().unwrap()
    };
    let deep = |count: usize| "d/".repeat(count);
    let place = Place::new();
    let rootfs = place.unpack_layer(&layer(&[deep(199) + "f"])).unwrap();
    assert!(rootfs.join(deep(199)).join("f").is_file());
    let why = place.unpack_layer(&layer(&[deep(200) + "f"])).unwrap_err();
    assert!(
        why.ends_with("it is more than 200 directories deep"),
        "{why}"
    );
    // Each link leads to the end of the last one's.
    let mut names = vec![deep(150) + "f", format!("l0 -> {}", deep(150))];
    for number in 0..4 {
        names.push(format!("l{number}/{}f", deep(150)));
        names.push(format!("l{} -> l{number}/{}", number + 1, deep(150)));
    }
    let why = place.unpack_layer(&layer(&names)).unwrap_err();
    assert!(
        why.ends_with("it is more than 200 directories deep"),
        "{why}"
    );
}

#[test]
fn numbers_that_are_left_blank_are_zero() {
    let mut header = Header::new_gnu();
    header.set_path("f").unwrap();
    header.set_size(0);
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, &b""[..]).unwrap();
    let place = Place::new();
    let rootfs = place.unpack_layer(&builder.into_inner().unwrap()).unwrap();
    let found = fs::metadata(rootfs.join("f")).unwrap();
    let mode = found.permissions().mode() & 0o7777;
    assert_eq!(
        (mode, found.uid(), found.gid(), found.mtime()),
        (0, 0, 0, 0)
    );
}

#[test]
fn devices_are_left_out() {
    let entries = [
        directory("dev/"),
        ("dev/sda", EntryType::Block, ""),
        ("dev/null", EntryType::Char, ""),
        file("dev/note", "x"),
    ];
    let place = Place::new();
    let rootfs = place.unpack_layer(&tar_of(&entries)).unwrap();
    let names: Vec<_> = fs::read_dir(rootfs.join("dev")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(text(rootfs.join("dev/note")), "x");
}

#[test]
fn entries_that_cannot_be_are_told() {
    let mut large = Header::new_gnu();
    large.set_path("f").unwrap();
    large.set_mode(0o644);
    large.set_uid(1 << 40);
    large.set_gid(0);
    large.set_size(0);
    large.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&large, &b""[..]).unwrap();
    let large = builder.into_inner().unwrap();
    let mut builder = Builder::new(Vec::new());
    let broken = [("SCHILY.xattr.user.x", &b"a\nb"[..])];
    builder.append_pax_extensions(broken).unwrap();
    add(&mut builder, "f", EntryType::Regular, "", b"");
    let broken = builder.into_inner().unwrap();
    let mut builder = Builder::new(Vec::new());
    let sparse = [("GNU.sparse.major", &b"1"[..])];
    builder.append_pax_extensions(sparse).unwrap();
    add(&mut builder, "f", EntryType::Regular, "", b"");
    let sparse = builder.into_inner().unwrap();
    let cases = [
        (large, "entry 'f': its owner has an id that is too large"),
        (broken, "entry 'f': its extended attributes cannot be read"),
        (sparse, "entry 'f': it was archived without its holes"),
        (
            tar_of(&[(".", EntryType::Symlink, "/")]),
            "entry '.': it has the place of the image's root",
        ),
        (
            tar_of(&[("f", EntryType::new(b'V'), "")]),
            "entry 'f': it is of a kind that no image may bring",
        ),
        (
            tar_of(&[("f", EntryType::Link, "none")]),
            "entry 'f': No such file or directory",
        ),
        (
            tar_of(&[file("f", ""), file("f/g", "")]),
            "entry 'f/g': Not a directory",
        ),
    ];
    for (layer, expected) in cases {
        let why = Place::new().unpack_layer(&layer).unwrap_err();
        let expected = format!("layer 'layer0/layer.tar': {expected}");
        assert!(why.starts_with(&expected), "{why}");
    }
}

#[test]
fn what_becomes_too_much_is_stopped() {
    let mut bomb = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(300 << 20);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..300 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let place = Place::new();
    let why = place.unpack_layer(&bomb).unwrap_err();
    assert!(
        why.ends_with("it looks like an archive made to fill disks"),
        "{why}"
    );
    let made = place.path("staging/layer-0/rootfs/zeros");
    assert!(fs::metadata(made).unwrap().len() <= 256 << 20);
}
