//! The whitelist of agents: reads its file now and then, and tells the allocator when it changed.
//! Decides nothing; whom a whitelist admits is the allocator's to say.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tepui_core::allocator::messages::Command;

use crate::allocator::Commands;
use crate::metrics::AllocatorMetrics;

/// Time between two readings of the file, as in Mesos.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Size up to which a file is read; a cluster of a million agents stays below.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The file and what it said last. Before it was readable for the first time all agents are
/// admitted, as in Mesos.
#[derive(Debug)]
pub struct Whitelist {
    path: PathBuf,
    last: Option<BTreeSet<String>>,
    /// The last error, so that it is logged once and not every few seconds.
    error: Option<String>,
}

impl Whitelist {
    /// The whitelist kept in this file, which was not read yet.
    pub fn new(path: PathBuf) -> Self {
        Whitelist {
            path,
            last: None,
            error: None,
        }
    }

    /// Reads the file; the command for the allocator, if it says something new.
    ///
    /// A file that cannot be read leaves all as it was; an empty one admits nobody.
    pub fn read(&mut self) -> Option<Command> {
        let hosts = match self.hosts() {
            Ok(hosts) => hosts,
            Err(error) => {
                if self.error.as_ref() != Some(&error) {
                    let path = self.path.display();
                    tracing::error!(%path, error, "whitelist cannot be read; trying again");
                }
                self.error = Some(error);
                return None;
            }
        };
        self.error = None;
        if self.last.as_ref() == Some(&hosts) {
            return None;
        }
        tracing::info!(hosts = hosts.len(), "whitelist changed");
        self.last = Some(hosts.clone());
        Some(Command::SetWhitelist(Some(hosts)))
    }

    /// One host name in each line.
    fn hosts(&self) -> Result<BTreeSet<String>, String> {
        let file = std::fs::File::open(&self.path).map_err(|error| error.to_string())?;
        let about = file.metadata().map_err(|error| error.to_string())?;
        if !about.is_file() {
            return Err("it is not a file".to_owned());
        }
        let mut text = String::new();
        let mut limited = file.take(MAX_FILE_BYTES + 1);
        let read = limited.read_to_string(&mut text);
        let bytes = read.map_err(|error| error.to_string())?;
        if u64::try_from(bytes).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        }
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    }
}

/// Reads the whitelist every [`WATCH_INTERVAL`].
pub struct WhitelistWatcher {
    /// Away while it is read.
    whitelist: Option<Whitelist>,
    allocator: Recipient<Commands>,
    metrics: Arc<AllocatorMetrics>,
}

impl WhitelistWatcher {
    /// A watcher that tells this allocator of changes.
    pub fn new(
        whitelist: Whitelist,
        allocator: Recipient<Commands>,
        metrics: Arc<AllocatorMetrics>,
    ) -> Self {
        WhitelistWatcher {
            whitelist: Some(whitelist),
            allocator,
            metrics,
        }
    }

    fn read_later(&self, ctx: &mut Context<Self>) {
        ctx.run_later(WATCH_INTERVAL, |watcher, ctx| watcher.read(ctx));
    }

    /// Off the actor's thread: a file on a disk elsewhere may take its time.
    fn read(&mut self, ctx: &mut Context<Self>) {
        let Some(mut whitelist) = self.whitelist.take() else {
            return;
        };
        let reading = actix_web::rt::task::spawn_blocking(move || {
            let command = whitelist.read();
            (whitelist, command)
        });
        let done = reading.into_actor(self).map(|read, watcher, ctx| {
            // Fails only when the process is ending.
            let Ok((whitelist, command)) = read else {
                return;
            };
            watcher.whitelist = Some(whitelist);
            if let Some(command) = command {
                watcher.metrics.dispatches.add();
                watcher.allocator.do_send(Commands(vec![command]));
            }
            watcher.read_later(ctx);
        });
        ctx.spawn(done);
    }
}

impl Actor for WhitelistWatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.read_later(ctx);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::clock::Clock;

    struct Collector(UnboundedSender<Command>);

    impl Actor for Collector {
        type Context = Context<Self>;
    }

    impl Handler<Commands> for Collector {
        type Result = ();

        fn handle(&mut self, Commands(commands): Commands, _ctx: &mut Context<Self>) {
            for command in commands {
                self.0.send(command).unwrap();
            }
        }
    }

    fn set(hosts: &[&str]) -> Command {
        let hosts = hosts.iter();
        Command::SetWhitelist(Some(hosts.map(|name| (*name).to_owned()).collect()))
    }

    fn watch(path: &Path) -> UnboundedReceiver<Command> {
        let (sender, receiver) = unbounded_channel();
        let allocator = Collector(sender).start().recipient();
        let whitelist = Whitelist::new(path.to_owned());
        WhitelistWatcher::new(whitelist, allocator, Arc::default()).start();
        receiver
    }

    #[test]
    fn only_news_are_told_and_an_empty_file_admits_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        let mut whitelist = Whitelist::new(path.clone());
        assert_eq!(whitelist.read(), None, "not there: all are admitted");
        std::fs::write(&path, "b\n\n a \r\nb\n").unwrap();
        assert_eq!(whitelist.read(), Some(set(&["a", "b"])));
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(whitelist.read(), None, "the same hosts");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(whitelist.read(), None, "what was said last stays");
        std::fs::write(&path, "").unwrap();
        assert_eq!(whitelist.read(), Some(set(&[])));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(whitelist.read(), None, "not UTF-8");
    }

    #[test]
    fn a_directory_and_a_device_are_no_whitelists() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Whitelist::new(dir.path().to_owned()).read(), None);
        let zero = Whitelist::new("/dev/zero".into()).hosts();
        assert_eq!(zero, Err("it is not a file".to_owned()));
    }

    #[actix::test]
    async fn the_file_is_read_again_and_again() {
        tokio::time::pause();
        let clock = Clock::start();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        std::fs::write(&path, "a").unwrap();
        let mut commands = watch(&path);
        assert_eq!(commands.recv().await, Some(set(&["a"])));
        let passed = clock.now().mono.since(Default::default());
        assert_eq!(passed.as_secs(), WATCH_INTERVAL.as_secs());
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(commands.recv().await, Some(set(&["a", "b"])));
        // Nothing is said of readings that find nothing new.
        tokio::time::sleep(WATCH_INTERVAL * 3).await;
        std::fs::write(&path, "c").unwrap();
        assert_eq!(commands.recv().await, Some(set(&["c"])));
    }
}
