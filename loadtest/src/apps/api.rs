//! Requests to an app manager's HTTP interface, with the deployments that changes begin.
//! Waits for no deployment.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::framework::Error;

/// Time one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Most characters of a refusal's text that are shown.
const MAX_REFUSAL_CHARS: usize = 300;

/// An app manager, as operators reach it. Copies share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
}

/// How many tasks an app has and wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Apps that were counted.
    pub apps: u64,
    /// Instances that are wanted.
    pub instances: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that are about to run.
    pub staged: u64,
}

impl Api {
    /// An app manager at this address.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(address: SocketAddr) -> Result<Self, Error> {
        Ok(Api {
            client: Client::builder().tcp_nodelay(true).build()?,
            base: format!("http://{address}"),
        })
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Opens a stream of events of these names.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn events(&self, names: &[&str]) -> Result<Response, Error> {
        let names: Vec<String> = names.iter().map(|it| format!("event_type={it}")).collect();
        let url = self.url(&format!("/v2/events?{}", names.join("&")));
        let sent = self.client.get(url).header(ACCEPT, "text/event-stream");
        let answer = tokio::time::timeout(ANSWER_LIMIT, sent.send()).await??;
        taken("GET /v2/events", answer).await
    }

    /// Reads a path.
    ///
    /// # Errors
    /// When it is refused or no JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        let sent = self.client.get(self.url(path)).timeout(ANSWER_LIMIT);
        let answer = taken(&format!("GET {path}"), sent.send().await?).await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Makes a change; gives the id of the deployment that it begins.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Error> {
        let what = format!("{method} {path}");
        let mut request = self
            .client
            .request(method, self.url(path))
            .timeout(ANSWER_LIMIT);
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let answer = taken(&what, request.send().await?).await?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let id = deployment_of(&answer);
        id.ok_or_else(|| format!("the answer to {what} names no deployment: {answer}").into())
    }

    /// Wants so many instances of an app; gives the id of the deployment.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn scale(&self, app: &str, instances: u64) -> Result<String, Error> {
        let body = json!({ "instances": instances });
        let path = format!("/v2/apps{app}");
        self.change(Method::PUT, &path, Some(&body)).await
    }

    /// Counts the tasks of all apps.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn count_all(&self) -> Result<Counts, Error> {
        let answer = self.get("/v2/apps").await?;
        let apps = answer.get("apps").and_then(Value::as_array);
        let apps = apps.ok_or("the answer to GET /v2/apps has no apps")?;
        Ok(apps.iter().map(count).fold(Counts::default(), Counts::plus))
    }

    /// The ids of the deployments under way.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn deployments(&self) -> Result<Vec<String>, Error> {
        let answer = self.get("/v2/deployments").await?;
        let all = answer
            .as_array()
            .ok_or("the answer to GET /v2/deployments is no list")?;
        let id = |deployment: &Value| Some(deployment.get("id")?.as_str()?.to_owned());
        Ok(all.iter().filter_map(id).collect())
    }
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            apps: self.apps + other.apps,
            instances: self.instances + other.instances,
            running: self.running + other.running,
            staged: self.staged + other.staged,
        }
    }
}

fn count(app: &Value) -> Counts {
    let number = |name: &str| app.get(name).and_then(Value::as_u64).unwrap_or(0);
    Counts {
        apps: 1,
        instances: number("instances"),
        running: number("tasksRunning"),
        staged: number("tasksStaged"),
    }
}

/// Apps that were created list their deployments; all other changes name the only one.
fn deployment_of(answer: &Value) -> Option<String> {
    let named = answer.get("deploymentId");
    let listed = || answer.get("deployments")?.get(0)?.get("id");
    Some(named.or_else(listed)?.as_str()?.to_owned())
}

/// The answer, if the request was granted.
async fn taken(what: &str, answer: Response) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let text: String = text.chars().take(MAX_REFUSAL_CHARS).collect();
    Err(format!("the app manager answered {what} with {status}: {text}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_named_in_both_ways() {
        let put = json!({"version": "v", "deploymentId": "a"});
        let post = json!({"id": "/x", "deployments": [{"id": "b"}]});
        assert_eq!(deployment_of(&put).as_deref(), Some("a"));
        assert_eq!(deployment_of(&post).as_deref(), Some("b"));
        assert_eq!(deployment_of(&json!({"deployments": []})), None);
    }

    #[test]
    fn counts_add_up() {
        let one = count(&json!({"instances": 3, "tasksRunning": 2, "tasksStaged": 1}));
        let both = one.plus(count(&json!({"instances": 4})));
        assert_eq!(
            both,
            Counts {
                apps: 2,
                instances: 7,
                running: 2,
                staged: 1
            }
        );
    }
}
