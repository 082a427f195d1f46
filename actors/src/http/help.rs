//! `/help`: a page for each route, in Mesos's layout, for people and as JSON.
//! Knows no route; whoever has some says what each does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::{json, text};

/// What is said of one route.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The process that answers it, such as `master`.
    pub process: &'static str,
    /// Its path below the process, beginning with a slash.
    pub path: &'static str,
    /// What it is for, in a line.
    pub summary: &'static str,
    /// What else there is to know.
    pub description: &'static str,
}

/// All pages of one program.
#[derive(Debug, Clone, Copy)]
pub struct Help {
    /// The process whose name may be left out of paths.
    pub delegate: &'static str,
    /// The pages, in any order.
    pub pages: &'static [Page],
}

/// Pages by process and by path.
type Tree = BTreeMap<&'static str, BTreeMap<&'static str, String>>;

impl Help {
    /// Answers `/help`, `/help/<process>` and `/help/<process>/<path>`.
    ///
    /// Mesos: `Help::help`.
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let mut segments = request.path().split('/').filter(|one| !one.is_empty());
        // The first one is `help` itself.
        segments.next();
        let Some(process) = segments.next() else {
            if json::query(request, "format").as_deref() == Some("json") {
                return json::answer(request, &self.shown());
            }
            return document(request, &self.contents());
        };
        let path: Vec<&str> = segments.collect();
        match self.find(process, &path.join("/")) {
            Ok(page) => document(request, &page),
            Err(error) => text(StatusCode::BAD_REQUEST, error),
        }
    }

    /// The processes that have pages, in their order.
    pub fn processes(&self) -> impl Iterator<Item = &'static str> {
        let ids: BTreeSet<&str> = self.pages.iter().map(|page| page.process).collect();
        ids.into_iter()
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        for page in self.pages {
            let process = tree.entry(page.process).or_default();
            process.insert(page.path, self.text(page));
        }
        tree
    }

    fn text(&self, page: &Page) -> String {
        let mut usage = String::new();
        if page.process == self.delegate {
            let _ = writeln!(usage, ">        {}", page.path);
        }
        let path = page.path.trim_end_matches('/');
        let _ = writeln!(usage, ">        /{}{path}", page.process);
        let mut text = format!("### USAGE ###\n{usage}\n### TL;DR; ###\n{}\n", page.summary);
        if !page.description.is_empty() {
            let _ = write!(text, "\n### DESCRIPTION ###\n{}\n", page.description);
        }
        text
    }

    fn contents(&self) -> String {
        let mut contents = "## HELP\n".to_owned();
        let mut references = String::new();
        for id in self.processes() {
            let _ = writeln!(contents, "> [/{id}][{id}]");
            let _ = writeln!(references, "[{id}]: help/{id}");
        }
        format!("{contents}\n{references}")
    }

    fn find(&self, process: &str, path: &str) -> Result<String, String> {
        let tree = self.tree();
        let none = |what: &str| format!("No help available for '/{what}'.\n");
        let pages = tree.get(process).ok_or_else(|| none(process))?;
        if path.is_empty() {
            let mut contents = format!("## `/{process}` ##\n");
            let mut references = String::new();
            for path in pages.keys().map(|path| path.trim_end_matches('/')) {
                let _ = writeln!(contents, "> [/{process}{path}][{process}{path}]");
                let _ = writeln!(references, "[{process}{path}]: {process}{path}");
            }
            return Ok(format!("{contents}\n{references}"));
        }
        let page = pages.get(format!("/{path}").as_str());
        let page = page.ok_or_else(|| none(&format!("{process}/{path}")))?;
        Ok(format!("{page}\n"))
    }

    fn shown(&self) -> Shown {
        let endpoint = |(name, text)| Endpoint { name, text };
        let process = |(id, pages): (_, BTreeMap<_, _>)| Process {
            id,
            endpoints: pages.into_iter().map(endpoint).collect(),
        };
        Shown {
            processes: self.tree().into_iter().map(process).collect(),
        }
    }
}

#[derive(Serialize)]
struct Shown {
    processes: Vec<Process>,
}

#[derive(Serialize)]
struct Process {
    id: &'static str,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Endpoint {
    name: &'static str,
    text: String,
}

/// Markdown as it is for programs of the command line, and in a page for browsers. Mesos has the
/// browser lay it out by a script; here the text stands as it is, and no page needs one.
fn document(request: &HttpRequest, markdown: &str) -> HttpResponse {
    let agent = request.headers().get("User-Agent");
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or("");
    let mut answer = HttpResponse::Ok();
    if agent.starts_with("curl") || agent.starts_with("HTTPie") {
        return answer
            .insert_header(("Content-Type", "text/x-markdown"))
            .body(markdown.to_owned());
    }
    answer
        .insert_header(("Content-Type", "text/html"))
        .body(format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Help</title></head>\
         <body><pre>{}</pre></body></html>\n",
            page(markdown)
        ))
}

/// Text for a page, in which references lead somewhere.
fn page(markdown: &str) -> String {
    let lines = markdown.lines().map(|line| {
        let target = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "));
        match target {
            Some((name, path)) => {
                let path = match path.starts_with("help/") {
                    true => escaped(path),
                    false => format!("help/{}", escaped(path)),
                };
                format!("<a href=\"/{path}\">{}</a>", escaped(name))
            }
            None => escaped(line),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    const HELP: Help = Help {
        delegate: "master",
        pages: &[
            Page {
                process: "version",
                path: "/",
                summary: "Tells <versions>.",
                description: "",
            },
            Page {
                process: "master",
                path: "/machine/up",
                summary: "Machines are back.",
                description: "Takes JSON.",
            },
        ],
    };

    async fn asked(path: &str, agent: &str) -> (u16, String, String) {
        let request = TestRequest::with_uri(path)
            .insert_header(("User-Agent", agent))
            .to_http_request();
        let answer = HELP.answer(&request);
        let kind = answer.headers().get("Content-Type").unwrap();
        let kind = kind.to_str().unwrap().to_owned();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body()).await.unwrap();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn pages_are_laid_out_as_mesos_does() {
        let (status, kind, text) = asked("/help/master/machine/up", "curl/8").await;
        assert_eq!((status, kind.as_str()), (200, "text/x-markdown"));
        assert_eq!(
            text,
            "### USAGE ###\n>        /machine/up\n>        /master/machine/up\n\n\
             ### TL;DR; ###\nMachines are back.\n\n### DESCRIPTION ###\nTakes JSON.\n\n"
        );
        let (_, _, text) = asked("/help/", "HTTPie/1").await;
        let contents = "## HELP\n> [/master][master]\n> [/version][version]\n\n\
                        [master]: help/master\n[version]: help/version\n";
        assert_eq!(text, contents);
        let (_, _, text) = asked("/help/master", "curl/8").await;
        let contents = "## `/master` ##\n> [/master/machine/up][master/machine/up]\n\n\
                        [master/machine/up]: master/machine/up\n";
        assert_eq!(text, contents);
    }

    #[actix_web::test]
    async fn browsers_get_a_page_whose_links_lead_on() {
        let (_, kind, text) = asked("/help", "Mozilla/5.0").await;
        assert_eq!(kind, "text/html");
        assert!(
            text.contains("<a href=\"/help/version\">version</a>"),
            "{text}"
        );
        let (_, _, text) = asked("/help/master", "").await;
        assert!(
            text.contains("<a href=\"/help/master/machine/up\">"),
            "{text}"
        );
    }

    #[actix_web::test]
    async fn all_pages_are_there_as_json() {
        let (_, kind, text) = asked("/help?format=json", "").await;
        assert_eq!(kind, "application/json");
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["processes"][0]["id"], "master");
        assert_eq!(shown["processes"][0]["endpoints"][0]["name"], "/machine/up");
        let text = &shown["processes"][1]["endpoints"][0]["text"];
        let text = text.as_str().unwrap();
        assert!(
            text.starts_with("### USAGE ###\n>        /version"),
            "{text}"
        );
    }

    #[actix_web::test]
    async fn what_is_not_there_is_refused_in_mesos_words() {
        for (path, error) in [
            ("/help/nope", "No help available for '/nope'.\n"),
            ("/help/master/x/y", "No help available for '/master/x/y'.\n"),
        ] {
            let (status, _, text) = asked(path, "curl/8").await;
            assert_eq!((status, text.as_str()), (400, error));
        }
        assert_eq!(HELP.processes().collect::<Vec<_>>(), ["master", "version"]);
    }
}
