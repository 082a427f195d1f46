//! Replays recorded conversations and exchanges against a real cluster.
//! Compares with `matching`; knows nothing of what a call means.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::matching::{
    Bindings, called, check, check_picked, check_shape, check_text, fill, fill_text,
    recorded_ports, unbound,
};
use crate::support::cluster::Cluster;
use crate::support::http;

/// Longest time a recorded event may take to come.
const EVENT_PATIENCE: Duration = Duration::from_secs(20);

/// What is said of a stream that has ended.
const ENDED: &str = "the stream ended";

/// One replay: its cluster and what placeholders stand for.
pub struct Replay<'a> {
    cluster: &'a Cluster,
    pub bindings: Bindings,
    streams: BTreeMap<String, Stream>,
    /// Whether offers were compared already: what the first ones hold is settled, what later
    /// ones hold depends on when resources came back.
    had_offers: bool,
}

struct Stream {
    http: http::Stream,
    /// Value of `<STREAM>` in requests of this stream.
    id: Option<String>,
    /// Offers that came before they were expected.
    early_offers: Vec<Value>,
    /// Other events that came before they were expected.
    early_events: VecDeque<Value>,
    /// Steps of this stream's events that were read ahead.
    done: Vec<usize>,
}

impl<'a> Replay<'a> {
    pub fn new(cluster: &'a Cluster) -> Self {
        Replay {
            cluster,
            bindings: Bindings::new(),
            streams: BTreeMap::new(),
            had_offers: false,
        }
    }

    /// Plays one conversation to its end.
    pub fn conversation(&mut self, steps: &[Value]) -> Result<(), String> {
        for (index, step) in steps.iter().enumerate() {
            self.step(steps, index, step)
                .map_err(|why| format!("step {index} {step}: {why}"))?;
        }
        Ok(())
    }

    fn step(&mut self, steps: &[Value], index: usize, step: &Value) -> Result<(), String> {
        if let Some(name) = step["close"].as_str() {
            self.streams.remove(name).ok_or("the stream is not open")?;
            return Ok(());
        }
        if let Some(name) = step["stream"].as_str() {
            return match step["end"].as_bool() {
                Some(ends) => self.expect_end(name, ends),
                None => self.expect_event(steps, index),
            };
        }
        self.bind_request(steps, index)?;
        if let Some(name) = step["open"].as_str() {
            return self.open(name, step);
        }
        let stream = step["as"].as_str().and_then(|name| self.streams.get(name));
        let id = stream.and_then(|stream| stream.id.clone());
        self.exchange(step, id.as_deref(), "exact")
    }

    /// Gives every placeholder of the request at `index` a value.
    ///
    /// What no event has named was made up by the recorder.
    fn bind_request(&mut self, steps: &[Value], index: usize) -> Result<(), String> {
        let request = &steps[index]["request"]["json"];
        if request["type"] == "ACKNOWLEDGE" {
            self.read_acknowledged(steps, index)?;
        }
        for name in unbound(request, &self.bindings) {
            // A conversation that begins with an agent means one that is there.
            match index == 0 && name == "AGENT-1" {
                true => self.bind_agent(&name),
                false => self.invent(&name),
            }
        }
        Ok(())
    }

    /// An acknowledgement is recorded before the update it is for, which must have come all the
    /// same: the master takes none for an update it has not seen.
    fn read_acknowledged(&mut self, steps: &[Value], index: usize) -> Result<(), String> {
        let uuid = &steps[index]["request"]["json"]["acknowledge"]["uuid"];
        let is_its_update = |step: &Value| {
            let update = &step["event"]["update"]["status"]["uuid"];
            let listens = step["stream"]
                .as_str()
                .is_some_and(|name| self.streams.contains_key(name));
            listens && update.is_string() && update == uuid
        };
        let ahead = steps.iter().skip(index).position(is_its_update);
        ahead.map_or(Ok(()), |ahead| self.expect_event(steps, index + ahead))
    }

    /// The first agent started is the one that was recorded with the first port.
    fn bind_agent(&mut self, name: &str) {
        let master = self.cluster.master.address;
        let state = http::request(master, "GET", "/state", &[], &[]).json();
        let pid = format!("slave(1)@{}", self.cluster.agents[0].address);
        let agents = state["slaves"].as_array().expect("agents");
        let agent = agents.iter().find(|agent| agent["pid"] == pid.as_str());
        let id = agent.and_then(|agent| agent["id"].as_str());
        let id = id.expect("the first agent is registered");
        self.bindings.insert(name.to_owned(), id.to_owned());
    }

    fn invent(&mut self, name: &str) {
        let uuid = uuid::Uuid::from_u128(
            0x0123_4567_89ab_4def_8123_4567_0000_0000
                | u128::from(u32::try_from(self.bindings.len()).unwrap_or(0)),
        );
        let value = if name == "TIME" {
            "1700000000.5".to_owned()
        } else if name.starts_with("UUID64") {
            STANDARD.encode(uuid.as_bytes())
        } else {
            uuid.to_string()
        };
        self.bindings.insert(name.to_owned(), value);
    }

    fn open(&mut self, name: &str, step: &Value) -> Result<(), String> {
        let (path, headers, body) = self.request_parts(&step["request"], None);
        let headers: Vec<_> = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let to = self.address(step);
        let deadline = Instant::now() + EVENT_PATIENCE;
        let http = loop {
            match http::open(to, &path, &headers, &body) {
                Ok(stream) => break stream,
                // An executor is known only once its launch has reached the agent.
                Err(refused) if step["to"] == "agent" && Instant::now() < deadline => {
                    drop(refused);
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(refused) => return self.compare(step, &refused, "exact"),
            }
        };
        let expected = step["response"]["status"].as_u64();
        if expected != Some(200) {
            return Err(format!("got a stream, not {}", step["response"]));
        }
        let wanted = &step["response"]["headers"]["content-type"];
        if wanted.as_str() != http.header("content-type") {
            return Err(format!(
                "content type {:?}, not {wanted}",
                http.header("content-type")
            ));
        }
        let id = http.header("mesos-stream-id").map(str::to_owned);
        let stream = Stream {
            http,
            id,
            early_offers: Vec::new(),
            early_events: VecDeque::new(),
            done: Vec::new(),
        };
        self.streams.insert(name.to_owned(), stream);
        Ok(())
    }

    /// Sends a plain request and compares the answer.
    pub fn exchange(
        &mut self,
        entry: &Value,
        stream_id: Option<&str>,
        comparison: &str,
    ) -> Result<(), String> {
        let method = entry["request"]["method"].as_str().unwrap_or("POST");
        let (path, headers, body) = self.request_parts(&entry["request"], stream_id);
        let headers: Vec<_> = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let expected = entry["response"]["status"].as_u64();
        let to = self.address(entry);
        if expected == Some(200) && path.ends_with("/api/v1/scheduler") && method == "POST" {
            let subscribes = entry["request"]["json"]["type"] == "SUBSCRIBE";
            if subscribes {
                let opened = http::open(to, &path, &headers, &body);
                return opened.map(drop).map_err(|refused| refused.text());
            }
        }
        // A call of an executor may come before its launch has reached the agent, and one of a
        // scheduler that hung up before the master has seen that.
        let deadline = Instant::now() + EVENT_PATIENCE;
        loop {
            let answer = http::request(to, method, &path, &headers, &body);
            let name = entry["as"].as_str();
            let early = match entry["to"].as_str() {
                Some("agent") => name.is_some() && answer.status == 400,
                _ => name.is_some_and(|name| !self.streams.contains_key(name)),
            };
            match self.compare(entry, &answer, comparison) {
                Err(_) if early && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    fn request_parts(
        &self,
        request: &Value,
        stream_id: Option<&str>,
    ) -> (String, Vec<(String, String)>, Vec<u8>) {
        let path = fill_text(request["path"].as_str().unwrap_or("/"), &self.bindings);
        let mut headers = Vec::new();
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            let mut value = fill_text(value.as_str().unwrap_or(""), &self.bindings);
            if let Some(id) = stream_id {
                value = value.replace("<STREAM>", id);
            }
            headers.push((name.clone(), value));
        }
        let body = if !request["json"].is_null() {
            fill(&request["json"], &self.bindings)
                .to_string()
                .into_bytes()
        } else if let Some(text) = request["text"].as_str() {
            fill_text(text, &self.bindings).into_bytes()
        } else {
            STANDARD
                .decode(request["base64"].as_str().unwrap_or(""))
                .expect("base64")
        };
        (path, headers, body)
    }

    fn compare(
        &mut self,
        entry: &Value,
        answer: &http::Response,
        comparison: &str,
    ) -> Result<(), String> {
        let expected = &entry["response"];
        if expected["status"].as_u64() != Some(u64::from(answer.status)) {
            return Err(format!(
                "{} {}, not {expected}",
                answer.status,
                answer.text()
            ));
        }
        let allow = expected["headers"]["Allow"].as_str();
        if allow.is_some() && allow != answer.header("allow") {
            return Err(format!(
                "Allow is {:?}, not {allow:?}",
                answer.header("allow")
            ));
        }
        if comparison == "status" {
            return Ok(());
        }
        if let Some(prefix) = comparison.strip_prefix("prefix:") {
            let starts = answer.text().starts_with(prefix);
            return if starts {
                Ok(())
            } else {
                Err(format!("{:?}", answer.text()))
            };
        }
        if !expected["json"].is_null() {
            let actual = recorded_ports(answer.json(), &self.ports());
            if expected["picked"] == true {
                return check_picked(&expected["json"], &actual, &mut self.bindings);
            }
            if comparison == "schema" {
                return check_shape(&expected["json"], &actual, "body");
            }
            return check(&expected["json"], &actual, &mut self.bindings, "body");
        }
        let text = expected["text"].as_str().unwrap_or("");
        let mut actual = answer.text();
        if comparison == "schema"
            && let (Some((name, wanted)), Some((found, value))) = (called(text), called(&actual))
            && name == found
        {
            return check_shape(&wanted, &value, "body");
        }
        for (address, recorded) in self.ports() {
            actual = actual.replace(&address.to_string(), &format!("127.0.0.1:{recorded}"));
        }
        check_text(text, &actual, &mut self.bindings)
    }

    fn expect_event(&mut self, steps: &[Value], index: usize) -> Result<(), String> {
        let step = &steps[index];
        let name = step["stream"].as_str().expect("stream");
        let ports = self.ports();
        let stream = self.streams.get_mut(name).ok_or("the stream is not open")?;
        if stream.done.contains(&index) {
            return Ok(());
        }
        stream.done.push(index);
        let expected = &step["event"];
        if expected["type"] == "OFFERS" {
            let wanted = expected["offers"]["offers"].as_array();
            let wanted = wanted.map_or(&[][..], Vec::as_slice);
            let torn_down = steps[..index]
                .iter()
                .rev()
                .any(|step| step["as"] == name && step["request"]["json"]["type"] == "TEARDOWN");
            let offers = match stream.offers(wanted, &ports) {
                // The recorder was slower than the offers, we may be faster.
                Err(end) if torn_down && end == ENDED => return Ok(()),
                offers => offers?,
            };
            let actual = json!({"type": "OFFERS", "offers": {"offers": offers}});
            let mut expected = by_agent(expected);
            let mut actual = by_agent(&actual);
            if std::mem::replace(&mut self.had_offers, true) {
                forget_amounts(&mut expected);
                forget_amounts(&mut actual);
            }
            return check(&expected, &actual, &mut self.bindings, "event");
        }
        let kind = expected["type"].as_str().unwrap_or("");
        let task = expected["update"]["status"]["task_id"]["value"].as_str();
        let mut actual = stream
            .next_but_offers(&ports, task)
            .map_err(|why| format!("no {kind}: {why}"))?;
        let mut expected = expected.clone();
        // How far the task is by now depends on who is faster, the task or its framework.
        for event in [&mut expected, &mut actual] {
            let updated = event.get_mut("task_updated");
            if let Some(updated) = updated.and_then(Value::as_object_mut) {
                updated.remove("state");
            }
        }
        check(&expected, &actual, &mut self.bindings, "event")
    }

    fn expect_end(&mut self, name: &str, ends: bool) -> Result<(), String> {
        let ports = self.ports();
        let stream = self.streams.get_mut(name).ok_or("the stream is not open")?;
        match stream.next_but_offers(&ports, None) {
            Err(end) if (end == ENDED) == ends => Ok(()),
            Err(end) => Err(end),
            Ok(event) => Err(format!("{event} is too much")),
        }
    }

    fn address(&self, entry: &Value) -> SocketAddr {
        let target = entry["to"].as_str().or(entry["target"].as_str());
        match target {
            Some("agent") => self.cluster.agents[0].address,
            _ => self.cluster.master.address,
        }
    }

    fn ports(&self) -> Vec<(SocketAddr, u16)> {
        let mut ports = vec![(self.cluster.master.address, 5050)];
        let agents = self.cluster.agents.iter().map(|agent| agent.address);
        ports.extend(agents.zip(5051..));
        ports
    }
}

impl Stream {
    /// An offer for each wanted one, from as many events as they come in: of the same agent, and
    /// with the reservations and volumes that what follows may be about. What was recorded as one
    /// offer comes as two when some of it was free earlier.
    fn offers(
        &mut self,
        wanted: &[Value],
        ports: &[(SocketAddr, u16)],
    ) -> Result<Vec<Value>, String> {
        loop {
            if let Some(picked) = pick(&self.early_offers, wanted) {
                self.early_offers.retain(|offer| !picked.contains(offer));
                return Ok(picked);
            }
            let event = self.next(ports)?;
            match event["offers"]["offers"].as_array() {
                Some(offers) => self.early_offers.extend(offers.iter().cloned()),
                None => self.early_events.push_back(event),
            }
        }
    }

    /// The next event that is no offer. Where an update of `task` is wanted, updates of other
    /// tasks stay for later: tasks run side by side.
    fn next_but_offers(
        &mut self,
        ports: &[(SocketAddr, u16)],
        task: Option<&str>,
    ) -> Result<Value, String> {
        let of_another = |event: &Value| {
            let theirs = event["update"]["status"]["task_id"]["value"].as_str();
            task.is_some() && theirs.is_some() && theirs != task
        };
        if let Some(position) = self
            .early_events
            .iter()
            .position(|event| !of_another(event))
        {
            return self
                .early_events
                .remove(position)
                .ok_or_else(|| "no event".to_owned());
        }
        loop {
            let event = self.next(ports)?;
            match event["offers"]["offers"].as_array() {
                Some(offers) => self.early_offers.extend(offers.iter().cloned()),
                None if of_another(&event) => self.early_events.push_back(event),
                None => return Ok(event),
            }
        }
    }

    fn next(&mut self, ports: &[(SocketAddr, u16)]) -> Result<Value, String> {
        let deadline = Instant::now() + EVENT_PATIENCE;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let chunk = self
                .http
                .chunks
                .recv_timeout(patience)
                .map_err(|end| match end {
                    RecvTimeoutError::Disconnected => ENDED.to_owned(),
                    RecvTimeoutError::Timeout => "nothing came".to_owned(),
                })?;
            let newline = chunk
                .iter()
                .position(|byte| *byte == b'\n')
                .ok_or("no record")?;
            let event: Value =
                serde_json::from_slice(&chunk[newline + 1..]).map_err(|error| error.to_string())?;
            if event["type"] != "HEARTBEAT" {
                return Ok(recorded_ports(event, ports));
            }
        }
    }
}

/// A different offer for each wanted one, if there is one for all.
fn pick(offers: &[Value], wanted: &[Value]) -> Option<Vec<Value>> {
    let mut picked: Vec<Value> = Vec::new();
    for wanted in wanted {
        let fits = |offer: &&Value| {
            let own = bound(offer);
            offer["url"]["address"]["port"] == wanted["url"]["address"]["port"]
                && bound(wanted).iter().all(|resource| own.contains(resource))
                && !picked.contains(offer)
        };
        let found = offers.iter().find(fits)?.clone();
        picked.push(found);
    }
    Some(picked)
}

/// Which reservations and volumes an offer holds, whatever the amounts.
fn bound(offer: &Value) -> Vec<Value> {
    let resources = offer["resources"].as_array().into_iter().flatten();
    let bound = resources.filter(|resource| {
        !resource["reservations"].is_null() || !resource["disk"]["persistence"].is_null()
    });
    bound
        .map(|resource| {
            let volume = &resource["disk"]["persistence"]["id"];
            json!([resource["name"], resource["reservations"], volume])
        })
        .collect()
}

/// An OFFERS event with its offers in the order of their agents' ports.
fn by_agent(event: &Value) -> Value {
    let mut event = event.clone();
    if let Some(offers) = event["offers"]["offers"].as_array_mut() {
        offers.sort_by_key(|offer| offer["url"]["address"]["port"].as_u64());
    }
    event
}

/// Takes out of an OFFERS event what depends on when it was made.
fn forget_amounts(event: &mut Value) {
    for offer in event["offers"]["offers"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        if let Some(offer) = offer.as_object_mut() {
            offer.remove("resources");
            offer.remove("executor_ids");
        }
    }
}
