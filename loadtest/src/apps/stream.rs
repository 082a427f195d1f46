//! Takes an event stream apart: the text in, names and data out.
//! Knows no event and reads no socket.

use bytes::{Buf, BytesMut};

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its text, which is JSON.
    pub data: String,
}

/// What has come of a stream and is no whole event yet.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Bytes of the buffer that hold no end of a line.
    searched: usize,
    name: String,
    data: String,
}

impl Reader {
    /// Adds what has come.
    pub fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event.
    pub fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                // An empty line ends an event, or is a sign of life.
                let name = std::mem::take(&mut self.name);
                let data = std::mem::take(&mut self.data);
                if !name.is_empty() {
                    return Some(Event { name, data });
                }
            } else if let Some(name) = line.strip_prefix("event:") {
                self.name = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push_str(data.trim());
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end);
        self.buffer.advance(1);
        self.searched = 0;
        let line = String::from_utf8_lossy(&line);
        Some(line.trim_end_matches('\r').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_come() {
        let text = "\r\nevent: one\r\ndata: {\"a\":1}\r\nid: 7\r\n\r\n\r\n\
                    event: two\ndata: {}\n\nevent: three\r\ndata: cut";
        for piece in [1, 5, 19, 500] {
            let mut reader = Reader::default();
            let mut found = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                reader.take(bytes);
                while let Some(event) = reader.next() {
                    found.push((event.name, event.data));
                }
            }
            let expected = [("one", "{\"a\":1}"), ("two", "{}")];
            let expected = expected.map(|(name, data)| (name.to_owned(), data.to_owned()));
            assert_eq!(found, expected, "in pieces of {piece}");
        }
    }
}
