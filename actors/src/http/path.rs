//! Which route a path leads to, by Mesos's rules.
//! Knows no handlers: a table of paths comes in, the value of one entry goes out.

use super::form;

/// One entry of a routing table: the segments of its path, and what it leads to.
pub type Entry<R> = (&'static [&'static str], R);

/// What a process answers: routes of its own, and routes of the process everything else is
/// handed to (`master`, `slave(1)`), which may also be named as the first segment.
#[derive(Debug, Clone, Copy)]
pub struct Table<R: 'static> {
    /// First segment that may be left out.
    pub delegate: &'static str,
    /// Routes that are not the delegate's: the delegate's name must not come before them.
    pub own: &'static [Entry<R>],
    /// Routes of the delegate.
    pub delegated: &'static [Entry<R>],
}

impl<R: Copy> Table<R> {
    /// Where `path` leads: to the longest entry that it begins with. Doubled and trailing slashes
    /// do not count. A path that climbs up leads nowhere.
    pub fn find(&self, path: &str) -> Option<R> {
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        if segments.contains(&"..") {
            return None;
        }
        let Some((first, rest)) = segments.split_first() else {
            return longest(self.delegated, &[]);
        };
        // Mesos decodes the name of the process, and nothing else of a path.
        let process = form::unescape(first.as_bytes()).unwrap_or_default();
        if process == self.delegate {
            return longest(self.delegated, rest);
        }
        let own: Vec<&str> = std::iter::once(process.as_str())
            .chain(rest.iter().copied())
            .collect();
        longest(self.own, &own).or_else(|| longest(self.delegated, &segments))
    }
}

fn longest<R: Copy>(entries: &[Entry<R>], segments: &[&str]) -> Option<R> {
    entries
        .iter()
        .filter(|(path, _)| segments.starts_with(path))
        .max_by_key(|(path, _)| path.len())
        .map(|(_, route)| *route)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<u32> = Table {
        delegate: "master",
        own: &[(&["version"], 1), (&["metrics", "snapshot"], 2)],
        delegated: &[
            (&["state"], 3),
            (&["api", "v1"], 4),
            (&["api", "v1", "scheduler"], 5),
        ],
    };

    #[test]
    fn the_delegate_may_be_named_or_not() {
        assert_eq!(TABLE.find("/state"), Some(3));
        assert_eq!(TABLE.find("/master/state"), Some(3));
        assert_eq!(TABLE.find("/version"), Some(1));
        assert_eq!(TABLE.find("/master/version"), None);
        assert_eq!(TABLE.find("/master/metrics/snapshot"), None);
    }

    #[test]
    fn only_the_name_of_the_process_is_decoded() {
        assert_eq!(TABLE.find("/%6Daster/state"), Some(3));
        assert_eq!(TABLE.find("/%76ersion"), Some(1));
        assert_eq!(TABLE.find("/metrics/%73napshot"), None);
        assert_eq!(TABLE.find("/%73tate"), None);
        assert_eq!(TABLE.find("/%zz"), None);
    }

    #[test]
    fn slashes_do_not_count() {
        assert_eq!(TABLE.find("//state"), Some(3));
        assert_eq!(TABLE.find("/master//state/"), Some(3));
    }

    #[test]
    fn a_longer_path_leads_to_its_longest_prefix() {
        assert_eq!(TABLE.find("/api/v1/scheduler/more"), Some(5));
        assert_eq!(TABLE.find("/api/v1/operator"), Some(4));
        assert_eq!(TABLE.find("/state/more"), Some(3));
    }

    #[test]
    fn everything_else_leads_nowhere() {
        for path in [
            "/",
            "",
            "/nope",
            "/api",
            "/api/v2",
            "/metrics",
            "/state.json",
            "/state/..",
        ] {
            assert_eq!(TABLE.find(path), None, "{path}");
        }
    }
}
