//! A framework's subscription at a master: its event stream and its calls.
//! Does not resubscribe: when to do that is the framework's decision.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1;
use tepui_protocol::v1::scheduler::{Call, Event, call, event};

use super::{ClientError, Target, accepted, error, plain_http};

/// Where calls go.
const SCHEDULER_PATH: &str = "/api/v1/scheduler";

/// The header that ties calls to a subscription.
const STREAM_ID: &str = "Mesos-Stream-Id";

/// How often a SUBSCRIBE is sent on to another master before giving up.
const MAX_REDIRECTS: usize = 5;

/// Heartbeats that may be missing before the stream counts as dead.
const MISSED_HEARTBEATS: u32 = 5;

/// Time to wait for the first event, before the master has told its heartbeat interval.
const FIRST_EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A framework's subscription. Dropping it closes the stream; the master then waits for the
/// framework's failover timeout.
#[derive(Debug)]
pub struct Subscription {
    stream: reqwest::Response,
    records: Decoder,
    caller: Caller,
    silence_limit: Duration,
}

/// Sends a subscription's calls; may be cloned and used while the stream is read elsewhere.
#[derive(Debug, Clone)]
pub struct Caller {
    http: reqwest::Client,
    target: Target,
    media: MediaType,
    framework_id: Option<v1::FrameworkId>,
    stream_id: HeaderValue,
}

impl Subscription {
    /// Subscribes a framework and waits for SUBSCRIBED, which is not handed out again by `next`.
    /// Follows a master that is not the leader to the one that is.
    ///
    /// # Errors
    /// When no master answers, the answer is a refusal, or the first event is an ERROR.
    pub async fn open(
        target: &Target,
        media: MediaType,
        subscribe: call::Subscribe,
    ) -> Result<(Subscription, event::Subscribed), ClientError> {
        let mut subscription = Subscription::open_raw(target, media, subscribe).await?;
        let first = subscription.next().await?;
        if let Some(error) = first.error {
            return Err(ClientError::Refused {
                status: 200,
                text: error.message,
            });
        }
        let Some(subscribed) = first.subscribed else {
            return Err(ClientError::Answer(
                "the first event is not SUBSCRIBED".to_owned(),
            ));
        };
        Ok((subscription, subscribed))
    }

    /// As `open`, but every event, the first included, is handed out by `next`.
    ///
    /// # Errors
    /// When no master answers or the answer is a refusal.
    pub async fn open_raw(
        target: &Target,
        media: MediaType,
        subscribe: call::Subscribe,
    ) -> Result<Subscription, ClientError> {
        let call = Call {
            framework_id: subscribe.framework_info.id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Default::default()
        };
        let body = media::encode(media, &call);
        let mut target = target.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = post_subscribe(&target, media, body.clone()).await?;
            if answer.status() == reqwest::StatusCode::TEMPORARY_REDIRECT {
                target = redirected(&answer)?;
                continue;
            }
            return Subscription::of_answer(
                accepted(answer).await?,
                target,
                media,
                call.framework_id,
            );
        }
        Err(ClientError::Answer(format!(
            "more than {MAX_REDIRECTS} redirects to other masters"
        )))
    }

    fn of_answer(
        stream: reqwest::Response,
        target: Target,
        media: MediaType,
        framework_id: Option<v1::FrameworkId>,
    ) -> Result<Subscription, ClientError> {
        let stream_id = stream.headers().get(STREAM_ID).cloned();
        let stream_id = stream_id
            .ok_or_else(|| ClientError::Answer(format!("the header {STREAM_ID} is missing")))?;
        let caller = Caller {
            http: plain_http()?,
            target,
            media,
            framework_id,
            stream_id,
        };
        let records = Decoder::default();
        Ok(Subscription {
            stream,
            records,
            caller,
            silence_limit: FIRST_EVENT_TIMEOUT,
        })
    }

    /// Waits for the next event; heartbeats are events too.
    ///
    /// # Errors
    /// When the stream has ended, is silent for too long, or cannot be read. It is over then.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let record = self.records.next_record();
            if let Some(record) = record.map_err(|error| ClientError::Answer(error.to_string()))? {
                let event: Event =
                    media::decode_call(self.caller.media, &record).map_err(ClientError::Answer)?;
                self.note(&event);
                return Ok(event);
            }
            let limit = self.silence_limit;
            let chunk = tokio::time::timeout(limit, self.stream.chunk())
                .await
                .map_err(|_| ClientError::Silent(limit.as_secs()))?;
            match chunk {
                Ok(Some(bytes)) => self.records.push(&bytes),
                Ok(None) => return Err(ClientError::Closed),
                Err(error) => return Err(ClientError::Answer(error::causes(&error))),
            }
        }
    }

    /// The id the master gave or confirmed; none before SUBSCRIBED has been read.
    pub fn framework_id(&self) -> Option<&v1::FrameworkId> {
        self.caller.framework_id.as_ref()
    }

    /// The value of `Mesos-Stream-Id`.
    pub fn stream_id(&self) -> &str {
        self.caller.stream_id.to_str().unwrap_or_default()
    }

    /// Sends this subscription's calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Sends a call.
    ///
    /// # Errors
    /// As `Caller::call`.
    pub async fn call(&self, call: &Call) -> Result<(), ClientError> {
        self.caller.call(call).await
    }

    /// Learns from SUBSCRIBED the framework's id and how often heartbeats come.
    fn note(&mut self, event: &Event) {
        let Some(subscribed) = &event.subscribed else {
            return;
        };
        self.caller.framework_id = Some(subscribed.framework_id.clone());
        let interval = subscribed.heartbeat_interval_seconds.unwrap_or_default();
        if let Ok(interval) = Duration::try_from_secs_f64(interval)
            && !interval.is_zero()
        {
            self.silence_limit = interval.saturating_mul(MISSED_HEARTBEATS);
        }
    }
}

impl Caller {
    /// Sends a call; the framework's id is filled in when it is missing. The master answers before
    /// it acts, so success means only that the call is well formed.
    ///
    /// # Errors
    /// When the master cannot be reached or refuses.
    pub async fn call(&self, call: &Call) -> Result<(), ClientError> {
        let mut call = call.clone();
        if call.framework_id.is_none() {
            call.framework_id = self.framework_id.clone();
        }
        let url = self.target.url(SCHEDULER_PATH);
        let request = self
            .http
            .post(&url)
            .header(CONTENT_TYPE, self.media.name())
            .header(STREAM_ID, self.stream_id.clone())
            .body(media::encode(self.media, &call));
        let answer = request
            .send()
            .await
            .map_err(|error| ClientError::unreachable(&url, &error))?;
        accepted(answer).await.map(|_| ())
    }

    /// The master that was subscribed to, after redirects.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

async fn post_subscribe(
    target: &Target,
    media: MediaType,
    body: bytes::Bytes,
) -> Result<reqwest::Response, ClientError> {
    // A client of its own: the stream has no total time limit and its connection is not shared.
    let http = reqwest::Client::builder()
        .connect_timeout(super::CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| ClientError::Setup(error.to_string()))?;
    let url = target.url(SCHEDULER_PATH);
    let request = http
        .post(&url)
        .header(CONTENT_TYPE, media.name())
        .header(ACCEPT, media.name())
        .body(body)
        .send();
    match tokio::time::timeout(super::REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| ClientError::unreachable(&url, &error)),
        Err(_) => Err(ClientError::Unreachable {
            url,
            why: "no answer in time".to_owned(),
        }),
    }
}

fn redirected(answer: &reqwest::Response) -> Result<Target, ClientError> {
    let location = answer
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let missing = || ClientError::Answer("a redirect does not say where to".to_owned());
    Target::from_location(location.ok_or_else(missing)?)
}
