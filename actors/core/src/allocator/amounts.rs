//! Scalars by kind as plain numbers, for the sums and comparisons of a run.
//! Names stay in [`Totals`](super::sorter::Totals), which numbers the kinds.

use smallvec::SmallVec;

/// Thousandths by kind; kinds beyond the end count as zero.
#[derive(Debug, Clone, Default)]
pub struct Amounts(SmallVec<[i64; 4]>);

impl Amounts {
    /// The amount of a kind.
    pub fn get(&self, kind: usize) -> i64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Sets the amount of a kind.
    pub fn set(&mut self, kind: usize, milli: i64) {
        if self.0.len() <= kind {
            self.0.resize(kind + 1, 0);
        }
        self.0[kind] = milli;
    }

    /// Adds to a kind, or takes away when negative.
    pub fn change(&mut self, kind: usize, milli: i64) {
        self.set(kind, self.get(kind).saturating_add(milli));
    }

    /// Adds `sign` times the other.
    pub fn add(&mut self, other: &Amounts, sign: i64) {
        for (kind, milli) in other.0.iter().enumerate() {
            if *milli != 0 {
                self.change(kind, sign * milli);
            }
        }
    }

    /// Makes everything zero.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|milli| *milli == 0)
    }

    /// Whether there is at least as much of every kind as in the other.
    pub fn covers(&self, other: &Amounts) -> bool {
        let mut others = other.0.iter().enumerate();
        others.all(|(kind, milli)| self.get(kind) >= *milli)
    }

    /// Amounts by kind, up to the last kind that was ever set.
    pub fn as_slice(&self) -> &[i64] {
        &self.0
    }
}

impl<const N: usize> From<[i64; N]> for Amounts {
    fn from(milli: [i64; N]) -> Self {
        Amounts(SmallVec::from_slice(&milli))
    }
}

impl PartialEq for Amounts {
    fn eq(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_kinds_are_zero() {
        let mut some = Amounts::default();
        some.change(2, 5);
        let mut same = Amounts::default();
        same.set(2, 5);
        same.set(7, 0);
        assert_eq!(some, same);
        assert!(some.covers(&Amounts::default()) && !Amounts::default().covers(&some));
        some.add(&same, -1);
        assert!(some.is_zero());
        assert_eq!(some, Amounts::default());
    }
}
