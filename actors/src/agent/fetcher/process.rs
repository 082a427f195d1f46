//! Runs `tepui-fetcher` with an order, and hears what becomes of it.
//! Knows no cache.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::fetch::{Answer, Job, Order};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// Name of the program.
pub(in crate::agent) const FETCHER_PROGRAM: &str = "tepui-fetcher";

/// Fetchers that run at a time; more of them wait.
const MAX_PROCESSES: usize = 64;

/// Longest answer, in bytes; it holds a URI or an error.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Environment of the agent that tells how servers are reached. Nothing else of it is shown to a
/// process with the rights of a task's user.
const PASSED_ON: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TZ",
];

/// The program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: Arc<Path>,
    stall_timeout: Duration,
    turns: Arc<Semaphore>,
}

impl Program {
    pub(super) fn new(path: PathBuf, stall_timeout: Duration) -> Self {
        Program {
            path: Arc::from(path),
            stall_timeout,
            turns: Arc::new(Semaphore::new(MAX_PROCESSES)),
        }
    }

    /// An order to do this job as this user.
    pub(super) fn order(&self, user: Option<String>, job: Job) -> Order {
        let stall = self.stall_timeout.as_millis();
        Order {
            user,
            stall_timeout_ms: u64::try_from(stall).unwrap_or(u64::MAX),
            job,
        }
    }

    /// Runs the program until it has done the order; ends it when dropped before. Gives the last
    /// answer, which is no failure.
    ///
    /// # Errors
    /// When it fails: which URI, and why.
    pub(super) async fn run(&self, order: &Order) -> Result<Answer, String> {
        // Never closed.
        let _turn = self.turns.acquire().await;
        let started = self.start();
        let mut child = started.map_err(|error| {
            format!(
                "Could not fetch URIs: failed to execute '{}': {error}",
                self.path.display()
            )
        })?;
        let mut last = (None, None);
        let heard = converse(&mut child, order, &mut last).await;
        let (uri, answer) = last;
        let failed = |why: String| match &uri {
            Some(uri) => format!("Failed to fetch '{uri}': {why}"),
            None => format!("Could not fetch URIs: {why}"),
        };
        match answer {
            Some(Answer::Failed(why)) => Err(failed(why)),
            Some(answer) => Ok(answer),
            None => {
                let status = child.wait().await;
                Err(failed(ended(heard, status)))
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        let passed_on = PASSED_ON
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(&*self.path)
            .env_clear()
            .envs(passed_on)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Tells the program what to do, and hears it until its last answer. `last` is the URI it has
/// begun with last, and its last answer.
async fn converse(
    child: &mut Child,
    order: &Order,
    last: &mut (Option<String>, Option<Answer>),
) -> std::io::Result<()> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    input.write_all(&line).await?;
    let mut output = BufReader::new(output);
    while last.1.is_none() {
        let mut line = Vec::new();
        let mut bounded = (&mut output).take(MAX_ANSWER_BYTES);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match serde_json::from_slice(&line)? {
            Answer::Fetching(uri) => last.0 = Some(uri),
            answer => last.1 = Some(answer),
        }
    }
    child.wait().await?;
    // It ends itself when this is closed.
    drop(input);
    Ok(())
}

/// Why a program that has said nothing more has ended.
fn ended(heard: std::io::Result<()>, status: std::io::Result<ExitStatus>) -> String {
    match (heard, status) {
        (_, Ok(status)) if !status.success() => format!("{FETCHER_PROGRAM} ended with {status}"),
        (Err(error), _) => format!("{FETCHER_PROGRAM} cannot be understood: {error}"),
        (Ok(()), Err(error)) => format!("{FETCHER_PROGRAM} was lost: {error}"),
        (Ok(()), Ok(_)) => format!("{FETCHER_PROGRAM} ended without an answer"),
    }
}

/// An answer that belongs to another order.
pub(super) fn unexpected(answer: &Answer) -> String {
    format!(
        "Could not fetch URIs: {FETCHER_PROGRAM} gave an answer that was not asked for: {answer:?}"
    )
}
