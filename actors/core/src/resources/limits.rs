//! Ceilings of scalars by name. Unlike in quantities, zero means something: nothing at all.
//! Knows nothing of roles or quota.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::value::{format_milli, to_milli};

/// Ceilings in thousandths, by name; what is not named is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits(pub BTreeMap<Arc<str>, i64>);

impl Limits {
    /// From plain numbers; negative ones and those without an amount count as zero.
    pub fn from_amounts<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let amounts = amounts.into_iter();
        Limits(
            amounts
                .map(|(name, value)| (Arc::from(name), to_milli(value).max(0)))
                .collect(),
        )
    }

    /// True when nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ceiling of this name, if it has one.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.0.get(name).copied()
    }
}

impl fmt::Display for Limits {
    /// `cpus:4; mem:0`, or `{}` when nothing is limited.
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

    #[test]
    fn zero_is_a_limit() {
        let limits = Limits::from_amounts([("cpus", 0.0), ("mem", 1.5)]);
        assert_eq!(limits.get("cpus"), Some(0));
        assert_eq!(limits.get("disk"), None);
        assert_eq!(limits.to_string(), "cpus:0; mem:1.5");
        assert_eq!(Limits::default().to_string(), "{}");
    }
}
