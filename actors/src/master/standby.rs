//! The time before this master leads: it contends, and shows clients the way to the leader.
//! Decides nothing about the election; `crate::election` does.

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;

use tepui_core::master::model::Phase;
use tepui_protocol::v1;
use tokio::sync::watch;

use super::config::MasterConfig;
use super::run::RunError;
use super::{cores, server};
use crate::clock::Clock;
use crate::election::{Decision, Election, Session, ZkUrl};
use crate::http::master::Standby;
use crate::metrics::master::MasterMetrics;

/// A master that was elected.
pub(super) struct Elected {
    pub(super) session: Session,
    pub(super) election: Election,
    /// Rises from leader to leader.
    pub(super) epoch: u64,
}

impl Elected {
    /// Waits until this master must lead no more; says why.
    pub(super) async fn deposed(&self) -> String {
        let mut decision = self.election.decision();
        let over = decision.wait_for(|decision| !matches!(decision, Decision::Lead { .. }));
        match over.await.as_deref() {
            Ok(Decision::Stop(reason)) => reason.to_string(),
            Ok(_) | Err(_) => "the election has ended".to_owned(),
        }
    }
}

/// What a master on standby is made of.
pub(super) struct Waiting<'a> {
    pub(super) config: &'a Arc<MasterConfig>,
    pub(super) info: &'a v1::MasterInfo,
    pub(super) clock: Clock,
    pub(super) metrics: MasterMetrics,
}

impl Waiting<'_> {
    /// Contends and answers as one that does not lead, until elected, or told to stop (none).
    ///
    /// # Errors
    /// When it can neither serve nor contend any more.
    pub(super) async fn until_elected(
        self,
        zk: &ZkUrl,
        listener: &TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Elected>, RunError> {
        let session = Session::open(zk.clone(), self.config.zk_session_timeout);
        let election = Election::start(session.clone(), self.info);
        let mut decision = election.decision();
        let http = server::start_standby(listener.try_clone()?, self.standby(decision.clone()))?;
        tracing::info!(zk = %zk, "waiting to be elected");
        let decided = tokio::select! {
            () = stop => None,
            decided = final_decision(&mut decision) => Some(decided),
        };
        // Clients that are being answered have the answer; others connect again.
        http.stop(decided.is_none()).await;
        match decided {
            None => {
                election.withdraw().await;
                Ok(None)
            }
            Some(Decision::Lead { epoch }) => {
                tracing::info!(epoch, "elected as the leading master");
                Ok(Some(Elected {
                    session,
                    election,
                    epoch,
                }))
            }
            Some(Decision::Stop(reason)) => Err(RunError::Fatal(reason.to_string())),
            Some(Decision::Follow(_) | Decision::Wait) => {
                Err(RunError::Fatal("the election has ended".to_owned()))
            }
        }
    }

    fn standby(self, decision: watch::Receiver<Decision>) -> Standby {
        let now = self.clock.now();
        // It never takes part in anything, so its seed does not matter.
        let core = cores::make(self.config, self.info.clone(), [0; 32], now.wall, now).master;
        let mut snapshot = core.snapshot();
        snapshot.phase = Phase::Standby;
        Standby {
            config: self.config.clone(),
            decision,
            snapshot,
            metrics: self.metrics,
            clock: self.clock,
        }
    }
}

/// The first decision that ends the waiting.
async fn final_decision(decision: &mut watch::Receiver<Decision>) -> Decision {
    let end = decision
        .wait_for(|decision| matches!(decision, Decision::Lead { .. } | Decision::Stop(_)))
        .await;
    // An error means that the election has ended with its runtime.
    end.map_or(Decision::Wait, |decision| decision.clone())
}
