//! The text form of Prometheus, version 0.0.4: families of samples, each with labels and a value.
//! Knows no names and measures nothing.

use std::fmt::{self, Display, Write as _};

/// Content type of the form.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Begins a family of this kind, described by `help` if that is not empty.
///
/// # Errors
/// Those of writing to `out`; a string has none.
pub fn family(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    if !help.is_empty() {
        out.write_str("# HELP ")?;
        out.write_str(name)?;
        out.write_char(' ')?;
        escape(out, help, false)?;
        out.write_char('\n')?;
    }
    writeln!(out, "# TYPE {name} {kind}")
}

/// Writes one sample.
///
/// # Errors
/// Those of writing to `out`; a string has none.
pub fn sample(
    out: &mut String,
    name: &str,
    labels: &[(&str, &str)],
    value: impl Display,
) -> fmt::Result {
    out.write_str(name)?;
    let mut separator = '{';
    for (label, value) in labels {
        out.write_char(separator)?;
        out.write_str(label)?;
        out.write_str("=\"")?;
        escape(out, value, true)?;
        out.write_char('"')?;
        separator = ',';
    }
    if !labels.is_empty() {
        out.write_char('}')?;
    }
    writeln!(out, " {value}")
}

fn escape(out: &mut String, text: &str, quotes: bool) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '"' if quotes => out.write_str("\\\"")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_labels_and_help_may_hold_is_escaped() {
        let mut out = String::new();
        family(&mut out, "x", "gauge", "one\\two\n\"three\"").expect("a string");
        sample(&mut out, "x", &[("a", "b\"c\\d\ne"), ("f", "")], 1.5).expect("a string");
        sample(&mut out, "x", &[], 2).expect("a string");
        let expected = "# HELP x one\\\\two\\n\"three\"\n# TYPE x gauge\n\
                        x{a=\"b\\\"c\\\\d\\ne\",f=\"\"} 1.5\nx 2\n";
        assert_eq!(out, expected);
    }
}
