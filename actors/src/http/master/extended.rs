//! JSON objects that are written field by field after fields that are written already.
//! Knows nothing of what they tell.

use std::io::Write;

use serde::Serialize;
use tepui_protocol::json::RawValue;

/// What writing may fail with.
pub(in crate::http::master) type Written = Result<(), serde_json::Error>;

/// An object that is being written.
pub(in crate::http::master) struct Extended<'a, W> {
    out: &'a mut W,
    is_empty: bool,
}

impl<'a, W: Write> Extended<'a, W> {
    /// Begins with the fields of an object.
    pub(in crate::http::master) fn of(
        out: &'a mut W,
        object: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let written = serde_json::to_string(object)?;
        Self::begin(out, &written)
    }

    /// Begins with the fields of an object that is written already: it is not read again.
    pub(in crate::http::master) fn of_written(
        out: &'a mut W,
        object: &RawValue,
    ) -> Result<Self, serde_json::Error> {
        Self::begin(out, object.get())
    }

    fn begin(out: &'a mut W, object: &str) -> Result<Self, serde_json::Error> {
        let fields = inside(object);
        raw(out, "{")?;
        raw(out, fields)?;
        let is_empty = fields.is_empty();
        Ok(Extended { out, is_empty })
    }

    /// Begins with no fields.
    pub(in crate::http::master) fn new(out: &'a mut W) -> Result<Self, serde_json::Error> {
        Self::begin(out, "{}")
    }

    /// Adds a field.
    pub(in crate::http::master) fn field(&mut self, name: &str, value: &impl Serialize) -> Written {
        self.name(name)?;
        serde_json::to_writer(&mut *self.out, value)
    }

    /// Adds a field of which `write` writes the value.
    pub(in crate::http::master) fn with(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut W) -> Written,
    ) -> Written {
        self.name(name)?;
        write(self.out)
    }

    /// Adds the fields of an object.
    pub(in crate::http::master) fn fields(&mut self, object: &impl Serialize) -> Written {
        let written = serde_json::to_string(object)?;
        self.add(&written)
    }

    /// Adds the fields of an object that is written already.
    pub(in crate::http::master) fn fields_written(&mut self, object: &RawValue) -> Written {
        self.add(object.get())
    }

    fn add(&mut self, object: &str) -> Written {
        let fields = inside(object);
        if !fields.is_empty() {
            self.separate()?;
            raw(self.out, fields)?;
        }
        Ok(())
    }

    /// Adds a list of which `write` writes the items.
    pub(in crate::http::master) fn list<T>(
        &mut self,
        name: &str,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(T, &mut W) -> Written,
    ) -> Written {
        self.name(name)?;
        raw(self.out, "[")?;
        for (at, item) in items.enumerate() {
            if at > 0 {
                raw(self.out, ",")?;
            }
            write(item, self.out)?;
        }
        raw(self.out, "]")
    }

    /// Ends the object.
    pub(in crate::http::master) fn end(self) -> Written {
        raw(self.out, "}")
    }

    fn name(&mut self, name: &str) -> Written {
        self.separate()?;
        serde_json::to_writer(&mut *self.out, name)?;
        raw(self.out, ":")
    }

    fn separate(&mut self) -> Written {
        match std::mem::replace(&mut self.is_empty, false) {
            true => Ok(()),
            false => raw(self.out, ","),
        }
    }
}

/// The fields of an object as it is written; nothing of what is no object.
fn inside(object: &str) -> &str {
    let fields = object.trim().strip_prefix('{');
    let fields = fields.and_then(|rest| rest.strip_suffix('}'));
    fields.unwrap_or_default().trim()
}

/// Writes what is JSON already.
pub(in crate::http::master) fn raw(out: &mut impl Write, text: &str) -> Written {
    out.write_all(text.as_bytes())
        .map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tepui_protocol::json::RawValue;

    use super::*;

    fn extended(first: &str) -> Value {
        let mut out = Vec::new();
        let first = RawValue::from_string(first.to_owned()).unwrap();
        let mut object = Extended::of_written(&mut out, &first).unwrap();
        object.fields(&json!({})).unwrap();
        object.field("b\"", &1).unwrap();
        object.fields(&json!({"c": 2, "d": {}})).unwrap();
        let items = [3, 4].into_iter();
        let write = |item, out: &mut Vec<u8>| Extended::of(out, &json!({"i": item}))?.end();
        let none = RawValue::from_string("{ }".to_owned()).unwrap();
        object.fields_written(&none).unwrap();
        object
            .fields_written(&RawValue::from_string("{\"f\": 5}".to_owned()).unwrap())
            .unwrap();
        object.with("g", |out| Extended::new(out)?.end()).unwrap();
        object.list("e", items, write).unwrap();
        object.end().unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn fields_follow_those_that_are_written() {
        let mut expected = json!({"b\"": 1, "c": 2, "d": {}, "e": [{"i": 3}, {"i": 4}],
            "f": 5, "g": {}});
        assert_eq!(extended("{}"), expected);
        assert_eq!(extended(" { } "), expected);
        expected["a"] = json!([1]);
        assert_eq!(extended("{\"a\":[1]}"), expected);
    }
}
