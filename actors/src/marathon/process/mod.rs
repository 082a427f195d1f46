//! The app manager's process: it serves, contends, leads, and ends with Marathon's exit codes.
//! Reads no flags; whoever starts it passes the settings.
//!
//! An instance serves from its start on, by passing requests on to the leader. It leads once: when
//! that is over the process ends, and whoever supervises it starts it again, as with Marathon.

mod lead;
mod leadership;
mod serve;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tepui_core::marathon::manager::RestoreError;
use tokio::sync::{mpsc, watch};

pub(crate) use lead::path_of;
pub use leadership::Leading;

use super::config::{MarathonConfig, StatePlace};
use super::http::Abdication;
use super::loggers::MarathonLoggers;
use super::records::Unreadable;
use super::run::Ended;
use super::store::{FILE_NAME, Place, Settings, StoreError, ZkSettings};
use crate::clock::Clock;
use crate::election::latch::Participant;
use crate::election::{Candidacy, Decision, Election, Session};
use crate::metrics::marathon::MarathonMetrics;
use crate::{open_files, signals};
use lead::{Channels, StoreWatch};

/// Time ZooKeeper may take for the end of a candidacy before the process ends all the same.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an app manager ended, other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no more threads, files or random numbers.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// ZooKeeper was out of reach for too long.
    #[error("lost the connection to zookeeper: {0}")]
    ZooKeeper(String),
    /// Another instance leads now, or may.
    #[error("{0}")]
    Deposed(String),
    /// What is stored cannot be read, or be written any more.
    #[error("the state is lost: {0}")]
    Store(String),
    /// It took longer than `--on_elected_prepare_timeout` to get ready.
    #[error(
        "not ready to lead after {0:?}; is the store that slow? --on_elected_prepare_timeout sets \
         the time"
    )]
    Slow(Duration),
    /// The master will not have this framework.
    #[error("the master refuses this framework: {0}")]
    Refused(String),
    /// The framework was torn down, or its failover timeout was over.
    #[error(
        "{0}; its id is forgotten, so that the next start registers a new framework and starts all \
         apps again"
    )]
    Removed(String),
    /// Told so by DELETE /v2/leader.
    #[error("gave up leadership because it was asked to")]
    Abdicated,
}

impl Failed {
    /// Marathon's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failed::Listen { .. } => 111,
            Failed::System(_) => 107,
            Failed::ZooKeeper(_) => 101,
            Failed::Deposed(_) => 103,
            Failed::Store(_) | Failed::Slow(_) => 104,
            Failed::Refused(_) => 106,
            Failed::Removed(_) => 110,
            Failed::Abdicated => 105,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error.to_string())
    }
}

impl From<Unreadable> for Failed {
    fn from(error: Unreadable) -> Failed {
        Failed::Store(error.to_string())
    }
}

impl From<RestoreError> for Failed {
    fn from(error: RestoreError) -> Failed {
        Failed::Store(error.to_string())
    }
}

/// Runs an app manager on this thread until SIGTERM, SIGINT or a failure; `listening` is told where
/// it listens.
///
/// # Errors
/// When it cannot start or go on, and when it gave up leadership.
pub fn run_in_foreground(
    config: MarathonConfig,
    loggers: MarathonLoggers,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Failed> {
    open_files::allow_many();
    let system = actix::System::new();
    let result = system.block_on(run(config, loggers, signals::terminated(), listening));
    actix::System::current().stop();
    system.run()?;
    result
}

/// Runs an app manager within an actix system until `stop` or a failure.
///
/// # Errors
/// As [`run_in_foreground`].
pub async fn run(
    config: MarathonConfig,
    loggers: MarathonLoggers,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Failed> {
    let listener = serve::bind(&config)?;
    let address = listener.local_addr()?;
    let clock = Clock::start();
    let told = format!("{}:{}", config.hostname, address.port());
    let (abdicate, abdicated) = mpsc::channel(1);
    let leading = Leading::new(abdicate);
    let metrics = Arc::new(MarathonMetrics::new(&config.metrics, clock.now().mono));
    let channels = Channels::new(&config, clock, metrics.clone())?;
    let shared = serve::Shared {
        config: &config,
        told: &told,
        clock,
        leading: &leading,
        handle: channels.handle.clone(),
        metrics,
        page: channels.page(&config.metrics, clock),
        loggers,
    };
    let http = serve::start(listener, shared)?;
    let events = channels.handle.events().clone();
    listening(address);
    let life = Life {
        config: &config,
        told,
        clock,
        leading: leading.clone(),
        abdicated,
    };
    let mut stop = std::pin::pin!(stop);
    let result = life.live(channels, &mut stop).await;
    leading.end();
    events.close();
    end(http, result.is_ok(), config.graceful_shutdown_timeout).await;
    result
}

/// Ends the server; those being served have some time when the end is an orderly one.
async fn end(http: ServerHandle, graceful: bool, time: Duration) {
    if tokio::time::timeout(time, http.stop(graceful))
        .await
        .is_err()
    {
        http.stop(false).await;
    }
}

/// From the start to the end.
struct Life<'a> {
    config: &'a MarathonConfig,
    /// Host and port that others reach this instance by.
    told: String,
    clock: Clock,
    leading: Leading,
    abdicated: mpsc::Receiver<Abdication>,
}

/// What ends a leader.
enum Over {
    /// It cannot go on.
    Ended(Ended),
    /// Another one may lead.
    Deposed(Failed),
    /// It was asked to give up.
    Abdicated(Abdication),
    /// The process was told to end.
    Told,
}

impl Life<'_> {
    async fn live(
        mut self,
        channels: Channels,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(), Failed> {
        let StatePlace::ZooKeeper {
            url,
            session_timeout,
        } = &self.config.state
        else {
            self.leading.follow(Some(self.told.clone()));
            let place = match &self.config.state {
                StatePlace::File(dir) => Place::File(dir.clone()),
                StatePlace::Memory | StatePlace::ZooKeeper { .. } => {
                    Place::Memory(super::store::Memory::default())
                }
            };
            return self
                .lead(place, channels, std::future::pending(), stop)
                .await;
        };
        let session = Session::open(url.clone(), *session_timeout);
        let election = Election::start(session.clone(), &Participant(self.told.clone()));
        let following = self.follow(&election);
        let elected = elected(&election, stop).await;
        let result = match elected {
            Ok(Some(epoch)) => {
                let place = self.zookeeper(session, epoch);
                self.lead(place, channels, deposed(&election), stop).await
            }
            Ok(None) => Ok(()),
            Err(failed) => Err(failed),
        };
        following.abort();
        // Another one may lead at once.
        let withdrawn = tokio::time::timeout(WITHDRAW_TIMEOUT, election.withdraw()).await;
        if withdrawn.is_err() {
            tracing::warn!("zookeeper does not answer; the candidacy ends with its session");
        }
        result
    }

    fn zookeeper(&self, session: Session, epoch: u64) -> Place {
        let runtime = tokio::runtime::Handle::current();
        let mut settings = ZkSettings::new(session, runtime, epoch);
        settings.limits.load = self.config.on_elected_prepare_timeout;
        Place::ZooKeeper(settings)
    }

    /// Keeps who leads known to those who serve.
    fn follow(&self, election: &Election<Participant>) -> tokio::task::JoinHandle<()> {
        let mut leader = election.leader();
        let leading = self.leading.clone();
        tokio::spawn(async move {
            loop {
                let now = leader
                    .borrow_and_update()
                    .as_ref()
                    .map(|it| it.info.0.clone());
                leading.follow(now);
                if leader.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// Leads until that is over.
    async fn lead(
        &mut self,
        place: Place,
        channels: Channels,
        deposed: impl Future<Output = Failed>,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(), Failed> {
        let (watch, failed) = StoreWatch::new();
        let prepare = lead::prepare(self.config, &self.told, self.clock, &place, watch);
        let limit = self.config.on_elected_prepare_timeout;
        let mut deposed = std::pin::pin!(deposed);
        let prepared = tokio::select! {
            prepared = tokio::time::timeout(limit, prepare) => {
                prepared.map_err(|_| Failed::Slow(limit))??
            }
            failed = &mut deposed => return Err(failed),
            () = &mut *stop => return Ok(()),
        };
        let (led, end) = prepared.start(channels, failed)?;
        let mut run = tokio::spawn(led.run());
        self.leading.elected(true);
        tracing::info!(address = self.told, "leading");
        let over = tokio::select! {
            ended = &mut run => {
                let (ended, store) = ended.map_err(|error| Failed::Store(error.to_string()))?;
                lead::close(store).await;
                return Err(self.finish(Over::Ended(ended), &place).await);
            }
            failed = &mut deposed => Over::Deposed(failed),
            wishes = self.abdicated.recv() => Over::Abdicated(wishes.unwrap_or_default()),
            () = &mut *stop => Over::Told,
        };
        self.leading.elected(false);
        // Fails only when it has ended by itself.
        let _ = end.send(());
        if let Ok((_, store)) = run.await {
            match over {
                // What waits may no longer be written, and this must not wait for it.
                Over::Deposed(_) => drop(store),
                Over::Ended(_) | Over::Abdicated(_) | Over::Told => lead::close(store).await,
            }
        }
        match over {
            Over::Told => Ok(()),
            over => Err(self.finish(over, &place).await),
        }
    }

    /// What remains to be done when leading is over, and how it is told.
    async fn finish(&self, over: Over, place: &Place) -> Failed {
        self.leading.elected(false);
        match over {
            Over::Ended(Ended::Store(why)) => Failed::Store(why),
            Over::Ended(Ended::Refused(why)) if lead::is_removed(&why) => {
                match lead::forget_framework(place.clone()).await {
                    Ok(()) => Failed::Removed(why),
                    Err(error) => {
                        Failed::Store(format!("{why}, and its id cannot be forgotten: {error}"))
                    }
                }
            }
            Over::Ended(Ended::Refused(why)) => Failed::Refused(why),
            Over::Ended(Ended::Told) | Over::Told => Failed::Abdicated,
            Over::Deposed(failed) => failed,
            Over::Abdicated(wishes) => match lead::fulfil(place.clone(), wishes).await {
                Ok(()) => Failed::Abdicated,
                Err(error) => Failed::Store(error),
            },
        }
    }
}

/// Waits until this instance leads; none when it was told to stop before.
async fn elected(
    election: &Election<Participant>,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<u64>, Failed> {
    let mut decision = election.decision();
    let decided =
        decision.wait_for(|decision| matches!(decision, Decision::Lead { .. } | Decision::Stop(_)));
    tokio::select! {
        () = &mut *stop => Ok(None),
        decided = decided => match decided.as_deref() {
            Ok(Decision::Lead { epoch }) => Ok(Some(*epoch)),
            Ok(Decision::Stop(reason)) => Err(Failed::Deposed(reason.to_string())),
            Ok(Decision::Follow(_) | Decision::Wait) | Err(_) => {
                Err(Failed::ZooKeeper("the election has ended".to_owned()))
            }
        },
    }
}

/// Waits until this instance must lead no more; says why.
async fn deposed(election: &Election<Participant>) -> Failed {
    let mut decision: watch::Receiver<Decision<Participant>> = election.decision();
    let candidacy = election.candidacy();
    let over = decision.wait_for(|decision| !matches!(decision, Decision::Lead { .. }));
    let why = match over.await.as_deref() {
        Ok(Decision::Stop(reason)) => reason.to_string(),
        Ok(_) | Err(_) => "the election has ended".to_owned(),
    };
    let expired = matches!(
        *candidacy.borrow(),
        Candidacy::Lost(crate::election::Loss::SessionExpired)
    );
    match expired {
        true => Failed::ZooKeeper(why),
        false => Failed::Deposed(why),
    }
}

/// Backs up what is stored at `place`, or replaces it by a backup, while nobody leads there.
///
/// # Errors
/// When it cannot be read, is in use, or the file is no backup; nothing is changed then.
pub async fn maintain(
    place: &StatePlace,
    backup: Option<PathBuf>,
    restore: Option<PathBuf>,
) -> Result<(), Failed> {
    let (url, session_timeout) = match place {
        StatePlace::Memory => return Ok(()),
        StatePlace::File(dir) => {
            if backup.is_some() && !dir.join(FILE_NAME).exists() {
                return Err(Failed::Store(format!(
                    "there is none in '{}'",
                    dir.display()
                )));
            }
            let settings = Settings {
                place: Place::File(dir.clone()),
                backup,
                restore,
            };
            return lead::once(settings).await.map_err(Failed::from);
        }
        StatePlace::ZooKeeper {
            url,
            session_timeout,
        } => (url, *session_timeout),
    };
    let session = Session::open(url.clone(), session_timeout);
    let election = Election::start(session.clone(), &Participant("maintenance:0".to_owned()));
    let mut decision = election.decision();
    let decided = decision.wait_for(|decision| !matches!(decision, Decision::Wait));
    // While nobody answers, nobody can be waited for either.
    let decided = tokio::time::timeout(session_timeout * 3, decided).await;
    let result = match decided.as_ref().map(|it| it.as_deref()) {
        Ok(Ok(Decision::Lead { epoch })) => {
            let runtime = tokio::runtime::Handle::current();
            let settings = Settings {
                place: Place::ZooKeeper(ZkSettings::new(session, runtime, *epoch)),
                backup,
                restore,
            };
            lead::once(settings).await.map_err(Failed::from)
        }
        Ok(Ok(Decision::Follow(leader))) => Err(Failed::Store(format!(
            "{} leads; end all instances that share this zookeeper first",
            leader.0
        ))),
        _ => Err(Failed::ZooKeeper(format!("{url} does not answer"))),
    };
    drop(decided);
    let _ = tokio::time::timeout(WITHDRAW_TIMEOUT, election.withdraw()).await;
    result
}
