//! What is shown of real directories, and what is not.
//! Paths of sandboxes are the agent's; these tests show one directory as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use actix_web::body::to_bytes;
use actix_web::test::TestRequest;

use super::*;

/// Shows a directory as `/shown`.
struct Directory(PathBuf);

impl Attached for Directory {
    fn find(&self, path: &str) -> Option<Place> {
        let inner = Path::new(path).strip_prefix("/shown").ok()?;
        let climbs = inner.components().any(|part| part == Component::ParentDir);
        (!climbs).then(|| Place::new(&self.0, inner))
    }

    fn paths(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("/shown".to_owned(), self.0.display().to_string())])
    }
}

fn place(sandbox: &Path, inner: &str) -> Place {
    Place::new(sandbox, inner)
}

fn sandbox() -> (tempfile::TempDir, PathBuf) {
    let work = tempfile::tempdir().unwrap();
    let sandbox = work.path().join("sandbox");
    fs::create_dir_all(sandbox.join("sub")).unwrap();
    fs::write(sandbox.join("stdout"), "hello sandbox\n").unwrap();
    fs::write(work.path().join("secret"), "secret").unwrap();
    (work, sandbox)
}

async fn ask(route: Route, query: &str, sandbox: &Path) -> (u16, String) {
    let request = TestRequest::with_uri(&format!("/files/x?{query}")).to_http_request();
    let answer = answer(route, &request, &Directory(sandbox.to_owned())).await;
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body()).await;
    let body = body.map_err(|_| "broken off").unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn parts_of_a_file_are_read() {
    let (_work, sandbox) = sandbox();
    let stdout = place(&sandbox, "stdout");
    let read = |offset, length| stdout.read(offset, length).unwrap();
    assert_eq!(read(0, Some(5)), (14, b"hello".to_vec()));
    assert_eq!(read(6, None), (14, b"sandbox\n".to_vec()));
    assert_eq!(read(6, Some(u64::MAX)), (14, b"sandbox\n".to_vec()));
    for behind in [14, 99, i64::MAX as u64, u64::MAX] {
        assert_eq!(read(behind, None), (14, Vec::new()), "{behind}");
    }
    let of = |inner| place(&sandbox, inner).read(0, None);
    assert!(matches!(of("sub"), Err(FileError::Directory)));
    for nothing in ["no", "stdout/x", "sub/../stdout\0", &"x".repeat(300)] {
        assert!(matches!(of(nothing), Err(FileError::NotFound)), "{nothing}");
    }
}

#[test]
fn one_answer_is_bounded() {
    let (_work, sandbox) = sandbox();
    fs::write(sandbox.join("big"), vec![b'x'; 100_000]).unwrap();
    let (size, data) = place(&sandbox, "big").read(0, None).unwrap();
    assert_eq!((size, data.len() as u64), (100_000, MAX_READ_BYTES));
}

#[test]
fn links_out_of_the_sandbox_lead_nowhere() {
    let (work, sandbox) = sandbox();
    symlink(work.path().join("secret"), sandbox.join("absolute")).unwrap();
    symlink("../secret", sandbox.join("relative")).unwrap();
    symlink("..", sandbox.join("up")).unwrap();
    symlink("loop", sandbox.join("loop")).unwrap();
    symlink("/proc/self/root", sandbox.join("magic")).unwrap();
    symlink("../stdout", sandbox.join("sub/inside")).unwrap();
    for inner in [
        "absolute",
        "relative",
        "up/secret",
        "../secret",
        "loop",
        "magic/etc/passwd",
    ] {
        let result = place(&sandbox, inner).read(0, None);
        let is_nothing = matches!(result, Err(FileError::NotFound));
        assert!(is_nothing, "{inner}: {result:?}");
    }
    let inside = place(&sandbox, "sub/inside").read(0, Some(5)).unwrap();
    assert_eq!(inside.1, b"hello");
}

#[test]
fn pipes_sockets_and_devices_are_not_opened() {
    let (_work, sandbox) = sandbox();
    nix::unistd::mkfifo(&sandbox.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.join("socket")).unwrap();
    for inner in ["pipe", "socket"] {
        let result = place(&sandbox, inner).read(0, None);
        assert!(
            matches!(result, Err(FileError::NotFound)),
            "{inner}: {result:?}"
        );
        let listed = place(&sandbox, inner).list("/x");
        assert!(matches!(listed, Err(FileError::NotFound)), "{inner}");
    }
    // A device whose content never ends.
    let result = Place::new("/dev/zero", "").read(0, None);
    assert!(matches!(result, Err(FileError::NotFound)), "{result:?}");
    let modes = place(&sandbox, "").list("/x").unwrap();
    let modes: Vec<_> = modes.iter().map(|file| mode_text(file.mode())).collect();
    assert!(
        modes[0].starts_with('p') && modes[1].starts_with('s'),
        "{modes:?}"
    );
}

#[test]
fn a_listing_shows_what_ls_shows() {
    let (work, sandbox) = sandbox();
    symlink("sub", sandbox.join("to-sub")).unwrap();
    symlink("../secret", sandbox.join("to-secret")).unwrap();
    symlink(work.path(), sandbox.join("volume")).unwrap();
    let links = BTreeMap::from([("volume".to_owned(), work.path().display().to_string())]);
    let place = place(&sandbox, "").with_links(links);
    let listed = place.list("/shown/").unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|file| (&*file.path, &mode_text(file.mode())[..1] == "d"))
        .collect();
    let expected = [
        ("/shown/stdout", false),
        ("/shown/sub", true),
        // Nothing is told of what is outside.
        ("/shown/to-secret", false),
        ("/shown/to-sub", true),
        ("/shown/volume", true),
    ];
    assert_eq!(shown, expected);
    assert_eq!(listed[0].size, Some(14));
    assert!(mode_text(listed[0].mode()).starts_with("-rw"));
    assert!(mode_text(listed[2].mode()).starts_with('l'));
    assert!(
        Place::new(&sandbox, "stdout")
            .list("/shown")
            .unwrap()
            .is_empty()
    );
}

#[actix_web::test]
async fn requests_are_answered_as_mesos_does() {
    let (_work, sandbox) = sandbox();
    let no_path = "Expecting 'path=value' in query.\n";
    for (route, query, status, body) in [
        (
            Route::Read,
            "path=/shown/stdout&offset=6&length=3",
            200,
            r#"{"data":"san","offset":6}"#,
        ),
        (
            Route::Read,
            "path=/shown/stdout&offset=-1&length=5",
            200,
            r#"{"data":"","offset":14}"#,
        ),
        (
            Route::Read,
            "path=/shown/stdout",
            200,
            r#"{"data":"","offset":14}"#,
        ),
        (
            Route::Read,
            "path=/shown/stdout&offset=9223372036854775807&length=-1",
            200,
            r#"{"data":"","offset":9223372036854775807}"#,
        ),
        (
            Route::Read,
            "path=/shown/stdout&offset=9223372036854775808",
            400,
            "Failed to parse offset: Failed to convert '9223372036854775808' to number.\n",
        ),
        (
            Route::Read,
            "path=/shown/stdout&offset=-2",
            400,
            "Negative offset provided: -2.\n",
        ),
        (
            Route::Read,
            "path=/shown/stdout&jsonp=f",
            200,
            r#"f({"data":"","offset":14})"#,
        ),
        (Route::Read, "", 400, no_path),
        (Route::Browse, "path=", 400, no_path),
        (Route::Download, "", 400, no_path),
        (Route::Browse, "path=/shown/sub", 200, "[]"),
        (Route::Browse, "path=/other", 404, ""),
        (
            Route::Download,
            "path=/shown/stdout",
            200,
            "hello sandbox\n",
        ),
        (Route::Download, "path=/shown/no", 404, "404 Not Found."),
        (
            Route::Download,
            "path=/shown/sub",
            400,
            "Cannot download a directory.\n",
        ),
    ] {
        let answered = ask(route, query, &sandbox).await;
        assert_eq!(answered, (status, body.to_owned()), "{route:?} {query}");
    }
    let (status, debug) = ask(Route::Debug, "", &sandbox).await;
    assert_eq!(status, 200);
    assert_eq!(debug, format!("{{\"/shown\":\"{}\"}}", sandbox.display()));
}

#[actix_web::test]
async fn a_part_of_a_file_is_downloaded() {
    let (_work, sandbox) = sandbox();
    for (range, status, told, body) in [
        ("bytes=6-8", 206, Some("bytes 6-8/14"), "san"),
        ("bytes=6-", 206, Some("bytes 6-13/14"), "sandbox\n"),
        ("bytes=14-", 416, Some("bytes */14"), ""),
        ("bytes=0-1,3-4", 200, None, "hello sandbox\n"),
    ] {
        let request = TestRequest::with_uri("/files/download?path=/shown/stdout")
            .insert_header(("Range", range))
            .to_http_request();
        let answer = answer(Route::Download, &request, &Directory(sandbox.clone())).await;
        assert_eq!(answer.status().as_u16(), status, "{range}");
        let header = answer.headers().get(CONTENT_RANGE);
        assert_eq!(header.map(|it| it.to_str().unwrap()), told, "{range}");
        let given = to_bytes(answer.into_body()).await;
        let given = given.map_err(|_| "broken off").unwrap();
        assert_eq!(given, body.as_bytes(), "{range}");
    }
}

#[actix_web::test]
async fn a_file_that_is_written_meanwhile_is_given_as_long_as_it_was() {
    let (_work, sandbox) = sandbox();
    let (file, size) = place(&sandbox, "stdout").open_file().unwrap();
    fs::write(sandbox.join("stdout"), "hello sandbox\nand more\n").unwrap();
    let chunks: Vec<_> = futures_util::StreamExt::collect(content(file, size)).await;
    let given: Vec<u8> = chunks.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(given, b"hello sandbox\n");
}

#[test]
fn names_of_files_cannot_break_a_header() {
    assert_eq!(in_header("stdout.1"), "stdout.1");
    assert_eq!(in_header("a b"), "\"a b\"");
    assert_eq!(in_header("a\"\r\nX: y\\"), "\"a___X: y_\"");
    assert_eq!(in_header("ä;"), "\"ä;\"");
}

#[test]
fn a_log_is_shown_where_flags_name_one() {
    let (_work, sandbox) = sandbox();
    let file = sandbox.join("stdout").display().to_string();
    let flags = BTreeMap::from([("external_log_file".to_owned(), file.clone())]);
    let log = Log::of_master(&flags);
    assert_eq!(
        log.find("/master/log").unwrap().read(0, Some(5)).unwrap().1,
        b"hello"
    );
    assert_eq!(
        log.paths(),
        BTreeMap::from([("/master/log".to_owned(), file)])
    );
    let deeper = log.find("/master/log/x").unwrap().read(0, None);
    assert!(matches!(deeper, Err(FileError::NotFound)));
    for nothing in ["/slave/log", "/master/log/..", "/master/logs", ""] {
        assert_eq!(log.find(nothing), None, "{nothing}");
    }
    assert_eq!(Log::of_master(&BTreeMap::new()).find("/master/log"), None);
}
