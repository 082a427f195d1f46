//! /v2/deployments: those under way, and how to cancel them.
//! Carries none out.

use actix_web::http::StatusCode;
use serde::Serialize;
use tepui_core::marathon::deployment::{CurrentAction, DeploymentListing, affected_apps};
use tepui_core::marathon::manager::Request;
use tepui_protocol::marathon::{DeploymentStep, PathId, Timestamp};

use super::change::Said;
use super::{Answered, Call, answers};

/// A deployment as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deployment<'a> {
    id: &'a str,
    version: Timestamp,
    affected_apps: Vec<PathId>,
    affected_pods: Vec<PathId>,
    steps: &'a [DeploymentStep],
    current_actions: &'a [CurrentAction],
    current_step: usize,
    total_steps: usize,
}

impl<'a> Deployment<'a> {
    fn of(listing: &'a DeploymentListing) -> Deployment<'a> {
        let plan = &listing.stored.plan;
        let actions = plan.steps.iter().flat_map(|step| &step.actions);
        let mut pods: Vec<PathId> = actions.filter_map(|action| action.pod.clone()).collect();
        pods.sort_unstable();
        pods.dedup();
        Deployment {
            id: &plan.id,
            version: plan.version,
            affected_apps: affected_apps(&plan.steps).into_iter().collect(),
            affected_pods: pods,
            steps: &plan.steps,
            current_actions: &listing.current_actions,
            current_step: listing.current_step,
            total_steps: plan.steps.len(),
        }
    }
}

/// Routes of /v2/deployments.
pub(super) async fn route(call: &Call<'_>, rest: &[&str]) -> Answered {
    match (rest, call.method()) {
        ([], "GET") => {
            let snapshot = call.snapshot();
            let write = move |body: &mut _| {
                let all: Vec<_> = snapshot.deployments.iter().map(Deployment::of).collect();
                serde_json::to_writer::<&mut crate::http::pieces::PieceWriter, _>(body, &all)
            };
            answers::long(write).await
        }
        ([id], "DELETE") => {
            let request = Request::CancelDeployment {
                id: (*id).to_owned(),
                force: call.is_forced(),
            };
            call.ask(request, Said::Nothing(StatusCode::ACCEPTED)).await
        }
        ([] | [_], _) => Err(answers::not_allowed()),
        _ => Err(answers::no_uri()),
    }
}
