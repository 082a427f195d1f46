//! `tepui why`: in words, why instances of an app do not run, and what would help.
//! Judges nothing; the app manager does.

use tepui_protocol::marathon::PathId;

use super::manager::{app_path, parse};
use super::shapes::{Why, WhyAgent, WhyOffers};
use super::table::{Table, age, plain};
use super::trouble::Trouble;
use super::{Common, Form, now, print_answer};

/// Tells why instances of an app do not run.
pub(super) async fn run(app: &str, common: &Common) -> Result<(), Trouble> {
    let manager = common.manager()?;
    let app = &manager.whole_id(app, "app").await?;
    let path = format!("{}/why", app_path(app)?);
    let answered = manager.get(&path, &[]).await;
    let body = answered.map_err(|trouble| explained(app, trouble))?;
    print_answer(common.output(), &body, || {
        let why: Why = parse(&body)?;
        Ok(text(&why, now(), common.form()))
    })
}

/// Marathon takes the path for that of an app.
fn explained(app: &str, trouble: Trouble) -> Trouble {
    let taken_for_app = format!("'{}/why' does not exist", PathId::new(app));
    match trouble {
        Trouble::Refused { status: 404, text } if text.contains(&taken_for_app) => Trouble::Failed(
            "this app manager cannot tell why, as Marathon cannot; `tepui queue` shows what \
                 waits and what became of offers"
                .to_owned(),
        ),
        other => other,
    }
}

fn text(why: &Why, now: i64, form: Form) -> String {
    let (id, running, wanted) = (&why.app_id, why.tasks_running, why.instances);
    let mut text = format!("app {id}: {running} of {wanted} instances run");
    if why.waiting > 0 {
        text.push_str(&format!(", {} wait for an offer", why.waiting));
    }
    if why.cause != "Nothing" {
        text.push_str(&format!(" ({})", why.cause));
    }
    text.push('\n');
    section(&mut text, "why", &why.explanation);
    section(&mut text, "what would help", &why.unblock);
    section(&mut text, "commands for that", &commands(why));
    if let Some(offers) = &why.offers {
        text.push_str(&told_by_offers(offers, now, form));
    }
    text
}

/// The server names its own paths; these are the commands for them.
fn commands(why: &Why) -> Vec<String> {
    let id = &why.app_id;
    let unblock = why.unblock.join("\n");
    let mut commands = Vec::new();
    if unblock.contains("/delay") {
        commands.push(format!("tepui queue reset {id}"));
    }
    if unblock.contains("healthCheckResults") {
        commands.push(format!("tepui app tasks {id} -o wide"));
    }
    if why.last_task_failure.is_some() || unblock.contains("sandboxes") {
        commands.push(format!("tepui app logs {id} --stderr"));
    }
    commands
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n"));
    for line in lines {
        text.push_str(&format!("  - {}\n", plain(line)));
    }
}

fn told_by_offers(offers: &WhyOffers, now: i64, form: Form) -> String {
    let mut text = String::new();
    let mut reasons = Table::new(&["REASON", "ENDED", "OF OFFERS"]);
    for reason in &offers.reasons {
        reasons.row(vec![
            reason.reason.clone(),
            reason.declined.to_string(),
            reason.processed.to_string(),
        ]);
    }
    if !reasons.is_empty() {
        text.push_str(&format!("\noffers:\n{}", reasons.fitted(2, form.columns)));
    }
    if offers.agents.is_empty() {
        return text;
    }
    text.push_str("\nthe latest unused offer of each agent:\n");
    for agent in &offers.agents {
        text.push_str(&told_by_agent(agent, now, form.is_wide));
    }
    text
}

fn told_by_agent(agent: &WhyAgent, now: i64, is_wide: bool) -> String {
    let name = match is_wide {
        true => format!("{} ({})", agent.hostname, agent.agent_id),
        false => agent.hostname.clone(),
    };
    let mut text = format!("  {}, {} ago\n", plain(&name), age(&agent.timestamp, now));
    if agent.problems.is_empty() {
        text.push_str("    would do now\n");
    }
    for problem in &agent.problems {
        let (reason, said) = (plain(&problem.reason), plain(&problem.text));
        text.push_str(&format!("    {reason}: {said}\n"));
        if !problem.unblock.is_empty() {
            text.push_str(&format!("      -> {}\n", plain(&problem.unblock)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_and_agents_are_told_in_words() {
        let why: Why = serde_json::from_value(json!({"appId": "/a", "cause": "UnsuitableOffers",
            "explanation": ["1 instances wait"], "unblock": ["free 1.5 more cpus"], "instances": 3,
            "waiting": 1, "tasksRunning": 2, "deployments": [], "offers": {"processed": 2,
            "unused": 2, "reasons": [{"reason": "InsufficientCpus", "declined": 2, "processed": 2}],
            "agents": [{"agentId": "S1", "hostname": "host-a", "reasons": ["InsufficientCpus"],
                "timestamp": "2021-07-01T10:00:00.000Z", "problems": [{"reason": "InsufficientCpus",
                "text": "wanted 2 cpus, offered 0.5", "unblock": "free 1.5 more cpus"}]},
                {"agentId": "S2", "hostname": "host-b", "reasons": [], "problems": [],
                "timestamp": "2021-07-01T10:00:00.000Z"}]}}))
        .expect("an answer");
        let expected = "\
app /a: 2 of 3 instances run, 1 wait for an offer (UnsuitableOffers)

why:
  - 1 instances wait

what would help:
  - free 1.5 more cpus

offers:
  REASON            ENDED  OF OFFERS
  InsufficientCpus  2      2

the latest unused offer of each agent:
  host-a, 5s ago
    InsufficientCpus: wanted 2 cpus, offered 0.5
      -> free 1.5 more cpus
  host-b, 5s ago
    would do now
";
        let now = 1_625_133_605_000;
        assert_eq!(text(&why, now, Form::default()), expected);
        let wide = Form {
            is_wide: true,
            columns: None,
        };
        assert!(text(&why, now, wide).contains("host-a (S1)"));
    }

    #[test]
    fn what_helps_is_told_as_commands_too() {
        let why: Why = serde_json::from_value(json!({"appId": "/a", "cause": "LaunchDelay",
            "explanation": ["1 instances wait"], "lastTaskFailure": {"taskId": "t"},
            "unblock": ["then DELETE /v2/queue/a/delay to launch at once"]}))
        .expect("an answer");
        assert_eq!(
            commands(&why),
            ["tepui queue reset /a", "tepui app logs /a --stderr"]
        );
        assert!(commands(&Why::default()).is_empty());
    }

    #[test]
    fn an_app_manager_that_cannot_tell_is_found_out() {
        let refused = |text: &str| Trouble::Refused {
            status: 404,
            text: text.to_owned(),
        };
        let marathon = explained("a", refused("refused (404): App '/a/why' does not exist"));
        assert!(
            marathon
                .text()
                .is_some_and(|text| text.contains("tepui queue"))
        );
        let missing = explained("a", refused("refused (404): App '/a' does not exist"));
        assert!(matches!(missing, Trouble::Refused { status: 404, .. }));
    }
}
