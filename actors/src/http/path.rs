//! Which route a path leads to, by Mesos's rules.
//! Knows no handlers: a table of paths comes in, the value of one entry goes out.

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
        let rest = match segments.split_first() {
            Some((first, rest)) if *first == self.delegate => rest,
            _ => match longest(self.own, &segments) {
                Some(route) => return Some(route),
                None => segments.as_slice(),
            },
        };
        longest(self.delegated, rest)
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
