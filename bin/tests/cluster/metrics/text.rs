//! A strict reader of the text form of Prometheus: whatever is not as it should be is an error.
//! Knows no metrics.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Samples of one name.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub kind: String,
    pub help: Option<String>,
    pub samples: Vec<Sample>,
}

/// Reads all families of a text.
///
/// # Errors
/// Says which line is wrong, and how.
pub fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    if !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current: Option<String> = None;
    let mut help: Option<(String, String)> = None;
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, said) = rest
                .split_once(' ')
                .ok_or_else(|| wrong("help of nothing"))?;
            if help.is_some() || said.trim().is_empty() {
                return Err(wrong("help without a type, or without text"));
            }
            help = Some((name.to_owned(), said.to_owned()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let help = help.take();
            if help.as_ref().is_some_and(|(of, _)| of != name) {
                return Err(wrong("help of another family"));
            }
            if !is_name(name) || !["counter", "gauge", "summary"].contains(&kind) {
                return Err(wrong("no family"));
            }
            let family = Family {
                kind: kind.to_owned(),
                help: help.map(|(_, said)| said),
                samples: Vec::new(),
            };
            if families.insert(name.to_owned(), family).is_some() {
                return Err(wrong("a family told twice"));
            }
            current = Some(name.to_owned());
        } else {
            let sample = sample(line).map_err(|why| wrong(&why))?;
            let name = current.as_ref().filter(|_| help.is_none());
            let name = name.ok_or_else(|| wrong("a sample of no family"))?;
            let family = families.get_mut(name).ok_or_else(|| wrong("no family"))?;
            check(name, family, &sample).map_err(|why| wrong(&why))?;
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(wrong("a sample told twice"));
            }
            family.samples.push(sample);
        }
    }
    Ok(families)
}

/// Whether a sample may be in a family.
fn check(name: &str, family: &Family, sample: &Sample) -> Result<(), String> {
    let end = sample.name.strip_prefix(name);
    let has_quantile = sample.labels.contains_key("quantile");
    let fits = match (family.kind.as_str(), end) {
        ("summary", Some("_sum" | "_count")) => !has_quantile,
        ("summary", Some("")) => has_quantile,
        (_, Some("")) => !has_quantile,
        _ => false,
    };
    if !fits {
        return Err(format!("a sample that is not of family {name}"));
    }
    let grows = family.kind == "counter" || end != Some("");
    match grows && !(sample.value.is_finite() && sample.value >= 0.0) {
        true => Err("a count that is none".to_owned()),
        false => Ok(()),
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err("no name".to_owned());
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let is_special = ["NaN", "+Inf", "-Inf"].contains(&value);
    let is_number = value.bytes().all(|c| b"0123456789.e-+".contains(&c));
    if !is_special && !is_number {
        return Err("no number".to_owned());
    }
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().map_err(|_| "no number")?,
    })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("no label")?;
        if !is_name(name) || name.contains(':') {
            return Err(format!("no name of a label: {name}"));
        }
        let (value, after) = quoted(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("a label given twice: {name}"));
        }
        match after.split_at_checked(1) {
            Some((",", after)) => rest = after,
            Some(("}", after)) => return Ok((labels, after)),
            _ => return Err("labels that do not end".to_owned()),
        }
    }
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an unknown escape".to_owned()),
            }),
            c => value.push(c),
        }
    }
    Err("a value that does not end".to_owned())
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_start = |c: u8| c.is_ascii_alphabetic() || c == b'_' || c == b':';
    bytes.next().is_some_and(is_start) && bytes.all(|c| is_start(c) || c.is_ascii_digit())
}

#[test]
fn only_what_is_right_is_read() {
    let right = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\\\"\",y=\"\"} 2\n\
                 # TYPE b summary\nb{quantile=\"0.5\"} NaN\nb_sum 0\nb_count 0\n";
    let read = parse(right).expect("right");
    assert_eq!(read["a_total"].samples[0].labels["x"], "1\"");
    assert_eq!(read["b"].samples.len(), 3);
    for wrong in [
        "a 1\n",
        "# TYPE a gauge\na 1",
        "# TYPE a gauge\nb 1\n",
        "# TYPE a gauge\na 1\na 2\n",
        "# TYPE a counter\na -1\n",
        "# TYPE a gauge\na{x=\"1} 1\n",
        "# TYPE a gauge\na{x=1} 1\n",
        "# TYPE a gauge\na x\n",
        "# TYPE a gauge\na inf\n",
        "# TYPE a what\na 1\n",
        "# HELP b B.\n# TYPE a gauge\na 1\n",
        "# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n",
        "# TYPE a summary\na 1\n",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
