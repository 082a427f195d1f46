//! Reads messages from JSON in one pass, without a tree in between.
//! Does not word faults (see `faults`) and does not explain bad syntax (see `syntax`).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::faults::{Faults, Step};
use super::skip::Skip;
use super::{JsonError, base64, syntax};
use crate::schema::{Cell, Field, Kind, Message, Presence, Record, Scalar, Schema};

/// Decodes one message.
///
/// Unknown keys are ignored, `null` counts as unset, the last of equal keys wins, and an enum name
/// that is not known counts as unset unless the field is required.
///
/// # Errors
/// When the text is not JSON, does not fit the message or lacks a required field.
pub fn from_slice<M: Message>(body: &[u8]) -> Result<M, JsonError> {
    let mut message = M::default();
    let mut faults = Faults::default();
    let root = Root {
        record: &mut message,
        faults: &mut faults,
    };
    if !parse(body, root)? {
        return Err(JsonError::Convert("Expecting a JSON object".to_owned()));
    }
    faults.finish()?;
    Ok(message)
}

/// Decodes an array of messages, e.g. the resources of a flag.
///
/// # Errors
/// As [`from_slice`], or when the text is not an array.
pub fn list_from_slice<M: Message>(body: &[u8]) -> Result<Vec<M>, JsonError> {
    let mut messages = Vec::new();
    let mut faults = Ok(());
    let mut is_array = false;
    let root = RootList {
        messages: &mut messages,
        faults: &mut faults,
        is_array: &mut is_array,
    };
    if !parse(body, root)? {
        let wanted = if is_array { "object" } else { "array" };
        return Err(JsonError::Convert(format!("Expecting a JSON {wanted}")));
    }
    faults?;
    Ok(messages)
}

/// Runs a seed over the whole text; false when the text is JSON of a kind the seed does not take.
fn parse<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<bool, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let result = seed.deserialize(&mut deserializer);
    match result.and_then(|_| deserializer.end()) {
        Ok(()) => Ok(true),
        // The rest has not been read yet, and bad syntax in it weighs more.
        Err(error) if error.is_data() => parse(body, Skip).map(|_| false),
        Err(error) => Err(JsonError::Parse(syntax::explain(body, &error))),
    }
}

/// What a field takes, for the visitor of its value.
#[derive(Clone, Copy)]
struct Slot {
    name: &'static str,
    number: u32,
    presence: Presence,
    kind: &'static Kind,
}

impl Slot {
    fn of(field: &'static Field) -> Self {
        Slot {
            name: field.name,
            number: field.number,
            presence: field.presence,
            kind: &field.kind,
        }
    }

    /// The value of a map's entry, which is a field of its own in protobuf.
    fn of_map_value(self) -> Self {
        Slot {
            name: "value",
            number: 2,
            presence: Presence::Optional,
            kind: self.kind,
        }
    }

    fn step(self, index: Option<usize>) -> Step {
        Step {
            name: self.name,
            number: self.number,
            index,
        }
    }

    fn is_repeated(self) -> bool {
        matches!(self.presence, Presence::Repeated | Presence::Map)
    }
}

/// A JSON number before it is narrowed to a field's type.
#[derive(Clone, Copy)]
enum Number {
    Signed(i64),
    Unsigned(u64),
    Double(f64),
}

impl Number {
    /// Narrows as a C++ cast does, except that doubles beyond an integer's range are clamped.
    fn narrow(self, kind: &Kind) -> Option<Scalar> {
        macro_rules! cast {
            ($type:ty) => {
                match self {
                    Number::Signed(value) => value as $type,
                    Number::Unsigned(value) => value as $type,
                    Number::Double(value) => value as $type,
                }
            };
        }
        match kind {
            Kind::I32 => Some(Scalar::I32(cast!(i32))),
            Kind::I64 => Some(Scalar::I64(cast!(i64))),
            Kind::U32 => Some(Scalar::U32(cast!(u32))),
            Kind::U64 => Some(Scalar::U64(cast!(u64))),
            Kind::F64 => Some(Scalar::F64(cast!(f64))),
            Kind::Bool | Kind::Str | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => None,
        }
    }
}

/// Reads one JSON value into a field; says whether the field is set now.
struct Value<'a> {
    slot: Slot,
    cell: &'a mut dyn Cell,
    faults: &'a mut Faults,
}

impl Value<'_> {
    fn set(self, value: Scalar) -> bool {
        self.cell.put(value);
        true
    }

    fn wrong(self, text: String) -> bool {
        self.faults.wrong(Some(self.slot.step(None)), text);
        false
    }

    fn unexpected(self, what: &str) -> bool {
        let text = format!("Not expecting a JSON {what} for field '{}'", self.slot.name);
        self.wrong(text)
    }

    fn number(self, number: Number) -> bool {
        match number.narrow(self.slot.kind) {
            Some(value) if self.slot.presence != Presence::Map => self.set(value),
            _ => self.unexpected("number"),
        }
    }

    fn text(self, text: &str) -> bool {
        let name = self.slot.name;
        match self.slot.kind {
            _ if self.slot.presence == Presence::Map => self.unexpected("string"),
            Kind::Str => self.set(Scalar::Str(text.to_owned())),
            Kind::Bytes => match base64::decode(text) {
                Ok(bytes) => self.set(Scalar::Bytes(bytes)),
                Err(error) => self.wrong(format!(
                    "Failed to base64 decode bytes field '{name}': {error}"
                )),
            },
            Kind::Enum(names) => match names.number(text) {
                Some(number) => self.set(Scalar::I32(number)),
                None if self.slot.presence == Presence::Required => {
                    self.wrong(format!("Failed to find enum for '{text}'"))
                }
                None => false,
            },
            Kind::Bool => match quoted(text, |value| value.as_bool()) {
                Ok(value) => self.set(Scalar::Bool(value)),
                Err(error) => self.wrong(format!(
                    "Failed to parse '{text}' as a JSON boolean for field '{name}': {error}"
                )),
            },
            Kind::I32 | Kind::I64 | Kind::U32 | Kind::U64 | Kind::F64 => {
                match quoted_number(text, self.slot.kind) {
                    Ok(number) => self.number(number),
                    Err(error) => self.wrong(format!(
                        "Failed to parse '{text}' as a JSON number for field '{name}': {error}"
                    )),
                }
            }
            Kind::Message(_) => self.unexpected("string"),
        }
    }
}

/// Reads a number that stands in quotes.
fn quoted_number(text: &str, kind: &Kind) -> Result<Number, String> {
    match (kind, text) {
        (Kind::F64, "Infinity") => return Ok(Number::Double(f64::INFINITY)),
        (Kind::F64, "-Infinity") => return Ok(Number::Double(f64::NEG_INFINITY)),
        (Kind::F64, "NaN") => return Ok(Number::Double(f64::NAN)),
        _ => {}
    }
    quoted(text, |value| {
        let unsigned = value.as_u64().map(Number::Unsigned);
        let signed = value.as_i64().map(Number::Signed);
        signed.or(unsigned).or(value.as_f64().map(Number::Double))
    })
}

/// Reads a JSON value that stands in quotes, and takes from it what is wanted.
fn quoted<T>(text: &str, take: impl Fn(&serde_json::Value) -> Option<T>) -> Result<T, String> {
    match serde_json::from_str(text) {
        Ok(value) => take(&value).ok_or_else(|| "Unexpected JSON type parsed".to_owned()),
        Err(error) => Err(syntax::explain(text.as_bytes(), &error)),
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(match self.slot.kind {
            Kind::Bool => self.set(Scalar::Bool(value)),
            _ => self.unexpected("boolean"),
        })
    }

    fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
        Ok(self.number(Number::Signed(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
        Ok(self.number(Number::Unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<bool, E> {
        Ok(self.number(Number::Double(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(self.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        if !self.slot.is_repeated() {
            self.unexpected("array");
            while seq.next_element_seed(Skip)?.is_some() {}
            return Ok(false);
        }
        loop {
            let element = Value {
                slot: self.slot,
                cell: &mut *self.cell,
                faults: &mut *self.faults,
            };
            if seq.next_element_seed(element)?.is_none() {
                return Ok(true);
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        if self.slot.presence == Presence::Map {
            return read_entries(self, map);
        }
        let Kind::Message(schema) = self.slot.kind else {
            self.unexpected("object");
            while map.next_key_seed(Skip)?.is_some() {
                map.next_value_seed(Skip)?;
            }
            return Ok(false);
        };
        let index = self.slot.is_repeated().then(|| self.cell.len());
        self.faults.enter(self.slot.step(index));
        if let Some(record) = self.cell.begin() {
            read_record(schema, record, &mut map, self.faults)?;
        }
        self.faults.leave();
        Ok(true)
    }
}

/// Reads the fields of a message.
fn read_record<'de, A: MapAccess<'de>>(
    schema: &'static Schema,
    record: &mut dyn Record,
    map: &mut A,
    faults: &mut Faults,
) -> Result<(), A::Error> {
    let (mut seen, mut present) = (0_u128, 0_u128);
    let mut hint = 0;
    while let Some(found) = map.next_key_seed(Key { schema, hint })? {
        let target = found.and_then(|index| {
            let field = schema.fields.get(index)?;
            Some((index, field, record.cell_mut(index)?))
        });
        let Some((index, field, cell)) = target else {
            map.next_value_seed(Skip)?;
            continue;
        };
        hint = index + 1;
        let bit = 1_u128 << index;
        if seen & bit != 0 {
            cell.clear();
            faults.forget(field.number, None);
            present &= !bit;
        }
        seen |= bit;
        let value = Value {
            slot: Slot::of(field),
            cell,
            faults: &mut *faults,
        };
        if map.next_value_seed(value)? {
            present |= bit;
        }
    }
    faults.require(schema, present);
    Ok(())
}

/// Reads the entries of a map field.
fn read_entries<'de, A: MapAccess<'de>>(target: Value, mut map: A) -> Result<bool, A::Error> {
    let Value { slot, cell, faults } = target;
    let (start, depth) = (faults.missing(), faults.depth());
    // Entries with missing fields: they are named by their place among the sorted keys.
    let mut incomplete: Vec<(usize, String)> = Vec::new();
    let mut position = 0;
    while let Some(key) = map.next_key::<String>()? {
        if let Some(at) = incomplete.iter().position(|(_, other)| *other == key) {
            let (position, _) = incomplete.swap_remove(at);
            faults.forget(slot.number, Some(position));
        }
        let before = faults.missing();
        faults.enter(slot.step(Some(position)));
        if let Some(cell) = cell.entry(key.clone()) {
            let value = Value {
                slot: slot.of_map_value(),
                cell,
                faults: &mut *faults,
            };
            map.next_value_seed(value)?;
        }
        faults.leave();
        if faults.missing() > before {
            incomplete.push((position, key));
        }
        position += 1;
    }
    if !incomplete.is_empty() {
        let cell = &*cell;
        faults.renumber(start, depth, &|index| {
            let entry = incomplete.iter().find(|(position, _)| *position == index);
            entry.map(|(_, key)| cell.rank(key))
        });
    }
    Ok(true)
}

/// Reads a key of a message as the index of its field.
struct Key {
    schema: &'static Schema,
    hint: usize,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.schema.find(text, self.hint))
    }
}

/// Reads the outermost message. Any other value is a serde error of its own kind.
struct Root<'a> {
    record: &'a mut dyn Record,
    faults: &'a mut Faults,
}

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let schema = self.record.schema();
        read_record(schema, self.record, &mut map, self.faults)
    }
}

/// Reads an outermost array of messages. Any other value is a serde error of its own kind.
struct RootList<'a, M> {
    messages: &'a mut Vec<M>,
    faults: &'a mut Result<(), JsonError>,
    is_array: &'a mut bool,
}

impl<'de, M: Message> DeserializeSeed<'de> for RootList<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Message> Visitor<'de> for RootList<'_, M> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        *self.is_array = true;
        loop {
            let mut message = M::default();
            let mut faults = Faults::default();
            let root = Root {
                record: &mut message,
                faults: &mut faults,
            };
            if seq.next_element_seed(root)?.is_none() {
                return Ok(());
            }
            let verdict = faults.finish();
            if self.faults.is_ok() {
                *self.faults = verdict;
            }
            self.messages.push(message);
        }
    }
}
