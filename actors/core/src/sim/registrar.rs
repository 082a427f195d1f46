//! The registrar: operations are folded into writes, one write at a time, and answered afterwards.
//! The store is a map that a crash leaves as it was before or after the write under way.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::registry::ADMITTED_PREFIX;

use super::events::{Event, Line};
use super::masters::Store;
use super::random::Random;
use super::world::{SECOND, World};
use crate::master::messages::{Input, Token};
use crate::registry::{Key, Operation, Registry, Row};

/// What an operation is answered once it is stored.
type Answers = Vec<(Token, Result<bool, String>)>;

/// How far a write has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Stored,
    Refused,
}

/// A write under way.
#[derive(Debug)]
struct Batch {
    rows: Vec<Row>,
    fate: Fate,
    /// What the store is to mean afterwards.
    after: Registry,
    answers: Answers,
}

/// The registrar of one master.
#[derive(Debug)]
pub(super) struct Registrar {
    registry: Registry,
    /// What is stored, as far as this master knows.
    pub(super) stored: Registry,
    queue: Vec<(Token, Operation)>,
    writing: Option<Batch>,
}

impl Registrar {
    pub(super) fn new(registry: Registry) -> Self {
        Registrar {
            stored: registry.clone(),
            registry,
            queue: Vec::new(),
            writing: None,
        }
    }

    /// Applies all that waits, in order.
    fn apply(&mut self) -> (Answers, BTreeSet<Key>) {
        let mut touched = BTreeSet::new();
        let mut answers = Vec::new();
        for (token, operation) in std::mem::take(&mut self.queue) {
            let keys = self.registry.touched_by(&operation);
            let result = self.registry.apply(&operation);
            if result == Ok(true) {
                touched.extend(keys);
            }
            answers.push((token, result.map_err(|error| error.to_string())));
        }
        (answers, touched)
    }

    /// The master has died: the write under way may still reach the store or not.
    pub(super) fn crash(
        &mut self,
        life: u64,
        store: &mut Store,
        random: &mut Random,
    ) -> Result<(), String> {
        match self.writing.take() {
            Some(batch) if batch.fate == Fate::UnderWay && random.per_mille(500) => {
                match life == store.owner {
                    true => store.write(&self.stored, batch.rows, batch.after),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing waits to be stored.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.writing.is_none()
    }
}

impl Store {
    /// What a master that starts reads; it must be what the operations have made.
    pub(super) fn read(&self) -> Result<Registry, String> {
        let rows: Vec<(String, Vec<u8>)> = self.rows.clone().into_iter().collect();
        let read = Registry::from_rows(&rows).map_err(|error| error.to_string())?;
        match read == self.meant {
            true => Ok(read),
            false => Err(format!(
                "the registry reads {read:?}, but {:?} was stored",
                self.meant
            )),
        }
    }

    /// Replaces what was stored before, which must be what the writer believes to be stored.
    fn write(&mut self, before: &Registry, rows: Vec<Row>, after: Registry) -> Result<(), String> {
        if *before != self.meant {
            return Err(format!(
                "what was stored is lost: {:?} by a write upon {before:?}",
                self.meant
            ));
        }
        for row in rows {
            match row.value {
                Some(value) => self.rows.insert(row.key, value),
                None => self.rows.remove(&row.key),
            };
        }
        self.meant = after;
        Ok(())
    }

    /// Whether the row of an admitted agent is there.
    pub(super) fn holds_agent(&self, id: &str) -> bool {
        self.rows.contains_key(&format!("{ADMITTED_PREFIX}{id}"))
    }

    /// A store that was just set up.
    pub(super) fn first_rows() -> BTreeMap<String, Vec<u8>> {
        let header = Registry::header_row().ok();
        let row = header.and_then(|row| row.value.map(|value| (row.key, value)));
        row.into_iter().collect()
    }
}

impl World {
    pub(super) fn registrar_apply(&mut self, life: u64, token: Token, operation: Operation) {
        if let Some(master) = self.masters.get_mut(&life) {
            master.registrar.queue.push((token, operation));
            self.write_queued(life);
        }
    }

    /// Folds everything queued into one write, unless one is under way.
    fn write_queued(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let registrar = &mut master.registrar;
        if registrar.queue.is_empty() || registrar.writing.is_some() {
            return;
        }
        let (answers, touched) = registrar.apply();
        let mut rows = Vec::new();
        for key in &touched {
            match registrar.registry.rows_of(key) {
                Ok(of_key) => rows.extend(of_key),
                Err(error) => return self.fail(format!("a row cannot be written: {error}")),
            }
        }
        if rows.is_empty() {
            return self.answer_stored(life, answers);
        }
        registrar.writing = Some(Batch {
            rows,
            fate: Fate::UnderWay,
            after: registrar.registry.clone(),
            answers,
        });
        let time = match self.random.below(30) {
            0 => self.random.below(5 * SECOND),
            _ => self.random.between(500, SECOND / 20),
        };
        self.after(time, Event::Commit { life });
    }

    /// A write reaches the store, which takes it from its owner only.
    pub(super) fn registrar_commits(&mut self, life: u64) {
        let fails = self.options.has_faults && !self.is_calm && self.random.per_mille(2);
        let is_owner = self.store.owner == life || self.is_fence_open();
        let is_lost = is_owner && self.is_write_lost();
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let registrar = &mut master.registrar;
        let Some(batch) = &mut registrar.writing else {
            return;
        };
        batch.fate = match is_owner && !fails {
            true => Fate::Stored,
            false => Fate::Refused,
        };
        if is_lost {
            self.store.meant = batch.after.clone();
        } else if batch.fate == Fate::Stored {
            let (rows, after) = (std::mem::take(&mut batch.rows), batch.after.clone());
            if let Err(error) = self.store.write(&registrar.stored, rows, after) {
                return self.fail(error);
            }
        }
        self.counts.fenced_writes += u64::from(!is_owner);
        // The answer may take its time, too.
        let time = match self.random.below(30) {
            0 => self.random.below(5 * SECOND),
            _ => self.random.between(100, SECOND / 100),
        };
        self.after(time, Event::Written { life });
    }

    pub(super) fn registrar_written(&mut self, life: u64) {
        let Some(master) = self.masters.get_mut(&life) else {
            return;
        };
        let Some(batch) = master.registrar.writing.take() else {
            return;
        };
        if batch.fate == Fate::Refused {
            return self.master_died(life, "its registry cannot be stored");
        }
        master.registrar.stored = batch.after;
        self.counts.writes += 1;
        self.answer_stored(life, batch.answers);
        self.write_queued(life);
    }

    fn answer_stored(&mut self, life: u64, answers: Answers) {
        for (token, result) in answers {
            let input = Box::new(Input::Applied { token, result });
            self.along(Line::FromRegistrar, Event::ToMaster { life, input });
        }
    }
}
