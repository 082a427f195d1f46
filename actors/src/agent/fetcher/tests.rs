//! The fetcher with a script in the place of `tepui-fetcher`, which tells what was ordered.
//! What really is fetched is tested with the program itself, see `bin/tests`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::task::JoinHandle;

use super::*;

/// Longest time anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

const SANDBOX: &str = "/the/sandbox";

/// Notes each order; tells sizes; says on the pipe `begun` that it downloads, and does so when
/// something comes by the pipe `go`.
const SCRIPT: &str = r#"#!/bin/sh
read -r order
echo "$order" >> DIR/orders
echo '{"fetching":"http://h/x"}'
case "$order" in
*'"size"'*) echo '{"size":3}' ;;
*'"download"'*)
    echo begun > DIR/begun
    read -r how < DIR/go
    case "$how" in
    fail) echo '{"failed":"the disk is on fire"}' ;;
    die) exit 7 ;;
    *)
        directory=$(echo "$order" | sed 's/.*"directory":"\([^"]*\)".*/\1/')
        name=$(echo "$order" | sed 's/.*"name":"\([^"]*\)".*/\1/')
        printf abc > "$directory/$name"
        echo '{"size":3}'
    esac ;;
*) echo '"done"' ;;
esac
"#;

struct Fixture {
    dir: tempfile::TempDir,
    fetcher: Fetcher,
}

impl Fixture {
    fn start() -> Self {
        Self::with(SCRIPT)
    }

    fn with(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let program = dir.path().join("fetcher");
        fs::write(&program, script.replace("DIR", path)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for pipe in ["begun", "go"] {
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            nix::unistd::mkfifo(&dir.path().join(pipe), mode).unwrap();
        }
        let fetcher = Fetcher::start(settings(dir.path(), program)).unwrap();
        Fixture { dir, fetcher }
    }

    /// Fetches one URI through the cache, while the test goes on.
    fn fetch(&self) -> JoinHandle<Result<(), String>> {
        let uri = Uri {
            value: "http://h/x".into(),
            cache: Some(true),
            ..Uri::default()
        };
        let wanted = Wanted {
            uris: vec![uri],
            sandbox: SANDBOX.into(),
            user: None,
            switch: false,
        };
        let fetcher = self.fetcher.clone();
        tokio::spawn(async move { fetcher.fetch(wanted).await })
    }

    /// Waits until a download has begun.
    async fn begun(&self) {
        let read = tokio::fs::read(self.dir.path().join("begun"));
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    }

    /// Lets a download go on.
    async fn go(&self, how: &str) {
        let write = tokio::fs::write(self.dir.path().join("go"), format!("{how}\n"));
        tokio::time::timeout(PATIENCE, write)
            .await
            .unwrap()
            .unwrap();
    }

    /// The kinds of orders that came.
    fn orders(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("orders")).unwrap();
        let kind = |line: &str| {
            let order: Order = serde_json::from_str(line).unwrap();
            match order.job {
                Job::Size { .. } => "size".to_owned(),
                Job::Download { limit, .. } => format!("download up to {limit}"),
                Job::Fetch { sandbox, items } => format!("{} into {sandbox}", items.len()),
                Job::Unpack(unpack) => format!("unpack {}", unpack.image),
            }
        };
        text.lines().map(kind).collect()
    }

    fn figures(&self) -> Fetches {
        self.fetcher.figures().read()
    }
}

fn settings(dir: &Path, program: PathBuf) -> FetcherSettings {
    FetcherSettings {
        program,
        frameworks_home: String::new(),
        stall_timeout: PATIENCE,
        cache_dir: dir.join("cache"),
        cache_size: 10,
        work_dir: dir.to_owned(),
    }
}

#[tokio::test]
async fn whoever_asks_meanwhile_waits_for_the_same_download() {
    let fixture = Fixture::start();
    let first = fixture.fetch();
    fixture.begun().await;
    let second = fixture.fetch();
    fixture.go("on").await;
    assert_eq!(first.await.unwrap(), Ok(()));
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(fixture.fetch().await.unwrap(), Ok(()));
    let into = format!("1 into {SANDBOX}");
    let expected = ["size", "download up to 3", &into, &into, &into];
    assert_eq!(fixture.orders(), expected);
    let fetches = Fetches {
        succeeded: 3,
        failed: 0,
        total: 10,
        used: 3,
    };
    assert_eq!(fixture.figures(), fetches);
}

#[tokio::test]
async fn a_failed_download_fails_all_and_is_tried_again_later() {
    let fixture = Fixture::start();
    let first = fixture.fetch();
    fixture.begun().await;
    let second = fixture.fetch();
    // The second has asked before the first hears of the failure.
    tokio::task::yield_now().await;
    fixture.go("fail").await;
    let why = Err("Failed to fetch 'http://h/x': the disk is on fire".to_owned());
    assert_eq!(first.await.unwrap(), why);
    assert_eq!(second.await.unwrap(), why);
    assert_eq!(fixture.figures().used, 0);
    let third = fixture.fetch();
    fixture.begun().await;
    fixture.go("die").await;
    let why = "Failed to fetch 'http://h/x': tepui-fetcher ended with exit status: 7";
    assert_eq!(third.await.unwrap(), Err(why.to_owned()));
    assert_eq!(fixture.figures().failed, 3);
}

#[tokio::test]
async fn a_download_goes_on_while_anybody_needs_it() {
    let fixture = Fixture::start();
    let first = fixture.fetch();
    fixture.begun().await;
    let second = fixture.fetch();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    fixture.go("on").await;
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(fixture.figures().used, 3);
}

#[tokio::test]
async fn a_download_that_nobody_needs_ends() {
    let fixture = Fixture::start();
    let only = fixture.fetch();
    fixture.begun().await;
    assert_eq!(fixture.figures().used, 3);
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    let forgotten = async {
        while fixture.figures().used > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    let again = fixture.fetch();
    fixture.begun().await;
    fixture.go("on").await;
    assert_eq!(again.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_file_that_was_removed_is_downloaded_again() {
    let fixture = Fixture::start();
    for _ in 0..2 {
        let fetched = fixture.fetch();
        fixture.begun().await;
        fixture.go("on").await;
        assert_eq!(fetched.await.unwrap(), Ok(()));
        let own = fs::read_dir(fixture.dir.path().join("cache")).unwrap();
        let own = own.flatten().next().unwrap().path();
        fs::remove_dir_all(own).unwrap();
    }
    let downloads = fixture.orders();
    let downloads = downloads
        .iter()
        .filter(|order| order.starts_with("download"));
    assert_eq!(downloads.count(), 2);
    assert_eq!(fixture.figures().used, 3);
}

#[tokio::test]
async fn a_program_that_is_not_there_or_says_nothing_fails_the_fetch() {
    let fixture = Fixture::with("#!/bin/sh\n");
    let why = fixture.fetch().await.unwrap().unwrap_err();
    assert!(why.starts_with("Could not fetch URIs: "), "{why}");
    fs::remove_file(fixture.dir.path().join("fetcher")).unwrap();
    let why = fixture.fetch().await.unwrap().unwrap_err();
    assert!(
        why.starts_with("Could not fetch URIs: failed to execute "),
        "{why}"
    );
}
