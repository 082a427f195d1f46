//! Frameworks: what each is, what it remembers, and its connections to the master.
//! What it does on its own is in `framework_acts`, what it hears in `framework_hears`.

use std::collections::BTreeMap;

use tepui_protocol::v1::framework_info::{Capability, capability};
use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{ExecutorInfo, FrameworkInfo, Offer, TaskState};

use super::events::{Event, Node, Parcel};
use super::net::{ConnId, Kind, Side};
use super::random::Random;
use super::world::{SECOND, World};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::master::messages::StreamId;

/// Sets of roles that frameworks have.
const ROLES: &[&[&str]] = &[
    &["*"],
    &["a"],
    &["a", "b/x"],
    &["b/x", "b/y"],
    &["b"],
    &["a/z", "c"],
];

/// Failover timeouts in seconds.
const FAILOVER_SECONDS: &[f64] = &[0.0, 20.0, 300.0, 100_000.0, 100_000.0];

/// What a framework remembers of a task; it survives the framework's process.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) agent: AgentId,
    /// Of the last status.
    pub(super) state: TaskState,
    /// It has ended, or is given up, as far as the framework knows.
    pub(super) is_over: bool,
    /// It is to be killed.
    pub(super) is_killed: bool,
}

/// A framework.
#[derive(Debug)]
pub(super) struct FrameworkHost {
    pub(super) info: FrameworkInfo,
    pub(super) id: Option<FrameworkId>,
    pub(super) lives: u64,
    pub(super) process: Option<FrameworkProcess>,
    pub(super) tasks: BTreeMap<TaskId, Known>,
    /// It was torn down, or is to be.
    pub(super) is_leaving: bool,
    /// It will not come back.
    pub(super) is_gone: bool,
}

/// One life of a framework's process.
#[derive(Debug)]
pub(super) struct FrameworkProcess {
    pub(super) life: u64,
    pub(super) stream: Option<ConnId>,
    pub(super) calls: Option<ConnId>,
    pub(super) stream_id: Option<StreamId>,
    pub(super) is_subscribed: bool,
    pub(super) offers: BTreeMap<OfferId, Offer>,
    /// Its own executors that should run, by agent.
    pub(super) executors: BTreeMap<(AgentId, ExecutorId), ExecutorInfo>,
}

impl FrameworkHost {
    #[allow(
        deprecated,
        reason = "frameworks without MULTI_ROLE have the old field 'role'"
    )]
    pub(super) fn new(index: u64, random: &mut Random) -> Self {
        use capability::Type;
        let roles = random.pick(ROLES).copied().unwrap_or(&["*"]);
        let mut capabilities = vec![Type::ReservationRefinement, Type::SharedResources];
        let is_multi = roles.len() > 1 || random.per_mille(700);
        let mut info = FrameworkInfo {
            user: "root".to_owned(),
            name: format!("f{index}"),
            failover_timeout: random.pick(FAILOVER_SECONDS).copied(),
            checkpoint: Some(random.per_mille(700)),
            ..FrameworkInfo::default()
        };
        match is_multi {
            true => {
                capabilities.push(Type::MultiRole);
                info.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            }
            false => info.role = roles.first().map(|role| (*role).to_owned()),
        }
        if random.per_mille(600) {
            capabilities.push(Type::PartitionAware);
        }
        info.capabilities = capabilities
            .into_iter()
            .map(|kind| Capability {
                r#type: Some(kind as i32),
            })
            .collect();
        FrameworkHost {
            info,
            id: None,
            lives: 0,
            process: None,
            tasks: BTreeMap::new(),
            is_leaving: false,
            is_gone: false,
        }
    }
}

impl World {
    pub(super) fn framework_process(&mut self, framework: usize) -> Option<&mut FrameworkProcess> {
        self.frameworks.get_mut(framework)?.process.as_mut()
    }

    /// Whether this life of a framework still lasts.
    pub(super) fn is_running(&self, framework: usize, life: u64) -> bool {
        let host = self.frameworks.get(framework);
        host.and_then(|host| host.process.as_ref())
            .is_some_and(|process| process.life == life)
    }

    pub(super) fn start_framework(&mut self, framework: usize) {
        let Some(host) = self
            .frameworks
            .get_mut(framework)
            .filter(|host| host.process.is_none() && !host.is_gone)
        else {
            return;
        };
        host.lives += 1;
        let life = host.lives;
        host.process = Some(FrameworkProcess {
            life,
            stream: None,
            calls: None,
            stream_id: None,
            is_subscribed: false,
            offers: BTreeMap::new(),
            executors: BTreeMap::new(),
        });
        self.note(format_args!("framework {framework} starts its life {life}"));
        self.soon(SECOND, Event::Dial { framework, life });
        self.soon(5 * SECOND, Event::Act { framework, life });
        self.soon(60 * SECOND, Event::Reconcile { framework, life });
    }

    /// A framework's process ends; what it remembers of its tasks is stored elsewhere.
    pub(super) fn framework_died(&mut self, framework: usize, silently: bool) {
        let Some(host) = self
            .frameworks
            .get_mut(framework)
            .filter(|host| host.process.is_some())
        else {
            return;
        };
        host.process = None;
        self.counts.framework_crashes += 1;
        self.note(format_args!("framework {framework} dies"));
        self.paused.remove(&Node::Framework(framework));
        self.drop_ends(Node::Framework(framework), silently);
        let away = self.random.below(60 * SECOND);
        self.after(away, Event::StartFramework(framework));
    }

    /// A framework connects and subscribes.
    pub(super) fn dial(&mut self, framework: usize, life: u64) {
        if !self.is_running(framework, life) {
            return;
        }
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let connected = host.process.as_ref().is_some_and(|p| p.stream.is_some());
        if connected || host.is_gone {
            return;
        }
        let mut info = host.info.clone();
        info.id = host.id.as_ref().map(FrameworkId::to_v1);
        let Some(leader) = self.master.as_ref().map(|master| master.life) else {
            return self.soon(5 * SECOND, Event::Dial { framework, life });
        };
        let stream = self.connect(
            Kind::Stream {
                framework,
                stream: None,
            },
            leader,
        );
        let calls = self.connect(Kind::Calls { framework }, leader);
        if let Some(process) = self.framework_process(framework) {
            process.stream = Some(stream);
            process.calls = Some(calls);
        }
        let subscribe = Box::new(call::Subscribe {
            framework_info: info,
            suppressed_roles: Vec::new(),
            offer_constraints: None,
        });
        self.send(stream, Side::Server, Parcel::Subscribe(subscribe));
    }

    pub(super) fn streaming(&mut self, framework: usize, stream: StreamId) {
        if let Some(process) = self.framework_process(framework) {
            process.stream_id = Some(stream);
        }
    }

    /// One of its connections is gone: it gives up the other one too, and subscribes anew.
    pub(super) fn framework_lost(&mut self, framework: usize, conn: ConnId) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        if process.stream == Some(conn) || process.calls == Some(conn) {
            self.resubscribe(framework);
        }
    }

    pub(super) fn resubscribe(&mut self, framework: usize) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let life = process.life;
        let conns = [process.stream.take(), process.calls.take()];
        process.stream_id = None;
        process.is_subscribed = false;
        process.offers.clear();
        for conn in conns.into_iter().flatten() {
            self.hang_up(conn, Side::Client);
        }
        self.counts.resubscriptions += 1;
        self.soon(5 * SECOND, Event::Dial { framework, life });
    }

    /// Makes a call, if the framework is subscribed.
    pub(super) fn make_call(&mut self, framework: usize, kind: call::Type, call: Call) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let id = host.id.as_ref().map(FrameworkId::to_v1);
        let Some(process) = host
            .process
            .as_ref()
            .filter(|process| process.is_subscribed)
        else {
            return;
        };
        if let (Some(conn), Some(stream)) = (process.calls, process.stream_id.clone()) {
            let call = Call {
                framework_id: id,
                r#type: Some(kind as i32),
                ..call
            };
            self.send(conn, Side::Server, Parcel::Call(Box::new(call), stream));
        }
    }
}
