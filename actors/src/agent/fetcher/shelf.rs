//! The cache while it is used: who waits for what, which downloads are under way, which files go.
//! Counts no bytes itself: the accounts are in the core.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tepui_core::agent::fetcher::cache::{Cache, Key, Requested};
use tepui_protocol::fetch::{Answer, Job, Source};
use tokio::sync::watch;

use super::Figures;
use super::place::NO_USER;
use super::process::{Program, unexpected};

/// What became of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The file is there.
    Cached,
    /// There is no room for it, or nobody knows its size.
    Bypass,
    /// It cannot be fetched.
    Failed(String),
}

/// How a URI comes into the cache.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) program: Program,
    pub(super) source: Source,
    /// Whose rights the program takes.
    pub(super) user: Option<String>,
    /// Where it is kept.
    pub(super) directory: PathBuf,
}

/// Tells those who wait what became of a download.
type Teller = Arc<watch::Sender<Option<Outcome>>>;

#[derive(Debug)]
struct Books {
    cache: Cache,
    /// Downloads under way: the file, and who tells of its end.
    downloads: HashMap<Key, (String, Teller)>,
}

impl Books {
    /// Asks the accounts, and forgets what they say if it is not so: somebody may have removed a
    /// file (Mesos: `Cache::validate`).
    fn request(&mut self, key: &Key, basename: &str, directory: &Path) -> Requested {
        let requested = self.cache.request(key, basename);
        let is_so = match &requested {
            Requested::Ready(file) => directory.join(file).is_file(),
            Requested::UnderWay => self.downloads.contains_key(key),
            Requested::New(_) => true,
        };
        if is_so {
            return requested;
        }
        tracing::warn!(uri = key.uri, "a file of the fetcher's cache has gone");
        self.cache.remove(key);
        self.cache.request(key, basename)
    }
}

/// The cache.
#[derive(Debug)]
pub(super) struct Shelf {
    books: Mutex<Books>,
    figures: Arc<Figures>,
}

/// A file of the cache, which stays as long as this does.
#[derive(Debug)]
pub(super) struct Held {
    shelf: Arc<Shelf>,
    key: Key,
    file: String,
    path: PathBuf,
}

impl Held {
    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shelf.books().cache.release(&self.key, &self.file);
    }
}

impl Shelf {
    pub(super) fn new(limit: u64, figures: Arc<Figures>) -> Self {
        figures.total.store(limit, Ordering::Relaxed);
        let books = Books {
            cache: Cache::new(limit),
            downloads: HashMap::new(),
        };
        Shelf {
            books: Mutex::new(books),
            figures,
        }
    }

    /// The file that holds a URI, which one of those who ask for it at the same time downloads for
    /// all; none when it does not go into the cache.
    ///
    /// # Errors
    /// When it cannot be downloaded, which all who wait hear.
    pub(super) async fn get(
        self: &Arc<Self>,
        key: Key,
        basename: &str,
        work: Work,
    ) -> Result<Option<Held>, String> {
        let Some((held, download)) = self.request(key, basename, work) else {
            return Ok(None);
        };
        let Some(mut download) = download else {
            return Ok(Some(held));
        };
        // Whoever downloads says what became of it before it goes.
        let told = download.wait_for(Option::is_some).await;
        match told.ok().and_then(|outcome| outcome.clone()) {
            Some(Outcome::Cached) => Ok(Some(held)),
            Some(Outcome::Bypass) => Ok(None),
            Some(Outcome::Failed(why)) => Err(why),
            None => {
                let uri = &held.key.uri;
                Err(format!("Failed to fetch '{uri}': the agent is ending"))
            }
        }
    }

    /// Takes a reference; and tells how to hear of the download if it is not there yet, which is
    /// begun if nobody has.
    fn request(
        self: &Arc<Self>,
        key: Key,
        basename: &str,
        work: Work,
    ) -> Option<(Held, Option<watch::Receiver<Option<Outcome>>>)> {
        let mut books = self.books();
        let requested = books.request(&key, basename, &work.directory);
        let (file, download) = match requested {
            Requested::Ready(file) => (file, None),
            Requested::UnderWay => {
                let (file, teller) = books.downloads.get(&key)?;
                (file.clone(), Some(teller.subscribe()))
            }
            Requested::New(file) => {
                let (teller, download) = watch::channel(None);
                let teller = Arc::new(teller);
                let entry = (file.clone(), teller.clone());
                books.downloads.insert(key.clone(), entry);
                let (shelf, work) = (self.clone(), work.clone());
                let (key, name) = (key.clone(), file.clone());
                tokio::spawn(async move { shelf.download(key, name, work, teller).await });
                (file, Some(download))
            }
        };
        drop(books);
        let held = Held {
            shelf: self.clone(),
            path: work.directory.join(&file),
            key,
            file,
        };
        Some((held, download))
    }

    /// Downloads as long as anybody waits for it, and tells what became of it.
    async fn download(self: Arc<Self>, key: Key, file: String, work: Work, teller: Teller) {
        let outcome = tokio::select! {
            outcome = self.fill(&key, &file, &work) => outcome,
            () = self.abandoned(&key, &teller) => return remove(&work.directory.join(file)),
        };
        let is_cached = outcome == Outcome::Cached;
        let mut books = self.books();
        books.downloads.remove(&key);
        if !is_cached {
            books.cache.remove(&key);
        }
        self.publish(&books);
        drop(books);
        if !is_cached {
            remove(&work.directory.join(file));
        }
        teller.send_replace(Some(outcome));
    }

    /// Ends, with the entry, when nobody waits for it any more.
    async fn abandoned(&self, key: &Key, teller: &Teller) {
        loop {
            teller.closed().await;
            let mut books = self.books();
            // Somebody may have come meanwhile.
            if teller.receiver_count() == 0 {
                books.downloads.remove(key);
                books.cache.remove(key);
                self.publish(&books);
                return;
            }
        }
    }

    /// Finds out the size, makes room, and downloads.
    async fn fill(&self, key: &Key, file: &str, work: &Work) -> Outcome {
        let size = match self.size(key, work).await {
            Ok(size) => size,
            // Mesos does not tell whether it is there until it fetches it.
            Err(why) => {
                tracing::warn!(
                    why,
                    "its size is not known: it is fetched without the cache"
                );
                return Outcome::Bypass;
            }
        };
        if let Err(why) = self.make_room(key, size, &work.directory) {
            tracing::warn!(uri = key.uri, why, "it is fetched without the cache");
            return Outcome::Bypass;
        }
        let job = Job::Download {
            uri: key.uri.clone(),
            source: work.source.clone(),
            directory: work.directory.to_string_lossy().into_owned(),
            name: file.to_owned(),
            limit: size,
        };
        let order = work.program.order(work.user.clone(), job);
        match work.program.run(&order).await {
            Ok(Answer::Size(size)) => {
                let mut books = self.books();
                books.cache.complete(key, size);
                self.publish(&books);
                Outcome::Cached
            }
            Ok(Answer::TooLarge) => {
                tracing::warn!(uri = key.uri, size, "it is larger than it was said to be");
                Outcome::Bypass
            }
            Ok(other) => Outcome::Failed(unexpected(&other)),
            Err(why) => Outcome::Failed(why),
        }
    }

    async fn size(&self, key: &Key, work: &Work) -> Result<u64, String> {
        let job = Job::Size {
            uri: key.uri.clone(),
            source: work.source.clone(),
        };
        let order = work.program.order(work.user.clone(), job);
        match work.program.run(&order).await? {
            Answer::Size(size) => Ok(size),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets space aside, for which others have to go that nobody needs now.
    fn make_room(&self, key: &Key, size: u64, directory: &Path) -> Result<(), String> {
        let mut books = self.books();
        let victims = books.cache.reserve(key, size);
        let victims = victims.map_err(|full| full.to_string())?;
        self.publish(&books);
        for (victim, file) in victims {
            tracing::info!(uri = victim.uri, "evicted from the fetcher's cache");
            // Users' directories lie side by side.
            let user = victim.user.as_deref().unwrap_or(NO_USER);
            remove(&directory.with_file_name(user).join(file));
        }
        Ok(())
    }

    fn publish(&self, books: &Books) {
        let used = books.cache.used();
        self.figures.used.store(used, Ordering::Relaxed);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Whoever panicked left the accounts as they were between two of their calls.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a cached file is left over");
        }
        _ => {}
    }
}
