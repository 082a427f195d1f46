//! Amounts of scalars by name, for limits and minimums.
//! Knows nothing of reservations, disks or allocation roles.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::ResourceError;
use super::value::{TextValue, format_milli, to_milli};

/// Amounts of scalars in thousandths, by name; reservations and the like forgotten.
///
/// No amount is zero or negative.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantities(pub BTreeMap<Arc<str>, i64>);

impl Quantities {
    /// Reads `cpus:0.01;mem:32`; zero amounts are dropped, equal names summed.
    pub fn parse(text: &str) -> Result<Self, ResourceError> {
        let mut quantities = Quantities::default();
        for token in text.split(';').filter(|token| !token.is_empty()) {
            let (name, milli) = parse_pair(token).map_err(ResourceError)?;
            quantities.add_milli(name, milli);
        }
        Ok(quantities)
    }

    /// Reads alternatives separated by `|`, the form of `--min_allocatable_resources`.
    pub fn parse_alternatives(text: &str) -> Result<Vec<Self>, ResourceError> {
        text.split('|')
            .filter(|part| !part.is_empty())
            .map(Quantities::parse)
            .collect()
    }

    /// From plain numbers; what is not above zero is dropped.
    pub fn from_amounts<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut quantities = Quantities::default();
        for (name, value) in amounts {
            quantities.add_milli(name, to_milli(value));
        }
        quantities
    }

    /// True when there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Thousandths of this name; 0 when there is none.
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds thousandths; amounts that are not above zero are ignored.
    pub fn add_milli(&mut self, name: &str, milli: i64) {
        if milli <= 0 {
            return;
        }
        match self.0.get_mut(name) {
            Some(own) => *own = own.saturating_add(milli),
            None => {
                self.0.insert(Arc::from(name), milli);
            }
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Quantities) {
        for (name, milli) in &other.0 {
            self.add_milli(name, *milli);
        }
    }

    /// Takes `other` away; nothing goes below zero.
    pub fn subtract(&mut self, other: &Quantities) {
        self.0.retain(|name, milli| {
            *milli = milli.saturating_sub(other.get(name));
            *milli > 0
        });
    }

    /// Whether there is at least as much of everything as in `other`.
    pub fn contains(&self, other: &Quantities) -> bool {
        other.0.iter().all(|(name, milli)| self.get(name) >= *milli)
    }
}

fn parse_pair(token: &str) -> Result<(&str, i64), String> {
    let parts: Vec<&str> = token.split(':').filter(|part| !part.is_empty()).collect();
    let [name, amount] = parts[..] else {
        return Err(format!("Failed to parse '{token}': missing or extra ':'"));
    };
    let problem = |what: &str| format!("Failed to parse '{amount}' to quantity: {what}");
    match TextValue::parse(amount).map_err(|error| problem(&error))? {
        TextValue::Scalar(value) => {
            let milli = to_milli(value);
            if milli < 0 {
                return Err(problem("the number is too large"));
            }
            Ok((name.trim(), milli))
        }
        _ => Err(problem("only scalar values are allowed")),
    }
}

impl fmt::Display for Quantities {
    /// `cpus:0.01; mem:32`, or `{}` when there is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("{}");
        }
        for (i, (name, milli)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{name}:{}", format_milli(*milli))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Quantities {
        Quantities::parse(text).unwrap()
    }

    #[test]
    fn reads_the_default_minimum() {
        let minimums = Quantities::parse_alternatives("cpus:0.01|mem:32").unwrap();
        assert_eq!(minimums, [read("cpus:0.01"), read("mem:32")]);
        assert_eq!(minimums[0].get("cpus"), 10);
        let joined = Quantities::parse_alternatives("cpus:1;mem:32|gpus:1").unwrap();
        assert_eq!(joined[0].to_string(), "cpus:1; mem:32");
        assert!(Quantities::parse_alternatives("").unwrap().is_empty());
    }

    #[test]
    fn drops_zero_and_sums_equal_names() {
        assert!(read("cpus:0").is_empty());
        assert_eq!(
            read("cpus:1;cpus:0.5; mem : 3").to_string(),
            "cpus:1.5; mem:3"
        );
        assert_eq!(Quantities::default().to_string(), "{}");
    }

    #[test]
    fn refuses_with_the_texts_of_mesos() {
        let error = |text| Quantities::parse(text).unwrap_err().0;
        assert_eq!(
            error("cpus"),
            "Failed to parse 'cpus': missing or extra ':'"
        );
        assert_eq!(
            error("ports:[1-2]"),
            "Failed to parse '[1-2]' to quantity: only scalar values are allowed"
        );
        assert_eq!(
            error("cpus:-1"),
            "Failed to parse '-1' to quantity: only scalar values are allowed"
        );
        assert_eq!(
            error("cpus: "),
            "Failed to parse ' ' to quantity: Expecting non-empty string"
        );
        assert_eq!(
            error("cpus:1e300"),
            "Failed to parse '1e300' to quantity: the number is too large"
        );
    }

    #[test]
    fn arithmetic_never_leaves_zero_or_less() {
        let mut q = read("cpus:1;mem:10");
        q.subtract(&read("cpus:2;mem:4;disk:1"));
        assert_eq!(q, read("mem:6"));
        q.add(&read("cpus:0.001"));
        assert_eq!(q, read("cpus:0.001;mem:6"));
        assert!(q.contains(&read("mem:6")));
        assert!(!q.contains(&read("mem:6.001")));
        assert!(!q.contains(&read("gpus:1")));
        let from = Quantities::from_amounts([("cpus", 0.5), ("mem", f64::NAN), ("x", -1.0)]);
        assert_eq!(from, read("cpus:0.5"));
    }
}
