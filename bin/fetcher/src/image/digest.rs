//! SHA-256 digests of an image's parts, computed while they are read.
//! Knows no other algorithm: no tool makes images with another.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

use ring::digest::{Context, SHA256};

/// How a digest of this algorithm begins.
const PREFIX: &str = "sha256:";

/// Hexadecimal digits of it.
const DIGITS: usize = 64;

/// A digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Digest(String);

impl Digest {
    /// Reads `sha256:` and 64 lower-case digits; none for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Digest::from_digits(text.strip_prefix(PREFIX)?)
    }

    /// Reads 64 lower-case digits.
    pub(super) fn from_digits(digits: &str) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_valid = digits.len() == DIGITS && digits.as_bytes().iter().all(is_digit);
        is_valid.then(|| Digest(digits.to_owned()))
    }

    /// The digest of some bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        finish(context)
    }

    /// The digits alone, which are a name of a file without a colon: mount options have a meaning
    /// for that.
    pub(super) fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}{}", self.0)
    }
}

fn finish(context: Context) -> Digest {
    let digest = context.finish();
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Digest(digits.collect())
}

/// Reads something and computes its digest. Copies read from the same place, so that one can be
/// given to a decompressor, which keeps it, and another asked for the digest.
#[derive(Clone)]
pub(super) struct Digesting(Rc<RefCell<State>>);

struct State {
    content: Box<dyn Read>,
    context: Context,
}

impl Digesting {
    pub(super) fn new(content: impl Read + 'static) -> Self {
        Digesting(Rc::new(RefCell::new(State {
            content: Box::new(content),
            context: Context::new(&SHA256),
        })))
    }

    /// Reads what is left, and gives the digest of all of it.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(finish(self.0.borrow().context.clone()))
    }
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let count = state.content.read(buffer)?;
        state.context.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_those_of_everybody() {
        assert_eq!(Digest::of(b"abc").to_string(), format!("sha256:{OF_ABC}"));
        let mut reader = Digesting::new(&b"abc"[..]);
        let mut first = [0; 2];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(reader.clone().finish().unwrap().digits(), OF_ABC);
    }

    #[test]
    fn only_whole_digests_are_read() {
        assert!(Digest::parse(&format!("sha256:{OF_ABC}")).is_some());
        let long = format!("sha256:{OF_ABC}0");
        let upper = format!("sha256:{}", OF_ABC.to_uppercase());
        let path = format!("sha256:../../{}", &OF_ABC[6..]);
        let other = format!("sha512:{OF_ABC}");
        for text in [OF_ABC, "sha256:", &long, &upper, &path, &other] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
