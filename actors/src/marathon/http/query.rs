//! The parameters of a query.
//! Does not know which ones there are.

use actix_web::HttpResponse;

use super::path::{bad_escape, decode};

/// Names and values, decoded, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 for a bad escape.
    pub(super) fn parse(text: &str) -> Result<Query, HttpResponse> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name, true)?, decode(value, true)?))
        };
        let pairs: Result<_, _> = parts
            .map(|part| pair(part).ok_or_else(|| bad_escape(part)))
            .collect();
        Ok(Query(pairs?))
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let pair = pairs.find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true`, in any case, or else false. Marathon.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name)
            .map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_marathon_reads_them() {
        let query = Query::parse("a=1&&b&status%5B%5D=x&status[]=y&force=True&wipe=yes");
        let query = query.expect("a query");
        assert_eq!((query.get("a"), query.get("b")), (Some("1"), Some("")));
        assert_eq!(query.all("status[]").collect::<Vec<_>>(), ["x", "y"]);
        assert!(query.flag("force", false) && !query.flag("wipe", true) && query.flag("c", true));
        let refused = Query::parse("a=%g0").expect_err("a bad escape");
        assert_eq!(refused.status(), 400);
    }
}
