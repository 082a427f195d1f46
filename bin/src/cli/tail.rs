//! Prints a file of a task's sandbox, and what is written to it meanwhile.
//! Finds no sandbox and decides no end.

use std::time::Duration;

use tepui_actors::client::{AgentFile, ClientError};
use tokio::io::AsyncWriteExt as _;

use super::sandbox::Sandbox;
use super::trouble::Trouble;

/// Time between two looks at the files: agents cannot be asked to tell when one grows.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A file that is being printed.
pub(super) struct Source {
    /// The task that writes it.
    pub task: String,
    /// What stands in front of each line, if anything does.
    label: Option<String>,
    file: AgentFile,
    /// What was read of a line that is not complete yet.
    rest: Vec<u8>,
    /// How many lines to begin with, until they are found; all when there is none.
    last_lines: Option<usize>,
}

/// Why a file is not printed further.
pub(super) enum Stop {
    /// The agent does not give it.
    Agent(ClientError),
    /// It cannot be written.
    Output(Trouble),
}

impl Source {
    /// The file of a task: what it has written to its standard output or its standard error.
    pub(super) fn open(
        task: &str,
        found: &Sandbox,
        label: Option<String>,
        is_stderr: bool,
        last_lines: Option<usize>,
    ) -> Result<Source, Trouble> {
        let name = if is_stderr { "stderr" } else { "stdout" };
        let file = AgentFile::in_directory(&found.agent_url, &found.directory, name);
        Ok(Source {
            task: task.to_owned(),
            label,
            file: file.map_err(|error| Trouble::Failed(error.to_string()))?,
            rest: Vec::new(),
            last_lines,
        })
    }

    /// Prints what is new.
    pub(super) async fn print(&mut self) -> Result<(), Stop> {
        if let Some(lines) = self.last_lines {
            let skipped = self.file.skip_to_last_lines(lines).await;
            skipped.map_err(Stop::Agent)?;
            self.last_lines = None;
        }
        loop {
            let bytes = self.file.read_more().await.map_err(Stop::Agent)?;
            if bytes.is_empty() {
                return Ok(());
            }
            let bytes = match &self.label {
                Some(label) => labelled(label, &mut self.rest, &bytes),
                None => bytes,
            };
            write(&bytes).await.map_err(Stop::Output)?;
        }
    }

    /// Prints what was written since the last look, as far as the agent still gives it.
    pub(super) async fn end(&mut self) -> Result<(), Trouble> {
        match self.print().await {
            Ok(()) | Err(Stop::Agent(_)) => self.finish().await,
            Err(Stop::Output(trouble)) => Err(trouble),
        }
    }

    /// Prints the beginning of a line that will not be completed.
    pub(super) async fn finish(&mut self) -> Result<(), Trouble> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let label = self.label.as_deref().unwrap_or_default();
        let bytes = labelled(label, &mut self.rest, b"\n");
        write(&bytes).await
    }
}

async fn write(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = tokio::io::stdout();
    let written = match out.write_all(bytes).await {
        Ok(()) => out.flush().await,
        failed => failed,
    };
    written.map_err(|error| Trouble::output(&error))
}

/// All complete lines with the label in front; what is left is kept in `rest`.
fn labelled(label: &str, rest: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    rest.extend_from_slice(bytes);
    let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let after = rest.split_off(end + 1);
    let whole = std::mem::replace(rest, after);
    let mut out = Vec::with_capacity(whole.len() * 2);
    for line in whole.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(line);
    }
    out
}

/// The trouble of an agent that does not give a task's file.
pub(super) fn unreadable(task: &str, error: &ClientError) -> Trouble {
    Trouble::Failed(format!("cannot read what task {task} has written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_labelled_when_they_are_complete() {
        let mut rest = Vec::new();
        assert_eq!(labelled("[a] ", &mut rest, b"one"), b"");
        assert_eq!(
            labelled("[a] ", &mut rest, b" 1\ntwo\nth"),
            b"[a] one 1\n[a] two\n"
        );
        assert_eq!(labelled("[a] ", &mut rest, b"ree\n"), b"[a] three\n");
        assert!(rest.is_empty());
    }
}
