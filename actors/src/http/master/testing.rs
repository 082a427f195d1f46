//! Masters for the tests of what a master shows.
//! Holds no test, and nothing that only one of them needs.

use serde_json::{Value, json};
use tepui_core::master::messages::{Effect, Input, LinkId, StreamId};
use tepui_core::master::{Master, MasterSettings};
use tepui_core::resources::{Format, Resources};
use tepui_core::time::Now;
use tepui_protocol::link::{AgentToMaster, Register};
use tepui_protocol::{json as v1_json, v1};

/// A message of the API.
pub(super) fn read<M: tepui_protocol::schema::Message>(value: &Value) -> M {
    v1_json::from_slice(value.to_string().as_bytes()).expect("a message")
}

/// What an agent on `host` says that has these resources.
pub(super) fn register(resources: &str) -> Register {
    let given = Resources::parse(resources, "*").expect("resources");
    Register {
        info: v1::AgentInfo {
            hostname: "host".to_owned(),
            resources: given.to_v1(Format::PostRefinement),
            ..Default::default()
        }
        .into(),
        version: "1.12.0".to_owned(),
        link_version: tepui_protocol::link::VERSION,
        capabilities: Vec::new(),
        checkpointed_resources: Vec::new(),
        resource_version: vec![0; 16],
    }
}

/// A master `M` with the agent `M-S0`, which has been told the rest besides; and what it did.
pub(super) fn master(agent: Register, rest: Vec<Input>) -> (Master, Vec<Effect>) {
    let now = Now::default();
    let info = v1::MasterInfo {
        id: "M".to_owned(),
        ..Default::default()
    };
    let mut master = Master::new(MasterSettings::default(), info, now);
    let link = LinkId(1);
    let mut effects = Vec::new();
    let first = [
        Input::Recovered(Box::default()),
        Input::LinkOpened {
            link,
            peer_ip: "127.0.0.1".to_owned(),
        },
        Input::FromAgent {
            link,
            message: Box::new(AgentToMaster::Register(Box::new(agent))),
        },
    ];
    for input in first.into_iter().chain(rest) {
        master.handle(now, input, &mut effects);
    }
    let token = effects.iter().find_map(|effect| match effect {
        Effect::Apply(token, _) => Some(*token),
        _ => None,
    });
    let stored = Input::Applied {
        token: token.expect("an agent to be stored"),
        result: Ok(true),
    };
    master.handle(now, stored, &mut effects);
    (master, effects)
}

/// As [`master`], with the framework `M-0000` of role `eng/web`.
pub(super) fn with_framework() -> (Master, Vec<Effect>) {
    let mut agent = register("cpus:4;mem:64;ports:[1-9]");
    agent.capabilities = vec!["MULTI_ROLE".to_owned(), "OF_THE_FUTURE".to_owned()];
    let subscribe = json!({"framework_info": {"user": "root", "name": "f",
        "roles": ["eng/web"], "capabilities": [{"type": "MULTI_ROLE"}]}});
    let subscribe = Input::Subscribe {
        stream: StreamId("s".into()),
        subscribe: Box::new(read(&subscribe)),
        principal: None,
    };
    master(agent, vec![subscribe])
}
