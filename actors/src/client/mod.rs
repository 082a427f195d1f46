//! A client of the public HTTP APIs: a framework's subscription, and reads from master and agents.
//! Knows nothing of how master and agent work inside; it takes no decision for a framework.

mod address;
mod calls;
pub(crate) mod connection;
mod error;
mod events;
mod files;
pub(crate) mod http1;
mod records;
mod server;
mod subscription;

#[cfg(test)]
mod tests;

pub use address::Target;
pub use calls::{accept, acknowledge, decline, kill, reconcile, suppress, teardown};
pub use error::ClientError;
pub use events::{EventStream, ServerEvent};
pub use files::{AgentFile, agent_url, percent_encode};
pub use records::RecordStream;
pub use server::{Answer, Method, Request, Server};
pub use subscription::{Caller, Subscription};
pub use tepui_protocol::media::MediaType;

use std::time::Duration;

/// Time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a whole request that is no stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest text of an error answer that is shown.
const MAX_ERROR_TEXT_BYTES: usize = 2000;

/// The largest answer read into memory.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Gets a JSON answer, such as `/state` of a master.
///
/// # Errors
/// When the target cannot be reached, refuses, or answers no JSON.
pub async fn get_json(target: &Target, path: &str) -> Result<serde_json::Value, ClientError> {
    let bytes = get(&plain_http()?, &target.url(path)).await?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer(error.to_string()))
}

/// An HTTP client for requests that end.
fn plain_http() -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy();
    builder
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(|error| ClientError::Setup(error.to_string()))
}

/// Gets a whole answer of bounded size.
async fn get(http: &reqwest::Client, url: &str) -> Result<Vec<u8>, ClientError> {
    let answer = http
        .get(url)
        .send()
        .await
        .map_err(|error| ClientError::unreachable(url, &error))?;
    let answer = accepted(answer).await?;
    read_body(answer, MAX_ANSWER_BYTES).await
}

/// The answer, unless its status refuses the request.
async fn accepted(answer: reqwest::Response) -> Result<reqwest::Response, ClientError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = read_body(answer, MAX_ERROR_TEXT_BYTES)
        .await
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    Err(ClientError::Refused {
        status: status.as_u16(),
        text,
    })
}

/// The body up to a limit; what is beyond it is an error.
async fn read_body(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(ClientError::Answer(format!(
                    "it is longer than {limit} bytes"
                )));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(ClientError::Answer(error::causes(&error))),
        }
    }
}
