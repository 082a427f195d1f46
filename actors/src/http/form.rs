//! Fields of queries and of bodies that are written like queries, by libprocess's rules.
//! Knows no field by name.

/// Names and values in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `a=1&b=2`; a semicolon separates as well, and a plus sign is a blank. What is not
    /// UTF-8 is replaced.
    ///
    /// # Errors
    /// Upon a `%` that two hexadecimal digits do not follow, in Mesos's words.
    ///
    /// Mesos: `process::http::query::decode`.
    pub fn decode(text: &[u8]) -> Result<Fields, String> {
        let tokens = text.split(|byte| matches!(byte, b'&' | b';'));
        let field = |token: &[u8]| {
            let at = token.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (&token[..at], &token[at + 1..]),
                None => (token, &[][..]),
            };
            Ok((unescape(name)?, unescape(value)?))
        };
        let tokens = tokens.filter(|token| !token.is_empty());
        tokens.map(field).collect::<Result<_, _>>().map(Fields)
    }

    /// The value of a field; of several with one name the last counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut latest = self.0.iter().rev();
        let (_, value) = latest.find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// A text without its escapes.
///
/// # Errors
/// As [`Fields::decode`].
pub fn unescape(text: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let Some((value, after)) = hexadecimal(after) else {
                    let escape = &after[..after.len().min(2)];
                    return Err(format!(
                        "Malformed % escape in '{}': '%{}'",
                        String::from_utf8_lossy(text),
                        String::from_utf8_lossy(escape)
                    ));
                };
                bytes.push(value);
                rest = after;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The byte that two digits at the beginning stand for, and what is after them.
fn hexadecimal(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(digits[0])? * 16 + digit(digits[1])?;
    Some((u8::try_from(value).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fields {
        Fields::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_unescaped_and_the_last_of_a_name_counts() {
        let fields = read("a=1&b=x%3D%26+y;c&a=2&&=z&d=1=2");
        assert_eq!(fields.get("a"), Some("2"));
        assert_eq!(fields.get("b"), Some("x=& y"));
        assert_eq!(fields.get("c"), Some(""));
        assert_eq!(fields.get(""), Some("z"));
        assert_eq!(fields.get("d"), Some("1=2"));
        assert_eq!(fields.get("e"), None);
        assert_eq!(read(""), Fields::default());
        assert_eq!(read("a=%ff").get("a"), Some("\u{fffd}"));
    }

    #[test]
    fn broken_escapes_are_refused_in_mesos_words() {
        for (text, error) in [
            ("a=%zz", "Malformed % escape in '%zz': '%zz'"),
            ("a=x%", "Malformed % escape in 'x%': '%'"),
            ("%4=1", "Malformed % escape in '%4': '%4'"),
            ("a=1&b=%+1", "Malformed % escape in '%+1': '%+1'"),
            ("a=%é", "Malformed % escape in '%é': '%é'"),
        ] {
            assert_eq!(Fields::decode(text.as_bytes()), Err(error.to_owned()));
        }
    }
}
