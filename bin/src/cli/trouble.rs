//! Why a command fails, in words that help, and with which exit status.
//! Prints nothing, and knows no server: those who ask one say what its answers mean.

/// Why a command ends without success.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server refuses.
    Refused {
        /// Status of its answer.
        status: u16,
        /// What it says, ready to be shown.
        text: String,
    },
    /// Something else did not go well.
    Failed(String),
    /// What the user gave is wrong.
    Usage(String),
    /// The server cannot be reached.
    Unreachable(String),
    /// Nobody reads the output any more.
    OutputClosed,
}

impl Trouble {
    /// The exit status; these are documented.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            Trouble::OutputClosed => 0,
            Trouble::Refused { .. } | Trouble::Failed(_) => 1,
            Trouble::Usage(_) => 2,
            Trouble::Unreachable(_) => 3,
        }
    }

    /// What is shown to the user.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Trouble::Refused { text, .. }
            | Trouble::Failed(text)
            | Trouble::Usage(text)
            | Trouble::Unreachable(text) => Some(text),
            Trouble::OutputClosed => None,
        }
    }

    /// Whether trying again later may help, as while the leader changes.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Trouble::Unreachable(_) => true,
            Trouble::Refused { status, .. } => matches!(status, 502..=504),
            Trouble::Failed(_) | Trouble::Usage(_) | Trouble::OutputClosed => false,
        }
    }

    /// The trouble of output that cannot be written.
    pub(super) fn output(error: &std::io::Error) -> Trouble {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Trouble::OutputClosed,
            _ => Trouble::Failed(format!("cannot write the output: {error}")),
        }
    }
}
