//! Threads that write long answers: whoever launches tasks or asks something small comes first.
//! Decides nothing about what is written.

use std::sync::OnceLock;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, spawn_blocking};

/// How far the threads stand back when processors are scarce: they get about a tenth of what a
/// usual thread gets. Reading a large state does not slow launches down that way.
const NICENESS: i32 = 10;

/// Does `work` on one of these threads, of which there are as many as processors.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    match THREADS.get_or_init(start) {
        Some(threads) => threads.spawn_blocking(work),
        None => spawn_blocking(work),
    }
}

fn start() -> Option<Runtime> {
    let count = available_parallelism().map_or(1, usize::from);
    let built = Builder::new_current_thread()
        .max_blocking_threads(count)
        .thread_name("writer")
        .on_thread_start(stand_back)
        .build();
    match built {
        Ok(threads) => Some(threads),
        Err(error) => {
            tracing::warn!(%error, "long answers are written without threads of their own");
            None
        }
    }
}

/// On Linux this is about the calling thread only.
fn stand_back() {
    let own = rustix::process::getpriority_process(None);
    let niceness = own.unwrap_or_default().max(NICENESS);
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "a thread for long answers keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_threads_for_long_answers_stand_back() {
        let priority = || rustix::process::getpriority_process(None).expect("a priority");
        let own = priority();
        assert_eq!(spawn(priority).await.expect("a thread"), own.max(NICENESS));
        assert_eq!(priority(), own);
        let usual = spawn_blocking(priority).await.expect("a thread");
        assert_eq!(usual, own);
    }
}
