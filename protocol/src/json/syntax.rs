//! Words a JSON syntax error as Mesos does: what its parser had not yet taken of the line.
//! Runs only after serde_json has refused a text; accepts nothing on its own.

/// Nesting at which Mesos's parser gives up.
const MAX_DEPTH: usize = 200;

/// Most bytes of the offending line that are quoted.
const MAX_NEAR_BYTES: usize = 1024;

/// Explains why `body` is not JSON.
pub(super) fn explain(body: &[u8], error: &serde_json::Error) -> String {
    if error.to_string().starts_with("number out of range") {
        return "Value out of range".to_owned();
    }
    let mut scan = Scan { body, at: 0 };
    if !scan.value(MAX_DEPTH) {
        return scan.near();
    }
    let rest = scan.rest().trim_ascii_end();
    if !rest.is_empty() {
        let rest = rest.get(..MAX_NEAR_BYTES).unwrap_or(rest);
        let rest = String::from_utf8_lossy(rest);
        return format!("Parsed JSON included non-whitespace trailing characters: {rest}");
    }
    // Mesos would have taken this text: it allows bytes that are not UTF-8, for example.
    scan.at = offset(body, error.line(), error.column());
    scan.near()
}

/// Offset of a line and column as serde_json counts them.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let newlines = body.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let start = match line.checked_sub(2) {
        Some(skip) => newlines.map(|(at, _)| at + 1).nth(skip).unwrap_or(0),
        None => 0,
    };
    start + column.saturating_sub(1)
}

/// Goes over a text as Mesos's parser does, and stops where that would stop.
struct Scan<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn near(&self) -> String {
        let passed = self.body.get(..self.at).unwrap_or(self.body);
        let line = 1 + passed.iter().filter(|byte| **byte == b'\n').count();
        let rest = self.rest().iter().copied();
        let near: Vec<u8> = rest
            .take_while(|byte| *byte != b'\n')
            .filter(|byte| *byte >= b' ')
            .take(MAX_NEAR_BYTES)
            .collect();
        let near = String::from_utf8_lossy(&near);
        format!("syntax error at line {line} near: {near}")
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes one byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes one byte after whitespace if it comes next.
    fn expect(&mut self, byte: u8) -> bool {
        self.skip_whitespace();
        self.take(byte)
    }

    fn value(&mut self, depth: usize) -> bool {
        self.skip_whitespace();
        match self.peek() {
            Some(b'n') => self.word(b"null"),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'[') => {
                self.at += 1;
                depth > 0 && self.array(depth - 1)
            }
            Some(b'{') => {
                self.at += 1;
                depth > 0 && self.object(depth - 1)
            }
            Some(b'0'..=b'9' | b'-') => self.number(),
            _ => false,
        }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        word.iter().all(|byte| self.take(*byte))
    }

    fn number(&mut self) -> bool {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' | b'.')
        ) {
            self.at += 1;
        }
        let number = self.body.get(start..self.at).unwrap_or_default();
        std::str::from_utf8(number).is_ok_and(|number| number.parse::<f64>().is_ok())
    }

    fn array(&mut self, depth: usize) -> bool {
        if self.expect(b']') {
            return true;
        }
        while self.value(depth) {
            if !self.expect(b',') {
                return self.expect(b']');
            }
        }
        false
    }

    fn object(&mut self, depth: usize) -> bool {
        if self.expect(b'}') {
            return true;
        }
        while self.expect(b'"') && self.string() && self.expect(b':') && self.value(depth) {
            if !self.expect(b',') {
                return self.expect(b'}');
            }
        }
        false
    }

    /// The rest of a string whose opening quote has been taken.
    fn string(&mut self) -> bool {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return true;
                }
                Some(b'\\') => {
                    self.at += 1;
                    if !self.escape() {
                        return false;
                    }
                }
                Some(b' '..) => self.at += 1,
                _ => return false,
            }
        }
    }

    fn escape(&mut self) -> bool {
        let Some(byte) = self.peek() else {
            return false;
        };
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => true,
            b'u' => match self.hex() {
                Some(0xD800..=0xDBFF) => {
                    self.take(b'\\')
                        && self.take(b'u')
                        && matches!(self.hex(), Some(0xDC00..=0xDFFF))
                }
                Some(0xDC00..=0xDFFF) | None => false,
                Some(_) => true,
            },
            _ => false,
        }
    }

    /// Takes four hexadecimal digits.
    fn hex(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()?).to_digit(16)?;
            self.at += 1;
            code = code * 16 + digit;
        }
        Some(code)
    }
}
