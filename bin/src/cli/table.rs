//! Tables with aligned columns, and how times, amounts and long texts look in them.
//! Prints nothing; colour comes with printing.

use std::borrow::Cow;

use tepui_protocol::marathon::Timestamp;

/// What stands for nothing.
pub(super) const NOTHING: &str = "-";

/// Blanks between two columns.
const GAP: usize = 2;

/// Names of columns whose cells a user gives to other commands.
const IDS: [&str; 6] = ["ID", "AGENT", "FRAMEWORK", "FOR", "TASK", "APP"];

/// What stands for what was left out of a cell.
const LEFT_OUT: char = '\u{2026}';

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// What a user gives to other commands: its beginning and end are kept.
    Id,
    /// One of a few words, which is known by its colour where it is whole.
    State,
}

/// The fewest characters that columns are narrowed to, in these steps: what is much too long comes
/// first, and then a narrow terminal costs ids and states last. An agent's id has 39 characters.
const STEPS: [(Kind, usize); 8] = [
    (Kind::Text, 16),
    (Kind::Id, 40),
    (Kind::Text, 8),
    (Kind::Id, 20),
    (Kind::State, 8),
    (Kind::Text, 3),
    (Kind::State, 3),
    (Kind::Id, 8),
];

/// The most characters of a command in a table.
const MAX_TEXT_CHARS: usize = 40;

/// Lines of cells under a line of names.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with columns of these names.
    pub(super) fn new(columns: &[&str]) -> Table {
        let names = columns.iter().map(|name| (*name).to_owned()).collect();
        Table { rows: vec![names] }
    }

    /// Adds a line.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows
            .push(cells.iter().map(|cell| plain(cell)).collect());
    }

    /// Whether there is nothing but names.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text, each line indented by `indent` blanks.
    #[cfg(test)]
    pub(super) fn text(&self, indent: usize) -> String {
        self.fitted(indent, None)
    }

    /// The table as text, each line indented by `indent` blanks. Where a line may have only so many
    /// characters, the widest columns are narrowed.
    /// Of ids the middle is left out, as they begin and end in what tells them apart; of other
    /// texts the end. No line is longer, however narrow the terminal is.
    pub(super) fn fitted(&self, indent: usize, columns: Option<usize>) -> String {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..count).map(width).collect();
        let names = self.rows.first().into_iter().flatten();
        let kinds: Vec<Kind> = names.map(|name| kind(name)).collect();
        if let Some(columns) = columns {
            narrow(&mut widths, &kinds, columns.saturating_sub(indent));
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for ((cell, width), kind) in row.iter().zip(&widths).zip(&kinds) {
                let cell = match kind {
                    Kind::Id => without_middle(cell, *width),
                    Kind::Text | Kind::State => cut(cell, *width),
                };
                let blanks = width - cell.chars().count() + GAP;
                line.push_str(&cell);
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            let line = line.trim_end();
            text.push_str(&columns.map_or(line.into(), |columns| cut(line, columns)));
            text.push('\n');
        }
        text
    }
}

/// What a column of this name holds.
fn kind(name: &str) -> Kind {
    match name {
        "STATE" => Kind::State,
        name if IDS.contains(&name) => Kind::Id,
        _ => Kind::Text,
    }
}

/// Takes from the widest columns until all of them fit, or none can be narrower.
fn narrow(widths: &mut [usize], kinds: &[Kind], columns: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
    for (of, least) in STEPS {
        while excess > 0 {
            let columns = widths.iter_mut().zip(kinds);
            let columns = columns.filter(|(_, kind)| **kind == of);
            match columns.map(|(width, _)| width).max() {
                Some(widest) if *widest > least => *widest -= 1,
                _ => break,
            }
            excess -= 1;
        }
    }
}

/// The beginning of a text that is too long.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().take(width.saturating_sub(1));
    Cow::Owned(kept.chain([LEFT_OUT].into_iter().take(width)).collect())
}

/// The beginning and the end of a text that is too long.
fn without_middle(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return Cow::Borrowed(text);
    }
    let end = width.saturating_sub(1) / 2;
    let beginning = cut(text, width - end);
    let end = text.chars().skip(length - end);
    Cow::Owned(beginning.chars().chain(end).collect())
}

/// The beginning and the end of an id whose middle was left out in a table.
pub(super) fn ends_of(id: &str) -> Option<(&str, &str)> {
    id.split_once(LEFT_OUT)
}

/// Lines of a name and a value; values that say nothing are left out.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let said = fields
        .iter()
        .filter(|(_, value)| !value.is_empty() && value != NOTHING);
    let width = said.clone().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    said.map(|(name, value)| {
        let name = format!("{name}:");
        format!("{name:width$}  {}\n", plain(value))
    })
    .collect()
}

/// A text that cannot break a line or command a terminal.
pub(super) fn plain(text: &str) -> String {
    match text {
        "" => NOTHING.to_owned(),
        text => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
    }
}

/// The beginning of a long text.
pub(super) fn short(text: &str) -> String {
    cut(&plain(text), MAX_TEXT_CHARS).into_owned()
}

/// An amount without zeros that say nothing.
pub(super) fn amount(amount: f64) -> String {
    let text = format!("{amount:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// How long ago a point in time was, `now` being milliseconds since the epoch.
pub(super) fn age(timestamp: &str, now: i64) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(then) => duration(now.saturating_sub(then.as_millis()).max(0) / 1000),
        Err(_) => plain(timestamp),
    }
}

/// A number of seconds in the largest units that tell enough.
pub(super) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..7200 => format!("{minutes}m"),
        7200..36000 => format!("{hours}h{}m", minutes % 60),
        36000..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stay_in_their_line() {
        let mut table = Table::new(&["ID", "CMD", "N"]);
        assert!(table.is_empty());
        table.row(vec![
            "/ä".to_owned(),
            "a\nb\x1b[31m".to_owned(),
            "1".to_owned(),
        ]);
        table.row(vec!["/long".to_owned(), String::new(), "22".to_owned()]);
        let expected = "ID     CMD       N\n/ä     a b [31m  1\n/long  -         22\n";
        assert_eq!(table.text(0), expected);
        assert!(table.text(2).starts_with("  ID     CMD"));
    }

    #[test]
    fn wide_columns_are_narrowed_to_the_terminal() {
        let mut table = Table::new(&["ID", "NAME", "STATE"]);
        table.row(vec![
            "0123456789abcdefghijklmno-S1".to_owned(),
            "b".repeat(12),
            "c".repeat(5),
        ]);
        let row = |columns| {
            let text = table.fitted(0, Some(columns));
            text.lines().nth(1).expect("a row").to_owned()
        };
        for (columns, expected) in [
            (49, "0123456789abcdefghijklmno-S1  bbbbbbbbbbbb  ccccc"),
            (48, "0123456789abcdefghijklmno-S1  bbbbbbbbbb…  ccccc"),
            (45, "0123456789abcdefghijklmno-S1  bbbbbbb…  ccccc"),
            (44, "0123456789abc…fghijklmno-S1  bbbbbbb…  ccccc"),
            (37, "0123456789…jklmno-S1  bbbbbbb…  ccccc"),
            (30, "0123456789…jklmno-S1  bb…  cc…"),
            (18, "0123…-S1  bb…  cc…"),
            (5, "0123…"),
            (1, "…"),
        ] {
            let expected_width = expected.chars().count();
            assert_eq!(row(columns), expected, "{columns}");
            assert_eq!(expected_width, columns, "{expected}");
        }
        for columns in 1..60 {
            let text = table.fitted(1, Some(columns));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns), "{text}");
        }
        // What is much too long gives way to what is not, and a state stays whole.
        let mut table = Table::new(&["TASK", "NAME", "STATE", "AGENT"]);
        let row = [
            "t".repeat(90),
            "n".repeat(30),
            "TASK_RUNNING".into(),
            "a".repeat(39),
        ];
        table.row(row.to_vec());
        let text = table.fitted(0, Some(120));
        let cells: Vec<_> = text
            .lines()
            .nth(1)
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect();
        let widths: Vec<_> = cells.iter().map(|cell| cell.chars().count()).collect();
        assert_eq!(widths, [47, 16, 12, 39]);
        assert!(table.fitted(0, Some(80)).contains("TASK_RUNNING"));
        assert_eq!(cut("äöüß", 4), "äöüß");
        assert_eq!(ends_of("0123…-S1"), Some(("0123", "-S1")));
    }

    #[test]
    fn fields_that_say_nothing_are_left_out() {
        let text = fields(&[
            ("id", "/a".to_owned()),
            ("container", String::new()),
            ("state", "ok".to_owned()),
        ]);
        assert_eq!(text, "id:     /a\nstate:  ok\n");
    }

    #[test]
    fn times_and_amounts_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m0s"),
            (599, "9m59s"),
            (600, "10m"),
            (7200, "2h0m"),
            (36000, "10h"),
            (172_800, "2d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        let now = "2021-07-01T10:05:00.000Z".parse::<Timestamp>();
        let now = now.expect("a time").as_millis();
        assert_eq!(age("2021-07-01T10:04:30.500Z", now), "29s");
        assert_eq!(age("2021-07-01T10:06:00.000Z", now), "0s");
        assert_eq!(age("never", now), "never");
        assert_eq!(
            [amount(0.1), amount(2.0), amount(0.0)],
            ["0.1", "2", "0"].map(str::to_owned)
        );
        assert_eq!(short(&"x".repeat(41)).chars().count(), 40);
        assert_eq!(short("a b"), "a b");
    }
}
