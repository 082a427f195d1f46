//! Decides from the own candidacy and the detected leader: lead, follow, wait or stop.
//! Does no IO and stops nothing itself.

use std::fmt;
use std::sync::Arc;

use tepui_protocol::v1;

use super::contender::{Candidacy, Loss};
use super::contestant::Contestant;
use super::detector::Leader;
use super::node::Sequence;

/// What this process is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<T = v1::MasterInfo> {
    /// Lead. No later leader has a smaller epoch.
    Lead {
        /// The number of the own node.
        epoch: u64,
    },
    /// Send clients to this one.
    Follow(Arc<T>),
    /// Nobody is known to lead; answer that.
    Wait,
    /// Stop leading at once, by ending the process with an error. It stays so.
    Stop(StopReason),
}

/// Why a leader must stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It no longer contends.
    Lost(Loss),
    /// It contends with another node now, so in between it did not.
    Replaced,
    /// It was told to.
    Withdrawn,
    /// Another one leads.
    OtherLeader {
        /// Its node.
        sequence: Sequence,
        /// Its `master@ip:port`, or `host:port` of an app manager.
        pid: String,
    },
    /// ZooKeeper knows no leader.
    NoLeader,
    /// The leader is in another region: a rule of Mesos, whose masters must be close together.
    OtherRegion {
        /// Where this master is.
        own: String,
        /// Where the leader is.
        leader: String,
    },
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::Lost(loss) => write!(f, "lost leadership: {loss}"),
            StopReason::Replaced => f.write_str("lost leadership: its node was replaced"),
            StopReason::Withdrawn => f.write_str("gave up leadership"),
            StopReason::OtherLeader { sequence, pid } => {
                write!(f, "lost leadership: {pid} leads with node {sequence}")
            }
            StopReason::NoLeader => f.write_str("lost leadership: zookeeper knows no leader"),
            StopReason::OtherRegion { own, leader } => write!(
                f,
                "this master is in region '{own}' and the leader in region '{leader}'; all masters \
                 of a cluster must be in one region (--domain)"
            ),
        }
    }
}

/// Remembers what decides. A rule of Mesos: a leader that loses its candidacy, or sees another
/// leader or none, ends; a follower contends again.
#[derive(Debug, Clone)]
pub struct Decider<T = v1::MasterInfo> {
    /// [`Contestant::id`] of this process.
    id: String,
    /// Where this process is, if it was told.
    region: Option<String>,
    candidacy: Candidacy,
    leader: Option<Leader<T>>,
    leading: Option<Sequence>,
    stopped: Option<StopReason>,
}

impl<T: Contestant> Decider<T> {
    /// Starts without a candidacy and without a leader.
    #[must_use]
    pub fn new(own: &T) -> Decider<T> {
        Decider {
            id: own.id().to_owned(),
            region: own.region().map(str::to_owned),
            candidacy: Candidacy::Waiting,
            leader: None,
            leading: None,
            stopped: None,
        }
    }

    /// The own candidacy has changed.
    pub fn on_candidacy(&mut self, candidacy: Candidacy) -> Decision<T> {
        self.candidacy = candidacy;
        self.decide()
    }

    /// Another leader was detected, or none.
    pub fn on_leader(&mut self, leader: Option<Leader<T>>) -> Decision<T> {
        self.leader = leader;
        self.decide()
    }

    fn decide(&mut self) -> Decision<T> {
        if self.stopped.is_none()
            && let Some(epoch) = self.leading
        {
            self.stopped = self.reason_to_stop(epoch);
        }
        if self.stopped.is_none() {
            self.stopped = self.other_region();
        }
        if let Some(reason) = &self.stopped {
            return Decision::Stop(reason.clone());
        }
        match (&self.leader, self.candidacy) {
            (Some(leader), Candidacy::Contending(own)) if leader.sequence == own => {
                self.leading = Some(own);
                Decision::Lead { epoch: own.0 }
            }
            // An older node of this process that ZooKeeper has not given up yet, or a newer one
            // of which the contender has not told yet.
            (Some(leader), _) if leader.info.id() == self.id => Decision::Wait,
            (Some(leader), _) => Decision::Follow(leader.info.clone()),
            (None, _) => Decision::Wait,
        }
    }

    fn other_region(&self) -> Option<StopReason> {
        let own = self.region.as_ref()?;
        let leader = self.leader.as_ref()?.info.region()?;
        (leader != own).then(|| StopReason::OtherRegion {
            own: own.clone(),
            leader: leader.to_owned(),
        })
    }

    fn reason_to_stop(&self, epoch: Sequence) -> Option<StopReason> {
        match self.candidacy {
            Candidacy::Contending(own) if own == epoch => {}
            Candidacy::Lost(loss) => return Some(StopReason::Lost(loss)),
            Candidacy::Withdrawn => return Some(StopReason::Withdrawn),
            Candidacy::Contending(_) | Candidacy::Waiting => return Some(StopReason::Replaced),
        }
        match &self.leader {
            Some(leader) if leader.sequence == epoch => None,
            Some(leader) => Some(StopReason::OtherLeader {
                sequence: leader.sequence,
                pid: leader.info.shown().to_owned(),
            }),
            None => Some(StopReason::NoLeader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(sequence: u64, id: &str) -> Option<Leader> {
        Some(Leader {
            sequence: Sequence(sequence),
            info: Arc::new(v1::MasterInfo {
                id: id.to_owned(),
                pid: Some(format!("master@{id}:5050")),
                ..v1::MasterInfo::default()
            }),
        })
    }

    fn contending(sequence: u64) -> Candidacy {
        Candidacy::Contending(Sequence(sequence))
    }

    fn decider() -> Decider {
        Decider::new(&v1::MasterInfo {
            id: "me".to_owned(),
            ..v1::MasterInfo::default()
        })
    }

    fn with_region(id: &str, region: &str) -> v1::MasterInfo {
        let domain = v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo {
                name: region.to_owned(),
            },
            ..Default::default()
        };
        v1::MasterInfo {
            id: id.to_owned(),
            domain: Some(v1::DomainInfo {
                fault_domain: Some(domain),
            }),
            ..v1::MasterInfo::default()
        }
    }

    fn leading() -> Decider {
        let mut decider = decider();
        decider.on_candidacy(contending(5));
        let decision = decider.on_leader(leader(5, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 5 });
        decider
    }

    fn assert_follows(decision: &Decision, id: &str) {
        match decision {
            Decision::Follow(info) => assert_eq!(info.id, id),
            other => panic!("follows nobody: {other:?}"),
        }
    }

    #[test]
    fn leads_with_the_own_node_in_front_whatever_is_known_first() {
        let mut decider = decider();
        assert_eq!(decider.on_candidacy(contending(5)), Decision::Wait);
        let decision = decider.on_leader(leader(5, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 5 });

        let mut decider = self::decider();
        assert_eq!(decider.on_leader(leader(5, "me")), Decision::Wait);
        let decision = decider.on_candidacy(contending(5));
        assert_eq!(decision, Decision::Lead { epoch: 5 });
    }

    #[test]
    fn follows_then_takes_over() {
        let mut decider = decider();
        assert_follows(&decider.on_leader(leader(4, "other")), "other");
        assert_follows(&decider.on_candidacy(contending(5)), "other");
        assert_eq!(decider.on_leader(None), Decision::Wait);
        let decision = decider.on_leader(leader(5, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 5 });
    }

    #[test]
    fn a_follower_that_loses_its_node_goes_on() {
        let mut decider = decider();
        decider.on_candidacy(contending(5));
        decider.on_leader(leader(4, "other"));
        let decision = decider.on_candidacy(Candidacy::Lost(Loss::NodeGone));
        assert_follows(&decision, "other");
        assert_follows(&decider.on_candidacy(contending(6)), "other");
        let decision = decider.on_leader(leader(6, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 6 });
    }

    #[test]
    fn never_follows_an_older_node_of_its_own() {
        let mut decider = decider();
        decider.on_candidacy(contending(9));
        assert_eq!(decider.on_leader(leader(5, "me")), Decision::Wait);
        let decision = decider.on_leader(leader(9, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 9 });
    }

    #[test]
    fn a_leader_stops_when_its_candidacy_is_lost() {
        for loss in [Loss::NodeGone, Loss::SessionExpired] {
            let decision = leading().on_candidacy(Candidacy::Lost(loss));
            assert_eq!(decision, Decision::Stop(StopReason::Lost(loss)));
        }
        let decision = leading().on_candidacy(contending(6));
        assert_eq!(decision, Decision::Stop(StopReason::Replaced));
        let decision = leading().on_candidacy(Candidacy::Withdrawn);
        assert_eq!(decision, Decision::Stop(StopReason::Withdrawn));
    }

    #[test]
    fn a_leader_stops_when_it_sees_another_or_none() {
        let decision = leading().on_leader(None);
        assert_eq!(decision, Decision::Stop(StopReason::NoLeader));
        let decision = leading().on_leader(leader(6, "other"));
        let Decision::Stop(reason) = decision else {
            panic!("leads on");
        };
        assert_eq!(
            reason.to_string(),
            "lost leadership: master@other:5050 leads with node 0000000006"
        );
    }

    #[test]
    fn a_stop_is_final_and_keeps_its_first_reason() {
        let mut decider = leading();
        let stop = decider.on_leader(None);
        assert_eq!(decider.on_leader(leader(5, "me")), stop);
        assert_eq!(decider.on_candidacy(contending(7)), stop);
        assert_eq!(decider.on_leader(leader(7, "me")), stop);
    }

    #[test]
    fn nobody_follows_a_leader_in_another_region() {
        let leader = |region| {
            Some(Leader {
                sequence: Sequence(4),
                info: Arc::new(with_region("other", region)),
            })
        };
        let mut decider = Decider::new(&with_region("me", "here"));
        assert_follows(&decider.on_leader(leader("here")), "other");
        let Decision::Stop(reason) = decider.on_leader(leader("there")) else {
            panic!("follows on");
        };
        assert!(reason.to_string().contains("'here'"), "{reason}");
        // Who was not told where it is cannot tell.
        let mut decider = self::decider();
        assert_follows(&decider.on_leader(leader("there")), "other");
    }

    #[test]
    fn the_same_news_again_change_nothing() {
        let mut decider = leading();
        assert_eq!(
            decider.on_candidacy(contending(5)),
            Decision::Lead { epoch: 5 }
        );
        let decision = decider.on_leader(leader(5, "me"));
        assert_eq!(decision, Decision::Lead { epoch: 5 });
    }
}
