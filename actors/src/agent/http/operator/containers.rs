//! The calls about containers in others, and about those that stand alone.
//! What they mean is decided by the core.
//!
//! Mesos: the handlers of LAUNCH_NESTED_CONTAINER, LAUNCH_CONTAINER and their like in `Http`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use nix::sys::signal::Signal;
use tepui_core::agent::messages::{Answer, ConnectionId, ContainerCall, Input};
use tepui_core::ids::ContainerId;
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::v1;
use tepui_protocol::v1::agent::call::{LaunchContainer, Type};
use tepui_protocol::v1::agent::response::{Type as Answered, WaitContainer, WaitNestedContainer};
use tepui_protocol::v1::agent::{Call, Response};
use tokio::sync::oneshot;

use super::super::super::actor::{CallOfContainer, Tell};
use super::{Shared, ended, typed, written};
use crate::http::text;

/// The call as the core takes it; none if it is about no container.
pub(super) fn read(kind: Type, call: Call) -> Option<ContainerCall> {
    let chain = |id: &v1::ContainerId| ContainerId::of_chain(id);
    Some(match kind {
        Type::LaunchNestedContainer => {
            let launch = call.launch_nested_container?;
            ContainerCall::Launch(LaunchContainer {
                container_id: launch.container_id,
                command: launch.command,
                container: launch.container,
                ..LaunchContainer::default()
            })
        }
        Type::LaunchContainer => ContainerCall::Launch(call.launch_container?),
        Type::WaitNestedContainer => {
            ContainerCall::Wait(chain(&call.wait_nested_container?.container_id))
        }
        Type::WaitContainer => ContainerCall::Wait(chain(&call.wait_container?.container_id)),
        Type::KillNestedContainer => {
            let kill = call.kill_nested_container?;
            ContainerCall::Kill(chain(&kill.container_id), signal(kill.signal))
        }
        Type::KillContainer => {
            let kill = call.kill_container?;
            ContainerCall::Kill(chain(&kill.container_id), signal(kill.signal))
        }
        Type::RemoveNestedContainer => {
            ContainerCall::Remove(chain(&call.remove_nested_container?.container_id))
        }
        Type::RemoveContainer => ContainerCall::Remove(chain(&call.remove_container?.container_id)),
        _ => return None,
    })
}

fn signal(asked: Option<i32>) -> i32 {
    asked.unwrap_or(Signal::SIGKILL as i32)
}

/// Asks the agent, and answers when it does, which may take as long as a container runs.
pub(super) async fn ask(
    kind: Type,
    call: ContainerCall,
    media: MediaType,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    let connection = shared.next_connection();
    let (reply, answer) = oneshot::channel();
    let message = CallOfContainer {
        call: Box::new(call),
        connection,
        reply,
    };
    shared.actor.send(message).await.map_err(|_| ended())?;
    let mut caller = Caller {
        actor: &shared.actor,
        waits: true,
        connection,
    };
    let answer = answer.await;
    caller.waits = false;
    Ok(match answer.map_err(|_| ended())? {
        Answer::Done | Answer::Stream => HttpResponse::Ok().finish(),
        Answer::Accepted => HttpResponse::Accepted().finish(),
        Answer::Ended(how) => written(media, media::encode(media, &told(kind, *how))),
        Answer::Refused(status, why) => {
            let status = StatusCode::from_u16(status);
            return Err(text(
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                why,
            ));
        }
    })
}

/// Who waits for an answer; when it is dropped before, the caller has left.
struct Caller<'a> {
    actor: &'a actix::Addr<super::super::super::actor::AgentActor>,
    waits: bool,
    connection: ConnectionId,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.waits {
            let connection = self.connection;
            self.actor
                .do_send(Tell(Input::ConnectionClosed { connection }));
        }
    }
}

/// The answer has the shape of the call.
fn told(kind: Type, how: WaitContainer) -> Response {
    match kind {
        Type::WaitNestedContainer => Response {
            wait_nested_container: Some(WaitNestedContainer {
                exit_status: how.exit_status,
                state: how.state,
                reason: how.reason,
                limitation: how.limitation,
                message: how.message,
            }),
            ..typed(Answered::WaitNestedContainer)
        },
        _ => Response {
            wait_container: Some(how),
            ..typed(Answered::WaitContainer)
        },
    }
}
