//! What an app manager says when it refuses, or when nobody answers, in words that help.
//! Prints nothing.

use serde_json::Value;
use tepui_actors::client::{Answer, ClientError};

pub(super) use super::super::trouble::Trouble;

/// The most of an answer that is no JSON that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 300;

impl Trouble {
    /// The trouble of an app manager that gives no answer.
    pub(super) fn no_answer(error: ClientError) -> Trouble {
        match error {
            ClientError::Unreachable { url, why } => Trouble::Unreachable(format!(
                "cannot reach an app manager at {url} ({why}); start one with `tepui local` or \
                 `tepui-marathon`, or name another with --marathon or TEPUI_MARATHON"
            )),
            ClientError::ServerUrl(_) => Trouble::Usage(format!("--marathon: {error}")),
            other => Trouble::Failed(format!("cannot read the app manager's answer: {other}")),
        }
    }

    /// The trouble of an answer that refuses.
    pub(super) fn refused(answer: &Answer) -> Trouble {
        Trouble::Refused {
            status: answer.status,
            text: refusal(answer.status, &answer.body),
        }
    }

    /// The trouble of an answer that cannot be read.
    pub(super) fn unreadable(error: &serde_json::Error) -> Trouble {
        Trouble::Failed(format!(
            "the answer is not what an app manager answers ({error}); is --marathon right?"
        ))
    }
}

/// What a refusal says: its message, then its details, one a line, then what would help.
fn refusal(status: u16, body: &[u8]) -> String {
    let Ok(Value::Object(said)) = serde_json::from_slice(body) else {
        return no_json(status, body);
    };
    let Some(message) = said.get("message").and_then(Value::as_str) else {
        return no_json(status, body);
    };
    let mut text = format!("refused ({status}): {message}");
    match said.get("details") {
        Some(Value::String(details)) => text.push_str(&format!("\n  {details}")),
        Some(Value::Array(details)) => {
            for detail in details {
                let path = detail["path"].as_str().unwrap_or("/");
                let errors = detail["errors"].as_array().into_iter().flatten();
                for error in errors.filter_map(Value::as_str) {
                    text.push_str(&format!("\n  {path}: {error}"));
                }
            }
        }
        _ => {}
    }
    let deployments = said.get("deployments").and_then(Value::as_array);
    let ids = deployments.into_iter().flatten();
    for id in ids.filter_map(|it| it["id"].as_str()) {
        text.push_str(&format!("\n  deployment {id} is under way"));
    }
    if status == 409 && said.contains_key("deployments") {
        text.push_str(
            "\nwait for it with `tepui deployment wait`, or cancel it by giving --force here",
        );
    }
    if let Some(help) = help(status) {
        text.push_str(&format!("\n{help}"));
    }
    text
}

fn no_json(status: u16, body: &[u8]) -> String {
    let said = String::from_utf8_lossy(body);
    let said: String = said.trim().chars().take(MAX_SHOWN_CHARS).collect();
    let said = match said.as_str() {
        "" => "without a word".to_owned(),
        said => format!("with no JSON of an app manager: {said}"),
    };
    let help = help(status).unwrap_or("is --marathon the URL of an app manager?");
    format!("refused with status {status}, {said}\n{help}")
}

fn help(status: u16) -> Option<&'static str> {
    match status {
        401 => Some(
            "give user and password in the URL, as http://user:password@host:port, or in \
             TEPUI_MARATHON_CREDENTIALS",
        ),
        503 => Some("perhaps no app manager leads right now; try again in a moment"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_show_every_detail_in_lines() {
        let body = br#"{"message":"Object is not valid","details":[{"path":"/cpus","errors":
            ["error.min","got -1"]},{"path":"/id","errors":["no"]}]}"#;
        assert_eq!(
            refusal(422, body),
            "refused (422): Object is not valid\n  /cpus: error.min\n  /cpus: got -1\n  /id: no"
        );
        let body = br#"{"message":"Invalid JSON","details":"at line 1"}"#;
        assert_eq!(
            refusal(400, body),
            "refused (400): Invalid JSON\n  at line 1"
        );
        let body = br#"{"message":"App is locked","deployments":[{"id":"d-1"}]}"#;
        let text = refusal(409, body);
        assert!(
            text.contains("  deployment d-1 is under way\n") && text.contains("--force"),
            "{text}"
        );
        assert_eq!(
            refusal(404, br#"{"message":"none","details":[]}"#),
            "refused (404): none"
        );
    }

    #[test]
    fn what_is_no_app_manager_is_guessed() {
        let text = refusal(404, b"<html>nginx</html>");
        assert!(
            text.contains("404") && text.contains("nginx") && text.contains("--marathon"),
            "{text}"
        );
        assert!(refusal(401, b"").contains("TEPUI_MARATHON_CREDENTIALS"));
    }

    #[test]
    fn every_trouble_has_its_exit_status() {
        let refused = Trouble::Refused {
            status: 503,
            text: String::new(),
        };
        assert!(refused.may_pass());
        let error = ClientError::Unreachable {
            url: "http://h:1".to_owned(),
            why: "Connection refused".to_owned(),
        };
        let unreachable = Trouble::no_answer(error);
        let text = unreachable.text().expect("a text");
        assert!(
            text.contains("Connection refused") && text.contains("TEPUI_MARATHON"),
            "{text}"
        );
        let statuses = [
            refused,
            Trouble::Usage(String::new()),
            unreachable,
            Trouble::OutputClosed,
        ]
        .map(|trouble| trouble.exit_status());
        assert_eq!(statuses, [1, 2, 3, 0]);
    }
}
