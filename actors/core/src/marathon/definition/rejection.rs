//! Why a request is refused, in the JSON that Marathon's clients read.
//! Decides nothing itself.

use std::fmt;

use serde::Serialize;
use tepui_protocol::marathon::{PathId, Timestamp};

/// A refused request: a status of HTTP and the body that goes with it. Serialised, it is the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Status of the answer: 400, 403, 404, 409, 422 or 500.
    #[serde(skip)]
    pub status: u16,
    /// What is wrong, in Marathon's words.
    pub message: String,
    /// Where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The deployments in the way, of answers that say a service is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployments: Option<Vec<Identified>>,
}

/// Details of a rejection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// What the parser said.
    Text(String),
    /// By place in the body.
    List(Vec<Detail>),
}

/// What is wrong at one place of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Slash separated, list positions as `(n)`; `/` is the whole body.
    pub path: String,
    /// At least one.
    pub errors: Vec<String>,
}

/// `{"id": ...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identified {
    /// The id.
    pub id: String,
}

impl Rejection {
    /// A status and a message, nothing more.
    pub fn message(status: u16, message: impl Into<String>) -> Rejection {
        Rejection {
            status,
            message: message.into(),
            details: None,
            deployments: None,
        }
    }

    /// 400: the body is no JSON; `parser` says where.
    pub fn syntax(parser: impl Into<String>) -> Rejection {
        let mut rejection = Rejection::message(400, "Invalid JSON");
        rejection.details = Some(Details::Text(parser.into()));
        rejection
    }

    /// 400: there is no body.
    pub fn empty_body() -> Rejection {
        let mut rejection = Rejection::message(400, "Please specify data in JSON format");
        let text =
            "No content to map due to end-of-input\n at [Source: (body); line: 1, column: 0]";
        rejection.details = Some(Details::Text(text.into()));
        rejection
    }

    /// 422: JSON, but of the wrong shape.
    pub fn invalid_json(details: Vec<Detail>) -> Rejection {
        let mut rejection = Rejection::message(422, "Invalid JSON");
        rejection.details = Some(Details::List(details));
        rejection
    }

    /// 422: of the right shape, but against the rules.
    pub fn not_valid(details: Vec<Detail>) -> Rejection {
        let mut rejection = Rejection::message(422, "Object is not valid");
        rejection.details = Some(Details::List(details));
        rejection
    }

    /// 422: one rule is broken at one place.
    pub fn one(path: &str, error: impl Into<String>) -> Rejection {
        let mut findings = Findings::default();
        findings.add(path, error);
        Rejection::not_valid(findings.into_details())
    }

    /// 404: no such app, for calls that change it.
    pub fn no_app(id: &PathId) -> Rejection {
        Rejection::message(404, format!("App '{id}' does not exist"))
    }

    /// 404: no such group, for calls that change it.
    pub fn no_group(id: &PathId) -> Rejection {
        Rejection::message(404, format!("Group '{id}' does not exist"))
    }

    /// 422: a group was not stored at that version.
    pub fn no_version(id: &PathId, version: Timestamp) -> Rejection {
        let text = format!("Group {id} not available in version {version}");
        Rejection::message(422, text)
    }

    /// 409: running deployments hold an affected service.
    pub fn locked<I: Into<String>>(deployments: impl IntoIterator<Item = I>) -> Rejection {
        let text = "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.";
        let mut rejection = Rejection::message(409, text);
        let ids = deployments.into_iter().map(Into::into);
        rejection.deployments = Some(ids.map(|id| Identified { id }).collect());
        rejection
    }

    /// The same with an empty list of details, as answers to reads have it.
    pub fn with_empty_details(mut self) -> Rejection {
        self.details = Some(Details::List(Vec::new()));
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.message)?;
        if let Some(Details::List(details)) = &self.details {
            for detail in details {
                write!(f, "; {}: {}", detail.path, detail.errors.join(", "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

/// Collects what is wrong; entries of the same path are merged.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Detail>);

impl Findings {
    /// Notes an error at `path`, below the prefix of whoever reports; empty means the whole body.
    pub fn add(&mut self, path: &str, error: impl Into<String>) {
        let path = if path.is_empty() { "/" } else { path };
        let error = error.into();
        match self.0.iter_mut().find(|detail| detail.path == path) {
            Some(detail) => detail.errors.push(error),
            None => self.0.push(Detail {
                path: path.to_owned(),
                errors: vec![error],
            }),
        }
    }

    /// Notes an error unless the rule holds.
    pub fn check(&mut self, holds: bool, path: &str, error: impl Into<String>) {
        if !holds {
            self.add(path, error);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong, in the order it was found.
    pub fn into_details(self) -> Vec<Detail> {
        self.0
    }

    /// A rejection if any rule is broken.
    pub fn into_result(self) -> Result<(), Rejection> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Rejection::not_valid(self.0))
    }
}
