//! The app manager's connection to the master: one subscription after another, events out, calls in.
//! Takes no decision for the framework but when to subscribe again.

mod backoff;
mod line;
mod masters;
mod pipe;
mod queue;
mod run;
mod settings;
mod stream;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use tepui_protocol::v1;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use v1::scheduler::{Call, call, event};

use crate::client;

pub use line::CallError;
pub use masters::{MasterUrl, MasterUrlError};
pub use queue::Counts;
pub use settings::{Credentials, CredentialsError, Limits, Registration, Settings};

use line::{Line, Shared};
use run::Life;

/// The task that a silent master is asked about; there is none of this name.
const PROBE_TASK_ID: &str = "tepui-marathon-heartbeat";

/// What the master says, and what becomes of the connection to it.
#[derive(Debug, Clone, PartialEq)]
pub enum DriverEvent {
    /// The framework is subscribed; offers of earlier subscriptions are void.
    Subscribed {
        /// Its id, new or the one it had.
        framework_id: v1::FrameworkId,
        /// The master, when it tells.
        master: Option<v1::MasterInfo>,
        /// The first time since the driver's start.
        first: bool,
    },
    /// Resources may be used.
    Offers(Vec<v1::Offer>),
    /// Resources are asked back.
    InverseOffers(Vec<v1::InverseOffer>),
    /// An offer is void.
    Rescind(v1::OfferId),
    /// An inverse offer is void.
    RescindInverseOffer(v1::OfferId),
    /// The state of a task.
    Update(Box<v1::TaskStatus>),
    /// The state of an operation.
    UpdateOperationStatus(Box<v1::OperationStatus>),
    /// From an executor.
    Message(event::Message),
    /// An agent was removed, or an executor has ended.
    Failure(event::Failure),
    /// The master will not have this framework; nothing follows.
    Error(String),
    /// The subscription is lost, and another one is sought.
    Disconnected {
        /// What was wrong with it.
        why: String,
    },
}

/// Starts drivers.
#[derive(Debug)]
pub struct Driver;

impl Driver {
    /// Starts one on the tokio runtime this is called in. While `events` is full nothing is read
    /// from the master, which in the end gives up such a framework. It ends with its last handle,
    /// with the receiver of its events, and after [`DriverEvent::Error`]; the framework stays
    /// registered for its failover timeout, unless it was torn down.
    #[must_use]
    pub fn start(settings: Settings, events: mpsc::Sender<DriverEvent>) -> DriverHandle {
        let registration = Arc::new(Mutex::new(settings.registration.clone()));
        let shared = Arc::new(Shared::new(settings.limits.max_calls));
        let life = Life::new(settings, registration.clone(), shared.clone(), events);
        let ended = EndsLine(shared.clone());
        let task = tokio::spawn(async move {
            let _ended = ended;
            life.run().await;
        });
        DriverHandle {
            registration,
            shared,
            task: Arc::new(AbortOnDrop(task.abort_handle())),
        }
    }
}

/// However a driver ends, calls are no longer taken then.
struct EndsLine(Arc<Shared>);

impl Drop for EndsLine {
    fn drop(&mut self) {
        self.0.set(Line::Ended);
    }
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes calls. They are sent in order within the present subscription; those it leaves behind are
/// dropped and counted. Copies belong to the same driver.
#[derive(Debug, Clone)]
pub struct DriverHandle {
    registration: Arc<Mutex<Registration>>,
    shared: Arc<Shared>,
    task: Arc<AbortOnDrop>,
}

impl DriverHandle {
    /// Queues any call but SUBSCRIBE; its framework id is filled in.
    ///
    /// # Errors
    /// When there is no subscription, or too many calls are on their way.
    pub fn call(&self, call: Call) -> Result<(), CallError> {
        self.shared.call(call)
    }

    /// Uses offers of one agent.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn accept(
        &self,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        refuse_seconds: f64,
    ) -> Result<(), CallError> {
        let refuse_seconds = Some(refuse_seconds);
        let accept = call::Accept {
            offer_ids,
            operations,
            filters: Some(v1::Filters { refuse_seconds }),
        };
        self.call(Call {
            accept: Some(accept),
            ..of_type(call::Type::Accept)
        })
    }

    /// Declines offers; their resources are not offered again for `refuse_seconds`.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn decline(
        &self,
        offer_ids: Vec<v1::OfferId>,
        refuse_seconds: f64,
    ) -> Result<(), CallError> {
        // The id is filled in with that of the subscription.
        self.call(client::decline(
            &v1::FrameworkId::default(),
            offer_ids,
            refuse_seconds,
        ))
    }

    /// Asks for the end of a task.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn kill(
        &self,
        task_id: v1::TaskId,
        agent_id: Option<v1::AgentId>,
        kill_policy: Option<v1::KillPolicy>,
    ) -> Result<(), CallError> {
        let kill = call::Kill {
            task_id,
            agent_id,
            kill_policy,
        };
        self.call(Call {
            kill: Some(kill),
            ..of_type(call::Type::Kill)
        })
    }

    /// Acknowledges a status; does nothing for one that asks for no acknowledgement.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn acknowledge(&self, status: &v1::TaskStatus) -> Result<(), CallError> {
        match client::acknowledge(&v1::FrameworkId::default(), status) {
            Some(call) => self.call(call),
            None => Ok(()),
        }
    }

    /// Asks what the master knows of tasks; of all tasks when none is named.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn reconcile(&self, tasks: Vec<call::reconcile::Task>) -> Result<(), CallError> {
        self.call(Call {
            reconcile: Some(call::Reconcile { tasks }),
            ..of_type(call::Type::Reconcile)
        })
    }

    /// Asks for offers again, in spite of filters; for all roles when none is named.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn revive(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.call(Call {
            revive: Some(call::Revive { roles }),
            ..of_type(call::Type::Revive)
        })
    }

    /// Asks for no more offers; for all roles when none is named.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn suppress(&self, roles: Vec<String>) -> Result<(), CallError> {
        self.call(Call {
            suppress: Some(call::Suppress { roles }),
            ..of_type(call::Type::Suppress)
        })
    }

    /// Sends bytes to an executor; they may get lost on the way.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn message(
        &self,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: Vec<u8>,
    ) -> Result<(), CallError> {
        let message = call::Message {
            agent_id,
            executor_id,
            data,
        };
        self.call(Call {
            message: Some(message),
            ..of_type(call::Type::Message)
        })
    }

    /// Ends the framework and all its tasks. The master then ends the subscription, perhaps before
    /// its answer is read, so that this call may count as unconfirmed.
    ///
    /// # Errors
    /// As [`DriverHandle::call`].
    pub fn teardown(&self) -> Result<(), CallError> {
        self.call(of_type(call::Type::Teardown))
    }

    /// Changes what the framework says of itself, now and at every further subscription; it keeps
    /// its id.
    ///
    /// # Errors
    /// As [`DriverHandle::call`]; the next subscription is made with the change all the same.
    pub fn update_framework(&self, mut next: Registration) -> Result<(), CallError> {
        {
            let registration = self.registration.lock();
            let mut registration = registration.unwrap_or_else(PoisonError::into_inner);
            next.framework_info.id = registration.framework_info.id.clone();
            *registration = next.clone();
        }
        let update = call::UpdateFramework {
            framework_info: next.framework_info,
            suppressed_roles: next.suppressed_roles,
            offer_constraints: next.offer_constraints,
        };
        self.call(Call {
            update_framework: Some(update),
            ..of_type(call::Type::UpdateFramework)
        })
    }

    /// What has become of calls and subscriptions so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// Waits until every call made so far is answered or given up. Calls made meanwhile may find
    /// the queue full.
    pub async fn settled(&self) {
        let all = u32::try_from(self.shared.max_calls).unwrap_or(u32::MAX);
        // The places are never closed, so that there is nothing but to get them all.
        let _all = self.shared.places.acquire_many(all).await;
    }

    /// Ends the driver at once, without a teardown.
    pub fn stop(&self) {
        self.task.0.abort();
        self.shared.set(Line::Ended);
    }
}

fn of_type(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind.into()),
        ..Default::default()
    }
}
