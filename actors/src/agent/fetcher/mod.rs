//! Brings the URIs of a container's command into its sandbox, some of them by way of a cache (Mesos:
//! `Fetcher`).
//! Reads and writes none of them itself: `tepui-fetcher` does, with the rights of the task's user.

mod place;
mod process;
mod shelf;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tepui_core::agent::fetcher::cache::Key;
use tepui_core::agent::fetcher::plan::{Plan, plan};
use tepui_protocol::fetch::{Answer, Job, Order};
use tepui_protocol::v1::command_info::Uri;
use tokio::runtime::{Builder, Runtime};

use crate::metrics::agent::Fetches;
use place::Place;
pub(super) use place::real_and_ours;
pub(super) use process::FETCHER_PROGRAM;
use process::Program;
use shelf::Shelf;

/// What a fetcher is started with.
#[derive(Debug, Clone)]
pub(super) struct FetcherSettings {
    /// Where `tepui-fetcher` is.
    pub(super) program: PathBuf,
    /// The directory of relative paths; may be empty.
    pub(super) frameworks_home: String,
    /// How long a server may send nothing.
    pub(super) stall_timeout: Duration,
    /// The directory that holds the cache's own.
    pub(super) cache_dir: PathBuf,
    /// Bytes of the cache.
    pub(super) cache_size: u64,
    /// A directory that no other agent uses, which tells this one's cache from theirs.
    pub(super) work_dir: PathBuf,
}

/// What a container needs.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The URIs of its command.
    pub(super) uris: Vec<Uri>,
    /// Its sandbox, which is the user's.
    pub(super) sandbox: String,
    /// The user, which names what is cached.
    pub(super) user: Option<String>,
    /// Whether the fetcher has to take that user's rights, as the agent has others.
    pub(super) switch: bool,
}

/// What a fetcher has done.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Containers whose URIs were all fetched.
    succeeded: AtomicU64,
    /// Containers that failed because of one.
    failed: AtomicU64,
    /// Bytes the cache may hold.
    total: AtomicU64,
    /// Bytes it holds, or has set aside.
    used: AtomicU64,
}

impl Figures {
    pub(super) fn read(&self) -> Fetches {
        let now = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Fetches {
            succeeded: now(&self.succeeded),
            failed: now(&self.failed),
            total: now(&self.total),
            used: now(&self.used),
        }
    }
}

/// Fetches; its copies are one fetcher.
#[derive(Debug, Clone)]
pub(super) struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    thread: Thread,
    program: Program,
    frameworks_home: String,
    shelf: Arc<Shelf>,
    place: Place,
    figures: Arc<Figures>,
}

impl Fetcher {
    /// A fetcher with an empty cache: what an earlier run has left there is removed, as nobody
    /// knows any more whether it is whole (Mesos: `Fetcher::Fetcher`).
    ///
    /// # Errors
    /// When that cannot be removed, or the work directory is not there.
    pub(super) fn start(settings: FetcherSettings) -> std::io::Result<Self> {
        let place = Place::empty(&settings.cache_dir, &settings.work_dir)?;
        let figures = Arc::new(Figures::default());
        let shelf = Shelf::new(settings.cache_size, figures.clone());
        Ok(Fetcher(Arc::new(Inner {
            thread: Thread::start()?,
            program: Program::new(settings.program, settings.stall_timeout),
            frameworks_home: settings.frameworks_home,
            shelf: Arc::new(shelf),
            place,
            figures,
        })))
    }

    /// Runs something on the fetcher's own thread, where slow disks delay nobody else.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Thread(Some(runtime)) = &self.0.thread {
            runtime.spawn(work);
        }
    }

    pub(super) fn figures(&self) -> Arc<Figures> {
        self.0.figures.clone()
    }

    /// Brings everything into the sandbox; must be called within [`Fetcher::spawn`]. Dropped before
    /// it is done, it ends what is under way, except what others wait for, too.
    ///
    /// # Errors
    /// When anything cannot be fetched: which URI, and why.
    pub(super) async fn fetch(&self, wanted: Wanted) -> Result<(), String> {
        let fetched = self.fetch_all(&wanted).await;
        let count = match fetched {
            Ok(()) => &self.0.figures.succeeded,
            Err(_) => &self.0.figures.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        fetched
    }

    async fn fetch_all(&self, wanted: &Wanted) -> Result<(), String> {
        let plans = plan(&wanted.uris, &self.0.frameworks_home)?;
        // All of them are asked for at once, so that they are downloaded at the same time.
        let cached = join_all(plans.iter().map(|plan| self.take_from_cache(wanted, plan))).await;
        let mut held = Vec::new();
        let mut items = Vec::new();
        for (plan, cached) in plans.iter().zip(cached) {
            match cached? {
                Some(file) => {
                    items.push(plan.from_cache(file.path()));
                    held.push(file);
                }
                None => items.push(plan.directly()),
            }
        }
        let job = Job::Fetch {
            sandbox: wanted.sandbox.clone(),
            items,
        };
        let order = self.order(wanted, job);
        match self.0.program.run(&order).await? {
            Answer::Done => Ok(()),
            other => Err(process::unexpected(&other)),
        }
    }

    /// The file in the cache that holds a URI, which stays as long as the answer is held; none
    /// when it is fetched without the cache.
    async fn take_from_cache(
        &self,
        wanted: &Wanted,
        plan: &Plan,
    ) -> Result<Option<shelf::Held>, String> {
        if !plan.cache {
            return Ok(None);
        }
        let user = wanted.user.as_deref();
        let owner = user.filter(|_| wanted.switch);
        let directory = match self.0.place.of_user(user, owner) {
            Ok(directory) => directory,
            Err(why) => {
                tracing::warn!(why, uri = plan.uri, "fetched without the cache");
                return Ok(None);
            }
        };
        let key = Key {
            user: wanted.user.clone(),
            uri: plan.uri.clone(),
        };
        let work = shelf::Work {
            program: self.0.program.clone(),
            source: plan.source.clone(),
            user: owner.map(str::to_owned),
            directory,
        };
        self.0.shelf.get(key, &plan.basename, work).await
    }

    fn order(&self, wanted: &Wanted, job: Job) -> Order {
        let user = wanted.user.clone().filter(|_| wanted.switch);
        self.0.program.order(user, job)
    }
}

/// The thread that waits for fetchers' processes and keeps the cache's directory.
#[derive(Debug)]
struct Thread(Option<Runtime>);

impl Thread {
    fn start() -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(1).max_blocking_threads(1);
        let runtime = builder.thread_name("fetcher").enable_all().build()?;
        Ok(Thread(Some(runtime)))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Whoever drops it may be a task of a runtime, which may not wait for another to end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
