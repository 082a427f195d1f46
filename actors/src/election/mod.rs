//! Elects one leader through ZooKeeper, with the nodes that Apache Mesos and Marathon use.
//! Does not lead: whoever owns the election is told what to do.

pub mod contender;
pub mod contestant;
pub mod decision;
pub mod detector;
pub mod finder;
pub mod latch;
pub mod node;
pub mod session;
pub mod url;

use tepui_protocol::v1;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use contender::{Candidacy, Contender, Loss};
pub use contestant::Contestant;
pub use decision::{Decider, Decision, StopReason};
pub use detector::{Detector, Leader};
pub use finder::{Finder, Masters, MastersError};
pub use node::Sequence;
pub use session::Session;
pub use url::{ZkUrl, ZkUrlError};

/// One process's part in the election: contends, detects, and says what follows from both.
#[derive(Debug)]
pub struct Election<T = v1::MasterInfo> {
    contender: Contender,
    detector: Detector<T>,
    decision: watch::Receiver<Decision<T>>,
    deciding: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Contestant> Election<T> {
    /// Starts on the tokio runtime this is called in; `own` is what others learn about this
    /// process when it leads; of processes that run at once each has its own id.
    #[must_use]
    pub fn start(session: Session, own: &T) -> Election<T> {
        let contender = Contender::start(session.clone(), own);
        let detector = Detector::start(session);
        let (publish, decision) = watch::channel(Decision::Wait);
        let deciding = decide(
            Decider::new(own),
            contender.candidacy(),
            detector.leader(),
            publish,
        );
        Election {
            contender,
            detector,
            decision,
            deciding: AbortOnDrop(tokio::spawn(deciding).abort_handle()),
        }
    }

    /// What this process is to do. A [`Decision::Stop`] is never followed by another decision.
    #[must_use]
    pub fn decision(&self) -> watch::Receiver<Decision<T>> {
        self.decision.clone()
    }

    /// How the own candidacy stands.
    #[must_use]
    pub fn candidacy(&self) -> watch::Receiver<Candidacy> {
        self.contender.candidacy()
    }

    /// Who leads, if that is known; also this process itself.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Leader<T>>> {
        self.detector.leader()
    }

    /// Leaves the election on a clean shutdown, so that another one can lead at once. Takes at
    /// most a session timeout. A leader must not lead any more when it calls this.
    pub async fn withdraw(self) {
        let Election {
            contender,
            deciding,
            ..
        } = self;
        drop(deciding);
        contender.withdraw().await;
    }
}

async fn decide<T: Contestant>(
    mut decider: Decider<T>,
    mut candidacy: watch::Receiver<Candidacy>,
    mut leader: watch::Receiver<Option<Leader<T>>>,
    publish: watch::Sender<Decision<T>>,
) {
    let mut over = false;
    while !over {
        let decision = tokio::select! {
            changed = candidacy.changed() => {
                // Without a contender, or without a detector below, nobody leads.
                over = changed.is_err();
                let news = if over { Candidacy::Withdrawn } else { *candidacy.borrow_and_update() };
                decider.on_candidacy(news)
            }
            changed = leader.changed() => {
                over = changed.is_err();
                let news = if over { None } else { leader.borrow_and_update().clone() };
                decider.on_leader(news)
            }
        };
        publish.send_if_modified(|published| {
            let changes = *published != decision;
            *published = decision;
            changes
        });
    }
}
