//! The registrar: applies operations to the registry and answers once they are stored.
//! Decides nothing; what an operation means is in `tepui_core::registry`.

pub mod store;
#[cfg(test)]
mod tests;
pub mod zk;
mod zk_log;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tepui_core::master::messages::{Input, Token};
use tepui_core::registry::{Key, Operation, Registry, Row};

use crate::clock::Clock;
use crate::master::{MasterMailbox, ToMaster};
use crate::metrics::RegistrarMetrics;
use store::{Store, StoreError};

/// Most operations folded into one write; the rest goes into the next.
const MAX_BATCH: usize = 10_000;

/// Asks for one operation; the answer is [`Input::Applied`] with the token.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Apply {
    /// Ties the answer to the request.
    pub token: Token,
    /// What to do.
    pub operation: Operation,
}

/// A registry read from its store, ready to be served.
#[derive(Debug)]
pub struct Opened {
    store: Box<dyn Store>,
    registry: Registry,
    size_bytes: i64,
}

impl Opened {
    /// Reads the registry from its store, and marks a new or older store as one of this version.
    ///
    /// # Errors
    /// When the store cannot be read or holds no registry this master can use.
    pub fn read(mut store: Box<dyn Store>) -> Result<Opened, OpenError> {
        let rows = store.load()?;
        let registry =
            Registry::from_rows(&rows).map_err(|error| OpenError::Rows(error.to_string()))?;
        let sizes = rows.iter();
        let mut size_bytes: i64 = sizes.map(|(key, value)| store::row_bytes(key, value)).sum();
        let header = Registry::missing_header(&rows);
        if let Some(header) = header.map_err(|error| OpenError::Rows(error.to_string()))? {
            size_bytes += store.write(&[header])?;
        }
        Ok(Opened {
            store,
            registry,
            size_bytes,
        })
    }
}

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds something else, or a later version.
    #[error("{0}")]
    Rows(String),
}

/// Owns the registry. One write is outstanding at a time; what arrives meanwhile is folded into
/// the next one.
pub struct Registrar {
    registry: Registry,
    /// Away while a write is outstanding.
    store: Option<Box<dyn Store>>,
    size_bytes: i64,
    queue: Vec<Apply>,
    master: MasterMailbox,
    clock: Clock,
    metrics: Arc<RegistrarMetrics>,
}

/// What each operation of a batch is answered once the batch is stored.
type Answers = Vec<(Token, Result<bool, String>)>;

/// What a finished write leaves behind.
struct Written {
    store: Box<dyn Store>,
    outcome: Result<i64, StoreError>,
}

impl Registrar {
    /// A registrar that serves what was read and answers to `master`.
    pub fn new(
        opened: Opened,
        master: MasterMailbox,
        clock: Clock,
        metrics: Arc<RegistrarMetrics>,
    ) -> Self {
        metrics.set_size(opened.size_bytes);
        Registrar {
            registry: opened.registry,
            store: Some(opened.store),
            size_bytes: opened.size_bytes,
            queue: Vec::new(),
            master,
            clock,
            metrics,
        }
    }

    /// Folds everything queued into one write, unless one is outstanding.
    fn write_queued(&mut self, ctx: &mut Context<Self>) {
        if self.queue.is_empty() {
            return;
        }
        let Some(store) = self.store.take() else {
            return;
        };
        let batch: Vec<Apply> = self
            .queue
            .drain(..self.queue.len().min(MAX_BATCH))
            .collect();
        let (answers, touched) = self.apply(batch);
        let rows = match self.rows_of(&touched) {
            Ok(rows) => rows,
            Err(reason) => return self.fail(answers, &reason),
        };
        if rows.is_empty() {
            self.store = Some(store);
            self.answer(answers);
            return self.write_queued(ctx);
        }
        self.start_write(ctx, store, rows, answers);
    }

    /// Applies a batch in order; gives each answer, and the parts whose rows may have changed.
    fn apply(&mut self, batch: Vec<Apply>) -> (Answers, BTreeSet<Key>) {
        let mut touched = BTreeSet::new();
        let mut answers = Vec::with_capacity(batch.len());
        for Apply { token, operation } in batch {
            let keys = self.registry.touched_by(&operation);
            let result = self.registry.apply(&operation);
            if result == Ok(true) {
                touched.extend(keys);
            }
            answers.push((token, result.map_err(|error| error.to_string())));
        }
        (answers, touched)
    }

    fn rows_of(&self, touched: &BTreeSet<Key>) -> Result<Vec<Row>, String> {
        let mut rows = Vec::with_capacity(touched.len() * 2);
        for key in touched {
            let of_key = self.registry.rows_of(key);
            rows.extend(of_key.map_err(|error| error.to_string())?);
        }
        Ok(rows)
    }

    fn start_write(
        &mut self,
        ctx: &mut Context<Self>,
        mut store: Box<dyn Store>,
        rows: Vec<Row>,
        answers: Answers,
    ) {
        let started = self.clock.now().mono;
        let write = actix_web::rt::task::spawn_blocking(move || {
            let outcome = store.write(&rows);
            Written { store, outcome }
        });
        let done = write.into_actor(self).map(move |written, registrar, ctx| {
            let now = registrar.clock.now().mono;
            registrar
                .metrics
                .state_store
                .record(now, now.since(started));
            match written {
                Ok(written) => registrar.written(ctx, written, answers),
                Err(error) => registrar.fail(answers, &error.to_string()),
            }
        });
        ctx.spawn(done);
    }

    fn written(&mut self, ctx: &mut Context<Self>, written: Written, answers: Answers) {
        match written.outcome {
            Ok(grown) => {
                self.store = Some(written.store);
                self.size_bytes = self.size_bytes.saturating_add(grown);
                self.metrics.set_size(self.size_bytes);
                self.answer(answers);
                self.write_queued(ctx);
            }
            Err(error) => self.fail(answers, &error.to_string()),
        }
    }

    fn answer(&self, answers: Answers) {
        self.metrics.queued_operations.remove(answers.len());
        for (token, result) in answers {
            self.master.input(Input::Applied { token, result });
        }
    }

    /// What is stored no longer follows this master: it must end, so that one that reads the
    /// store anew takes over. The store is not given back: nothing is written any more.
    fn fail(&self, answers: Answers, reason: &str) {
        tracing::error!(
            reason,
            operations = answers.len(),
            "registry cannot be stored"
        );
        self.master.send(ToMaster::Fatal(format!(
            "registry cannot be stored: {reason}"
        )));
    }
}

impl Actor for Registrar {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Context<Self>) {
        let registry = Box::new(self.registry.clone());
        self.master.input(Input::Recovered(registry));
    }
}

impl Handler<Apply> for Registrar {
    type Result = ();

    fn handle(&mut self, apply: Apply, ctx: &mut Context<Self>) {
        self.metrics.queued_operations.add();
        self.queue.push(apply);
        self.write_queued(ctx);
    }
}

/// Window over which the duration of writes is summarised, as in Mesos.
pub const STATE_STORE_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
