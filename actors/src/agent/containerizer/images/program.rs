//! Has `tepui-fetcher` unpack an image: a harmful one can do it no worse than end this process.
//! Knows no image that is unpacked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use tepui_protocol::fetch::{Answer, Job, Order, Unpack, UnpackedImage};

/// Longest answer, in bytes; it holds an image's settings.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Unpacks an image. `keep` is given the program's input: it ends when that is dropped.
///
/// # Errors
/// When it cannot be unpacked, and why.
pub(super) fn run(
    program: &Path,
    unpack: Unpack,
    keep: impl FnOnce(ChildStdin),
) -> Result<UnpackedImage, String> {
    let order = Order {
        user: None,
        // No server is asked.
        stall_timeout_ms: 0,
        job: Job::Unpack(unpack),
    };
    let mut child = start(program)
        .map_err(|error| format!("failed to execute '{}': {error}", program.display()))?;
    let heard = converse(&mut child, &order, keep);
    if heard.is_err() {
        // It may be one that does not listen.
        let _ = child.kill();
    }
    let status = child.wait();
    match (heard, status) {
        (Ok(Some(Answer::Unpacked(image))), _) => Ok(image),
        (Ok(Some(Answer::Failed(why))), _) => Err(why),
        (Ok(Some(_)), _) => Err("the fetcher gave an answer that was not asked for".to_owned()),
        (_, Ok(status)) if !status.success() => Err(format!("the fetcher ended with {status}")),
        (Err(error), _) => Err(format!("the fetcher cannot be understood: {error}")),
        (Ok(None), Err(error)) => Err(format!("the fetcher was lost: {error}")),
        (Ok(None), Ok(_)) => Err("the fetcher ended without an answer".to_owned()),
    }
}

fn start(program: &Path) -> io::Result<Child> {
    Command::new(program)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Tells the program what to do, and hears its last answer; none when it ends before.
fn converse(
    child: &mut Child,
    order: &Order,
    keep: impl FnOnce(ChildStdin),
) -> io::Result<Option<Answer>> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    input.write_all(&line)?;
    keep(input);
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut output).take(MAX_ANSWER_BYTES);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        match serde_json::from_slice(&line)? {
            Answer::Fetching(_) => {}
            answer => return Ok(Some(answer)),
        }
    }
}
