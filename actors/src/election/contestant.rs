//! What an election needs to know of those who contend: where their nodes are and what these say.
//! Elects nobody.

use std::fmt;

use super::node::{NodeError, Sequence};
use super::url::ZkUrl;

/// One who contends for leadership, as its node tells of it.
pub trait Contestant: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// Where the nodes are.
    fn directory(url: &ZkUrl) -> String;

    /// What the name of a new node begins with; ZooKeeper appends the sequence number.
    fn label() -> String;

    /// The number of a contending node of this name; none for other nodes.
    fn sequence(name: &str) -> Option<Sequence>;

    /// What the node holds.
    fn write(&self) -> Vec<u8>;

    /// Who contends with the node of this name that holds `data`.
    ///
    /// # Errors
    /// When it names nobody.
    fn read(name: &str, data: &[u8]) -> Result<Self, NodeError>;

    /// Differs between processes.
    fn id(&self) -> &str;

    /// How messages name it.
    fn shown(&self) -> &str;

    /// Where it is, when all must be in one region.
    fn region(&self) -> Option<&str> {
        None
    }
}

/// The leading one of all nodes of a directory, if any contends.
pub(super) fn leading<'a, T: Contestant>(
    names: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, Sequence)> {
    let nodes = names
        .into_iter()
        .filter_map(|name| Some((name, T::sequence(name)?)));
    nodes.min_by_key(|(_, sequence)| *sequence)
}
