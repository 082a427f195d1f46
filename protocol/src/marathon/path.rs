//! Ids of apps, pods and groups: absolute paths.
//! Whether a path is allowed as an id is decided by validation in `tepui-core`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The absolute path of an app, a pod or a group: `/` or `/segment/segment`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PathId(Arc<str>);

impl PathId {
    /// The root group.
    pub fn root() -> PathId {
        PathId(Arc::from("/"))
    }

    /// Makes `text` absolute below the root: `.` stays, `..` climbs, empty segments vanish.
    pub fn new(text: &str) -> PathId {
        PathId::root().resolve(text)
    }

    /// Resolves `text` against this path; a leading slash makes it count from the root.
    pub fn resolve(&self, text: &str) -> PathId {
        let base = if text.starts_with('/') { "" } else { &self.0 };
        let mut segments: Vec<&str> = Vec::new();
        for segment in base.split('/').chain(text.split('/')) {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        PathId(Arc::from(format!("/{}", segments.join("/"))))
    }

    /// The path as text, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// From the outermost to the innermost; none for the root.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The path without its last segment; the root's parent is the root.
    pub fn parent(&self) -> PathId {
        match self.0.rfind('/') {
            None | Some(0) => PathId::root(),
            Some(at) => PathId(Arc::from(&self.0[..at])),
        }
    }

    /// Whether `other` is this path or lies anywhere below it.
    pub fn holds(&self, other: &PathId) -> bool {
        self.is_root()
            || other
                .0
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The form in ids of instances and tasks: `/a/b` is `a_b`.
    pub fn safe(&self) -> String {
        self.segments().collect::<Vec<_>>().join("_")
    }

    /// The name of its tasks in Mesos: `/a/b` is `b.a`.
    pub fn reversed_dotted(&self) -> String {
        self.segments().rev().collect::<Vec<_>>().join(".")
    }
}

impl std::borrow::Borrow<str> for PathId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for PathId {
    fn from(text: String) -> PathId {
        PathId::new(&text)
    }
}

impl From<PathId> for String {
    fn from(path: PathId) -> String {
        path.0.to_string()
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
