//! Where the framework behind `tepui run` is subscribed, and how it gets there again.
//! Reads no events.

use std::time::Duration;

use tepui_actors::client::{ClientError, MediaType, Subscription, Target};
use tepui_protocol::v1;
use v1::scheduler::call::Subscribe;

use super::Failure;

/// Time to wait for a master to lead, where masters are elected.
const LEADER_LIMIT: Duration = Duration::from_secs(30);

/// Time in which a lost master must be back, or another one lead.
const RETURN_LIMIT: Duration = Duration::from_secs(120);

/// Time between two attempts.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The masters, and the framework as they know it.
pub(super) struct Place {
    masters: String,
    info: v1::FrameworkInfo,
}

impl Place {
    pub(super) fn new(masters: String, info: v1::FrameworkInfo) -> Place {
        Place { masters, info }
    }

    /// The framework's id; empty before it has subscribed.
    pub(super) fn framework_id(&self) -> v1::FrameworkId {
        self.info.id.clone().unwrap_or_default()
    }

    /// Subscribes at the master that leads, for the first time or with the id it has.
    pub(super) async fn subscribe(&mut self) -> Result<Subscription, Failure> {
        let target = Target::find(&self.masters, LEADER_LIMIT).await?;
        let subscribed = self.try_at(&target).await;
        subscribed.map_err(|error| explain(&target, error))
    }

    async fn try_at(&mut self, target: &Target) -> Result<Subscription, ClientError> {
        let subscribe = Subscribe {
            framework_info: self.info.clone(),
            ..Default::default()
        };
        let (subscription, subscribed) =
            Subscription::open(target, MediaType::Protobuf, subscribe).await?;
        eprintln!(
            "tepui: framework {} is subscribed at {}",
            subscribed.framework_id.value,
            subscription.caller().target(),
        );
        self.info.id = Some(subscribed.framework_id);
        Ok(subscription)
    }

    /// Subscribes again after the master was lost: at the same one when it is back, or at the one
    /// that leads next. Tries for a while; a refusal is final.
    pub(super) async fn subscribe_again(&mut self) -> Result<Subscription, Failure> {
        let mut last = None;
        let again = tokio::time::timeout(RETURN_LIMIT, self.try_until_done(&mut last)).await;
        again.unwrap_or_else(|_| {
            let why = last.map(|error| format!(": {error}")).unwrap_or_default();
            Err(Failure(format!(
                "the master is lost, and there was none for {} s{why}",
                RETURN_LIMIT.as_secs()
            )))
        })
    }

    async fn try_until_done(
        &mut self,
        last: &mut Option<ClientError>,
    ) -> Result<Subscription, Failure> {
        loop {
            let error = match Target::find(&self.masters, LEADER_LIMIT).await {
                Err(error) => error,
                Ok(target) => match self.try_at(&target).await {
                    Ok(subscription) => return Ok(subscription),
                    // 503 is said by a master that does not lead, or not yet.
                    Err(ClientError::Refused { status, text }) if status != 503 => {
                        return Err(explain(&target, ClientError::Refused { status, text }));
                    }
                    Err(error) => error,
                },
            };
            *last = Some(error);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Tells what to do when a master cannot be had.
fn explain(target: &Target, error: ClientError) -> Failure {
    match error {
        ClientError::Unreachable { why, .. } => Failure(format!(
            "cannot reach a master at {target} ({why}); start a cluster with `tepui local`, or name \
             another master with --master or TEPUI_MASTER"
        )),
        ClientError::Refused { status, text } => Failure(format!(
            "the master at {target} refuses the framework ({status}): {text}"
        )),
        other => Failure(format!("cannot subscribe at {target}: {other}")),
    }
}
