//! Names of images, as Docker reads them: registry, repository, tag, digest.
//! Finds no image.

use std::fmt;

/// The tag of names without one.
const LATEST: &str = "latest";

/// Longest name and longest tag.
const MAX_NAME_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// How a digest begins, and hexadecimal digits of it.
const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_DIGITS: usize = 64;

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// With the registry, without tag and digest.
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads `name`, `name:tag`, `name@sha256:digits`, each with a registry such as `host:5000/`
    /// before it or not.
    ///
    /// # Errors
    /// What is wrong with it; no name that is read leads out of a directory that it is put behind.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let failed = |why: &str| format!("Failed to parse docker image '{text}': {why}");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(failed(
                "after '@' expected a digest: 'sha256:' and 64 lower-case hexadecimal digits",
            ));
        }
        // A colon before the last slash belongs to a port.
        let colon = rest
            .rfind(':')
            .filter(|colon| !rest[*colon..].contains('/'));
        let (name, tag) = match colon {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(failed(
                "its tag must have 1 to 128 letters, digits, '_', '.' or '-', and begin with none \
                 of the last two",
            ));
        }
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(failed("its name must have 1 to 255 characters"));
        }
        let last = name.split('/').count() - 1;
        let mut parts = name.split('/').enumerate();
        let wrong = parts.find(|(number, part)| {
            let may_be_host = *number == 0 && last > 0;
            !is_part(part, may_be_host)
        });
        if let Some((_, part)) = wrong {
            return Err(failed(&format!(
                "'{part}' is no part of a name: expected letters, digits, '_', '.' and '-' between \
                 slashes, and not only dots"
            )));
        }
        Ok(Reference {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Its name and tag, also where the tag is implied.
    pub(super) fn tagged(&self) -> String {
        let tag = self.tag.as_deref().unwrap_or(LATEST);
        format!("{}:{tag}", self.name)
    }

    /// The digest, if it names one.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The same for names that mean the same image.
    pub(super) fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => self.tagged(),
        }
    }

    /// Paths below the registry's directory that its archive may have, without what they end with:
    /// first as Mesos names it.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = vec![self.to_string()];
        if self.digest.is_none() {
            match self.tag.as_deref() {
                None => paths.push(self.tagged()),
                Some(LATEST) => paths.push(self.name.clone()),
                Some(_) => {}
            }
        }
        paths
    }
}

impl fmt::Display for Reference {
    /// As Mesos writes it: a digest leaves no room for a tag.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(out, "@{digest}"),
            (None, Some(tag)) => write!(out, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

fn is_digest(text: &str) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.strip_prefix(DIGEST_PREFIX);
    digits.is_some_and(|it| it.len() == DIGEST_DIGITS && it.as_bytes().iter().all(is_digit))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_tag(text: &str) -> bool {
    let all = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    text.len() <= MAX_TAG_BYTES && text.bytes().next().is_some_and(is_word) && text.bytes().all(all)
}

fn is_part(text: &str, may_be_host: bool) -> bool {
    let host = match text.split_once(':') {
        Some((host, port)) if may_be_host => {
            let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            if !is_port {
                return false;
            }
            host
        }
        _ => text,
    };
    let all = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'-');
    host.bytes().all(all) && !host.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{DIGITS}");
        let with_digest = format!("a/b@{digest}");
        let with_both = format!("a/b:1@{digest}");
        let cases = [
            (
                "busybox",
                "busybox:latest",
                vec!["busybox", "busybox:latest"],
            ),
            (
                "busybox:latest",
                "busybox:latest",
                vec!["busybox:latest", "busybox"],
            ),
            (
                "host:5000/a/b",
                "host:5000/a/b:latest",
                vec!["host:5000/a/b", "host:5000/a/b:latest"],
            ),
            (
                "host:5000/a/b:1.2-x_y",
                "host:5000/a/b:1.2-x_y",
                vec!["host:5000/a/b:1.2-x_y"],
            ),
            (&with_digest, &with_digest, vec![with_digest.as_str()]),
            (&with_both, &with_digest, vec![with_digest.as_str()]),
        ];
        for (text, key, paths) in cases {
            let read = Reference::parse(text).unwrap();
            assert_eq!(read.key(), key, "{text}");
            assert_eq!(read.paths(), paths, "{text}");
        }
        assert_eq!(
            Reference::parse(&with_both).unwrap().digest(),
            Some(digest.as_str())
        );
    }

    #[test]
    fn names_that_lead_elsewhere_or_are_none_are_refused() {
        let short = format!("a@sha256:{}", &DIGITS[1..]);
        let path = format!("a@sha256:../{}", &DIGITS[3..]);
        let long = format!("a:{}", "b".repeat(129));
        for text in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../a",
            "a/../b",
            "a/..",
            ".",
            "a/./b",
            "a b",
            "a\0b",
            "a:",
            "a:-x",
            "a:b/c:",
            "a:b:c",
            "a@",
            "a@b",
            "a@b@c",
            "ä",
            "a:x/b",
            &short,
            &path,
            &long,
        ] {
            let why = Reference::parse(text).unwrap_err();
            let begin = format!("Failed to parse docker image '{text}': ");
            assert!(why.starts_with(&begin), "{why}");
        }
    }
}
