//! An app manager as its clients see it: paths, queries, answers.
//! Prints nothing and retries nothing.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tepui_actors::client::{
    Answer, ClientError, EventStream, Method, Request, Server, percent_encode,
};
use tepui_protocol::marathon::PathId;

use super::find::{self, Candidate};
use super::shapes::Group;
use super::table::ends_of;
use super::trouble::Trouble;

/// An app manager.
pub(super) struct Manager {
    server: Server,
}

/// What is embedded into groups.
pub(super) const EMBED: [(&str, &str); 3] = [
    ("embed", "group.groups"),
    ("embed", "group.apps"),
    ("embed", "group.apps.counts"),
];

/// The query of a request: names and values.
pub(super) type Query<'a> = &'a [(&'a str, &'a str)];

impl Manager {
    /// The one at a URL, with user and password if the URL has none.
    pub(super) fn new(url: &str, credentials: Option<&str>) -> Result<Manager, Trouble> {
        let server: Server = url.parse().map_err(Trouble::no_answer)?;
        let server = match credentials {
            Some(text) if !text.contains(':') => {
                let text = "--credentials: expected user:password".to_owned();
                return Err(Trouble::Usage(text));
            }
            Some(text) => server.or_credentials(text),
            None => server,
        };
        Ok(Manager { server })
    }

    /// Sends a request that must be obeyed.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Trouble> {
        let request = Request::new(method, with_query(path, query));
        let request = match body {
            Some(body) => request.with_body(body),
            None => request,
        };
        let answered = self.server.send(&request).await;
        let answer = answered.map_err(Trouble::no_answer)?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(Trouble::refused(&answer)),
        }
    }

    /// Reads what is at a path.
    pub(super) async fn get(&self, path: &str, query: Query<'_>) -> Result<Vec<u8>, Trouble> {
        let answer = self.send(Method::Get, path, query, None).await?;
        Ok(answer.body)
    }

    /// Reads what is at a path, and what is in it.
    pub(super) async fn get_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, Trouble> {
        parse(&self.get(path, query).await?)
    }

    /// The id of an app or group as it was given, or, where a table has left out the middle of it,
    /// the whole of it.
    pub(super) async fn whole_id(&self, id: &str, kind: &str) -> Result<String, Trouble> {
        if ends_of(id).is_none() {
            return Ok(id.to_owned());
        }
        let root: Group = self.get_as("/v2/groups", &EMBED).await?;
        let mut ids = Vec::new();
        root.ids(kind == "group", &mut ids);
        let candidates = ids.iter().map(|it| Candidate {
            id: it,
            name: it,
            it,
        });
        let candidates: Vec<_> = candidates.collect();
        find::one(kind, id, &candidates).map(|it| (*it).to_owned())
    }

    /// Listens to events of these names.
    pub(super) async fn events(&self, names: &[&str]) -> Result<EventStream, ClientError> {
        let query: Vec<_> = names.iter().map(|name| ("event_type", *name)).collect();
        EventStream::open(&self.server, &with_query("/v2/events", &query)).await
    }

    /// Makes sure that the server knows dry runs of everything. Marathon knows them of groups only,
    /// and would carry out the others.
    pub(super) async fn must_know_dry_runs(&self) -> Result<(), Trouble> {
        let known = self.get("/v2/schemas", &[]).await;
        let known = match known {
            Ok(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            Err(Trouble::Refused { status, .. }) if !matches!(status, 401 | 403 | 502..=504) => {
                Value::Null
            }
            Err(trouble) => return Err(trouble),
        };
        match known["schemas"].is_array() {
            true => Ok(()),
            false => Err(Trouble::Failed(
                "this app manager knows no dry runs, as Marathon does not, and would do it for good; \
                 nothing was sent"
                    .to_owned(),
            )),
        }
    }
}

/// Reads an answer.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::unreadable(&error))
}

fn with_query(path: &str, query: Query<'_>) -> String {
    let mut whole = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        let sign = if index == 0 { '?' } else { '&' };
        whole.push_str(&format!("{sign}{name}={}", percent_encode(value)));
    }
    whole
}

/// The path of an app below `/v2/apps`.
pub(super) fn app_path(id: &str) -> Result<String, Trouble> {
    let id = PathId::new(id);
    if id.is_root() {
        let text = "an app's id has at least one part, as /shop/cart".to_owned();
        return Err(Trouble::Usage(text));
    }
    Ok(format!("/v2/apps{}", percent_encode(id.as_str())))
}

/// The path of a group below `/v2/groups`; that of the root group ends there.
pub(super) fn group_path(id: &str) -> String {
    let id = PathId::new(id);
    let below = percent_encode(id.as_str());
    format!("/v2/groups{}", below.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_be_written_with_and_without_a_slash() {
        for id in ["shop/cart", "/shop/cart", "shop//cart/"] {
            let path = app_path(id).expect("an id");
            assert_eq!(path, "/v2/apps/shop/cart");
        }
        assert_eq!(app_path("a b?c").expect("an id"), "/v2/apps/a%20b%3Fc");
        for id in ["", "/", ".."] {
            assert_eq!(app_path(id).expect_err("the root").exit_status(), 2);
        }
        assert_eq!(group_path("/"), "/v2/groups");
        assert_eq!(group_path("shop"), "/v2/groups/shop");
    }

    #[test]
    fn queries_keep_their_values_whatever_they_hold() {
        let path = with_query("/p", &[("label", "a==b,c in (d)"), ("x", "&")]);
        assert_eq!(path, "/p?label=a%3D%3Db%2Cc%20in%20%28d%29&x=%26");
    }

    #[test]
    fn wrong_urls_and_credentials_are_usage() {
        let wrong = |url, credentials| {
            let made = Manager::new(url, credentials);
            made.err().expect("wrong").exit_status()
        };
        assert_eq!(wrong("ftp://h", None), 2);
        assert_eq!(wrong("h", None), 2);
        assert_eq!(wrong("http://h", Some("nobody")), 2);
        assert!(Manager::new("http://u:p@h:1/prefix/", None).is_ok());
    }
}
