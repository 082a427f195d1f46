//! RecordIO: the framing of event streams, a decimal length, a newline and that many bytes.
//! Knows nothing of what the records hold, nor of HTTP chunks.

use bytes::{Bytes, BytesMut};

/// Most digits a length may have; enough for any `u64`.
const MAX_LENGTH_DIGITS: usize = 20;

/// Default limit of a record, in bytes.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Frames one record.
#[must_use]
pub fn encode(record: &[u8]) -> Bytes {
    let length = record.len().to_string();
    let mut frame = BytesMut::with_capacity(length.len() + 1 + record.len());
    frame.extend_from_slice(length.as_bytes());
    frame.extend_from_slice(b"\n");
    frame.extend_from_slice(record);
    frame.freeze()
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text before a newline is not a length.
    #[error("Failed to decode length '{0}'")]
    Length(String),
    /// A record is longer than the decoder takes.
    #[error("record of {length} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Announced length in bytes.
        length: usize,
        /// The decoder's limit in bytes.
        limit: usize,
    },
}

/// Takes a stream in pieces of any size and gives back its records.
///
/// An announced length reserves no memory: only bytes that have come are held.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// Length of the record whose bytes are awaited; none while its length is.
    length: Option<usize>,
    limit: usize,
    failed: Option<RecordError>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(MAX_RECORD_BYTES)
    }
}

impl Decoder {
    /// A decoder that refuses records of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            length: None,
            limit,
            failed: None,
        }
    }

    /// Adds bytes of the stream. Call [`Decoder::next_record`] until it gives none afterwards.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole record, none when more bytes are needed.
    ///
    /// # Errors
    /// When the stream is not RecordIO or a record is too long; the same error ever after.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.step();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = BytesMut::new();
        }
        result
    }

    /// True when the stream may end here: no record has been begun.
    #[must_use]
    pub fn is_at_border(&self) -> bool {
        self.buffer.is_empty() && self.length.is_none() && self.failed.is_none()
    }

    fn step(&mut self) -> Result<Option<Bytes>, RecordError> {
        let length = match self.length {
            Some(length) => length,
            None => match self.take_length()? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        if self.buffer.len() < length {
            self.length = Some(length);
            return Ok(None);
        }
        self.length = None;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn take_length(&mut self) -> Result<Option<usize>, RecordError> {
        let head = self.buffer.iter().take(MAX_LENGTH_DIGITS + 1);
        let digits = head.copied().take_while(|byte| *byte != b'\n').count();
        let text = self.buffer.get(..digits).unwrap_or_default();
        let is_number = text.iter().all(u8::is_ascii_digit);
        if digits > MAX_LENGTH_DIGITS || !is_number {
            return Err(length_error(text));
        }
        if digits == self.buffer.len() {
            return Ok(None);
        }
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        let Some(length) = number else {
            return Err(length_error(text));
        };
        if length > self.limit {
            let limit = self.limit;
            return Err(RecordError::TooLarge { length, limit });
        }
        let _ = self.buffer.split_to(digits + 1);
        Ok(Some(length))
    }
}

fn length_error(text: &[u8]) -> RecordError {
    RecordError::Length(String::from_utf8_lossy(text).into_owned())
}
