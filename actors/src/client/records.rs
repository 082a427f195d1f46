//! A stream of JSON records of a master, such as the events of its operator API.
//! Does not connect again: what was missed meanwhile only its reader can find out.

use std::time::Duration;

use bytes::Bytes;
use tepui_protocol::recordio::Decoder;

use super::server::{Reading, Request, Server};
use super::{CONNECT_TIMEOUT, ClientError, MAX_ANSWER_BYTES, MAX_ERROR_TEXT_BYTES};

/// Time a stream may be silent; a master gives a sign of life every 15 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// A stream of records.
pub struct RecordStream {
    reading: Reading,
    decoder: Decoder,
}

impl RecordStream {
    /// Opens the stream that a request asks for, at the server itself or where it redirects to.
    ///
    /// # Errors
    /// When the server cannot be reached or answers anything but a stream.
    pub async fn open(server: &Server, request: Request) -> Result<RecordStream, ClientError> {
        let request = request.sent_on();
        let opening = tokio::time::timeout(CONNECT_TIMEOUT * 2, server.open(&request));
        let mut reading = opening.await.unwrap_or_else(|_| {
            Err(ClientError::Unreachable {
                url: server.to_string(),
                why: "no answer in time".to_owned(),
            })
        })?;
        if reading.head.status == 200 {
            let decoder = Decoder::new(MAX_ANSWER_BYTES);
            return Ok(RecordStream { reading, decoder });
        }
        let mut text = Vec::new();
        while let Some(data) = reading.next().await? {
            text.extend_from_slice(&data);
            text.truncate(MAX_ERROR_TEXT_BYTES);
        }
        Err(ClientError::Refused {
            status: reading.head.status,
            text: String::from_utf8_lossy(&text).trim().to_owned(),
        })
    }

    /// The next record. May be cancelled without losing one.
    ///
    /// # Errors
    /// When the stream has ended, is silent for too long, or holds no records.
    pub async fn next(&mut self) -> Result<Bytes, ClientError> {
        loop {
            let record = self.decoder.next_record();
            if let Some(record) = record.map_err(|error| ClientError::Answer(error.to_string()))? {
                return Ok(record);
            }
            let read = tokio::time::timeout(SILENCE_LIMIT, self.reading.next()).await;
            let read = read.map_err(|_| ClientError::Silent(SILENCE_LIMIT.as_secs()))?;
            match read {
                Ok(Some(data)) => self.decoder.push(&data),
                // A server that is killed leaves a body without its end.
                Ok(None) | Err(ClientError::Answer(_)) => return Err(ClientError::Closed),
                Err(error) => return Err(error),
            }
        }
    }
}
