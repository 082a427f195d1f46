//! Writes a message in protobuf's text format, which one of Mesos's error messages contains.
//! Cannot read that format.

use std::fmt::Write;

use tepui_protocol::schema::{Item, Kind, Presence, Record};
use tepui_protocol::v1::{ExecutorInfo, Resource};

use crate::resources::{Format, Resources};

/// The text of an executor, each field on its own line, in order of field numbers.
///
/// Resources are written in the form with `reservations`, which is what Mesos's master keeps.
pub(super) fn executor(executor: &ExecutorInfo) -> String {
    let mut executor = executor.clone();
    executor.resources = executor.resources.iter().flat_map(upgraded).collect();
    let mut out = String::new();
    write_record(&mut out, &executor, 0);
    out
}

fn upgraded(resource: &Resource) -> Vec<Resource> {
    match Resources::from_v1(std::slice::from_ref(resource)) {
        Ok(resources) => resources.to_v1(Format::PostRefinement),
        Err(_) => vec![resource.clone()],
    }
}

fn write_record(out: &mut String, record: &dyn Record, depth: usize) {
    let fields = record.schema().fields;
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by_key(|index| fields.get(*index).map(|field| field.number));
    for index in order {
        let (Some(field), Some(cell)) = (fields.get(index), record.cell(index)) else {
            continue;
        };
        if field.presence == Presence::Map {
            cell.entries(&mut |key, value| {
                let indent = "  ".repeat(depth);
                // Writing to a string cannot fail.
                let _ = writeln!(out, "{indent}{} {{", field.name);
                write_item(out, "key", &Kind::Str, Item::Str(key), depth + 1);
                write_item(out, "value", &field.kind, value, depth + 1);
                let _ = writeln!(out, "{indent}}}");
            });
            continue;
        }
        for item in (0..cell.len()).filter_map(|at| cell.get(at)) {
            write_item(out, field.name, &field.kind, item, depth);
        }
    }
}

fn write_item(out: &mut String, name: &str, kind: &Kind, item: Item<'_>, depth: usize) {
    let indent = "  ".repeat(depth);
    let text = match (item, kind) {
        (Item::Record(record), _) => {
            let _ = writeln!(out, "{indent}{name} {{");
            write_record(out, record, depth + 1);
            let _ = writeln!(out, "{indent}}}");
            return;
        }
        (Item::I64(number), Kind::Enum(values)) => match values.name(number) {
            Some(name) => name.to_string(),
            None => number.to_string(),
        },
        (Item::Bool(value), _) => value.to_string(),
        (Item::I64(value), _) => value.to_string(),
        (Item::U64(value), _) => value.to_string(),
        (Item::F64(value), _) => value.to_string(),
        (Item::Str(value), _) => quoted(value.as_bytes()),
        (Item::Bytes(value), _) => quoted(value),
    };
    let _ = writeln!(out, "{indent}{name}: {text}");
}

/// In quotes, with C escapes for what is not printable ASCII.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' | b'\'' | b'\\' => out.extend(['\\', char::from(*byte)]),
            0x20..0x7F => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}
