//! The Docker Engine's API over its Unix socket, as far as the agent needs it.
//! Knows nothing of tasks and containers of Mesos.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};

/// Time the Engine has for work that takes no image from a registry.
const WORK_TIMEOUT: Duration = Duration::from_secs(60);

/// Time the Engine has to say what it knows.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// Time the Engine has to kill a container. Who waits for that has other means, too.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest line of a report about a pull, in bytes.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Why the Engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// It cannot be reached, or went away in the middle.
    #[error("the Docker Engine cannot be reached at {0} (see --docker_socket): {1}")]
    Gone(String, String),
    /// It refused, with this status and these words.
    #[error("{1}")]
    Refused(StatusCode, String),
}

impl EngineError {
    /// Whether it knows nothing of this name.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, EngineError::Refused(StatusCode::NOT_FOUND, _))
    }

    /// Whether it cannot be reached.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, EngineError::Gone(..))
    }

    /// Whether what it was asked for is so already, or cannot be any more.
    fn is_needless(&self) -> bool {
        let needless = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        matches!(self, EngineError::Refused(status, _) if needless.contains(status))
    }
}

/// A container that the Engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: String,
    /// The Engine's word for where it is in its life.
    pub(super) state: String,
}

/// A client of one Engine.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    client: Client,
    socket: String,
}

impl Engine {
    /// A client of the Engine that listens there; whether it does shows with the first request.
    ///
    /// # Errors
    /// When the system's sources of randomness or the like fail.
    pub(super) fn at(socket: &Path) -> Result<Self, String> {
        let client = Client::builder().unix_socket(socket).build();
        Ok(Engine {
            client: client.map_err(|error| error.to_string())?,
            socket: socket.display().to_string(),
        })
    }

    fn gone(&self, error: &reqwest::Error) -> EngineError {
        if error.is_timeout() {
            let why = "it does not answer in time";
            return EngineError::Gone(self.socket.clone(), why.to_owned());
        }
        let mut why = error as &dyn std::error::Error;
        while let Some(cause) = why.source() {
            why = cause;
        }
        EngineError::Gone(self.socket.clone(), why.to_string())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        timeout: Option<Duration>,
    ) -> Result<Response, EngineError> {
        let request = self.request(method, path, query, body, timeout)?;
        self.answer(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        timeout: Option<Duration>,
    ) -> Result<RequestBuilder, EngineError> {
        let url = Url::parse_with_params(&format!("http://docker{path}"), query);
        let url = url.map_err(|error| {
            EngineError::Refused(StatusCode::BAD_REQUEST, format!("'{path}': {error}"))
        })?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        Ok(request)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, EngineError> {
        let answer = request.send().await.map_err(|error| self.gone(&error))?;
        let status = answer.status();
        if status.as_u16() < 400 {
            return Ok(answer);
        }
        let said: Value = self.read(answer).await.unwrap_or_default();
        let words = said.get("message").and_then(Value::as_str);
        let words = words.map_or_else(|| format!("it answered with {status}"), str::to_owned);
        Err(EngineError::Refused(status, words))
    }

    async fn read(&self, answer: Response) -> Result<Value, EngineError> {
        let bytes = answer.bytes().await.map_err(|error| self.gone(&error))?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, EngineError> {
        let timeout = Some(match method {
            Method::GET => LOOK_TIMEOUT,
            _ => WORK_TIMEOUT,
        });
        let answer = self.send(method, path, query, body, timeout).await?;
        self.read(answer).await
    }

    /// Whether it has an image.
    pub(super) async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        let path = format!("/images/{image}/json");
        match self.ask(Method::GET, &path, &[], None).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_unknown() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has it get an image from its registry, which may take as long as it takes, with a login in
    /// the form that it wants if there is one.
    pub(super) async fn pull(&self, image: &str, login: Option<&str>) -> Result<(), EngineError> {
        let query = [("fromImage", image)];
        let mut request = self.request(Method::POST, "/images/create", &query, None, None)?;
        if let Some(login) = login {
            request = request.header("X-Registry-Auth", login);
        }
        let mut answer = self.answer(request).await?;
        // The status is that of the beginning; what goes wrong later is said in one of the lines.
        let mut line = Vec::new();
        let refused = |line: &[u8]| {
            let said: Value = serde_json::from_slice(line).ok()?;
            let words = said.get("error")?.as_str()?.to_owned();
            Some(EngineError::Refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                words,
            ))
        };
        while let Some(part) = answer.chunk().await.map_err(|error| self.gone(&error))? {
            for byte in part {
                match byte {
                    b'\n' => refused(&std::mem::take(&mut line)).map_or(Ok(()), Err)?,
                    byte if line.len() < MAX_LINE_BYTES => line.push(byte),
                    _ => {}
                }
            }
        }
        refused(&line).map_or(Ok(()), Err)
    }

    /// Makes a container.
    pub(super) async fn create(&self, name: &str, order: &Value) -> Result<(), EngineError> {
        let query = [("name", name)];
        let made = self.ask(Method::POST, "/containers/create", &query, Some(order));
        made.await.map(drop)
    }

    /// Ends all processes of a container; one that does not run is none of its concerns.
    pub(super) async fn kill(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{name}/kill");
        let timeout = Some(KILL_TIMEOUT);
        match self.send(Method::POST, &path, &[], None, timeout).await {
            Err(error) if !error.is_needless() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a container with its anonymous volumes, and ends it if it runs.
    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{name}");
        let query = [("v", "1"), ("force", "1")];
        match self.ask(Method::DELETE, &path, &query, None).await {
            Err(error) if !error.is_needless() => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes what a container may use.
    pub(super) async fn update(&self, name: &str, order: &Value) -> Result<(), EngineError> {
        let path = format!("/containers/{name}/update");
        self.ask(Method::POST, &path, &[], Some(order))
            .await
            .map(drop)
    }

    /// All it knows of a container.
    pub(super) async fn inspect(&self, name: &str) -> Result<Value, EngineError> {
        let path = format!("/containers/{name}/json");
        self.ask(Method::GET, &path, &[], None).await
    }

    /// Whether a container was ended because it used more memory than it may.
    pub(super) async fn was_out_of_memory(&self, name: &str) -> Result<bool, EngineError> {
        let said = self.inspect(name).await?;
        let killed = said.pointer("/State/OOMKilled").and_then(Value::as_bool);
        Ok(killed.unwrap_or(false))
    }

    /// What a container uses at this moment.
    pub(super) async fn stats(&self, name: &str) -> Result<Value, EngineError> {
        let path = format!("/containers/{name}/stats");
        let query = [("stream", "0"), ("one-shot", "1")];
        self.ask(Method::GET, &path, &query, None).await
    }

    /// All containers that have a label, whether they run or not.
    pub(super) async fn list(&self, label: &str, value: &str) -> Result<Vec<Listed>, EngineError> {
        let filters = json!({"label": [format!("{label}={value}")]}).to_string();
        let query = [("all", "1"), ("filters", filters.as_str())];
        let said = self
            .ask(Method::GET, "/containers/json", &query, None)
            .await?;
        let all = said.as_array().into_iter().flatten();
        let listed = all.filter_map(|one| {
            let name = one.pointer("/Names/0")?.as_str()?;
            Some(Listed {
                name: name.trim_start_matches('/').to_owned(),
                state: one.get("State")?.as_str()?.to_owned(),
            })
        });
        Ok(listed.collect())
    }
}
