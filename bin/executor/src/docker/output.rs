//! What a container writes, as the Engine sends it: frames of its two outputs, one after the other.
//! Opens no connection.

use std::io::Write;

/// Bytes before each frame: which output, three of no meaning, and the frame's length.
const HEAD_BYTES: usize = 8;

/// The number of the error output in a frame's head.
const STDERR: u8 = 2;

/// Takes frames apart.
#[derive(Debug, Default)]
pub struct Frames {
    head: Vec<u8>,
    /// What is left of the present frame.
    left: usize,
}

impl Frames {
    /// Writes what is in `bytes` where it belongs. What cannot be written is lost: a full disk must
    /// not stop a task.
    pub fn take(&mut self, mut bytes: &[u8], stdout: &mut dyn Write, stderr: &mut dyn Write) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let wanted = (HEAD_BYTES - self.head.len()).min(bytes.len());
                let (head, rest) = bytes.split_at(wanted);
                self.head.extend_from_slice(head);
                bytes = rest;
                if let Ok(head) = <[u8; HEAD_BYTES]>::try_from(self.head.as_slice()) {
                    let [_, _, _, _, length @ ..] = head;
                    self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                }
                if self.left == 0 && self.head.len() == HEAD_BYTES {
                    self.head.clear();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            let output = match self.head.first() {
                Some(&STDERR) => &mut *stderr,
                _ => &mut *stdout,
            };
            let _ = output.write_all(part);
            self.left -= part.len();
            bytes = rest;
            if self.left == 0 {
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_wherever_they_are_cut() {
        let mut all = Vec::new();
        for (kind, text) in [(1, "one\n"), (2, "oops\n"), (1, ""), (1, "two\n")] {
            let length = u32::try_from(text.len()).unwrap();
            all.extend([kind, 0, 0, 0]);
            all.extend(length.to_be_bytes());
            all.extend(text.as_bytes());
        }
        for size in 1..=all.len() {
            let (mut frames, mut stdout, mut stderr) = (Frames::default(), vec![], vec![]);
            for part in all.chunks(size) {
                frames.take(part, &mut stdout, &mut stderr);
            }
            assert_eq!(stdout, b"one\ntwo\n", "{size}");
            assert_eq!(stderr, b"oops\n", "{size}");
        }
    }
}
