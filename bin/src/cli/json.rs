//! JSON in and out: documents that users give, and answers indented for their eyes, else unchanged.
//! Knows none of their members.

use std::io::Read as _;

use serde_json::Value;

use super::trouble::Trouble;

/// The name of a file that stands for the standard input.
const STDIN: &str = "-";

/// The largest document that is read; servers take less.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Reads a JSON document from a file, or from the standard input for `-`. Gives it as it is, since
/// the server is to judge it, and what it holds. `expected` tells the user what it should be.
pub(super) fn read(file: &str, expected: &str) -> Result<(Vec<u8>, Value), Trouble> {
    let mut bytes = Vec::new();
    let read = match file {
        STDIN => std::io::stdin()
            .lock()
            .take(MAX_DOCUMENT_BYTES)
            .read_to_end(&mut bytes),
        path => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes)),
    };
    let shown = match file {
        STDIN => "the standard input",
        path => path,
    };
    read.map_err(|error| Trouble::Usage(format!("cannot read {shown}: {error}")))?;
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        Trouble::Usage(format!("{shown} is no JSON: {error}; expected {expected}"))
    })?;
    Ok((bytes, value))
}

/// Indents JSON by two blanks. Order of members, numbers and escapes stay as they are; what is no
/// JSON stays as a whole.
pub(super) fn pretty(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err() {
        return format!("{}\n", text.trim_end());
    }
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().filter({
        let (mut in_text, mut escaped) = (false, false);
        move |c| {
            let keeps = in_text || !c.is_ascii_whitespace();
            note(*c, &mut in_text, &mut escaped);
            keeps
        }
    });
    let mut next = chars.next();
    while let Some(c) = next {
        next = chars.next();
        let was_in_text = in_text;
        note(c, &mut in_text, &mut escaped);
        match c {
            _ if was_in_text || in_text => out.push(c),
            '{' | '[' if matches!(next, Some('}' | ']')) => out.push(c),
            '{' | '[' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

/// Notes whether what follows is inside of a text.
fn note(c: char, in_text: &mut bool, escaped: &mut bool) {
    match c {
        '"' if !*escaped => *in_text = !*in_text,
        '\\' if *in_text && !*escaped => {
            *escaped = true;
            return;
        }
        _ => {}
    }
    *escaped = false;
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_unchanged() {
        let text = r#"{"b":1.0,"a":[ ],"c":{},"t":"x: [\"{,}\\","l":[1,{"k":null}],"e":""}"#;
        let expected = r#"{
  "b": 1.0,
  "a": [],
  "c": {},
  "t": "x: [\"{,}\\",
  "l": [
    1,
    {
      "k": null
    }
  ],
  "e": ""
}
"#;
        assert_eq!(pretty(text.as_bytes()), expected);
        assert_eq!(pretty(expected.as_bytes()), expected);
        assert_eq!(pretty(b"[]"), "[]\n");
        assert_eq!(pretty(b"\"a b\""), "\"a b\"\n");
        assert_eq!(pretty(b"no json"), "no json\n");
    }

    #[test]
    fn documents_that_are_none_are_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("app.json");
        let name = path.to_str().expect("a name");
        let missing = read(name, "an app").expect_err("missing");
        assert_eq!(missing.exit_status(), 2);
        assert!(missing.text().is_some_and(|text| text.contains(name)));
        std::fs::write(&path, "{\"id\": }").expect("written");
        let wrong = read(name, "an app").expect_err("no JSON");
        assert!(wrong.text().is_some_and(|text| text.contains("line 1")));
        std::fs::write(&path, "{\"id\": \"/a\"}").expect("written");
        assert_eq!(read(name, "an app").expect("right").1["id"], "/a");
    }
}
