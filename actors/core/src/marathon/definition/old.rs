//! Checks of old members of an app body: which may not stand together, which must be empty.
//! Rewrites nothing.

use tepui_protocol::marathon::ContainerType;

use super::body::AppBody;
use super::rejection::Findings;

/// Notes what is wrong with the old members of a body.
pub(crate) fn check_old_members(body: &AppBody, findings: &mut Findings) {
    check_ports(body, findings);
    check_networks(body, findings);
    let both = filled(&body.uris) && filled(&body.fetch);
    findings.check(!both, "/uris", "may not be set in conjunction with fetch");
    check_docker(body, findings);
}

fn filled<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn check_ports(body: &AppBody, findings: &mut Findings) {
    let Some(ports) = &body.ports else {
        return;
    };
    if let Some(definitions) = &body.port_definitions {
        let same = definitions.iter().map(|d| d.port).eq(ports.iter().copied());
        let text = "cannot specify both ports and port definitions";
        findings.check(same, "", text);
    }
    let mut named: Vec<u16> = ports.iter().copied().filter(|port| *port != 0).collect();
    let count = named.len();
    named.sort_unstable();
    named.dedup();
    findings.check(named.len() == count, "", "ports must be unique");
    let both = body.ip_address.is_some() && !ports.is_empty();
    findings.check(!both, "", "must not specify both ports and ipAddress");
}

fn check_networks(body: &AppBody, findings: &mut Findings) {
    let networks = filled(&body.networks);
    let ip_address = body.ip_address.is_some();
    let text = "must not specify both networks and ipAddress";
    findings.check(!(networks && ip_address), "", text);
    let docker = body.container.as_ref().and_then(|c| c.docker.as_ref());
    let docker_network = docker.is_some_and(|docker| docker.network.is_some());
    let text = "must not specify both container.docker.network and networks";
    findings.check(!(networks && docker_network), "", text);
    let discovery = body
        .ip_address
        .as_ref()
        .is_some_and(|ip| !ip.discovery_ports.is_empty());
    let kind = body.container.as_ref().map(|container| container.kind);
    findings.check(
        !(discovery && kind == Some(ContainerType::Docker)),
        "/ipAddress/discovery",
        "only applies to MESOS containers",
    );
}

fn check_docker(body: &AppBody, findings: &mut Findings) {
    let Some(container) = &body.container else {
        return;
    };
    let Some(docker) = &container.docker else {
        return;
    };
    let empty = "must be empty";
    findings.check(!docker.credential, "/container/docker/credential", empty);
    if container.kind != ContainerType::Mesos {
        return;
    }
    findings.check(docker.network.is_none(), "/container/docker/network", empty);
    let parameters = docker.docker.parameters.is_empty();
    findings.check(parameters, "/container/docker/parameters", empty);
    let mappings = docker.port_mappings.as_ref().is_none_or(Vec::is_empty);
    findings.check(mappings, "/container/docker/portMappings", empty);
}
