//! Asks whether something that cannot be undone is really meant.
//! Does nothing of it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args as ClapArgs;

use super::super::trouble::Trouble;

/// The option that says yes beforehand.
#[derive(Debug, Clone, ClapArgs)]
pub struct Yes {
    /// Do not ask whether it is meant; needed where nobody can be asked
    #[arg(short, long)]
    yes: bool,
}

impl Yes {
    /// Makes sure that it is meant. `what` is what happens, as a sentence.
    pub(super) fn must_be_meant(&self, what: &str) -> Result<(), Trouble> {
        if self.yes {
            return Ok(());
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            return Err(Trouble::Usage(format!(
                "{what}; give --yes if that is meant, since nobody can be asked here"
            )));
        }
        let mut screen = std::io::stderr().lock();
        let asked = write!(screen, "{what}. Go on? [y/N] ").and_then(|()| screen.flush());
        asked.map_err(|error| Trouble::output(&error))?;
        let mut answer = String::new();
        let read = input.lock().read_line(&mut answer);
        read.map_err(|error| Trouble::Failed(format!("cannot read the answer: {error}")))?;
        match is_yes(&answer) {
            true => Ok(()),
            false => Err(Trouble::Failed("nothing was done".to_owned())),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes("YES") && is_yes(" yes \r\n"));
        assert!(!is_yes("\n") && !is_yes("no") && !is_yes("yesterday") && !is_yes(""));
        assert!(Yes { yes: true }.must_be_meant("it happens").is_ok());
    }
}
