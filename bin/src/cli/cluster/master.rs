//! A master as its operators' tools see it: calls of the operator API v1, and reads.
//! Prints nothing and retries nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_actors::client::{
    Answer, ClientError, Method, RecordStream, Request, Server, Target, percent_encode,
};

use super::super::trouble::Trouble;

/// Time to wait for a master to lead, where masters are elected.
const LEADER_LIMIT: Duration = Duration::from_secs(10);

/// The most of a refusal that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 1000;

/// A master, or one that knows which other one leads.
pub(super) struct Master {
    server: Server,
}

impl Master {
    /// The one at an address, or the one that leads where masters meet in ZooKeeper.
    pub(super) async fn find(named: &str) -> Result<Master, Trouble> {
        let server = match named.starts_with("zk://") {
            true => {
                let target = Target::find(named, LEADER_LIMIT).await;
                target.map_err(no_answer)?.url("")
            }
            false => named.to_owned(),
        };
        Ok(Master {
            server: server.parse().map_err(no_answer)?,
        })
    }

    /// Makes a call of the operator API that must be obeyed, and gives the member of its answer that
    /// is named as the call; null when the answer has none.
    pub(super) async fn call(&self, kind: &str, payload: Option<Value>) -> Result<Value, Trouble> {
        let member = kind.to_ascii_lowercase();
        let answer = self.send(&call(kind, &member, payload)).await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        let mut answer = parse(&answer)?;
        Ok(answer[&member].take())
    }

    /// Makes a call that only asks.
    pub(super) async fn ask(&self, kind: &str) -> Result<Value, Trouble> {
        self.call(kind, None).await
    }

    /// Reads what is at a path, with a query of names and values.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Trouble> {
        let mut whole = path.to_owned();
        for (index, (name, value)) in query.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            whole.push_str(&format!("{sign}{name}={}", percent_encode(value)));
        }
        parse(&self.send(&Request::new(Method::Get, whole)).await?)
    }

    /// Listens to what happens, beginning with what there is.
    pub(super) async fn events(&self) -> Result<RecordStream, Trouble> {
        let request = call("SUBSCRIBE", "", None);
        let opened = RecordStream::open(&self.server, request).await;
        opened.map_err(no_answer)
    }

    async fn send(&self, request: &Request) -> Result<Answer, Trouble> {
        let answer = self.server.send(request).await.map_err(no_answer)?;
        match answer.is_success() {
            true => Ok(answer),
            false => {
                let text = String::from_utf8_lossy(&answer.body);
                Err(refused(answer.status, &text))
            }
        }
    }
}

/// A call may be sent on: a master that does not lead has done nothing.
fn call(kind: &str, member: &str, payload: Option<Value>) -> Request {
    let mut call = json!({"type": kind});
    if let Some(payload) = payload {
        call[member] = payload;
    }
    Request::new(Method::Post, "/api/v1")
        .with_body(call.to_string().into_bytes())
        .sent_on()
}

fn parse(answer: &Answer) -> Result<Value, Trouble> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Trouble::Failed(format!(
            "the answer is not what a master answers ({error}); is --master right?"
        ))
    })
}

/// The trouble of a master that gives no answer.
pub(super) fn no_answer(error: ClientError) -> Trouble {
    match error {
        ClientError::Unreachable { url, why } => Trouble::Unreachable(format!(
            "cannot reach a master at {url} ({why}); start one with `tepui local` or \
             `tepui-master`, or name another with --master, TEPUI_MASTER or the setting `master`"
        )),
        ClientError::NoLeader { .. } => Trouble::Unreachable(error.to_string()),
        ClientError::ServerUrl(text) | ClientError::Address(text) => Trouble::Usage(format!(
            "'{text}' is no address of a master; expected host:port, as 127.0.0.1:5050, a URL, or \
             zk://host:port,.../path"
        )),
        ClientError::ZooKeeper(text) => Trouble::Usage(text),
        ClientError::Refused { status, text } => refused(status, &text),
        ClientError::Closed | ClientError::Silent(_) => Trouble::Unreachable(format!(
            "{error}; perhaps another master leads now: run the command again"
        )),
        other => Trouble::Failed(format!("cannot read the master's answer: {other}")),
    }
}

fn refused(status: u16, text: &str) -> Trouble {
    let said: String = text.trim().chars().take(MAX_SHOWN_CHARS).collect();
    let said = match said.as_str() {
        "" => "without a word",
        said => said,
    };
    let help = match status {
        401 => "\ngive user and password in the master's URL, as http://user:password@host:port",
        403 => "\nthe master's access rules forbid it to this user",
        404 if text.trim().is_empty() => "\nis --master the address of a master?",
        307 | 503 => "\nperhaps no master leads right now; try again in a moment",
        _ => "",
    };
    Trouble::Refused {
        status,
        text: format!("refused ({status}): {said}{help}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_say_what_to_do() {
        let unreachable = no_answer(ClientError::Unreachable {
            url: "http://h:1".to_owned(),
            why: "Connection refused".to_owned(),
        });
        assert_eq!(unreachable.exit_status(), 3);
        let text = unreachable.text().expect("a text");
        assert!(
            text.contains("http://h:1") && text.contains("TEPUI_MASTER"),
            "{text}"
        );
        let wrong = no_answer(ClientError::ServerUrl("h".to_owned()));
        assert_eq!(wrong.exit_status(), 2);
        let text = |status, body| refused(status, body).text().map(str::to_owned);
        assert_eq!(
            text(400, "Unknown agent\n").as_deref(),
            Some("refused (400): Unknown agent")
        );
        assert!(text(503, "").is_some_and(|text| text.contains("without a word\nperhaps")));
        assert!(text(401, "no").is_some_and(|text| text.contains("password")));
    }
}
