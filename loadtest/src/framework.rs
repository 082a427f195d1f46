//! A framework's end of the v1 scheduler API over HTTP.
//! Decides nothing about offers or tasks.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1::scheduler::{Call, Event, call, event};
use tepui_protocol::v1::{FrameworkId, FrameworkInfo};
use tepui_protocol::{json, wire};
use tokio::task::JoinSet;

/// What a failure of the load test is told as.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Header that ties calls to their subscription.
const STREAM_ID: &str = "Mesos-Stream-Id";

/// Most calls without an answer; further ones wait.
const MAX_CALLS_IN_FLIGHT: usize = 256;

/// Time a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of a refusal's text that are shown.
const MAX_REFUSAL_CHARS: usize = 300;

/// A subscribed framework.
#[derive(Debug)]
pub struct Framework {
    client: Client,
    url: String,
    media: MediaType,
    id: FrameworkId,
    stream_id: String,
    stream: Response,
    records: Decoder,
    ready: VecDeque<Event>,
    calls: JoinSet<Result<(), Error>>,
}

impl Framework {
    /// Subscribes at a master (`host:port`) and waits for SUBSCRIBED.
    ///
    /// # Errors
    /// When the master cannot be reached or refuses.
    pub async fn subscribe(
        master: &str,
        media: MediaType,
        info: FrameworkInfo,
    ) -> Result<Self, Error> {
        let client = Client::builder()
            .connect_timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            .build()?;
        let url = format!("http://{master}/api/v1/scheduler");
        let mut call = of_type(call::Type::Subscribe);
        call.subscribe = Some(call::Subscribe {
            framework_info: info,
            ..Default::default()
        });
        let sent = client
            .post(&url)
            .header(CONTENT_TYPE, media.name())
            .header(ACCEPT, media.name())
            .body(media::encode(media, &call))
            .send();
        let stream = tokio::time::timeout(CALL_TIMEOUT, sent).await??;
        if stream.status() != StatusCode::OK {
            return Err(refusal("SUBSCRIBE", stream).await);
        }
        let stream_id = stream
            .headers()
            .get(STREAM_ID)
            .and_then(|value| value.to_str().ok());
        let stream_id = stream_id
            .ok_or("the master gave no Mesos-Stream-Id")?
            .to_owned();
        let mut framework = Framework {
            client,
            url,
            media,
            id: FrameworkId::default(),
            stream_id,
            stream,
            records: Decoder::default(),
            ready: VecDeque::new(),
            calls: JoinSet::new(),
        };
        let first = tokio::time::timeout(CALL_TIMEOUT, framework.next_event()).await??;
        let subscribed = first
            .subscribed
            .ok_or("the first event is not SUBSCRIBED")?;
        framework.id = subscribed.framework_id;
        Ok(framework)
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
                Some(done) = self.calls.join_next(), if !self.calls.is_empty() => done??,
            }
        }
    }

    /// Sends a call without waiting for its answer; a refusal shows up in [`Self::next_event`].
    ///
    /// # Errors
    /// When an earlier call failed.
    pub async fn send(&mut self, mut call: Call) -> Result<(), Error> {
        while self.calls.len() >= MAX_CALLS_IN_FLIGHT {
            if let Some(done) = self.calls.join_next().await {
                done??;
            }
        }
        call.framework_id = Some(self.id.clone());
        let kind = call.r#type();
        let request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, self.media.name())
            .header(STREAM_ID, &self.stream_id)
            .timeout(CALL_TIMEOUT)
            .body(media::encode(self.media, &call));
        self.calls.spawn(async move {
            let response = request.send().await?;
            match response.status() {
                StatusCode::ACCEPTED => Ok(()),
                _ => Err(refusal(kind.as_str_name(), response).await),
            }
        });
        // Lets the request go out before anything else is done.
        tokio::task::yield_now().await;
        Ok(())
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
    async fn settle(&mut self) -> Result<(), Error> {
        while let Some(done) = self.calls.join_next().await {
            done??;
        }
        Ok(())
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
