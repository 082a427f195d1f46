//! Reads the URIs of a command: where each is, what it is called in the sandbox, how it is
//! extracted (Mesos: `Fetcher`, `mesos-fetcher`).
//! Looks at no file.

use std::path::{Component, Path};

use tepui_protocol::fetch::{Archive, Item, Source};
use tepui_protocol::v1::command_info::Uri;

/// The scheme of local files.
const FILE: &str = "file://";

/// What one URI asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// As it was given.
    pub uri: String,
    /// Where it is.
    pub source: Source,
    /// Whether it goes through the cache.
    pub cache: bool,
    /// Its last part, which names the file in the cache.
    pub basename: String,
    /// Path below the sandbox.
    name: String,
    executable: bool,
    extract: bool,
}

impl Plan {
    /// How to bring it into the sandbox from where it is. The archive stays there beside what was
    /// in it, and the name in the sandbox says what kind it is (Mesos: `fetchBypassingCache`).
    pub fn directly(&self) -> Item {
        Item {
            uri: self.uri.clone(),
            source: self.source.clone(),
            copy_to: Some(self.name.clone()),
            executable: self.executable,
            extract: self.archive(last(&self.name)),
        }
    }

    /// How to bring it into the sandbox from the cache. An archive is extracted from there without
    /// a copy, and the URI says what kind it is (Mesos: `fetchFromCache`).
    pub fn from_cache(&self, file: String) -> Item {
        let extract = self.archive(&self.basename);
        Item {
            uri: self.uri.clone(),
            source: Source::File(file),
            copy_to: extract.is_none().then(|| self.name.clone()),
            executable: self.executable,
            extract,
        }
    }

    fn archive(&self, name: &str) -> Option<Archive> {
        match self.extract && !self.executable {
            true => archive(name),
            false => None,
        }
    }
}

/// What all URIs of a command ask for, in their order.
///
/// # Errors
/// When one of them cannot be fetched whatever is there, or its file would not lie within the
/// sandbox; texts are Mesos's where it has one (Mesos: `validateUris`, `uriToLocalPath`).
pub fn plan(uris: &[Uri], frameworks_home: &str) -> Result<Vec<Plan>, String> {
    uris.iter().map(|uri| one(uri, frameworks_home)).collect()
}

fn one(uri: &Uri, frameworks_home: &str) -> Result<Plan, String> {
    let value = uri.value.trim_start();
    let basename = basename(value).map_err(|why| format!("Could not fetch: {why}"))?;
    let name = match &uri.output_file {
        Some(path) => inside(path).map_err(|why| format!("Could not fetch: {why}: '{value}'"))?,
        None => basename.clone(),
    };
    let source = source(value, frameworks_home)
        .map_err(|why| format!("Failed to fetch '{value}': {why}"))?;
    Ok(Plan {
        uri: value.to_owned(),
        source,
        cache: uri.cache(),
        basename,
        name,
        executable: uri.executable(),
        extract: uri.extract(),
    })
}

/// The last part of a URI, which is the name of the file. A query belongs to it, as in Mesos
/// (Mesos: `Fetcher::basename`).
fn basename(uri: &str) -> Result<String, String> {
    if uri.contains(['\\', '\'', '\0']) {
        return Err(format!("Illegal characters in URI: {uri}"));
    }
    let path = match uri.find("://") {
        Some(at) if at > 1 => {
            let rest = &uri[at + 3..];
            match rest.find('/') {
                Some(slash) if rest.len() > slash + 1 => &rest[slash + 1..],
                _ => return Err(format!("Malformed URI (missing path): {uri}")),
            }
        }
        _ => uri.trim_end_matches('/'),
    };
    match last(path) {
        "" | "." | ".." => Err(format!("Malformed URI (missing file name): {uri}")),
        name => Ok(name.to_owned()),
    }
}

/// A path that cannot lead out of the sandbox by itself (Mesos: `validateOutputFile`).
fn inside(path: &str) -> Result<String, &'static str> {
    const OUTSIDE: &str = "URI output file must be within the sandbox directory";
    if path.contains('\0') {
        return Err("URI output file has illegal characters");
    }
    let mut names = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => names.extend(name.to_str()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(OUTSIDE);
            }
        }
    }
    match names.is_empty() {
        true => Err("URI output file path is empty"),
        false => Ok(names.join("/")),
    }
}

/// Where a URI leads.
fn source(uri: &str, frameworks_home: &str) -> Result<Source, String> {
    if let Some(path) = uri.strip_prefix(FILE) {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        return match path.starts_with('/') {
            true => Ok(Source::File(path.to_owned())),
            false => Err("File URI only supports absolute paths".to_owned()),
        };
    }
    if let Some((scheme, _)) = uri.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Ok(Source::Http(uri.to_owned())),
            _ => Err(format!(
                "the scheme '{scheme}' is not supported, expected http, https, file, or a path"
            )),
        };
    }
    if uri.starts_with('/') {
        return Ok(Source::File(uri.to_owned()));
    }
    if frameworks_home.is_empty() {
        return Err(
            "A relative path was passed for the resource but the Mesos framework home was not \
             specified. Please either provide this config option or avoid using a relative path"
                .to_owned(),
        );
    }
    let home = frameworks_home.trim_end_matches('/');
    Ok(Source::File(format!("{home}/{uri}")))
}

/// What kind of archive a name promises; `.tar.zst` and `.tzst` are Tepui's own.
fn archive(name: &str) -> Option<Archive> {
    const TAR: [&str; 9] = [
        ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tzst", ".tar.zst",
    ];
    if TAR.iter().any(|suffix| name.ends_with(suffix)) {
        return Some(Archive::Tar);
    }
    if name.ends_with(".zip") {
        return Some(Archive::Zip);
    }
    match name.strip_suffix(".gz") {
        Some("" | "." | "..") | None => None,
        Some(inner) => Some(Archive::Gzip(inner.to_owned())),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: &str) -> Uri {
        Uri {
            value: value.into(),
            ..Uri::default()
        }
    }

    fn planned(uri: Uri) -> Result<Plan, String> {
        plan(&[uri], "/srv/frameworks/").map(|mut all| all.remove(0))
    }

    fn source_of(value: &str) -> Result<Source, String> {
        planned(uri(value)).map(|plan| plan.source)
    }

    #[test]
    fn files_are_named_by_uri_or_path() {
        let file = |path: &str| Ok(Source::File(path.to_owned()));
        assert_eq!(source_of("file:///a/b"), file("/a/b"));
        assert_eq!(source_of("file://localhost/a/b"), file("/a/b"));
        assert_eq!(source_of(" /a/b"), file("/a/b"));
        assert_eq!(source_of("a/b"), file("/srv/frameworks/a/b"));
        let http = "HTTPS://host:1/a?b=c";
        assert_eq!(source_of(http), Ok(Source::Http(http.to_owned())));
    }

    #[test]
    fn what_cannot_be_fetched_is_said_with_the_uri() {
        for (value, why) in [
            ("", "Could not fetch: Malformed URI (missing file name): "),
            ("/", "Could not fetch: Malformed URI (missing file name): /"),
            (
                "http://host",
                "Could not fetch: Malformed URI (missing path): http://host",
            ),
            (
                "http://host/",
                "Could not fetch: Malformed URI (missing path): http://host/",
            ),
            (
                "http://h/a/..",
                "Could not fetch: Malformed URI (missing file name): http://h/a/..",
            ),
            (
                "http://h/a/",
                "Could not fetch: Malformed URI (missing file name): http://h/a/",
            ),
            ("/a\\b", "Could not fetch: Illegal characters in URI: /a\\b"),
            ("/a'b", "Could not fetch: Illegal characters in URI: /a'b"),
            (
                "file://a/b",
                "Failed to fetch 'file://a/b': File URI only supports absolute paths",
            ),
            (
                "ftp://h/a",
                "Failed to fetch 'ftp://h/a': the scheme 'ftp' is not supported, expected http, \
                 https, file, or a path",
            ),
        ] {
            assert_eq!(source_of(value), Err(why.to_owned()), "{value}");
        }
        let why = plan(&[uri("a/b")], "").unwrap_err();
        assert!(
            why.starts_with("Failed to fetch 'a/b': A relative path was passed"),
            "{why}"
        );
    }

    #[test]
    fn an_output_file_lies_within_the_sandbox() {
        let with = |path: &str| {
            planned(Uri {
                output_file: Some(path.into()),
                ..uri("http://h/x.tar")
            })
        };
        assert_eq!(with("./a//b/c").unwrap().name, "a/b/c");
        for path in ["/a", "../a", "a/../../b", "a/.."] {
            assert_eq!(
                with(path).unwrap_err(),
                "Could not fetch: URI output file must be within the sandbox directory: \
                 'http://h/x.tar'"
            );
        }
        let empty = "Could not fetch: URI output file path is empty: 'http://h/x.tar'";
        assert_eq!(with("").unwrap_err(), empty);
        assert_eq!(with(".").unwrap_err(), empty);
        assert!(with("a\0b").is_err());
    }

    #[test]
    fn suffixes_tell_archives() {
        for name in [
            "a.tar",
            "a.tgz",
            "a.tar.gz",
            "a.tbz2",
            "a.tar.bz2",
            "a.txz",
            "a.tar.xz",
            "a.tzst",
            "a.tar.zst",
        ] {
            assert_eq!(archive(name), Some(Archive::Tar), "{name}");
        }
        assert_eq!(archive("a.zip"), Some(Archive::Zip));
        assert_eq!(archive("a.txt.gz"), Some(Archive::Gzip("a.txt".into())));
        for name in ["a.jar", "a", "tar", ".gz", "..gz", "...gz", "a.tar.gz?x=1"] {
            assert_eq!(archive(name), None, "{name}");
        }
    }

    #[test]
    fn archives_are_copied_only_without_the_cache() {
        let plan = planned(uri("http://h/a.tar.gz")).unwrap();
        let direct = plan.directly();
        assert_eq!(direct.copy_to.as_deref(), Some("a.tar.gz"));
        assert_eq!(direct.extract, Some(Archive::Tar));
        let cached = plan.from_cache("/cache/c1-a.tar.gz".into());
        assert_eq!(cached.copy_to, None);
        assert_eq!(cached.extract, Some(Archive::Tar));
        assert_eq!(cached.source, Source::File("/cache/c1-a.tar.gz".into()));
        let plain = planned(uri("http://h/a.txt")).unwrap();
        let cached = plain.from_cache("/cache/c2-a.txt".into());
        assert_eq!(cached.copy_to.as_deref(), Some("a.txt"));
        assert_eq!(cached.extract, None);
    }

    #[test]
    fn executables_and_unextracted_ones_stay_as_they_are() {
        let executable = planned(Uri {
            executable: Some(true),
            ..uri("/a.zip")
        });
        let item = executable.unwrap().directly();
        assert!(item.executable && item.extract.is_none());
        let kept = planned(Uri {
            extract: Some(false),
            ..uri("/a.zip")
        });
        let item = kept.unwrap().from_cache("/c".into());
        assert!(!item.executable && item.extract.is_none());
        assert_eq!(item.copy_to.as_deref(), Some("a.zip"));
    }

    #[test]
    fn the_name_in_the_sandbox_tells_what_is_extracted_without_the_cache() {
        let plan = planned(Uri {
            output_file: Some("in/x.zip".into()),
            ..uri("http://h/download")
        })
        .unwrap();
        assert_eq!(plan.directly().extract, Some(Archive::Zip));
        assert_eq!(plan.directly().copy_to.as_deref(), Some("in/x.zip"));
        assert_eq!(plan.from_cache("/c".into()).extract, None);
    }
}
