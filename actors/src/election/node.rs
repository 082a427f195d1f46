//! The nodes masters contend with: their names and what they hold.
//! Reads and writes no ZooKeeper.

use std::fmt;

use tepui_protocol::json::{self, JsonError};
use tepui_protocol::v1;
use tepui_protocol::wire::{self, WireError};

use super::contestant::Contestant;
use super::url::ZkUrl;

/// Start of the names of nodes that hold a `MasterInfo` in JSON; ZooKeeper appends the sequence
/// number. What Mesos writes.
pub const JSON_LABEL: &str = "json.info_";

/// Start of the names of nodes that hold a binary `MasterInfo`. What old versions of Mesos wrote.
pub const BINARY_LABEL: &str = "info_";

/// The number ZooKeeper gave a contending node. The smallest leads; later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

/// A contending node, known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub sequence: Sequence,
    /// How its data is written.
    pub form: Form,
}

/// How the data of a contending node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Mesos's JSON form of `MasterInfo`.
    Json,
    /// Protobuf; v0 and v1 `MasterInfo` have the same field numbers.
    Binary,
}

/// Why the data of a node names nobody.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is none.
    #[error("it holds nothing")]
    Empty,
    /// It is not the JSON of a `MasterInfo`.
    #[error("it holds no MasterInfo in JSON: {0}")]
    Json(JsonError),
    /// It is not a binary `MasterInfo`.
    #[error("it holds no binary MasterInfo: {0}")]
    Binary(WireError),
    /// It is not the address of an app manager.
    #[error("it holds no host:port")]
    Text,
}

impl Node {
    /// The contending node of this name; none for other nodes, such as those of Mesos's replicas.
    #[must_use]
    pub fn named(name: &str) -> Option<Node> {
        let (form, digits) = match (
            name.strip_prefix(JSON_LABEL),
            name.strip_prefix(BINARY_LABEL),
        ) {
            (Some(digits), _) => (Form::Json, digits),
            (None, Some(digits)) => (Form::Binary, digits),
            (None, None) => return None,
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let sequence = Sequence(digits.parse().ok()?);
        Some(Node { sequence, form })
    }

    /// The master these data of the node name.
    ///
    /// # Errors
    /// When they name none.
    pub fn read(&self, data: &[u8]) -> Result<v1::MasterInfo, NodeError> {
        if data.is_empty() {
            return Err(NodeError::Empty);
        }
        match self.form {
            Form::Json => json::from_slice(data).map_err(NodeError::Json),
            Form::Binary => wire::decode(data).map_err(NodeError::Binary),
        }
    }
}

/// What a JSON node of this master holds.
#[must_use]
pub fn write(info: &v1::MasterInfo) -> Vec<u8> {
    json::to_vec(info)
}

impl Contestant for v1::MasterInfo {
    fn directory(url: &ZkUrl) -> String {
        url.path().to_owned()
    }

    fn label() -> String {
        JSON_LABEL.to_owned()
    }

    fn sequence(name: &str) -> Option<Sequence> {
        Node::named(name).map(|node| node.sequence)
    }

    fn write(&self) -> Vec<u8> {
        write(self)
    }

    fn read(name: &str, data: &[u8]) -> Result<v1::MasterInfo, NodeError> {
        Node::named(name).ok_or(NodeError::Empty)?.read(data)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn shown(&self) -> &str {
        self.pid.as_deref().unwrap_or_default()
    }

    fn region(&self) -> Option<&str> {
        let domain = self.domain.as_ref()?.fault_domain.as_ref()?;
        Some(&domain.region.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contestant::leading;
    use super::*;

    #[test]
    fn knows_contending_nodes_by_name() {
        let node = Node::named("json.info_0000000012").expect("json");
        assert_eq!((node.sequence, node.form), (Sequence(12), Form::Json));
        let node = Node::named("info_0000000007").expect("binary");
        assert_eq!((node.sequence, node.form), (Sequence(7), Form::Binary));
        assert_eq!(Sequence(12).to_string(), "0000000012");
        for other in [
            "log_replicas",
            "registry",
            "json.info_",
            "json.info_x",
            "info_-000000001",
            "info_+1",
            "0000000003",
            "my_json.info_0000000001",
        ] {
            assert_eq!(Node::named(other), None, "{other}");
        }
    }

    #[test]
    fn the_smallest_number_leads() {
        let names = [
            "log_replicas",
            "json.info_0000000012",
            "info_0000000009",
            "json.info_0000000010",
        ];
        let (name, sequence) = leading::<v1::MasterInfo>(names).expect("one leads");
        assert_eq!((name, sequence), ("info_0000000009", Sequence(9)));
        assert_eq!(leading::<v1::MasterInfo>(["registry"]), None);
    }

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let info = v1::MasterInfo {
            id: "a".to_owned(),
            ip: 16_777_343,
            port: 5050,
            pid: Some("master@127.0.0.1:5050".to_owned()),
            ..v1::MasterInfo::default()
        };
        let json = Node::named("json.info_1").expect("json");
        assert_eq!(json.read(&write(&info)).expect("json"), info);
        let binary = Node::named("info_1").expect("binary");
        assert_eq!(binary.read(&wire::encode(&info)).expect("binary"), info);

        assert!(matches!(json.read(b""), Err(NodeError::Empty)));
        assert!(matches!(json.read(b"{}"), Err(NodeError::Json(_))));
        assert!(matches!(
            json.read(&wire::encode(&info)),
            Err(NodeError::Json(_))
        ));
        assert!(matches!(binary.read(b"{}"), Err(NodeError::Binary(_))));
    }

    #[test]
    fn reads_a_node_of_mesos() {
        let data = br#"{"address":{"hostname":"m1","ip":"10.0.0.1","port":5050},
            "capabilities":[{"type":"AGENT_UPDATE"},{"type":"FUTURE"}],"hostname":"m1",
            "id":"c3ab6a5f-0c4a-4a36-a8f1-8f8b1d2cf2ac","ip":16777226,
            "pid":"master@10.0.0.1:5050","port":5050,"version":"1.11.0"}"#;
        let node = Node::named("json.info_0000000003").expect("json");
        let info = node.read(data).expect("Mesos's own");
        assert_eq!(info.pid.as_deref(), Some("master@10.0.0.1:5050"));
        assert_eq!(info.ip, 16_777_226);
        assert_eq!(info.capabilities.len(), 2);
    }
}
