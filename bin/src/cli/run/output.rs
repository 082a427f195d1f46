//! Copies a task's stdout and stderr from its agent to this program's.
//! Does not know when the task ends; it is told.

use std::fmt;
use std::time::Duration;

use tepui_actors::client::{AgentFile, ClientError};
use tepui_protocol::v1;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// Time between two looks: agents cannot be asked to tell when a file grows.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Failed looks in a row, while the task runs, before that is said.
const MAX_FAILED_LOOKS: u32 = 50;

/// Why a task's output is not copied any more.
#[derive(Debug)]
pub(super) enum CopyError {
    /// This program's own output is closed: nobody wants to see the task's.
    Output(std::io::Error),
    /// The agent does not give it.
    Agent(ClientError),
    /// The copying itself died.
    Stopped(tokio::task::JoinError),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Output(error) => write!(f, "cannot write the task's output: {error}"),
            CopyError::Agent(error) => {
                write!(f, "cannot read the task's output from its agent: {error}")
            }
            CopyError::Stopped(error) => write!(f, "the task's output is lost: {error}"),
        }
    }
}

/// Copies until `ended` says that the task has ended and all it wrote has been copied.
pub(super) async fn copy(
    agent_url: String,
    framework_id: v1::FrameworkId,
    executor_id: String,
    mut ended: watch::Receiver<bool>,
) -> Result<(), CopyError> {
    let open = |name| {
        let file = AgentFile::new(&agent_url, &framework_id, &executor_id, name);
        file.map_err(CopyError::Agent)
    };
    let (mut out, mut err) = (open("stdout")?, open("stderr")?);
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let mut failed_looks = 0;
    loop {
        // Whether the task had ended must be known before the look: then nothing can come after it.
        let last_look = *ended.borrow_and_update();
        let looked = match copy_new(&mut out, &mut stdout).await {
            Ok(()) => copy_new(&mut err, &mut stderr).await,
            failed => failed,
        };
        match looked {
            Ok(()) => failed_looks = 0,
            Err(CopyError::Agent(error)) => {
                failed_looks += 1;
                if last_look || failed_looks == MAX_FAILED_LOOKS {
                    return Err(CopyError::Agent(error));
                }
            }
            Err(error) => return Err(error),
        }
        if last_look {
            return Ok(());
        }
        // The sender is gone only when nobody waits for the output any more.
        let told = tokio::time::timeout(LOOK_INTERVAL, ended.changed()).await;
        if matches!(told, Ok(Err(_))) {
            return Ok(());
        }
    }
}

/// Copies what is new in one file.
async fn copy_new(
    file: &mut AgentFile,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<(), CopyError> {
    loop {
        let bytes = file.read_more().await.map_err(CopyError::Agent)?;
        if bytes.is_empty() {
            return Ok(());
        }
        to.write_all(&bytes).await.map_err(CopyError::Output)?;
        to.flush().await.map_err(CopyError::Output)?;
    }
}
