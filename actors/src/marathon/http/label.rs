//! Label selectors of GET /v2/apps: read, and applied to labels.
//! Knows no apps.

use std::collections::BTreeMap;

/// Terms that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Term>);

/// What is said of one label. A label that is not there fulfils none. Marathon.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    name: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Exists,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
}

impl Selector {
    /// Reads a selector: terms with commas between them, each one of `name`, `name==value`,
    /// `name!=value`, `name in (a, b)`, `name notin (a, b)`. Marathon.
    ///
    /// # Errors
    /// Marathon's text, with a reason of ours.
    pub(super) fn parse(text: &str) -> Result<Selector, String> {
        let mut at = Reader(text);
        selector(&mut at).map(Selector).map_err(|expected| {
            let place = text.len() - at.0.len() + 1;
            let found = match at.0.chars().next() {
                Some(found) => format!("'{found}'"),
                None => "the end".to_owned(),
            };
            format!(
                "Can not parse label selector {text}. Reason: {expected} expected at character \
                 {place}, found {found}"
            )
        })
    }

    /// Whether an app with these labels is selected.
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| {
            let value = labels.get(&term.name);
            value.is_some_and(|value| match &term.rule {
                Rule::Exists => true,
                Rule::OneOf(values) => values.contains(value),
                Rule::NoneOf(values) => !values.contains(value),
            })
        })
    }
}

/// What is left of the text.
struct Reader<'a>(&'a str);

fn selector(at: &mut Reader<'_>) -> Result<Vec<Term>, &'static str> {
    let mut terms = Vec::new();
    at.skip_blanks();
    if at.0.is_empty() {
        return Ok(terms);
    }
    loop {
        terms.push(term(at)?);
        if at.0.is_empty() {
            return Ok(terms);
        }
        if !at.take(",") {
            return Err("',' or the end");
        }
    }
}

fn term(at: &mut Reader<'_>) -> Result<Term, &'static str> {
    let name = at.word().ok_or("a name")?;
    let rule = if at.take("==") {
        Rule::OneOf(vec![at.word().ok_or("a value")?])
    } else if at.take("!=") {
        Rule::NoneOf(vec![at.word().ok_or("a value")?])
    } else if at.take("notin") {
        Rule::NoneOf(values(at)?)
    } else if at.take("in") {
        Rule::OneOf(values(at)?)
    } else {
        Rule::Exists
    };
    Ok(Term { name, rule })
}

fn values(at: &mut Reader<'_>) -> Result<Vec<String>, &'static str> {
    if !at.take("(") {
        return Err("'('");
    }
    let mut values = Vec::new();
    loop {
        values.push(at.word().ok_or("a value")?);
        if at.take(")") {
            return Ok(values);
        }
        if !at.take(",") {
            return Err("',' or ')'");
        }
    }
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// Takes `token` if it comes next, and the blanks after it.
    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.0.strip_prefix(token) else {
            return false;
        };
        self.0 = rest;
        self.skip_blanks();
        true
    }

    /// Takes letters, digits, `-`, `_`, `.`, `/` and whatever follows a backslash.
    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut chars = self.0.chars();
        while let Some(next) = chars.clone().next() {
            chars.next();
            match next {
                '\\' => word.push(chars.next()?),
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '/' => word.push(next),
                _ => break,
            }
            self.0 = chars.as_str();
        }
        self.skip_blanks();
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let selector = Selector::parse(selector).expect("a selector");
        selector.matches(&labels.collect())
    }

    #[test]
    fn terms_select_by_what_labels_say() {
        let app = [("tier", "front"), ("zone", "b"), ("a b", "x,y")];
        for selector in [
            "",
            "tier",
            "tier==front",
            "tier == front , zone",
            "tier!=back",
            "zone in (a, b)",
            "zone notin (c,d)",
            "zone in(b)",
            "a\\ b==x\\,y",
        ] {
            assert!(matches(selector, &app), "{selector}");
        }
        for selector in [
            "other",
            "tier==back",
            "tier!=front",
            "other!=x",
            "tier,other",
        ] {
            assert!(!matches(selector, &app), "{selector}");
        }
        assert!(!matches("zone notin (b)", &app) && !matches("other notin (b)", &app));
    }

    #[test]
    fn errors_say_what_was_expected_where() {
        for (selector, reason) in [
            ("==", "a name expected at character 1, found '='"),
            ("a=b", "',' or the end expected at character 2, found '='"),
            ("a==", "a value expected at character 4, found the end"),
            ("a in b", "'(' expected at character 6, found 'b'"),
            (
                "a in (b",
                "',' or ')' expected at character 8, found the end",
            ),
            ("a,", "a name expected at character 3, found the end"),
            ("a ä", "',' or the end expected at character 3, found 'ä'"),
            ("a==b\\", "a value expected at character 5, found '\\'"),
        ] {
            let text = Selector::parse(selector).expect_err("no selector");
            let expected = format!("Can not parse label selector {selector}. Reason: {reason}");
            assert_eq!(text, expected);
        }
    }
}
