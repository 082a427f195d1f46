//! `forcePullImage`: an image is pulled although it is there. The registry is played by the test.
//! What is asked of registries that want a login is in `registry`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::apps::Apps;
use crate::engine;
use crate::support::cluster::until;

/// The kind of the only manifest.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry with one image of one tag, which counts how often it is asked for that.
struct Registry {
    port: u16,
    asked: Arc<AtomicUsize>,
}

/// What it answers by path: the kind, and the content.
type Pages = BTreeMap<String, (&'static str, Vec<u8>)>;

impl Registry {
    fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let saved = engine::save_changed("tepui-test/pulled", "1", "true");
        let pages = Arc::new(pages(&saved));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, count) = (pages.clone(), count.clone());
                // The Engine keeps connections.
                std::thread::spawn(move || serve(stream, &pages, &count));
            }
        });
        Registry { port, asked }
    }

    fn image(&self) -> String {
        format!("127.0.0.1:{}/app:1", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let path = format!("/images/{}?force=1", self.image());
        engine::ask("DELETE", &path, "", b"");
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(bytes).expect("to write");
    drop(input);
    let said = child.wait_with_output().expect("its end").stdout;
    let said = String::from_utf8(said).expect("text");
    format!("sha256:{}", said.split(' ').next().expect("a digest"))
}

/// The pages of what `docker save` has written.
fn pages(saved: &[u8]) -> Pages {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(saved).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        files.insert(path, content);
    }
    let list: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let mut pages = Pages::from([("/v2/".to_owned(), ("application/json", b"{}".to_vec()))]);
    let mut blob = |path: &Value, kind: &str| {
        let content = files[path.as_str().expect("a path")].clone();
        let (digest, size) = (digest(&content), content.len());
        let page = ("application/octet-stream", content);
        pages.insert(format!("/v2/app/blobs/{digest}"), page);
        json!({"mediaType": kind, "size": size, "digest": digest})
    };
    let config = "application/vnd.docker.container.image.v1+json";
    let config = blob(&list[0]["Config"], config);
    let layers = list[0]["Layers"].as_array().expect("layers").iter();
    let layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let layers: Vec<Value> = layers.map(|path| blob(path, layer)).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let manifest = manifest.to_string().into_bytes();
    for name in ["1".to_owned(), digest(&manifest)] {
        let page = (MANIFEST, manifest.clone());
        pages.insert(format!("/v2/app/manifests/{name}"), page);
    }
    pages
}

fn serve(stream: TcpStream, pages: &Pages, asked: &AtomicUsize) {
    let mut answers = stream.try_clone().expect("the connection");
    let mut request = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if !line.is_empty() {
            request.get_or_insert(line);
            continue;
        }
        let first = request.take().unwrap_or_default();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if path.ends_with("/manifests/1") {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let found = pages.get(path);
        let status = if found.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let (kind, body) = found.map_or(("text/plain", &[][..]), |(kind, body)| (*kind, body));
        let mut head = format!(
            "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n",
            body.len()
        );
        if kind == MANIFEST {
            head += &format!("Docker-Content-Digest: {}\r\n", digest(body));
        }
        let body = if method == "HEAD" { &[][..] } else { body };
        let answer = [head.as_bytes(), b"\r\n", body].concat();
        if answers.write_all(&answer).is_err() {
            return;
        }
    }
}

#[test]
fn an_image_that_is_there_is_pulled_when_that_is_forced() {
    engine::ready();
    let registry = Registry::start();
    let apps = Apps::start("docker-pull");
    let app = |id: &str, image: &str, is_forced: bool| {
        json!({
            "id": id, "cmd": "exec sleep 1000", "backoffSeconds": 1,
            "container": {
                "type": "DOCKER",
                "docker": {"image": image, "network": "HOST", "forcePullImage": is_forced},
            },
        })
    };
    let image = registry.image();
    apps.run(app("/first", &image, false));
    let first = registry.asked();
    assert!(first > 0, "what is not there is pulled");
    apps.run(app("/second", &image, false));
    assert_eq!(registry.asked(), first, "what is there is not");
    apps.run(app("/forced", &image, true));
    assert!(registry.asked() > first, "it is pulled nevertheless");

    // One that is there, of which no registry knows: then it cannot be pulled.
    let gone = format!("127.0.0.1:{}/gone:1", registry.port);
    let (repository, tag) = gone.rsplit_once(':').expect("a tag");
    let path = format!("/images/{image}/tag?repo={repository}&tag={tag}");
    let (status, said) = engine::ask("POST", &path, "", b"");
    assert_eq!(status, 201, "{said}");
    apps.run(app("/kept", &gone, false));
    let mut forced = app("/gone", &gone, true);
    forced["instances"] = json!(1);
    apps.marathon.change("POST", "/v2/apps", &forced);
    let why = until("the failure", || {
        let app = apps.marathon.app("/gone")?;
        app["lastTaskFailure"]["message"]
            .as_str()
            .map(str::to_owned)
    });
    assert!(
        why.contains(&format!("Failed to pull image '{gone}'")),
        "{why}"
    );
    let delete = "/v2/apps/gone?force=true";
    apps.marathon.change("DELETE", delete, &Value::Null);
    apps.end(&["/first", "/second", "/forced", "/kept"]);
    engine::ask("DELETE", &format!("/images/{gone}?force=1"), "", b"");
}
