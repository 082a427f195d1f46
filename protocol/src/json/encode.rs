//! Writes messages as JSON.
//! Never fails on a message's content: an enum number without a name is left out.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::base64;
use crate::schema::{Cell, Field, Item, Kind, Presence, Record};

/// Encodes a message as one line of JSON.
pub fn to_vec<M: Serialize>(message: &M) -> Vec<u8> {
    // Writing to memory cannot fail, keys are strings, and the impls below never raise an error.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Writes a message through any serde serializer; every generated `Serialize` impl is this.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(record: &dyn Record, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (index, field) in record.schema().fields.iter().enumerate() {
        let Some(cell) = record.cell(index) else {
            continue;
        };
        match field.presence {
            Presence::Repeated if cell.is_empty() => {}
            Presence::Repeated => map.serialize_entry(field.name, &List { field, cell })?,
            Presence::Map if cell.is_empty() => {}
            Presence::Map => map.serialize_entry(field.name, &Entries { field, cell })?,
            Presence::Optional | Presence::Required => {
                if let Some(item) = cell.get(0).or(field.default) {
                    write_entry(&mut map, field, item)?;
                }
            }
            Presence::Implicit => {
                if let Some(item) = cell.get(0).filter(|item| !item.is_zero()) {
                    write_entry(&mut map, field, item)?;
                }
            }
        }
    }
    map.end()
}

fn write_entry<M: SerializeMap>(map: &mut M, field: &Field, item: Item) -> Result<(), M::Error> {
    let value = Value { field, item };
    if value.is_writable() {
        map.serialize_entry(field.name, &value)?;
    }
    Ok(())
}

/// One value of a field.
struct Value<'a> {
    field: &'a Field,
    item: Item<'a>,
}

impl Value<'_> {
    /// False for a number that its enum has no name for.
    fn is_writable(&self) -> bool {
        match (&self.field.kind, self.item) {
            (Kind::Enum(names), Item::I64(number)) => names.name(number).is_some(),
            _ => true,
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.item {
            Item::Bool(value) => serializer.serialize_bool(value),
            Item::I64(value) => match self.field.kind {
                Kind::Enum(names) => serializer.serialize_str(names.name(value).unwrap_or("")),
                _ => serializer.serialize_i64(value),
            },
            Item::U64(value) => serializer.serialize_u64(value),
            Item::F64(value) => serialize_double(value, serializer),
            Item::Str(value) => serializer.serialize_str(value),
            Item::Bytes(value) => serializer.serialize_str(&base64::encode(value)),
            Item::Record(record) => serialize(record, serializer),
        }
    }
}

/// JSON has no such numbers; Mesos writes the infinities as these strings and reads them back.
/// A NaN follows the same rule here, where Mesos would write a word that is not JSON.
fn serialize_double<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_nan() {
        serializer.serialize_str("NaN")
    } else if value == f64::INFINITY {
        serializer.serialize_str("Infinity")
    } else if value == f64::NEG_INFINITY {
        serializer.serialize_str("-Infinity")
    } else {
        serializer.serialize_f64(value)
    }
}

/// The values of a repeated field.
struct List<'a> {
    field: &'a Field,
    cell: &'a dyn Cell,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for item in (0..self.cell.len()).filter_map(|index| self.cell.get(index)) {
            let value = Value {
                field: self.field,
                item,
            };
            if value.is_writable() {
                seq.serialize_element(&value)?;
            }
        }
        seq.end()
    }
}

/// The entries of a map field.
struct Entries<'a> {
    field: &'a Field,
    cell: &'a dyn Cell,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut result = Ok(());
        self.cell.entries(&mut |key, item| {
            let value = Value {
                field: self.field,
                item,
            };
            if result.is_ok() && value.is_writable() {
                result = map.serialize_entry(key, &value);
            }
        });
        result?;
        map.end()
    }
}
