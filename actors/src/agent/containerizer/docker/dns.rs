//! Who tells containers the addresses of names, where their tasks say nothing: the flag
//! `default_container_dns`. Asks nobody for a name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tepui_protocol::v1::container_info::DockerInfo;
use tepui_protocol::v1::container_info::docker_info::Network;

use super::create::set;

/// Parameters by which a task says it itself.
const OWN: &[&str] = &["dns", "dns-search", "dns-opt", "dns-option"];

/// What is said for one kind of network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dns {
    #[serde(default)]
    nameservers: Vec<String>,
    #[serde(default)]
    search: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    network_mode: Option<String>,
    network_name: Option<String>,
    dns: Dns,
}

/// (Mesos: `ContainerDNSInfo`.)
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    mesos: Vec<Value>,
    #[serde(default)]
    docker: Vec<Entry>,
}

/// What is said for each network of the Docker Engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerDns {
    bridge: Option<Dns>,
    /// For user-defined networks that are not named.
    others: Option<Dns>,
    /// For user-defined networks, by their names.
    named: BTreeMap<String, Dns>,
}

impl ContainerDns {
    /// Reads the flag.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !written.mesos.is_empty() {
            return Err("'mesos' is for CNI networks, which are not supported yet".to_owned());
        }
        let mut all = ContainerDns::default();
        for entry in written.docker {
            let place = match (entry.network_mode.as_deref(), entry.network_name) {
                (Some("BRIDGE"), _) => &mut all.bridge,
                (Some("USER"), None) => &mut all.others,
                (Some("USER"), Some(name)) => {
                    if all.named.insert(name.clone(), entry.dns).is_some() {
                        return Err(format!("the network '{name}' is there twice"));
                    }
                    continue;
                }
                (mode, _) => {
                    let mode = mode.unwrap_or("UNKNOWN");
                    return Err(format!("'network_mode' is {mode}, expected BRIDGE or USER"));
                }
            };
            if place.replace(entry.dns).is_some() {
                let why = "one 'network_mode' is there twice without a 'network_name'";
                return Err(why.to_owned());
            }
        }
        Ok(all)
    }

    /// Writes into an order what holds for its network, unless the task says it itself. (Mesos:
    /// `Docker::RunOptions::create`.)
    pub(super) fn apply(&self, order: &mut Value, docker: &DockerInfo, network: &str) {
        let mut parameters = docker.parameters.iter();
        if parameters.any(|parameter| OWN.contains(&parameter.key.as_str())) {
            return;
        }
        let found = match docker.network() {
            Network::Bridge => self.bridge.as_ref(),
            Network::User => self.named.get(network).or(self.others.as_ref()),
            Network::Host | Network::None => None,
        };
        let Some(dns) = found else { return };
        for (place, said) in [
            ("/HostConfig/Dns", &dns.nameservers),
            ("/HostConfig/DnsSearch", &dns.search),
            ("/HostConfig/DnsOptions", &dns.options),
        ] {
            if !said.is_empty() {
                set(order, place, json!(said));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tepui_protocol::v1::Parameter;

    const TEXT: &str = r#"{"docker": [
        {"network_mode": "BRIDGE", "dns": {"nameservers": ["1.1.1.1"], "search": ["a.b"]}},
        {"network_mode": "USER", "dns": {"nameservers": ["2.2.2.2"]}},
        {"network_mode": "USER", "network_name": "own", "dns": {"options": ["ndots:2"]}}
    ]}"#;

    fn applied(network: Network, name: &str, parameter: Option<&str>) -> Value {
        let docker = DockerInfo {
            network: Some(network as i32),
            parameters: parameter
                .map(|key| Parameter {
                    key: key.to_owned(),
                    value: "x".to_owned(),
                })
                .into_iter()
                .collect(),
            ..DockerInfo::default()
        };
        let mut order = json!({});
        ContainerDns::read(TEXT)
            .unwrap()
            .apply(&mut order, &docker, name);
        order
    }

    #[test]
    fn each_network_has_its_own() {
        assert_eq!(
            applied(Network::Bridge, "bridge", None),
            json!({"HostConfig": {"Dns": ["1.1.1.1"], "DnsSearch": ["a.b"]}})
        );
        assert_eq!(
            applied(Network::User, "own", None),
            json!({"HostConfig": {"DnsOptions": ["ndots:2"]}})
        );
        assert_eq!(
            applied(Network::User, "other", None),
            json!({"HostConfig": {"Dns": ["2.2.2.2"]}})
        );
        assert_eq!(applied(Network::Host, "host", None), json!({}));
        assert_eq!(applied(Network::None, "none", None), json!({}));
        for key in OWN {
            assert_eq!(applied(Network::Bridge, "bridge", Some(key)), json!({}));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let entry = |text: &str| format!("{{\"docker\": [{text}]}}");
        let twice = r#"{"network_mode": "BRIDGE", "dns": {}}"#;
        let named = r#"{"network_mode": "USER", "network_name": "n", "dns": {}}"#;
        for (text, words) in [
            (r#"{"mesos": [{}]}"#.to_owned(), "CNI networks"),
            (entry(r#"{"network_mode": "HOST", "dns": {}}"#), "is HOST"),
            (
                entry(r#"{"dns": {}}"#),
                "is UNKNOWN, expected BRIDGE or USER",
            ),
            (
                entry(r#"{"network_mode": "BRIDGE"}"#),
                "missing field `dns`",
            ),
            (entry(&format!("{twice},{twice}")), "there twice"),
            (entry(&format!("{named},{named}")), "'n' is there twice"),
            (r#"{"podman": []}"#.to_owned(), "unknown field"),
        ] {
            let why = ContainerDns::read(&text).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
