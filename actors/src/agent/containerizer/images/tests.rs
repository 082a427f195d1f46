//! The store with a script in the place of `tepui-fetcher`, for which an archive is a list of words.
//! How real archives are unpacked is tested with that program, see `bin/fetcher`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;

/// Notes each order. Words of archives: a number is a layer; `slow` says on the pipe `begun` that it
/// is reached, and goes on when something comes by the pipe `go`; `hang` ends with the input.
const SCRIPT: &str = r#"#!/bin/sh
read -r order
echo "$order" >> DIR/orders
field() { echo "$order" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
directory=$(field directory)
archive=$(field archive)
known=$(field known)
echo '{"fetching":"image"}'
list=
for word in $(cat "$archive"); do
    case "$word" in
    slow) echo begun > DIR/begun; read -r how < DIR/go ;;
    hang) echo begun > DIR/begun; cat > /dev/null; exit 1 ;;
    fail) echo '{"failed":"it is damaged"}'; exit ;;
    die) exit 7 ;;
    astray) list="$list,\"../../astray\"" ;;
    *)
        layer=$(printf %064d "$word")
        if ! [ -d "$known/$layer/rootfs" ]; then
            mkdir -p "$directory/$layer/rootfs"
            echo "$word" > "$directory/$layer/rootfs/file"
        fi
        list="$list,\"$layer\"" ;;
    esac
done
echo "{\"unpacked\":{\"layers\":[${list#,}],\"settings\":{\"entrypoint\":[],\"cmd\":[\"$archive\"],\
\"env\":[],\"working_dir\":null,\"user\":null}}}"
"#;

/// Looks at something that changes before a test gives up: far longer than it ever takes.
const MAX_LOOKS: usize = 60_000;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let program = dir.path().join("fetcher");
        fs::write(&program, SCRIPT.replace("DIR", path)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for pipe in ["begun", "go"] {
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            nix::unistd::mkfifo(&dir.path().join(pipe), mode).unwrap();
        }
        fs::create_dir(dir.path().join("registry")).unwrap();
        Fixture { dir }
    }

    fn config(&self) -> ImagesConfig {
        ImagesConfig {
            providers: vec![ImageProvider::Docker],
            docker_registry: self.dir.path().join("registry"),
            docker_store_dir: self.dir.path().join("store"),
            gc: None,
        }
    }

    fn open(&self) -> Arc<Store> {
        self.open_with(&self.config()).unwrap()
    }

    fn open_with(&self, config: &ImagesConfig) -> Result<Arc<Store>, String> {
        Store::open(config, self.dir.path().join("fetcher")).map(Arc::new)
    }

    /// Writes an archive that has not been there.
    fn archive(&self, name: &str, words: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, words).unwrap();
        let path = self.dir.path().join(format!("registry/{name}.tar"));
        fs::rename(new, path).unwrap();
    }

    fn orders(&self) -> usize {
        let orders = fs::read_to_string(self.dir.path().join("orders"));
        orders.unwrap_or_default().lines().count()
    }

    /// Waits until an unpacking has come so far.
    fn begun(&self) {
        fs::read(self.dir.path().join("begun")).unwrap();
    }

    /// Lets it go on.
    fn go(&self) {
        fs::write(self.dir.path().join("go"), "on\n").unwrap();
    }

    fn entries(&self, directory: &str) -> Vec<String> {
        let path = self.dir.path().join("store").join(directory);
        let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn rootfs(&self, layer: u32) -> PathBuf {
        let path = format!("store/layers/{}/rootfs", name(layer));
        self.dir.path().join(path)
    }

    fn rootfses(&self, layers: &[u32]) -> Vec<PathBuf> {
        layers.iter().map(|layer| self.rootfs(*layer)).collect()
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        for directory in ["staging", "removed"] {
            assert_eq!(self.entries(directory), [""; 0], "{directory}");
        }
    }
}

fn name(layer: u32) -> String {
    format!("{layer:064}")
}

fn image(name: &str) -> v1::Image {
    v1::Image {
        r#type: v1::image::Type::Docker as i32,
        docker: Some(v1::image::Docker {
            name: name.to_owned(),
            ..v1::image::Docker::default()
        }),
        ..v1::Image::default()
    }
}

fn get(store: &Store, name: &str) -> Result<Arc<Unpacked>, String> {
    store.get(&image(name), &|| false)
}

/// Somebody who waits for an image, and can be killed.
struct Waiter {
    killed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Arc<Unpacked>, String>>,
}

impl Waiter {
    fn start(store: &Arc<Store>, name: &str) -> Self {
        let (killed, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (store, wanted) = (store.clone(), image(name));
        let (its_killed, its_asked) = (killed.clone(), asked.clone());
        let thread = thread::spawn(move || {
            store.get(&wanted, &|| {
                its_asked.fetch_add(1, Ordering::SeqCst);
                its_killed.load(Ordering::SeqCst)
            })
        });
        Waiter {
            killed,
            asked,
            thread,
        }
    }

    /// Waits until it waits: it is asked once before, and again and again while it does.
    fn wait(&self) {
        until(|| self.asked.load(Ordering::SeqCst) >= 2);
    }

    fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    fn end(self) -> Result<Arc<Unpacked>, String> {
        self.thread.join().unwrap()
    }
}

#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    for _ in 0..MAX_LOOKS {
        if condition() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(1));
    }
    panic!("it did not come true");
}

#[test]
fn an_image_is_unpacked_once_and_known_after_a_restart() {
    let fixture = Fixture::new();
    fixture.archive("a", "1 2");
    let store = fixture.open();
    let first = get(&store, "a").unwrap();
    assert_eq!(first.layers, fixture.rootfses(&[1, 2]));
    assert_eq!(
        fs::read_to_string(first.layers[1].join("file")).unwrap(),
        "2\n"
    );
    assert!(store.timer().last_ms().is_some());
    let again = get(&store, "a:latest").unwrap();
    assert_eq!(again, first);
    fixture.assert_nothing_is_left();
    drop(store);
    let store = fixture.open();
    assert_eq!(get(&store, "a").unwrap(), first);
    assert_eq!(fixture.orders(), 1);
    let layers = fixture.dir.path().join("store/layers");
    let mode = fs::metadata(layers).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "programs in it are nobody's to run");
}

#[test]
fn an_archive_that_has_changed_is_read_anew() {
    let fixture = Fixture::new();
    fixture.archive("a", "1 2");
    let store = fixture.open();
    let before = get(&store, "a").unwrap();
    fixture.archive("a", "1 3");
    let after = get(&store, "a").unwrap();
    assert_eq!(after.layers, fixture.rootfses(&[1, 3]));
    assert_eq!(fixture.orders(), 2);
    // Whoever has the old one keeps it.
    store.prune(&[], &BTreeSet::new()).unwrap();
    assert!(before.layers.iter().all(|layer| layer.is_dir()));
    // And whoever wants it anew gets it so.
    let anew = v1::Image {
        cached: Some(false),
        ..image("a")
    };
    assert_eq!(store.get(&anew, &|| false).unwrap(), after);
    assert_eq!(fixture.orders(), 3);
}

#[test]
fn layers_that_somebody_has_removed_are_unpacked_anew() {
    let fixture = Fixture::new();
    fixture.archive("a", "1 2");
    let store = fixture.open();
    get(&store, "a").unwrap();
    fs::remove_dir_all(fixture.rootfs(2)).unwrap();
    let again = get(&store, "a").unwrap();
    assert!(again.layers[1].join("file").is_file());
    assert_eq!(fixture.orders(), 2);
    fixture.assert_nothing_is_left();
}

#[test]
fn layers_below_one_that_hides_everything_are_left_out() {
    let fixture = Fixture::new();
    fixture.archive("a", "1 2 3");
    let store = fixture.open();
    get(&store, "a").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(fixture.rootfs(2), "trusted.overlay.opaque", b"y", flags).unwrap();
    assert_eq!(get(&store, "a").unwrap().layers, fixture.rootfses(&[2, 3]));
}

#[test]
fn those_who_want_the_same_image_share_one_unpacking() {
    let fixture = Fixture::new();
    fixture.archive("a", "slow 1");
    let store = fixture.open();
    let waiters: Vec<Waiter> = (0..3).map(|_| Waiter::start(&store, "a")).collect();
    fixture.begun();
    waiters.iter().for_each(Waiter::wait);
    let why = store.prune(&[], &BTreeSet::new()).unwrap_err();
    assert!(
        why.starts_with("Cannot prune images while 1 of them are unpacked"),
        "{why}"
    );
    // One who is killed takes nothing from the others.
    let killed = Waiter::start(&store, "a");
    killed.wait();
    killed.kill();
    let why = killed.end().unwrap_err();
    assert_eq!(why, "the container was killed while its image was unpacked");
    fixture.go();
    let got: Vec<Arc<Unpacked>> = waiters.into_iter().map(|it| it.end().unwrap()).collect();
    assert!(Arc::ptr_eq(&got[0], &got[1]) && Arc::ptr_eq(&got[0], &got[2]));
    assert_eq!(fixture.orders(), 1);
    fixture.assert_nothing_is_left();
}

#[test]
fn an_unpacking_that_nobody_waits_for_ends() {
    let fixture = Fixture::new();
    fixture.archive("a", "1 hang");
    let store = fixture.open();
    let waiters = [Waiter::start(&store, "a"), Waiter::start(&store, "a")];
    fixture.begun();
    for waiter in waiters {
        waiter.wait();
        waiter.kill();
        assert!(waiter.end().is_err());
    }
    until(|| store.prune(&[], &BTreeSet::new()).is_ok());
    fixture.assert_nothing_is_left();
    assert_eq!(fixture.entries("layers"), [""; 0]);
    // Another begins anew.
    fixture.archive("a", "1");
    assert!(get(&store, "a").is_ok());
}

#[test]
fn what_a_crash_has_left_is_removed() {
    let fixture = Fixture::new();
    drop(fixture.open());
    for path in ["staging/0/half/rootfs", "removed/3/a"] {
        fs::create_dir_all(fixture.dir.path().join("store").join(path)).unwrap();
    }
    let path = fixture.dir.path().join("store/images.json");
    fs::write(path, "{\"half").unwrap();
    fixture.archive("a", "1");
    let store = fixture.open();
    fixture.assert_nothing_is_left();
    assert!(get(&store, "a").is_ok(), "the record is made anew");
    drop(store);
    get(&fixture.open(), "a").unwrap();
    assert_eq!(fixture.orders(), 1);
}

#[test]
fn images_that_cannot_be_unpacked_leave_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let path = fixture.dir.path().join("registry/a.tar");
    let cases = [
        ("1 fail", "it is damaged"),
        ("1 die", "the fetcher ended with exit status: 7"),
        (
            "1 astray",
            "cannot keep its layers: '../../astray' is no name of a layer",
        ),
    ];
    for (words, expected) in cases {
        fixture.archive("a", words);
        let why = get(&store, "a").unwrap_err();
        let begin = format!("Failed to unpack image 'a' from '{}': ", path.display());
        assert_eq!(why, begin + expected);
        store.prune(&[], &BTreeSet::new()).unwrap();
        fixture.assert_nothing_is_left();
        assert_eq!(fixture.entries("layers"), [""; 0]);
        assert!(!fixture.dir.path().join("astray").exists());
    }
    fixture.archive("a", "1");
    assert!(get(&store, "a").is_ok(), "a failure is not kept");
}

#[test]
fn images_that_cannot_be_are_refused() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let why = get(&store, "a/b").unwrap_err();
    let path = fixture.dir.path().join("registry/a/b.tar");
    let begin = format!(
        "Failed to find archive for image 'a/b' at '{}'",
        path.display()
    );
    assert!(why.starts_with(&begin), "{why}");
    let why = get(&store, "../registry/a").unwrap_err();
    assert!(
        why.starts_with("Failed to parse docker image '../registry/a': "),
        "{why}"
    );
    let appc = v1::Image {
        r#type: v1::image::Type::Appc as i32,
        ..v1::Image::default()
    };
    let why = store.get(&appc, &|| false).unwrap_err();
    assert!(
        why.starts_with("images of type APPC are not supported"),
        "{why}"
    );
    assert_eq!(fixture.orders(), 0);
}

#[test]
fn wrong_settings_are_refused() {
    let fixture = Fixture::new();
    let open = |config: ImagesConfig| fixture.open_with(&config).map(drop);
    for registry in ["https://registry-1.docker.io", "images"] {
        let why = open(ImagesConfig {
            docker_registry: registry.into(),
            ..fixture.config()
        });
        let begin =
            format!("--docker_registry={registry} is not supported: images are not fetched");
        assert!(why.unwrap_err().starts_with(&begin));
    }
    let why = open(ImagesConfig {
        providers: Vec::new(),
        ..fixture.config()
    });
    assert!(why.unwrap_err().starts_with("--image_providers names none"));
    let _held = fixture.open();
    let why = open(fixture.config()).unwrap_err();
    assert!(why.contains("another agent uses it"), "{why}");
}

#[test]
fn what_is_used_or_excluded_is_not_pruned() {
    let fixture = Fixture::new();
    for (name, words) in [
        ("a", "1 2"),
        ("b", "2 3"),
        ("c", "4"),
        ("d", "5"),
        ("e", "6"),
    ] {
        fixture.archive(name, words);
    }
    let gc = ImageGc {
        headroom: 0.1,
        interval: Duration::from_secs(1),
        excluded: vec![image("e")],
    };
    let config = ImagesConfig {
        gc: Some(gc),
        ..fixture.config()
    };
    let store = fixture.open_with(&config).unwrap();
    for name in ["a", "b", "c", "e"] {
        get(&store, name).unwrap();
    }
    let held = get(&store, "d").unwrap();
    let in_use = BTreeSet::from([fixture.rootfs(4)]);
    let why = store.prune(&[image("..")], &in_use).unwrap_err();
    assert!(
        why.starts_with("Failed to parse docker image '..'"),
        "{why}"
    );
    store
        .prune(&[image("b:latest"), image("none")], &in_use)
        .unwrap();
    assert_eq!(fixture.entries("layers"), [2, 3, 4, 5, 6].map(name));
    fixture.assert_nothing_is_left();
    let before = fixture.orders();
    for name in ["b", "c", "d", "e"] {
        get(&store, name).unwrap();
    }
    assert_eq!(fixture.orders(), before);
    get(&store, "a").unwrap();
    assert_eq!(fixture.orders(), before + 1);
    drop(held);
    store.prune(&[], &BTreeSet::new()).unwrap();
    assert_eq!(fixture.entries("layers"), [name(6)]);
    drop(store);
    // It is forgotten for good.
    get(&fixture.open(), "b").unwrap();
    assert_eq!(fixture.orders(), before + 2);
}

#[test]
fn images_are_to_be_pruned_when_the_disk_is_too_full() {
    let fixture = Fixture::new();
    let wants = |headroom: Option<f64>| {
        let gc = headroom.map(|headroom| ImageGc {
            headroom,
            interval: Duration::from_secs(1),
            excluded: Vec::new(),
        });
        let config = ImagesConfig {
            gc,
            ..fixture.config()
        };
        fixture.open_with(&config).unwrap().wants_prune()
    };
    fixture.archive("a", "1");
    get(&fixture.open(), "a").unwrap();
    assert!(wants(Some(1.0)), "nothing may be used");
    assert!(!wants(Some(0.0)), "all of it may be used");
    assert!(!wants(None));
}
