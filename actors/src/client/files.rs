//! Follows a file of a task's sandbox through an agent's `/files` endpoints.
//! Does not decide when to look; the caller asks for what is new.

use serde::Deserialize;
use tepui_protocol::v1;

use super::{ClientError, accepted, error, get, plain_http};

/// Bytes asked for at once; agents give at most 64 KB.
const CHUNK_BYTES: u64 = 32 * 1024;

/// The most bytes at the end of a file that its last lines are looked for in.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// One file in the sandbox of an executor, and how much of it has been read.
#[derive(Debug)]
pub struct AgentFile {
    http: reqwest::Client,
    agent_url: String,
    path: String,
    position: u64,
}

/// What `/files/read` answers.
#[derive(Debug, Deserialize)]
struct Read {
    data: String,
    offset: u64,
}

impl AgentFile {
    /// A file by its name in the sandbox of an executor's newest run, such as `stdout`. A command
    /// task's executor has the id of its task.
    ///
    /// # Errors
    /// When no HTTP client can be set up.
    pub fn new(
        agent_url: &str,
        framework_id: &v1::FrameworkId,
        executor_id: &str,
        name: &str,
    ) -> Result<Self, ClientError> {
        let framework = &framework_id.value;
        let path = format!("/frameworks/{framework}/executors/{executor_id}/runs/latest");
        AgentFile::in_directory(agent_url, &path, name)
    }

    /// A file by its name in a sandbox, whose directory the agent's `/state` tells.
    ///
    /// # Errors
    /// When no HTTP client can be set up.
    pub fn in_directory(agent_url: &str, directory: &str, name: &str) -> Result<Self, ClientError> {
        Ok(AgentFile {
            http: plain_http()?,
            agent_url: agent_url.to_owned(),
            path: format!("{directory}/{name}"),
            position: 0,
        })
    }

    /// Passes over all but the last lines that the file has now; of a file whose last lines are very
    /// long, over all but their last 16 MB.
    ///
    /// # Errors
    /// When the agent cannot be reached or does not know the file.
    pub async fn skip_to_last_lines(&mut self, lines: usize) -> Result<(), ClientError> {
        let size = self.read(-1, None).await?.offset;
        let mut window = CHUNK_BYTES;
        loop {
            let start = size.saturating_sub(window);
            self.position = start;
            let mut tail = Vec::new();
            while self.position < size {
                let more = self.read_more().await?;
                if more.is_empty() {
                    break;
                }
                tail.extend_from_slice(&more);
            }
            // What was written since then follows anyway.
            tail.truncate(usize::try_from(size - start).unwrap_or(usize::MAX));
            if let Some(at) = last_lines(&tail, lines) {
                self.position = start + at as u64;
                return Ok(());
            }
            if start == 0 || window >= MAX_TAIL_BYTES {
                self.position = start;
                return Ok(());
            }
            window *= 8;
        }
    }

    /// The next bytes of the file; empty when there are no more for now.
    ///
    /// # Errors
    /// When the agent cannot be reached or does not know the file.
    pub async fn read_more(&mut self) -> Result<Vec<u8>, ClientError> {
        // An offset of -1 asks for the size.
        let size = self.read(-1, None).await?.offset;
        if size < self.position {
            let rest = self.rest_of_rotated().await?;
            if !rest.is_empty() {
                return Ok(rest);
            }
            self.position = 0;
        }
        self.read_up_to(size).await
    }

    /// What was written to the file after the last look and before another one took its place, if
    /// the container's logger keeps that as `<name>.1`.
    async fn rest_of_rotated(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut older = AgentFile {
            http: self.http.clone(),
            agent_url: self.agent_url.clone(),
            path: format!("{}.1", self.path),
            position: self.position,
        };
        // It need not be there.
        let Ok(found) = older.read(-1, None).await else {
            return Ok(Vec::new());
        };
        let rest = older.read_up_to(found.offset).await?;
        self.position = older.position;
        Ok(rest)
    }

    /// The next bytes of a file of this size.
    async fn read_up_to(&mut self, size: u64) -> Result<Vec<u8>, ClientError> {
        let wanted = size.saturating_sub(self.position).min(CHUNK_BYTES);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let offset = i64::try_from(self.position).unwrap_or(i64::MAX);
        let read = self.read(offset, Some(wanted)).await?;
        let whole = u64::try_from(read.data.len()) == Ok(wanted);
        if whole && !read.data.contains(char::REPLACEMENT_CHARACTER) {
            self.position += wanted;
            return Ok(read.data.into_bytes());
        }
        // JSON cannot carry bytes that are not UTF-8, or half a character at the end.
        self.download(wanted).await
    }

    async fn read(&self, offset: i64, length: Option<u64>) -> Result<Read, ClientError> {
        let path = percent_encode(&self.path);
        let mut url = format!("{}/files/read?path={path}&offset={offset}", self.agent_url);
        if let Some(length) = length {
            url.push_str(&format!("&length={length}"));
        }
        let bytes = get(&self.http, &url).await?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// Takes `wanted` bytes behind the position out of the whole file, as they are.
    async fn download(&mut self, wanted: u64) -> Result<Vec<u8>, ClientError> {
        let url = format!(
            "{}/files/download?path={}",
            self.agent_url,
            percent_encode(&self.path)
        );
        let answer = self.http.get(&url).send().await;
        let answer = answer.map_err(|error| ClientError::unreachable(&url, &error))?;
        let mut answer = accepted(answer).await?;
        let mut skip = self.position;
        let mut taken = Vec::new();
        let left = |taken: &Vec<u8>| wanted.saturating_sub(taken.len() as u64) as usize;
        while left(&taken) > 0 {
            let chunk = answer.chunk().await;
            let chunk = chunk.map_err(|error| ClientError::Answer(error::causes(&error)))?;
            let Some(chunk) = chunk else { break };
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= skipped as u64;
            taken.extend(chunk.iter().skip(skipped).take(left(&taken)));
        }
        self.position += taken.len() as u64;
        Ok(taken)
    }
}

/// Where the last lines of a text begin; none when it may hold fewer than that. A line that has no end
/// yet is one too.
fn last_lines(text: &[u8], lines: usize) -> Option<usize> {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    if lines == 0 {
        return Some(text.len());
    }
    let ends = whole.iter().enumerate().rev();
    let mut ends = ends.filter(|(_, byte)| **byte == b'\n');
    ends.nth(lines - 1).map(|(at, _)| at + 1)
}

/// The URL of the agent that made an offer, without a path.
pub fn agent_url(offer: &v1::Offer) -> Option<String> {
    let address = &offer.url.as_ref()?.address;
    let host = address
        .ip
        .as_ref()
        .or(address.hostname.as_ref())
        .unwrap_or(&offer.hostname);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    Some(format!("http://{host}:{}", address.port))
}

/// Writes a text for use in the path or the query of a URL; slashes stay.
pub fn percent_encode(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        for (text, lines, from) in [
            ("a\nb\nc\n", 0, Some(6)),
            ("a\nb\nc\n", 1, Some(4)),
            ("a\nb\nc\n", 2, Some(2)),
            ("a\nb\nc\n", 3, None),
            ("a\nb\nc", 1, Some(4)),
            ("a\n\n\n", 2, Some(2)),
            ("", 1, None),
            ("\n", 1, None),
        ] {
            assert_eq!(last_lines(text.as_bytes(), lines), from, "{text:?} {lines}");
        }
    }
}
