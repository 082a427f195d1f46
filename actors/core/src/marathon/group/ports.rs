//! Service ports: which are taken, and which ones an app gets.
//! Host ports are another matter; offers bring them.

use std::sync::Arc;

use imbl::HashMap;
use tepui_protocol::marathon::App;

use crate::marathon::definition::{Rejection, Settings};

/// Bits of all ports.
type Bits = [u64; 1024];

/// The service ports of all apps. Several apps may name the same port.
#[derive(Debug, Clone)]
pub(super) struct ServicePorts {
    uses: HashMap<u16, u32>,
    taken: Arc<Bits>,
}

impl Default for ServicePorts {
    fn default() -> ServicePorts {
        ServicePorts {
            uses: HashMap::new(),
            taken: Arc::new([0; 1024]),
        }
    }
}

impl ServicePorts {
    /// Counts the ports of an app that has become part of the tree.
    pub fn take(&mut self, app: &App) {
        for port in service_ports(app).filter(|port| *port != 0) {
            *self.uses.entry(port).or_insert(0) += 1;
            Arc::make_mut(&mut self.taken)[usize::from(port) / 64] |= 1 << (port % 64);
        }
    }

    /// Counts the ports of an app that is no longer part of the tree.
    pub fn release(&mut self, app: &App) {
        for port in service_ports(app).filter(|port| *port != 0) {
            let left = self
                .uses
                .get(&port)
                .map_or(0, |uses| uses.saturating_sub(1));
            if left > 0 {
                self.uses.insert(port, left);
                continue;
            }
            self.uses.remove(&port);
            Arc::make_mut(&mut self.taken)[usize::from(port) / 64] &= !(1 << (port % 64));
        }
    }

    fn has(&self, port: u16) -> bool {
        self.taken[usize::from(port) / 64] & (1 << (port % 64)) != 0
    }

    /// The lowest port from `from` on, up to `max`, that is free here and in `other`.
    fn free(&self, other: &ServicePorts, from: u16, max: u16) -> Option<u16> {
        let mut port = from;
        while port <= max {
            let word = usize::from(port) / 64;
            let taken = self.taken[word] | other.taken[word];
            if port.is_multiple_of(64) && taken == u64::MAX {
                port = port.checked_add(64)?;
                continue;
            }
            if !self.has(port) && !other.has(port) {
                return Some(port);
            }
            port = port.checked_add(1)?;
        }
        None
    }
}

/// Service ports of an app in the order of its definition, 0 where none is assigned.
pub(crate) fn service_ports(app: &App) -> impl Iterator<Item = u16> {
    let mappings = app
        .container
        .iter()
        .flat_map(|c| c.port_mappings.iter().flatten());
    let definitions = app.port_definitions.iter().flatten();
    let mapped = mappings.map(|mapping| mapping.service_port);
    mapped.chain(definitions.map(|definition| definition.port))
}

fn service_ports_mut(app: &mut App) -> impl Iterator<Item = &mut u16> {
    let mappings = app
        .container
        .iter_mut()
        .flat_map(|c| c.port_mappings.iter_mut().flatten());
    let definitions = app.port_definitions.iter_mut().flatten();
    let mapped = mappings.map(|mapping| &mut mapping.service_port);
    mapped.chain(definitions.map(|definition| &mut definition.port))
}

/// Gives each unassigned service port of `app` a number: one its version before had, else the lowest
/// of the range that no app of the old or the new tree has. 500 when there is none left.
pub(super) fn assign(
    app: &mut App,
    before: Option<&App>,
    (old, new): (&ServicePorts, &ServicePorts),
    settings: &Settings,
) -> Result<(), Rejection> {
    let (min, max) = (settings.local_port_min, settings.local_port_max);
    let named: Vec<u16> = service_ports(app).filter(|port| *port != 0).collect();
    let reusable = |port: &u16| (min..=max).contains(port) && !named.contains(port);
    let kept = before.into_iter().flat_map(service_ports).filter(reusable);
    let mut kept: Vec<u16> = kept.filter(|port| *port != 0).collect();
    kept.reverse();
    let mut next = min.max(1);
    for port in service_ports_mut(app).filter(|port| **port == 0) {
        if let Some(again) = kept.pop() {
            *port = again;
            continue;
        }
        let Some(free) = new.free(old, next, max) else {
            let text = format!("All ports in the range [{min}-{max}) are already in use");
            return Err(Rejection::message(500, text));
        };
        *port = free;
        next = free.saturating_add(1);
    }
    Ok(())
}
