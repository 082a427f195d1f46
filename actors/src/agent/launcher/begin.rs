//! The way of a launch from its sandbox to a program that runs: fetching, the first process, the word
//! on what became of it. Makes no sandbox, and keeps no list; the launcher does.

use std::sync::{Arc, mpsc};

use actix::Addr;
use futures_util::future::BoxFuture;
use tepui_core::agent::messages::Launch;
use tokio::sync::watch;

use super::super::actor::AgentActor;
use super::super::containerizer::isolator::Container as Isolated;
use super::super::containerizer::start::Started;
use super::super::containerizer::{self, Containerizers};
use super::super::fetcher::{Fetcher, Wanted};
use super::{Fetching, Job, Prepared, Spawned};

/// Gets what the container needs, which may take long; other launches go on meanwhile.
pub(super) fn get(
    fetcher: &Fetcher,
    launch: &Launch,
    prepared: &Prepared,
    provision: Option<BoxFuture<'static, Result<(), String>>>,
) -> impl Future<Output = Result<(), String>> + use<> {
    let wanted = Wanted {
        uris: launch.uris.clone(),
        sandbox: launch.directory.clone(),
        user: launch.user.clone(),
        switch: prepared.owner.is_some(),
    };
    let fetcher = fetcher.clone();
    async move {
        if !wanted.uris.is_empty() {
            fetcher.fetch(wanted).await?;
        }
        match provision {
            Some(provision) => provision.await,
            None => Ok(()),
        }
    }
}

/// Hands a launch back to the launcher's thread once all it needs is there.
pub(super) async fn finish(
    getting: impl Future<Output = Result<(), String>>,
    containerizer: Arc<Containerizers>,
    launch: Box<Launch>,
    prepared: Prepared,
    fetching: Fetching,
    actor: Addr<AgentActor>,
) {
    let Fetching { then, mut killed } = fetching;
    let got = tokio::select! {
        got = getting => got,
        // Or nobody is there any more who could kill it.
        _ = killed.wait_for(|is_killed| *is_killed) => {
            Err("it was killed while it was made ready".to_owned())
        }
    };
    if let Err(why) = got {
        containerizer.destroy(&launch.container, None).await;
        return tell(&launch, Err(why), &actor);
    }
    if let Err(mpsc::SendError(job)) = then.send(Job::Start(launch, prepared, actor))
        && let Job::Start(launch, _, actor) = job
    {
        containerizer.destroy(&launch.container, None).await;
        let why = "the launcher's thread has ended".to_owned();
        tell(&launch, Err(why), &actor);
    }
}

/// Starts the container in its sandbox. The actor is told once the container's program runs: a
/// helper may still fail before that, or be killed.
pub(super) fn start(
    launch: &Launch,
    prepared: Prepared,
    containerizer: &Arc<Containerizers>,
    actor: Addr<AgentActor>,
) {
    let Prepared {
        owner,
        output,
        killed,
    } = prepared;
    let is_killed = || *killed.borrow();
    let isolated = containerizer::container(launch, owner);
    let mut started = match containerizer.start(launch, owner, output, &is_killed) {
        Ok(started) => started,
        Err(why) => return tell(launch, Err(why), &actor),
    };
    if !started.has_helper() {
        return tell(launch, Ok(Box::new((started, isolated))), &actor);
    }
    let (containerizer, launch) = (containerizer.clone(), launch.clone());
    tokio::spawn(async move {
        let confirmed = tokio::select! {
            confirmed = started.confirmed() => confirmed,
            // A mount or a program on a disk that does not answer may hold it up for ever.
            () = is_to_be_killed(killed) => Err("Container destroyed during launching".to_owned()),
        };
        match confirmed {
            Ok(()) => tell(&launch, Ok(Box::new((started, isolated))), &actor),
            Err(why) => {
                let pid = Some(started.pid);
                containerizer.destroy(&launch.container, pid).await;
                tell(&launch, Err(why), &actor);
                // Only what its parent owes it.
                let _ = started.child.wait().await;
            }
        }
    });
}

/// Ends when the container is to be killed.
async fn is_to_be_killed(mut killed: watch::Receiver<bool>) {
    if killed.wait_for(|is_killed| *is_killed).await.is_err() {
        std::future::pending().await
    }
}

/// Tells the actor what became of a launch.
pub(super) fn tell(
    launch: &Launch,
    result: Result<Box<(Started, Isolated)>, String>,
    actor: &Addr<AgentActor>,
) {
    let container = launch.container.clone();
    if let Err(error) = &result {
        tracing::warn!(%container, executor = %launch.executor, error, "not launched");
    }
    actor.do_send(Spawned { container, result });
}
