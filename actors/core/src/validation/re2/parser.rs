//! Parses a pattern by RE2's rules, left to right, and writes it anew for the regex crate.
//! Character classes are parsed in `class`; nothing is matched here.

use std::collections::BTreeMap;

use super::class::{self, ANYTHING, NEVER};

/// Greatest count in `{n,m}`, also for nested repetitions taken together.
const MAX_REPEAT: u64 = 1000;

/// Greatest number RE2 reads in braces before it gives up and takes the brace literally.
const MAX_COUNT_DIGITS: usize = 8;

/// A pattern that RE2 accepts.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The same pattern for the regex crate.
    pub pattern: String,
    /// How large RE2's program would be.
    pub size: Size,
}

/// Instructions of a piece of RE2 program.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// Instructions that test, capture or match.
    steps: u64,
    /// Instructions that only branch; RE2 folds most of them away in the end.
    branches: u64,
}

impl Size {
    /// A piece of this many steps and branches.
    pub(super) const fn new(steps: u64, branches: u64) -> Self {
        Size { steps, branches }
    }

    /// Instructions while compiling: with the failing one, the match, and the unanchored prefix.
    pub(super) fn instructions(self) -> u64 {
        self.steps.saturating_add(self.branches).saturating_add(4)
    }

    /// Instructions of the finished program.
    pub(super) fn program(self) -> u64 {
        self.steps.saturating_add(3)
    }

    /// Both pieces together.
    pub(super) fn plus(self, other: Size) -> Size {
        Size {
            steps: self.steps.saturating_add(other.steps),
            branches: self.branches.saturating_add(other.branches),
        }
    }

    fn times(self, count: u64) -> Size {
        Size {
            steps: self.steps.saturating_mul(count),
            branches: self.branches.saturating_mul(count),
        }
    }
}

/// Parses `pattern`; the error is RE2's text.
pub(super) fn parse(pattern: &str) -> Result<Parsed, String> {
    let mut parser = Parser {
        whole: pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len()),
        groups: vec![Group::default()],
    };
    let mut last_operator: Option<&str> = None;
    while let Some(first) = parser.rest.chars().next() {
        let before = parser.rest;
        last_operator = match first {
            '*' | '+' | '?' => {
                parser.operator(first, last_operator)?;
                Some(before)
            }
            '{' => match counts(parser.rest) {
                Some(counts) => {
                    parser.counted(counts, last_operator)?;
                    Some(before)
                }
                None => parser.literal('{', 1),
            },
            _ => parser.simple(first)?,
        };
    }
    parser.finish()
}

/// Something a repetition operator can apply to.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// Where it starts in the output.
    start: usize,
    /// Where it ends in the output.
    end: usize,
    /// Whether an operator has been applied to it.
    operated: bool,
    /// Its instructions.
    size: Size,
    /// Product of the counts nested in it.
    repeats: u64,
}

/// An open group, or the whole pattern.
#[derive(Debug, Default)]
struct Group {
    /// Where it starts in the output.
    start: usize,
    /// Instructions of all items but the last.
    done: Size,
    /// Greatest product of counts in all items.
    repeats: u64,
    /// The last item since the group began or since `|`.
    last: Option<Item>,
    /// Whether it captures.
    captures: bool,
}

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    groups: Vec<Group>,
}

/// Text of a repetition operator, for error messages: from its start to what is left.
type Operator<'a> = Option<&'a str>;

impl<'a> Parser<'a> {
    /// Anything but a repetition.
    fn simple(&mut self, first: char) -> Result<Operator<'a>, String> {
        match first {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => self.alternative(),
            '[' => {
                let class = class::parse_brackets(&mut self.rest)?;
                self.item(&class.pattern, class.size);
            }
            '\\' => self.escape()?,
            '^' | '$' => {
                self.advance(1);
                self.item(first.encode_utf8(&mut [0; 4]), Size::new(1, 0));
            }
            '.' => {
                self.advance(1);
                self.item(".", class::DOT_SIZE);
            }
            other => {
                self.literal(other, other.len_utf8());
            }
        }
        Ok(None)
    }

    /// One literal character that takes `length` bytes of the pattern.
    fn literal(&mut self, literal: char, length: usize) -> Operator<'a> {
        self.advance(length);
        let mut text = String::new();
        class::push_char(&mut text, literal);
        self.item(&text, Size::new(literal.len_utf8() as u64, 0));
        None
    }

    fn open(&mut self) -> Result<(), String> {
        let Some(perl) = self.rest.strip_prefix("(?") else {
            self.advance(1);
            self.push_group(true);
            return Ok(());
        };
        if let Some(named) = perl.strip_prefix("P<") {
            return self.open_named(named);
        }
        self.open_flags(perl)
    }

    /// `(?P<name>`; the name is of no use here.
    fn open_named(&mut self, named: &'a str) -> Result<(), String> {
        let bad = |text: &str| format!("invalid named capture group: {text}");
        let Some((name, _)) = named.split_once('>') else {
            return Err(bad(self.rest));
        };
        let length = "(?P<".len() + name.len() + 1;
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(valid) {
            return Err(bad(self.rest.get(..length).unwrap_or(self.rest)));
        }
        self.advance(length);
        self.push_group(true);
        Ok(())
    }

    /// `(?flags)` or `(?flags:`.
    fn open_flags(&mut self, perl: &'a str) -> Result<(), String> {
        let mut flags = BTreeMap::new();
        let mut negated = false;
        let mut bare_negation = false;
        for (index, flag) in perl.char_indices() {
            let length = "(?".len() + index + flag.len_utf8();
            match flag {
                'i' | 'm' | 's' | 'U' => {
                    flags.insert(flag, negated);
                    bare_negation = false;
                }
                '-' if !negated => {
                    negated = true;
                    bare_negation = true;
                }
                ':' | ')' if !bare_negation => {
                    self.advance(length);
                    self.set_flags(&flags, flag == ':');
                    return Ok(());
                }
                _ => {
                    let text = self.rest.get(..length).unwrap_or(self.rest);
                    return Err(format!("invalid perl operator: {text}"));
                }
            }
        }
        Err(format!("invalid perl operator: {}", self.rest))
    }

    /// Opens a group with these flags, or sets them for the rest of the current one.
    ///
    /// The regex crate wants each flag once and refuses `(?)`.
    fn set_flags(&mut self, flags: &BTreeMap<char, bool>, group: bool) {
        let start = self.out.len();
        let with = |negated: bool| flags.iter().filter(move |(_, off)| **off == negated);
        let off: String = with(true).map(|(flag, _)| flag).collect();
        if group || !flags.is_empty() {
            self.out.push_str("(?");
            self.out.extend(with(false).map(|(flag, _)| flag));
            if !off.is_empty() {
                self.out.push('-');
                self.out.push_str(&off);
            }
            self.out.push(if group { ':' } else { ')' });
        }
        if group {
            self.groups.push(Group {
                start,
                ..Group::default()
            });
        }
    }

    fn push_group(&mut self, captures: bool) {
        let start = self.out.len();
        self.out.push_str("(?:");
        self.groups.push(Group {
            start,
            captures,
            ..Group::default()
        });
    }

    fn close(&mut self) -> Result<(), String> {
        if self.groups.len() < 2 {
            return Err(format!("unexpected ): {}", self.whole));
        }
        let Some(mut group) = self.groups.pop() else {
            return Err("unexpected error".to_string());
        };
        self.advance(1);
        group.settle();
        let captures = if group.captures { 2 } else { 0 };
        self.item(")", group.done.plus(Size::new(captures, 0)));
        if let Some(item) = self.last() {
            item.start = group.start;
            item.repeats = group.repeats;
        }
        Ok(())
    }

    fn alternative(&mut self) {
        self.advance(1);
        self.out.push('|');
        if let Some(group) = self.groups.last_mut() {
            group.settle();
            group.done = group.done.plus(Size::new(0, 1));
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let second = self.rest.chars().nth(1);
        match second {
            Some('b' | 'B' | 'A' | 'z') => {
                let text = match second {
                    // RE2's word is ASCII; the regex crate cannot negate that in a text.
                    Some('b') => r"(?-u:\b)",
                    Some('B') => r"\B",
                    Some('A') => r"\A",
                    _ => r"\z",
                };
                self.advance(2);
                self.item(text, Size::new(1, 0));
            }
            Some('C') => {
                self.advance(2);
                self.item(ANYTHING, Size::new(1, 0));
            }
            Some('Q') => self.quoted(),
            _ => {
                if let Some(class) = class::parse_escape_class(&mut self.rest)? {
                    self.item(&class.pattern, class.size);
                    return Ok(());
                }
                match class::parse_escape(&mut self.rest)? {
                    Some(literal) => self.literal(literal, 0),
                    None => {
                        self.item(NEVER, Size::new(3, 0));
                        None
                    }
                };
            }
        }
        Ok(())
    }

    /// `\Q...\E`, or to the end of the pattern: all literal.
    fn quoted(&mut self) {
        self.advance(2);
        let (text, after) = match self.rest.split_once(r"\E") {
            Some((text, after)) => (text, after),
            None => (self.rest, ""),
        };
        text.chars().for_each(|literal| {
            self.literal(literal, 0);
        });
        self.rest = after;
    }

    /// `*`, `+` or `?`, each perhaps with a `?` behind it.
    fn operator(&mut self, operator: char, previous: Operator<'a>) -> Result<(), String> {
        let start = self.rest;
        self.advance(1);
        let text = self.finish_operator(start, previous)?;
        let Some(item) = self.last() else {
            return Err(format!("no argument for repetition operator: {text}"));
        };
        let extra = if operator == '?' { 0 } else { 1 };
        item.size = item.size.plus(Size::new(extra, 1 - extra));
        self.append_operator(text);
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`.
    fn counted(&mut self, counts: Counts, previous: Operator<'a>) -> Result<(), String> {
        let start = self.rest;
        self.advance(counts.length);
        let text = self.finish_operator(start, previous)?;
        let max = counts.max.unwrap_or(counts.min);
        let bad_size = || format!("invalid repetition size: {text}");
        if max < counts.min || max > MAX_REPEAT {
            return Err(bad_size());
        }
        let Some(item) = self.last() else {
            return Err(format!("no argument for repetition operator: {text}"));
        };
        item.repeats = item.repeats.max(1).saturating_mul(max.max(1));
        if item.repeats > MAX_REPEAT && max >= 2 {
            return Err(bad_size());
        }
        let optional = max - counts.min;
        let loops = u64::from(counts.max.is_none());
        item.size = match (max, counts.max) {
            (0, Some(_)) => Size::new(1, 0),
            _ => item.size.times(max.max(1)).plus(Size::new(loops, optional)),
        };
        self.append_operator(text);
        Ok(())
    }

    /// Takes the `?` behind an operator; two operators in a row are an error.
    fn finish_operator(
        &mut self,
        start: &'a str,
        previous: Operator<'a>,
    ) -> Result<&'a str, String> {
        if self.rest.starts_with('?') {
            self.advance(1);
        }
        let until_here = |from: &'a str| from.get(..from.len() - self.rest.len()).unwrap_or(from);
        match previous {
            Some(previous) => Err(format!("bad repetition operator: {}", until_here(previous))),
            None => Ok(until_here(start)),
        }
    }

    /// Puts the operator right behind its item: a change of flags may stand in between.
    fn append_operator(&mut self, text: &str) {
        let Some(mut item) = self.groups.last().and_then(|group| group.last) else {
            return;
        };
        // An operator behind an operator would change that one's meaning.
        let wrapped = item.operated;
        let (open, close) = if wrapped { ("(?:", ")") } else { ("", "") };
        self.out.insert_str(item.end, &format!("{close}{text}"));
        self.out.insert_str(item.start, open);
        item.end += open.len() + close.len() + text.len();
        item.operated = true;
        if let Some(group) = self.groups.last_mut() {
            group.last = Some(item);
        }
    }

    fn item(&mut self, text: &str, size: Size) {
        let start = self.out.len();
        self.out.push_str(text);
        let end = self.out.len();
        if let Some(group) = self.groups.last_mut() {
            group.settle();
            group.last = Some(Item {
                start,
                end,
                operated: false,
                size,
                repeats: 0,
            });
        }
    }

    fn last(&mut self) -> Option<&mut Item> {
        self.groups.last_mut()?.last.as_mut()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    fn finish(mut self) -> Result<Parsed, String> {
        match (self.groups.pop(), self.groups.is_empty()) {
            (Some(mut group), true) => {
                group.settle();
                Ok(Parsed {
                    pattern: self.out,
                    size: group.done,
                })
            }
            _ => Err(format!("missing ): {}", self.whole)),
        }
    }
}

impl Group {
    /// Makes the last item one of those that no operator can reach any more.
    fn settle(&mut self) {
        if let Some(item) = self.last.take() {
            self.done = self.done.plus(item.size);
            self.repeats = self.repeats.max(item.repeats);
        }
    }
}

/// What stands in the braces of a counted repetition.
#[derive(Debug, Clone, Copy)]
struct Counts {
    min: u64,
    /// `None` when there is no upper bound.
    max: Option<u64>,
    /// Bytes from `{` to `}`.
    length: usize,
}

/// Reads `{n}`, `{n,}` or `{n,m}`; anything else is literal text.
fn counts(text: &str) -> Option<Counts> {
    let inner = text.strip_prefix('{')?;
    let (inner, _) = inner.split_once('}')?;
    let length = inner.len() + 2;
    let (min, max) = match inner.split_once(',') {
        None => (inner, Some(inner)),
        Some((min, "")) => (min, None),
        Some((min, max)) => (min, Some(max)),
    };
    let max = match max {
        Some(max) => Some(count(max)?),
        None => None,
    };
    let min = count(min)?;
    Some(Counts { min, max, length })
}

/// A count; RE2 disallows leading zeros, and reads no number beyond 99999999.
fn count(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if !digits || leading_zero || text.len() > MAX_COUNT_DIGITS {
        return None;
    }
    text.parse().ok()
}
