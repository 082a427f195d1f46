//! Protobuf with the rules prost leaves out: required fields must be there, on both ways.
//! Leaves the plain work to prost, and knows no message by name.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

use crate::schema::{Field, Item, Kind, Message, Presence, Record, Schema};

/// Deepest nesting of messages that is looked into; prost refuses more than this many, too.
const MAX_DEPTH: usize = 100;

/// Why bytes are not the wanted message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are not protobuf of this type.
    #[error("bytes are not a {0}: {1}")]
    Malformed(&'static str, prost::DecodeError),
    /// A required field is not there.
    #[error("{0} lacks a required field")]
    Incomplete(&'static str),
}

/// Decodes one message. Unknown fields and enum numbers are tolerated.
///
/// # Errors
/// When the bytes are malformed, nested too deeply or lack a required field.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, WireError> {
    let schema = M::SCHEMA;
    let message = M::decode(bytes).map_err(|error| WireError::Malformed(schema.name, error))?;
    if !is_complete(schema, &[bytes], MAX_DEPTH).unwrap_or(false) {
        return Err(WireError::Incomplete(schema.name));
    }
    Ok(message)
}

/// Encodes one message.
///
/// prost leaves out the value of a map's entry when it equals the empty message. Peers written in
/// other languages then miss that value's required fields, so messages with such maps are written
/// here.
#[must_use]
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    if !holds_entries(message) {
        return message.encode_to_vec();
    }
    let mut out = Vec::new();
    write_record(message, &mut out);
    out
}

/// Appends a field that holds a number, a truth value or an enum's value.
pub fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

/// Appends a field that holds a double.
pub fn put_double(number: u32, value: f64, out: &mut Vec<u8>) {
    encode_key(number, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// What stands before a message of `length` bytes that is written after it as a field.
#[must_use]
pub fn head_of(number: u32, length: usize) -> Vec<u8> {
    let mut head = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut head);
    encode_varint(length as u64, &mut head);
    head
}

/// The fields of an encoded message as they stand there, key and all, each with its number; ends
/// where the bytes are malformed.
pub fn raw_fields(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let before = rest;
        let (_, number, _) = next_raw(&mut rest)?;
        Some((number, &before[..before.len() - rest.len()]))
    })
}

/// True when a map of messages somewhere in `record` is not empty.
fn holds_entries(record: &dyn Record) -> bool {
    let schema = record.schema();
    if !schema.mapped {
        return false;
    }
    schema.fields.iter().enumerate().any(|(index, field)| {
        let (Kind::Message(inner), Some(cell)) = (&field.kind, record.cell(index)) else {
            return false;
        };
        if field.presence == Presence::Map {
            return !cell.is_empty();
        }
        inner.mapped
            && (0..cell.len()).any(|index| match cell.get(index) {
                Some(Item::Record(inner)) => holds_entries(inner),
                _ => false,
            })
    })
}

fn write_record(record: &dyn Record, out: &mut Vec<u8>) {
    for (index, field) in record.schema().fields.iter().enumerate() {
        let Some(cell) = record.cell(index) else {
            continue;
        };
        if field.presence == Presence::Map {
            cell.entries(&mut |key, item| {
                let mut entry = Vec::new();
                write_item(1, Item::Str(key), &mut entry);
                write_item(2, item, &mut entry);
                write_item(field.number, Item::Bytes(&entry), out);
            });
            continue;
        }
        for item in (0..cell.len()).filter_map(|index| cell.get(index)) {
            if field.presence != Presence::Implicit || !item.is_zero() {
                write_item(field.number, item, out);
            }
        }
    }
}

fn write_item(number: u32, item: Item, out: &mut Vec<u8>) {
    let mut varint = |value: u64| {
        encode_key(number, WireType::Varint, out);
        encode_varint(value, out);
    };
    match item {
        Item::Bool(value) => varint(u64::from(value)),
        // Negative numbers of 32 bits are extended to 64, too.
        Item::I64(value) => varint(value as u64),
        Item::U64(value) => varint(value),
        Item::F64(value) => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Item::Str(value) => put_bytes(number, value.as_bytes(), out),
        Item::Bytes(value) => put_bytes(number, value, out),
        Item::Record(record) => {
            let mut inner = Vec::new();
            write_record(record, &mut inner);
            put_bytes(number, &inner, out);
        }
    }
}

/// Appends a field that holds bytes, a text or a message that is encoded already.
pub fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// True when all required fields are there, at any depth; none when the bytes are malformed.
///
/// `parts` are the pieces of one message: protobuf merges the occurrences of a singular field.
fn is_complete(schema: &Schema, parts: &[&[u8]], depth: usize) -> Option<bool> {
    if !schema.strict {
        return Some(true);
    }
    let depth = depth.checked_sub(1)?;
    let mut present = 0_u128;
    // Fields that have occurred once, and those that must be merged before they can be judged.
    let mut incomplete = 0_u128;
    for part in parts {
        let mut rest = *part;
        while let Some((index, field, value)) = next_field(schema, &mut rest)? {
            let bit = 1_u128 << index;
            present |= bit;
            let Some(value) = value else {
                continue;
            };
            if is_value_complete(field, value, depth)? {
                continue;
            }
            if matches!(field.presence, Presence::Repeated | Presence::Map) {
                return Some(false);
            }
            incomplete |= bit;
        }
    }
    if schema.required & !present != 0 {
        return Some(false);
    }
    for (index, field) in schema.fields.iter().enumerate() {
        if incomplete & (1 << index) != 0 && !is_merged_complete(schema, field, parts, depth)? {
            return Some(false);
        }
    }
    Some(true)
}

/// Judges one occurrence of a field on its own.
fn is_value_complete(field: &Field, value: &[u8], depth: usize) -> Option<bool> {
    let Kind::Message(inner) = &field.kind else {
        return Some(true);
    };
    if field.presence != Presence::Map {
        return is_complete(inner, &[value], depth);
    }
    // The value of a map's entry is field 2. Peers built on prost leave it out when it is zero.
    let (mut rest, mut found) = (value, None);
    while !rest.is_empty() {
        let (wire_type, number, value) = next_raw(&mut rest)?;
        if number == 2 && wire_type == WireType::LengthDelimited {
            found = Some(value);
        }
    }
    match found {
        Some(value) => is_complete(inner, &[value], depth),
        None => Some(true),
    }
}

/// Judges all occurrences of a singular message field together. Only split messages come here.
fn is_merged_complete(
    schema: &Schema,
    wanted: &Field,
    parts: &[&[u8]],
    depth: usize,
) -> Option<bool> {
    let Kind::Message(inner) = &wanted.kind else {
        return Some(true);
    };
    let mut pieces = Vec::new();
    for part in parts {
        let mut rest = *part;
        while let Some((_, field, value)) = next_field(schema, &mut rest)? {
            if field.number == wanted.number {
                pieces.extend(value);
            }
        }
    }
    if pieces.len() == 1 {
        return Some(false);
    }
    is_complete(inner, &pieces, depth)
}

/// The next field that the schema knows; with its bytes when it is length-delimited.
///
/// The outer option is none when the bytes are malformed, the inner one at their end.
#[allow(clippy::type_complexity)]
fn next_field<'a, 's>(
    schema: &'s Schema,
    rest: &mut &'a [u8],
) -> Option<Option<(usize, &'s Field, Option<&'a [u8]>)>> {
    while !rest.is_empty() {
        let (wire_type, number, value) = next_raw(rest)?;
        let found = schema
            .fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.number == number);
        if let Some((index, field)) = found {
            let value = (wire_type == WireType::LengthDelimited).then_some(value);
            return Some(Some((index, field, value)));
        }
    }
    Some(None)
}

/// The next field whatever it is; its bytes are empty unless it is length-delimited.
fn next_raw<'a>(rest: &mut &'a [u8]) -> Option<(WireType, u32, &'a [u8])> {
    let (number, wire_type) = decode_key(rest).ok()?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, number, rest, DecodeContext::default()).ok()?;
        return Some((wire_type, number, &[]));
    }
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (value, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((wire_type, number, value))
}
