//! An agent played over the agent link.
//! Does only what it is told.

use std::net::TcpStream;
use std::time::Duration;

use tepui_protocol::link::{
    self, AgentToMaster, Frame, MasterToAgent, PATH, Register, StatusUpdate,
};
use tepui_protocol::v1;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::client::Master;

/// What comes later will never come.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of an agent link.
pub struct Agent {
    socket: WebSocket<TcpStream>,
    /// Epoch of the link.
    pub epoch: u64,
    /// Given by the master.
    pub id: String,
}

impl Agent {
    /// Opens a link and waits for the master's hello.
    pub fn connect(master: &Master) -> Agent {
        let stream = TcpStream::connect(master.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}{PATH}", master.address);
        let (socket, _response) = tungstenite::client(url, stream).unwrap();
        let mut agent = Agent {
            socket,
            epoch: 0,
            id: String::new(),
        };
        let Some(MasterToAgent::Hello {
            epoch,
            master: info,
        }) = agent.receive()
        else {
            panic!("the master must say hello first");
        };
        assert_eq!(info.port, u32::from(master.address.port()));
        agent.epoch = epoch;
        agent
    }

    /// Connects and registers with 4 cpus, 1024 MB of memory; an agent is told from others by
    /// its port.
    pub fn register(master: &Master, port: i32) -> Agent {
        Agent::register_as(master, port, |_| {})
    }

    /// As [`Agent::register`], with other facts.
    pub fn register_as(
        master: &Master,
        port: i32,
        change: impl FnOnce(&mut v1::AgentInfo),
    ) -> Agent {
        let mut agent = Agent::connect(master);
        let mut registration = registration(port);
        change(&mut registration.info);
        agent.send(AgentToMaster::Register(Box::new(registration)));
        match agent.receive() {
            Some(MasterToAgent::Registered { agent_id, .. }) => agent.id = agent_id,
            other => panic!("the agent must be registered: {other:?}"),
        }
        agent
    }

    /// Sends a message in this link's epoch.
    pub fn send(&mut self, body: AgentToMaster) {
        let epoch = self.epoch;
        self.send_frame(&Frame { epoch, body });
    }

    /// Sends a frame.
    pub fn send_frame(&mut self, frame: &Frame<AgentToMaster>) {
        let bytes = link::encode(frame).unwrap();
        self.send_raw(Message::binary(bytes));
    }

    /// Sends anything.
    pub fn send_raw(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// The next message of the WebSocket itself.
    pub fn receive_raw(&mut self) -> Message {
        self.socket.read().unwrap()
    }

    /// Reports a state of a task, to be acknowledged.
    pub fn update(&mut self, framework_id: &str, task_id: &str, state: v1::TaskState, uuid: u8) {
        let status = v1::TaskStatus {
            task_id: v1::TaskId {
                value: task_id.to_owned(),
            },
            state: state.into(),
            agent_id: Some(v1::AgentId {
                value: self.id.clone(),
            }),
            source: Some(v1::task_status::Source::Executor.into()),
            timestamp: Some(1.0),
            uuid: Some(uuid_of(uuid).to_vec()),
            ..Default::default()
        };
        self.send(AgentToMaster::StatusUpdate(Box::new(StatusUpdate {
            framework_id: framework_id.to_owned(),
            executor_id: None,
            status: status.into(),
            latest_state: state.into(),
        })));
    }

    /// The next message that is not a ping; none when the link has ended.
    pub fn receive(&mut self) -> Option<MasterToAgent> {
        loop {
            let message = match self.socket.read() {
                Ok(Message::Binary(frame)) => link::decode::<MasterToAgent>(&frame).unwrap(),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => continue,
            };
            if self.epoch != 0 {
                assert_eq!(message.epoch, self.epoch);
            }
            if !matches!(message.body, MasterToAgent::Ping { .. }) {
                return Some(message.body);
            }
            self.send(AgentToMaster::Pong);
        }
    }
}

/// A UUID of version 4 that is otherwise made of one byte.
pub fn uuid_of(byte: u8) -> [u8; 16] {
    let mut uuid = [byte; 16];
    uuid[6] = 0x40;
    uuid[8] = 0x80;
    uuid
}

/// What an agent says of itself.
pub fn registration(port: i32) -> Register {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let info = v1::AgentInfo {
        hostname: "localhost".to_owned(),
        port: Some(port),
        resources: vec![scalar("cpus", 4.0), scalar("mem", 1024.0)],
        attributes: vec![v1::Attribute {
            name: "rack".to_owned(),
            r#type: v1::value::Type::Text.into(),
            text: Some(v1::value::Text {
                value: "r1".to_owned(),
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    Register {
        info: info.into(),
        version: "1.12.0".to_owned(),
        link_version: link::VERSION,
        capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]
            .map(str::to_owned)
            .to_vec(),
        checkpointed_resources: Vec::new(),
        resource_version: vec![1; 16],
    }
}
