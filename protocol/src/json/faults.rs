//! Collects what is wrong with a JSON text while it is decoded, and words it as Mesos does.
//! Decodes nothing itself.

use std::cmp::Ordering;
use std::fmt::Write;

use super::JsonError;
use crate::schema::Schema;

/// Most missing fields that are remembered for one text; more are not listed.
const MAX_MISSING: usize = 1000;

/// One step on the way from the outermost message to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Name of the field.
    pub name: &'static str,
    /// Number of the field.
    pub number: u32,
    /// Which element, when the field is repeated or a map.
    pub index: Option<usize>,
}

/// A required field that is not there.
#[derive(Debug)]
struct Missing {
    path: Vec<Step>,
    position: usize,
    name: &'static str,
}

/// Everything found wrong so far, and where the decoder is.
///
/// Nothing ends the decoding early: a syntax error further on weighs more than these faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    path: Vec<Step>,
    missing: Vec<Missing>,
    unlisted: bool,
    wrong: Option<(Vec<Step>, String)>,
}

impl Faults {
    /// Enters a message field.
    pub fn enter(&mut self, step: Step) {
        self.path.push(step);
    }

    /// Leaves the message field entered last.
    pub fn leave(&mut self) {
        self.path.pop();
    }

    /// Number of fields entered.
    pub fn depth(&self) -> usize {
        self.path.len()
    }

    /// Notes the required fields of the current message that are not in `present`.
    pub fn require(&mut self, schema: &Schema, present: u128) {
        let missing = schema.required & !present;
        if missing == 0 {
            return;
        }
        for (position, field) in schema.fields.iter().enumerate() {
            if missing & (1 << position) == 0 {
                continue;
            }
            if self.missing.len() == MAX_MISSING {
                self.unlisted = true;
                return;
            }
            self.missing.push(Missing {
                path: self.path.clone(),
                position,
                name: field.name,
            });
        }
    }

    /// Notes that the value of the field at `step` does not fit.
    ///
    /// Mesos reads the keys of an object in their order and stops at the first such value.
    pub fn wrong(&mut self, step: Option<Step>, text: String) {
        let mut path = self.path.clone();
        path.extend(step);
        let is_first = match &self.wrong {
            Some((first, _)) => path.iter().map(by_name).lt(first.iter().map(by_name)),
            None => true,
        };
        if is_first {
            self.wrong = Some((path, text));
        }
    }

    /// Forgets missing fields below a field of the current message, which is about to be replaced.
    pub fn forget(&mut self, number: u32, index: Option<usize>) {
        let depth = self.path.len();
        let path = &self.path;
        self.missing.retain(|missing| {
            let below = missing.path.starts_with(path)
                && missing.path.get(depth).is_some_and(|step| {
                    step.number == number && (index.is_none() || step.index == index)
                });
            !below
        });
    }

    /// Number of missing fields noted so far.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Renumbers the elements of the map field at `depth` in all missing fields from `start` on.
    pub fn renumber(&mut self, start: usize, depth: usize, rank: &dyn Fn(usize) -> Option<usize>) {
        for missing in self.missing.iter_mut().skip(start) {
            if let Some(step) = missing.path.get_mut(depth) {
                step.index = step.index.map(|index| rank(index).unwrap_or(index));
            }
        }
    }

    /// The verdict, after which the collection is empty again.
    ///
    /// # Errors
    /// When anything was wrong or missing.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        let mut missing = std::mem::take(&mut self.missing);
        if let Some((_, text)) = self.wrong.take() {
            return Err(JsonError::Convert(text));
        }
        if missing.is_empty() && !self.unlisted {
            return Ok(());
        }
        missing.sort_by(compare);
        let mut text = String::from("Missing required fields: ");
        for (index, missing) in missing.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            for step in &missing.path {
                text.push_str(step.name);
                if let Some(index) = step.index {
                    let _ = write!(text, "[{index}]");
                }
                text.push('.');
            }
            text.push_str(missing.name);
        }
        Err(JsonError::Convert(text))
    }
}

fn by_name(step: &Step) -> (&'static str, Option<usize>) {
    (step.name, step.index)
}

/// A message's own fields come first, in the order of their declaration; then those of the messages
/// in it, in the order of their numbers.
fn compare(a: &Missing, b: &Missing) -> Ordering {
    let common = a.path.iter().zip(&b.path);
    let mut order = common.map(|(a, b)| (a.number, a.index).cmp(&(b.number, b.index)));
    let by_path = order.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    by_path
        .then(a.path.len().cmp(&b.path.len()))
        .then(a.position.cmp(&b.position))
}
