//! Asks the manager for changes and writes what it answers.
//! Knows no paths.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use serde::Serialize;
use tepui_core::marathon::definition::Rejection;
use tepui_core::marathon::manager::{Answer, Caller, DryRun, Placement, Request};
use tepui_protocol::marathon::{DeploymentStep, PathId, Timestamp};

use super::app_info::Shown;
use super::tasks::killed;
use super::{Answered, Call, answers};

#[derive(Serialize)]
struct Steps<'a> {
    steps: &'a [DeploymentStep],
    /// Where instances would go. Not in Marathon.
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<Placement>,
}

/// Also the version that belongs to it, as Marathon answers most changes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentResult<'a> {
    deployment_id: &'a str,
    version: Timestamp,
}

/// What is said when a change is done and no deployment tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// There always is a deployment.
    Deployment,
    /// Nothing, with this status.
    Nothing(StatusCode),
    /// The tasks that are being killed.
    Tasks,
    /// The task that is being killed.
    Task,
}

impl Call<'_> {
    /// Who asks, as events tell.
    pub(super) fn caller(&self) -> Caller {
        let peer = self.request.peer_addr();
        Caller {
            client_ip: peer.map_or_else(String::new, |peer| peer.ip().to_string()),
            uri: self.request.path().to_owned(),
        }
    }

    /// Asks for a change, or with `?dryRun=true` for its plan; with `&placement=false` without where
    /// instances would go.
    pub(super) async fn ask(&self, request: Request, said: Said) -> Answered {
        let request = match self.is_dry() {
            true if self.has_no_plan(&request)? => return no_steps(),
            true => Request::DryRun {
                request: Box::new(request),
                places: self.query.flag("placement", true),
            },
            false => request,
        };
        match self.face.handle.ask(request).await {
            Ok(answer) => self.answer(answer, said).await,
            Err(unavailable) => {
                let text = unavailable.to_string();
                Err(answers::message(StatusCode::SERVICE_UNAVAILABLE, text))
            }
        }
    }

    /// Whether a change would start no deployment; whether there is what it is about is checked.
    fn has_no_plan(&self, request: &Request) -> Result<bool, HttpResponse> {
        let snapshot = self.snapshot();
        let missing = |text: String| Err(answers::detailed(StatusCode::NOT_FOUND, text));
        match request {
            Request::KillTasks { scale: false, .. } => Ok(true),
            Request::CancelDeployment { id, force: true } => {
                let mut deployments = snapshot.deployments.iter();
                match deployments.any(|listing| listing.stored.plan.id == *id) {
                    true => Ok(true),
                    false => missing(format!("DeploymentPlan {id} does not exist")),
                }
            }
            Request::ResetDelay { id } => {
                match snapshot.queue.iter().any(|item| item.app.id == *id) {
                    true => Ok(true),
                    false => missing(format!("Application {id} not found in tasks queue.")),
                }
            }
            _ => Ok(false),
        }
    }

    async fn answer(&self, answer: Answer, said: Said) -> Answered {
        match answer {
            Answer::Created { app, deployment } => {
                let mut body = Vec::new();
                if Shown::write_created(&app, &deployment, &mut body).is_err() {
                    return Err(answers::refuse(&Rejection::message(
                        500,
                        "the app cannot be shown",
                    )));
                }
                let mut answer = answers::bytes(StatusCode::CREATED, body);
                self.put_location(&mut answer, &app.id);
                put_deployment(&mut answer, &deployment);
                Ok(answer)
            }
            Answer::Deployment {
                id,
                version,
                created,
            } => {
                let status = match created {
                    Some(_) => StatusCode::CREATED,
                    None => StatusCode::OK,
                };
                let deployment_id = &id;
                let result = DeploymentResult {
                    deployment_id,
                    version,
                };
                let mut answer = answers::json(status, &result);
                if let Some(created) = created {
                    self.put_location(&mut answer, &created);
                }
                put_deployment(&mut answer, &id);
                Ok(answer)
            }
            Answer::Plan(run) => self.tell_plan(*run).await,
            Answer::Killed(instances) => killed(self, &instances, said == Said::Task),
            Answer::Done => Ok(HttpResponse::build(match said {
                Said::Nothing(status) => status,
                Said::Deployment | Said::Tasks | Said::Task => StatusCode::OK,
            })
            .finish()),
            Answer::Refused(rejection) => Err(answers::refuse(&rejection)),
        }
    }

    /// Instances are placed on another thread: there may be thousands of them, and of offers.
    async fn tell_plan(&self, run: DryRun) -> Answered {
        let now = self.face.clock.now();
        let placement = match run.placing {
            None => None,
            Some(placing) => {
                let placed = actix_web::web::block(move || placing.place(now)).await;
                Some(placed.map_err(|error| {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    answers::message(
                        status,
                        format!("cannot tell where instances would go: {error}"),
                    )
                })?)
            }
        };
        answers::ok(&Steps {
            steps: &run.plan.steps,
            placement,
        })
    }

    /// Marathon names what was made by its id, which the server makes a URL of its own.
    fn put_location(&self, answer: &mut HttpResponse, id: &PathId) {
        let base = self.request.connection_info();
        let url = format!("{}://{}{id}", base.scheme(), base.host());
        let value = HeaderValue::from_str(&url).or_else(|_| HeaderValue::from_str(id.as_str()));
        if let Ok(value) = value {
            answer.headers_mut().insert(LOCATION, value);
        }
    }
}

fn put_deployment(answer: &mut HttpResponse, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        let name = HeaderName::from_static("marathon-deployment-id");
        answer.headers_mut().insert(name, value);
    }
}

/// The plan of what starts no deployment.
pub(super) fn no_steps() -> Answered {
    answers::ok(&Steps {
        steps: &[],
        placement: None,
    })
}
