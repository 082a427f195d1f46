//! The end of containers that have others in them: those end first.
//! Keeps no list; the launcher does.

use std::cell::RefCell;
use std::collections::BTreeMap;

use actix::Addr;
use futures_util::FutureExt;
use tepui_core::agent::messages::Input;
use tepui_core::ids::ContainerId;
use tokio::sync::Notify;

use super::super::actor::{AgentActor, Tell};
use super::super::containerizer::Containerizers;
use super::super::containerizer::isolator::Container as Isolated;
use super::Container;

/// Ends all that is in a container, and waits until nothing is left of it. Looks at nothing else:
/// an end costs the same however many other containers there are.
pub(super) async fn end(
    container: &ContainerId,
    containers: &RefCell<BTreeMap<ContainerId, Container>>,
    containerizer: &Containerizers,
    gone: &Notify,
) {
    loop {
        let next = gone.notified();
        if kill(container, &mut containers.borrow_mut(), containerizer) {
            return;
        }
        next.await;
    }
}

/// Kills all that is in a container; tells whether nothing is.
fn kill(
    container: &ContainerId,
    containers: &mut BTreeMap<ContainerId, Container>,
    containerizer: &Containerizers,
) -> bool {
    let mut is_empty = true;
    let from_there = containers.range_mut::<ContainerId, _>(container..);
    let near = from_there.take_while(|(id, _)| id.as_str().starts_with(container.as_str()));
    for (id, inner) in near.filter(|(id, _)| id.is_within(container)) {
        is_empty = false;
        match inner {
            Container::Starting { killed } => {
                killed.send_replace(true);
            }
            Container::Running { pid, .. } => containerizer.kill(id, *pid),
            Container::Ending => {}
        }
    }
    is_empty
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
