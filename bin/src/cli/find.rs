//! Finds the one thing that a user means by the beginning of its id, or by its name.
//! Asks no master.

use super::table::ends_of;
use super::trouble::Trouble;

/// Candidates that are listed when a word may mean several things.
const MAX_CANDIDATES: usize = 10;

/// Something that may be meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a, T> {
    /// Its id.
    pub id: &'a str,
    /// Its name, which need not be unique.
    pub name: &'a str,
    /// Itself.
    pub it: &'a T,
}

/// The one of the candidates, which are of this kind, that is meant: the one with this id, else the
/// one with this name, else the one whose id begins so. An id whose middle was left out in a table
/// means what begins and ends so.
pub(super) fn one<'a, T>(
    kind: &str,
    wanted: &str,
    all: &[Candidate<'a, T>],
) -> Result<&'a T, Trouble> {
    maybe(kind, wanted, all)?.ok_or_else(|| {
        let text = format!("there is no {kind} '{wanted}'; `tepui {kind} list` lists them");
        Trouble::Failed(text)
    })
}

/// The same, or nothing when nothing is meant.
pub(super) fn maybe<'a, T>(
    kind: &str,
    wanted: &str,
    all: &[Candidate<'a, T>],
) -> Result<Option<&'a T>, Trouble> {
    if wanted.is_empty() {
        let text = format!("expected the beginning of an id of a {kind}, got nothing");
        return Err(Trouble::Usage(text));
    }
    let (beginning, end) = ends_of(wanted).unwrap_or((wanted, ""));
    for rank in 0..3 {
        let is_meant = |it: &&Candidate<'a, T>| match rank {
            0 => it.id == wanted,
            1 => it.name == wanted,
            _ => {
                let rest = it.id.strip_prefix(beginning);
                rest.is_some_and(|rest| rest.ends_with(end))
            }
        };
        let found: Vec<_> = all.iter().filter(is_meant).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(Some(one.it)),
            several => return Err(ambiguous(kind, wanted, several)),
        }
    }
    Ok(None)
}

fn ambiguous<T>(kind: &str, wanted: &str, several: &[&Candidate<'_, T>]) -> Trouble {
    let count = several.len();
    let mut text = format!("'{wanted}' may mean {count} {kind}s; give more of the id of one:");
    for candidate in several.iter().take(MAX_CANDIDATES) {
        text.push_str(&format!("\n  {}  {}", candidate.id, candidate.name));
    }
    if count > MAX_CANDIDATES {
        text.push_str(&format!("\n  and {} more", count - MAX_CANDIDATES));
    }
    Trouble::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Candidate<'static, i32>> {
        [
            ("m-S1", "host-a", &1),
            ("m-S10", "host-b", &10),
            ("n-S2", "host-b", &2),
            ("x", "m-S10", &3),
        ]
        .map(|(id, name, it)| Candidate { id, name, it })
        .to_vec()
    }

    #[test]
    fn a_whole_id_counts_more_than_a_name_and_that_more_than_a_beginning() {
        for (wanted, meant) in [
            ("m-S1", 1),
            ("m-S10", 10),
            ("host-a", 1),
            ("n", 2),
            ("x", 3),
            ("m\u{2026}0", 10),
            ("n-S2\u{2026}", 2),
        ] {
            assert_eq!(one("agent", wanted, &all()).expect(wanted), &meant);
        }
    }

    #[test]
    fn what_is_not_clear_is_not_guessed() {
        let text = |wanted| {
            let trouble = one("agent", wanted, &all()).expect_err(wanted);
            trouble.text().expect("a text").to_owned()
        };
        assert!(
            text("m-").contains("2 agents") && text("m-").contains("\n  m-S1  host-a\n  m-S10")
        );
        assert!(text("host-b").contains("\n  n-S2  host-b"));
        assert!(text("host").contains("no agent 'host'; `tepui agent list`"));
        assert_eq!(
            one("agent", "", &all()).expect_err("nothing").exit_status(),
            2
        );
        let many: Vec<String> = (0..12).map(|number| format!("a{number}")).collect();
        let many: Vec<_> = many
            .iter()
            .map(|id| Candidate {
                id,
                name: "n",
                it: &(),
            })
            .collect();
        let trouble = one("task", "a", &many).expect_err("ambiguous");
        assert!(
            trouble
                .text()
                .is_some_and(|text| text.ends_with("and 2 more"))
        );
    }
}
