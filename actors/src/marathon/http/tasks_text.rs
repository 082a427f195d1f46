//! Lists of tasks as text, for load balancers of old: a line per service port.
//! Deprecated since Marathon 1.10, and given only where a feature flag asks for it.

use std::collections::BTreeSet;
use std::io::Write;

use tepui_core::marathon::instance::{Condition, Instance};
use tepui_core::marathon::manager::Snapshot;
use tepui_protocol::marathon::{App, PathId, PortMapping};

use super::answers::Written;
use super::query::Query;
use super::{Call, headers};
use crate::http::json::JSON;

/// Its content type.
pub(super) const TEXT: &str = "text/plain;charset=utf-8";

/// Whether a client gets text: only where the feature is on, and only who names it before JSON, as
/// many clients name everything that they can read.
pub(super) fn is_wanted(call: &Call<'_>) -> bool {
    call.face.info.text_plain_tasks && headers::prefers(call.request, "text/plain", JSON)
}

/// Container networks whose addresses are shown.
pub(super) struct Networks {
    all: bool,
    names: BTreeSet<String>,
}

impl Networks {
    /// As `containerNetworks` says: names with commas between them, or `*`.
    pub(super) fn of(query: &Query) -> Networks {
        let text = query.get("containerNetworks").unwrap_or_default();
        let names: BTreeSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        Networks {
            all: names.contains("*"),
            names,
        }
    }

    fn shows(&self, app: &App, mapping: &PortMapping) -> bool {
        let own = mapping.network_names.iter();
        let of_app = app
            .networks
            .iter()
            .filter_map(|network| network.name.as_ref());
        let mut named = own.chain(of_app.filter(|_| mapping.network_names.is_empty()));
        self.all || named.any(|name| self.names.contains(name))
    }
}

/// Writes the tasks of one app, or of all.
pub(super) fn write(
    snapshot: &Snapshot,
    only: Option<&PathId>,
    networks: &Networks,
    body: &mut impl Write,
) -> Written {
    let mut text = String::new();
    for app in snapshot.root.apps() {
        if only.is_none_or(|only| app.id == *only) {
            text.clear();
            lines(snapshot, app, networks, &mut text);
            body.write_all(text.as_bytes())
                .map_err(serde_json::Error::io)?;
        }
    }
    Ok(())
}

fn lines(snapshot: &Snapshot, app: &App, networks: &Networks, text: &mut String) {
    let view = snapshot.apps.get(&app.id).into_iter();
    let instances = view.flat_map(|view| view.instances.values());
    let running: Vec<_> = instances
        .filter(|instance| instance.condition == Condition::Running)
        .collect();
    let name = app.id.safe();
    let ports: Vec<u16> = super::tasks::service_ports(app).collect();
    if ports.is_empty() {
        text.push_str(&format!("{name}\t \t"));
        for instance in running {
            text.push_str(&format!("{}\t", instance.place.host));
        }
        text.push('\n');
        return;
    }
    for (place, port) in ports.iter().enumerate() {
        text.push_str(&format!("{name}\t{port}\t"));
        for instance in &running {
            if let Some(address) = address(app, instance, place, networks) {
                text.push_str(&format!("{address}\t"));
            }
        }
        text.push('\n');
    }
}

/// Where the `place`th port of an instance is reached.
fn address(app: &App, instance: &Instance, place: usize, networks: &Networks) -> Option<String> {
    let container = app.container.as_ref();
    let mappings = container.and_then(|container| container.port_mappings.as_deref());
    let mappings = mappings.unwrap_or_default();
    let host_port = |place: usize| {
        let port = instance.host_ports.get(place)?;
        Some(format!("{}:{port}", instance.place.host))
    };
    match mappings.get(place) {
        // Ports of the host come in the order of those that are mapped to one.
        Some(mapping) if mapping.host_port.is_some() => {
            let before = mappings[..place].iter();
            host_port(before.filter(|mapping| mapping.host_port.is_some()).count())
        }
        Some(mapping) if networks.shows(app, mapping) => {
            let address = instance.ip_addresses.first()?;
            Some(format!("{}:{}", address.ip_address, mapping.container_port))
        }
        Some(_) => None,
        None => host_port(place),
    }
}
