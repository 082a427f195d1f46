//! The program itself, ordered to unpack an image as an agent does.
//! Which images there are is tested in the program's own tests.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tepui_protocol::fetch::{Answer, ImageForm, Job, Order, Unpack};

/// Gives an order, and hears the answers.
fn perform(unpack: Unpack) -> Vec<Answer> {
    let order = Order {
        user: None,
        stall_timeout_ms: 0,
        job: Job::Unpack(unpack),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_tepui-fetcher"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the fetcher");
    let mut input = child.stdin.take().expect("its input");
    let mut line = serde_json::to_vec(&order).expect("JSON");
    line.push(b'\n');
    input.write_all(&line).expect("to order");
    // While this is open the agent lives.
    let output = child.wait_with_output().expect("its answers");
    drop(input);
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("an answer"))
        .collect()
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, *content)
            .expect("an entry");
    }
    builder.into_inner().expect("an archive")
}

#[test]
fn an_image_is_unpacked_and_a_broken_one_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("staging")).unwrap();
    let layer = tar_of(&[("bin/hello", b"hello")]);
    let archive = tar_of(&[
        ("repositories", br#"{"image": {"latest": "top"}}"#),
        ("top/json", br#"{"config": {"Cmd": ["/bin/hello"]}}"#),
        ("top/layer.tar", &layer),
    ]);
    let order = Unpack {
        image: "image".to_owned(),
        archive: path("image.tar"),
        name: "image:latest".to_owned(),
        digest: None,
        forms: vec![ImageForm::Docker],
        directory: path("staging"),
        known: path("known"),
    };
    fs::write(path("image.tar"), &archive).unwrap();
    let answers = perform(order.clone());
    let [Answer::Fetching(begun), Answer::Unpacked(image)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(begun, "image");
    assert_eq!(image.settings.cmd, ["/bin/hello"]);
    let hello = format!("{}/{}/rootfs/bin/hello", path("staging"), image.layers[0]);
    assert_eq!(fs::read_to_string(hello).unwrap(), "hello");

    fs::write(path("image.tar"), &archive[..archive.len() / 2]).unwrap();
    let answers = perform(order);
    let [Answer::Fetching(_), Answer::Failed(why)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert!(
        why.contains("it is cut off: 'top/layer.tar' should end at"),
        "{why}"
    );
}
