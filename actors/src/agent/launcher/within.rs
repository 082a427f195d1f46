//! The end of containers that have others in them: those end first.
//! Keeps no list; the launcher does.

use std::cell::RefCell;
use std::collections::HashMap;

use actix::Addr;
use futures_util::FutureExt;
use tepui_core::agent::messages::Input;
use tepui_core::ids::ContainerId;
use tokio::sync::Notify;

use super::super::actor::{AgentActor, Tell};
use super::super::containerizer::Containerizers;
use super::super::containerizer::isolator::Container as Isolated;
use super::Container;

/// Ends all that is in a container, and waits until nothing is left of it.
pub(super) async fn end(
    container: &ContainerId,
    containers: &RefCell<HashMap<ContainerId, Container>>,
    containerizer: &Containerizers,
    gone: &Notify,
) {
    loop {
        let next = gone.notified();
        let mut is_empty = true;
        for (id, inner) in containers.borrow_mut().iter_mut() {
            if !id.is_within(container) {
                continue;
            }
            is_empty = false;
            match inner {
                Container::Starting { killed } => {
                    killed.send_replace(true);
                }
                Container::Running { pid, .. } => containerizer.kill(id, *pid),
                Container::Ending => {}
            }
        }
        if is_empty {
            return;
        }
        next.await;
    }
}

/// A container may end by the very limit that it meets, before anybody has told of that.
pub(super) fn say_last_limitation(
    isolated: &Isolated,
    containerizer: &Containerizers,
    actor: &Addr<AgentActor>,
) {
    let told = containerizer.watches(isolated).into_iter();
    for limitation in told.filter_map(FutureExt::now_or_never) {
        let container = isolated.id.clone();
        actor.do_send(Tell(Input::Limited {
            container,
            limitation,
        }));
    }
}
