//! A framework's end of the v1 scheduler API over HTTP.
//! Decides nothing about offers or tasks.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1::scheduler::{Call, Event, call, event};
use tepui_protocol::v1::{FrameworkId, FrameworkInfo};
use tepui_protocol::{json, wire};

use crate::calls::Calls;
use crate::clock::Clock;

/// What a failure of the load test is told as.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Header that ties calls to their subscription.
const STREAM_ID: &str = "Mesos-Stream-Id";

/// Path of the scheduler API.
const PATH: &str = "/api/v1/scheduler";

/// Time a subscription may take.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(30);

/// Most bytes of a refusal's text that are shown.
const MAX_REFUSAL_CHARS: usize = 300;

/// Where and how frameworks speak to a master.
#[derive(Debug, Clone)]
pub struct Target {
    /// The master, `host:port`.
    pub master: String,
    /// Encoding of calls and events.
    pub media: MediaType,
    /// The load test's clock.
    pub clock: Clock,
}

/// A subscribed framework.
pub struct Framework {
    media: MediaType,
    id: FrameworkId,
    /// Head of a call's request, up to the length of its body.
    head: String,
    stream: Response,
    records: Decoder,
    ready: VecDeque<Event>,
    calls: Calls,
}

impl Framework {
    /// Subscribes at a master and waits for SUBSCRIBED; `info.id` is set when it comes back.
    ///
    /// # Errors
    /// When the master cannot be reached or refuses.
    pub async fn subscribe(target: &Target, info: FrameworkInfo) -> Result<Self, Error> {
        let suppressed = Vec::new();
        Self::subscribe_with(target, info, suppressed).await
    }

    /// The same with roles for which no offers are wanted yet.
    ///
    /// # Errors
    /// When the master cannot be reached or refuses.
    pub async fn subscribe_with(
        target: &Target,
        info: FrameworkInfo,
        suppressed_roles: Vec<String>,
    ) -> Result<Self, Error> {
        let Target {
            master,
            media,
            clock,
        } = target;
        let client = Client::builder()
            .connect_timeout(SUBSCRIBE_LIMIT)
            .tcp_nodelay(true)
            .build()?;
        let mut call = of_type(call::Type::Subscribe);
        call.framework_id = info.id.clone();
        call.subscribe = Some(call::Subscribe {
            framework_info: info,
            suppressed_roles,
            ..Default::default()
        });
        let sent = client
            .post(format!("http://{master}{PATH}"))
            .header(CONTENT_TYPE, media.name())
            .header(ACCEPT, media.name())
            .body(media::encode(*media, &call))
            .send();
        let stream = tokio::time::timeout(SUBSCRIBE_LIMIT, sent).await??;
        if stream.status() != StatusCode::OK {
            return Err(refusal("SUBSCRIBE", stream).await);
        }
        let stream_id = stream.headers().get(STREAM_ID);
        let stream_id = stream_id
            .and_then(|value| value.to_str().ok())
            .ok_or("the master gave no Mesos-Stream-Id")?;
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {master}\r\nContent-Type: {}\r\n\
             {STREAM_ID}: {stream_id}\r\nContent-Length: ",
            media.name()
        );
        let mut framework = Framework {
            media: *media,
            id: FrameworkId::default(),
            head,
            stream,
            records: Decoder::default(),
            ready: VecDeque::new(),
            calls: Calls::connect(master, *clock).await?,
        };
        let first = tokio::time::timeout(SUBSCRIBE_LIMIT, framework.next_event()).await??;
        let subscribed = first
            .subscribed
            .ok_or("the first event is not SUBSCRIBED")?;
        framework.id = subscribed.framework_id;
        Ok(framework)
    }

    /// Its id.
    pub fn id(&self) -> &FrameworkId {
        &self.id
    }

    /// The next event; heartbeats are left out. May be dropped and called again.
    ///
    /// # Errors
    /// When the stream ends or breaks, the master reports an error, or it refused a call.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            tokio::select! {
                chunk = self.stream.chunk() => {
                    let bytes = chunk?.ok_or("the master ended the subscription")?;
                    self.records.push(&bytes);
                    self.take_records()?;
                }
                failure = self.calls.failure() => return Err(failure),
            }
        }
    }

    /// An event that is here already.
    pub fn ready_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Sends a call without waiting for its answer; a refusal shows up in [`Self::next_event`].
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, mut call: Call) -> Result<(), Error> {
        call.framework_id = Some(self.id.clone());
        let body = media::encode(self.media, &call);
        let mut request = Vec::with_capacity(self.head.len() + body.len() + 16);
        request.extend_from_slice(self.head.as_bytes());
        request.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(&body);
        self.calls.send(call.r#type().as_str_name(), request).await
    }

    /// Ends the framework and all its tasks.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn tear_down(mut self) -> Result<(), Error> {
        // A call still on its way would find the framework gone.
        self.settle().await?;
        self.send(of_type(call::Type::Teardown)).await?;
        self.settle().await
    }

    /// Waits for the answers of all calls on their way.
    ///
    /// # Errors
    /// When a call was refused or is not answered in time.
    pub async fn settle(&mut self) -> Result<(), Error> {
        self.calls.settle().await
    }

    /// Takes how long calls took to be answered, in microseconds.
    pub fn take_call_times(&self) -> Histogram<u64> {
        self.calls.take_times()
    }

    fn take_records(&mut self) -> Result<(), Error> {
        while let Some(record) = self.records.next_record()? {
            let event: Event = match self.media {
                MediaType::Protobuf => wire::decode(&record)?,
                MediaType::Json => {
                    json::from_slice(&record).map_err(|error| format!("{error:?}"))?
                }
            };
            match event.r#type() {
                event::Type::Heartbeat => {}
                event::Type::Error => {
                    let text = event.error.unwrap_or_default().message;
                    return Err(format!("the master reports an error: {text}").into());
                }
                _ => self.ready.push_back(event),
            }
        }
        Ok(())
    }
}

/// A framework of this name in the default role, as the user of this process.
pub fn framework_info(name: &str) -> FrameworkInfo {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |user| user.name);
    FrameworkInfo {
        user,
        name: name.into(),
        ..FrameworkInfo::default()
    }
}

/// A call of this type and nothing else.
pub fn of_type(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind as i32),
        ..Call::default()
    }
}

async fn refusal(call: &str, response: Response) -> Error {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let text: String = text.chars().take(MAX_REFUSAL_CHARS).collect();
    format!("the master answered {call} with {status}: {text}").into()
}
