//! The nodes that instances of the app manager contend with: those of Curator's leader latch, which
//! Marathon uses, so that there is one leader only while users move from one to the other.
//! Elects nobody.

use super::contestant::Contestant;
use super::node::{NodeError, Sequence};
use super::url::ZkUrl;
use crate::random;

/// Marathon's directory below the path of `--zk`.
pub const DIRECTORY: &str = "leader-curator";

/// What stands before the number in a node's name.
const MARK: &str = "latch-";

/// An instance, named by the host and port where it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant(pub String);

impl Contestant for Participant {
    fn directory(url: &ZkUrl) -> String {
        url.child(DIRECTORY)
    }

    fn label() -> String {
        format!("_c_{}-{MARK}", random::uuid())
    }

    fn sequence(name: &str) -> Option<Sequence> {
        let (_, digits) = name.rsplit_once(MARK)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number).map(Sequence)
    }

    fn write(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn read(_name: &str, data: &[u8]) -> Result<Participant, NodeError> {
        let text = std::str::from_utf8(data).map_err(|_| NodeError::Text)?;
        if text.is_empty() {
            return Err(NodeError::Empty);
        }
        let is_address = |text: &str| {
            let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(_))) && !text.contains(['/', '@', ' ', '\r', '\n'])
        };
        match is_address(text) {
            true => Ok(Participant(text.to_owned())),
            false => Err(NodeError::Text),
        }
    }

    fn id(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::contestant::leading;
    use super::*;

    #[test]
    fn curators_nodes_are_known_and_the_smallest_number_leads() {
        let names = [
            "_c_3f0e9c0a-14ad-4c3f-9c6e-8d3a5b1f0c11-latch-0000000012",
            "_c_ffff9c0a-14ad-4c3f-9c6e-8d3a5b1f0c11-latch-0000000003",
            "something",
            "latch-",
            "latch-+1",
        ];
        let (name, sequence) = leading::<Participant>(names).expect("one leads");
        assert_eq!((name, sequence), (names[1], Sequence(3)));
        for other in &names[2..] {
            assert_eq!(Participant::sequence(other), None, "{other}");
        }
        let own = format!("{}0000000007", Participant::label());
        assert_eq!(Participant::sequence(&own), Some(Sequence(7)));
        assert!(own.starts_with("_c_"), "{own}");
    }

    #[test]
    fn only_an_address_is_taken_for_one() {
        let me = Participant("host:8080".to_owned());
        assert_eq!(Participant::read("", &me.write()).expect("read"), me);
        for wrong in ["", "host", "host:x", "user@host:1", "host:1/path", "a b:1"] {
            assert!(Participant::read("", wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Participant::read("", &[0xff, b':', b'1']).is_err());
    }
}
