//! Images of registries that want a login, as the agent's flag or the task's own sandbox has it, and
//! names that containers ask for. The registry is played by the test.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::json;

use crate::support::cluster::until;
use crate::{Dockered, FLAGS, read, sandbox, task};

/// Starts a registry that knows no image, but asks everybody for a login; it tells those it gets.
fn registry() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (teller, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let teller = teller.clone();
            // The Engine keeps connections.
            std::thread::spawn(move || serve(stream, &teller));
        }
    });
    (port, told)
}

fn serve(stream: TcpStream, teller: &Sender<String>) {
    let mut answers = stream.try_clone().expect("the connection");
    let mut login = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("authorization: ") {
            login = Some(line[line.len() - value.len()..].to_owned());
        }
        if !line.is_empty() {
            continue;
        }
        let (status, more) = match login.take() {
            Some(login) => {
                // The test may have heard enough.
                let _ = teller.send(login);
                ("404 Not Found", "")
            }
            None => (
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"test\"\r\n",
            ),
        };
        let head = "Docker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\n";
        let answer = format!("HTTP/1.1 {status}\r\n{head}{more}\r\n");
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The first login that the registry is given.
fn login(told: &Receiver<String>) -> String {
    let first = told.recv_timeout(Duration::from_secs(30));
    first.expect("the registry was asked with a login")
}

#[test]
fn a_registry_is_given_the_login_of_the_flag_or_of_the_sandbox() {
    let (port, told) = registry();
    let host = format!("127.0.0.1:{port}");
    let auths = |auth: &str| {
        let mut auths = json!({"auths": {"other.example.com": {"auth": "bm86bm8="}}});
        auths["auths"][&host] = json!({"auth": auth});
        auths.to_string()
    };
    // "u:p" and "own:pw", in base64.
    let flag = format!("--docker_config={}", auths("dTpw"));
    let flags = [FLAGS, &[flag.as_str()]].concat();
    let mut own = Dockered::with("docker-login", &flags);
    let image = json!({"image": format!("{host}/private:1"), "force_pull_image": true});
    own.launch("flag", Some("true"), image.clone());
    assert_eq!(login(&told), "Basic dTpw");
    let failed = own.framework.await_state("flag", "TASK_FAILED");
    let message = failed["message"].as_str().expect("a message");
    assert!(message.contains("Failed to pull image"), "{message}");
    while told.try_recv().is_ok() {}

    let file = own.cluster.dir.path().join("config.json");
    std::fs::write(&file, auths("b3duOnB3")).expect("a file");
    let offer = own.framework.offer();
    let mut brings = task("brings", &offer, Some("true"), image);
    brings["command"]["uris"] = json!([{
        "value": file, "output_file": ".docker/config.json", "extract": false,
    }]);
    own.framework.launch(&offer, &[brings]);
    assert_eq!(login(&told), "Basic b3duOnB3");
    own.framework.await_state("brings", "TASK_FAILED");
    own.wait_until_nothing_is_left();
}

#[test]
fn containers_ask_for_names_where_the_flag_says() {
    let flag = "--default_container_dns={\"docker\": [{\"network_mode\": \"BRIDGE\", \"dns\": \
                {\"nameservers\": [\"192.0.2.7\"], \"search\": [\"tepui.example\"]}}]}";
    let flags = [FLAGS, &[flag]].concat();
    let mut own = Dockered::with("docker-dns", &flags);
    own.launch(
        "t",
        Some("cat /etc/resolv.conf; sleep 1000"),
        json!({"network": "BRIDGE"}),
    );
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let stdout = sandbox(&own.work_dir, "t", &running).join("stdout");
    until("its output", || {
        let text = read(&stdout);
        (text.contains("nameserver 192.0.2.7") && text.contains("search tepui.example"))
            .then_some(())
    });
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
    own.wait_until_nothing_is_left();
}
