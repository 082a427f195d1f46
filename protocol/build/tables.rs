//! Writes, for every message, its static field table and its `Record` and `Serialize` impls.
//! The codecs that walk these tables are hand-written and live in `src/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use crate::names;

/// Presence is tracked in the bits of one `u128`.
const MAX_FIELDS: usize = 128;

/// A message with what is needed to name it.
struct Entry<'a> {
    full_name: String,
    path: String,
    proto3: bool,
    message: &'a DescriptorProto,
}

/// All messages and enums of a descriptor set, by full name with a leading dot.
#[derive(Default)]
struct Catalogue<'a> {
    messages: BTreeMap<String, Entry<'a>>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    map_entries: BTreeMap<String, &'a DescriptorProto>,
}

/// The Rust source of all tables and impls.
///
/// # Errors
/// When a message uses a protobuf feature that no v1 message uses.
pub fn generate(set: &FileDescriptorSet) -> Result<String, String> {
    let mut catalogue = Catalogue::default();
    catalogue.fill(set);
    let strict = catalogue.messages_holding(&|field| field.label() == Label::Required);
    let mapped = catalogue.messages_holding(&|field| {
        catalogue.map_entries.contains_key(field.type_name())
            && catalogue.message_of(field).is_some()
    });
    let mut out = String::new();
    let used = catalogue.enums_in_use();
    for (name, item) in catalogue
        .enums
        .iter()
        .filter(|(name, _)| used.contains(*name))
    {
        write_enum(&mut out, name, item);
    }
    for entry in catalogue.messages.values() {
        let name = &entry.full_name;
        let flags = (strict.contains(name), mapped.contains(name));
        catalogue.write_message(&mut out, entry, flags)?;
    }
    Ok(out)
}

/// A call of the macro `every_message` with all message types, for tests that visit each of them.
pub fn every_message(set: &FileDescriptorSet) -> String {
    let mut catalogue = Catalogue::default();
    catalogue.fill(set);
    let mut out = String::from("every_message! {\n");
    for entry in catalogue.messages.values() {
        let name = entry.full_name.trim_start_matches('.');
        let path = entry
            .path
            .replace("crate::generated::mesos::v1", "tepui_protocol::v1");
        let path = path.replace("crate::generated::google::protobuf", "tepui_protocol");
        let _ = writeln!(out, "    {name:?} => {path},");
    }
    out.push_str("}\n");
    out
}

impl<'a> Catalogue<'a> {
    fn fill(&mut self, set: &'a FileDescriptorSet) {
        for file in &set.file {
            let package = file.package();
            for message in &file.message_type {
                self.add(package, &mut Vec::new(), file.syntax() == "proto3", message);
            }
            for item in &file.enum_type {
                self.enums
                    .insert(format!(".{package}.{}", item.name()), item);
            }
        }
    }

    fn add(
        &mut self,
        package: &str,
        parents: &mut Vec<String>,
        proto3: bool,
        message: &'a DescriptorProto,
    ) {
        let mut scope = vec![package.to_owned()];
        scope.extend(parents.iter().cloned());
        let full_name = format!(".{}.{}", scope.join("."), message.name());
        if message.options.as_ref().is_some_and(|o| o.map_entry()) {
            self.map_entries.insert(full_name, message);
            return;
        }
        for item in &message.enum_type {
            self.enums
                .insert(format!("{full_name}.{}", item.name()), item);
        }
        parents.push(message.name().to_owned());
        for nested in &message.nested_type {
            self.add(package, parents, proto3, nested);
        }
        parents.pop();
        let path = names::type_path(package, parents, message.name());
        let entry = Entry {
            full_name: full_name.clone(),
            path,
            proto3,
            message,
        };
        self.messages.insert(full_name, entry);
    }

    /// Enums that some field holds; the schema has one that none does.
    fn enums_in_use(&self) -> BTreeSet<String> {
        let messages = self.messages.values().map(|entry| entry.message);
        let fields = messages.flat_map(|message| &message.field);
        fields
            .filter(|field| field.r#type() == Type::Enum)
            .map(|field| field.type_name().to_owned())
            .collect()
    }

    /// Messages that hold a field like the wanted one, at any depth.
    fn messages_holding(&self, wanted: &dyn Fn(&FieldDescriptorProto) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        loop {
            let before = found.len();
            for entry in self.messages.values() {
                let holds = entry.message.field.iter().any(|field| {
                    let inner = self.message_of(field);
                    wanted(field) || inner.is_some_and(|name| found.contains(name))
                });
                if holds {
                    found.insert(entry.full_name.clone());
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// Full name of the message a field holds; for a map, of its values.
    fn message_of<'b>(&'b self, field: &'b FieldDescriptorProto) -> Option<&'b str> {
        if field.r#type() != Type::Message {
            return None;
        }
        match self.map_entries.get(field.type_name()) {
            Some(map) => self.message_of(map.field.get(1)?),
            None => Some(field.type_name()),
        }
    }

    fn write_message(
        &self,
        out: &mut String,
        entry: &Entry,
        (strict, mapped): (bool, bool),
    ) -> Result<(), String> {
        let fields = &entry.message.field;
        if fields.len() > MAX_FIELDS {
            return Err(format!("{} has too many fields", entry.full_name));
        }
        let table = names::table(&entry.full_name);
        let mut required: u128 = 0;
        let mut rows = String::new();
        let (mut cells, mut cells_mut) = (String::new(), String::new());
        for (index, field) in fields.iter().enumerate() {
            if field.label() == Label::Required {
                required |= 1 << index;
            }
            let row = self.row(entry, field)?;
            let ident = names::snake(field.name());
            let _ = writeln!(rows, "        {row},");
            let _ = writeln!(cells, "            {index} => Some(&self.{ident}),");
            let _ = writeln!(cells_mut, "            {index} => Some(&mut self.{ident}),");
        }
        let name = entry.full_name.trim_start_matches('.');
        let path = &entry.path;
        let _ = write!(
            out,
            "pub(crate) static {table}: Schema = Schema {{
    name: {name:?},
    required: {required:#x},
    strict: {strict},
    mapped: {mapped},
    fields: &[
{rows}    ],
}};
impl Record for {path} {{
    fn schema(&self) -> &'static Schema {{
        &{table}
    }}
    fn cell(&self, index: usize) -> Option<&dyn Cell> {{
        match index {{
{cells}            _ => None,
        }}
    }}
    fn cell_mut(&mut self, index: usize) -> Option<&mut dyn Cell> {{
        match index {{
{cells_mut}            _ => None,
        }}
    }}
}}
impl Message for {path} {{
    const SCHEMA: &'static Schema = &{table};
}}
impl serde::Serialize for {path} {{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{
        crate::json::serialize(self, serializer)
    }}
}}
"
        );
        Ok(())
    }

    /// One row of a field table.
    fn row(&self, entry: &Entry, field: &FieldDescriptorProto) -> Result<String, String> {
        let map = self.map_entries.get(field.type_name());
        let (presence, holder) = match map.map(|map| map.field.as_slice()) {
            Some([key, value]) if key.r#type() == Type::String => ("Map", value),
            Some(_) => return Err(format!("{}: map key is not a string", field.name())),
            None => (presence(field, entry.proto3), field),
        };
        let kind = match holder.r#type() {
            Type::Bool => "Kind::Bool".to_owned(),
            Type::Int32 => "Kind::I32".to_owned(),
            Type::Int64 => "Kind::I64".to_owned(),
            Type::Uint32 => "Kind::U32".to_owned(),
            Type::Uint64 => "Kind::U64".to_owned(),
            Type::Double => "Kind::F64".to_owned(),
            Type::String => "Kind::Str".to_owned(),
            Type::Bytes => "Kind::Bytes".to_owned(),
            Type::Enum => format!("Kind::Enum(&{})", names::table(holder.type_name())),
            Type::Message => format!("Kind::Message(&{})", names::table(holder.type_name())),
            // No v1 field has any of these.
            Type::Float
            | Type::Group
            | Type::Sint32
            | Type::Sint64
            | Type::Fixed32
            | Type::Fixed64
            | Type::Sfixed32
            | Type::Sfixed64 => {
                return Err(format!("{}: type is not supported", field.name()));
            }
        };
        Ok(format!(
            "Field {{ name: {:?}, number: {}, presence: Presence::{presence}, kind: {kind}, default: {} }}",
            field.name(),
            field.number(),
            self.declared_default(field)?
        ))
    }

    /// The value written when the field is unset: its declared default, unless deprecated.
    fn declared_default(&self, field: &FieldDescriptorProto) -> Result<String, String> {
        let deprecated = field.options.as_ref().is_some_and(|o| o.deprecated());
        let Some(text) = field.default_value.as_deref().filter(|_| !deprecated) else {
            return Ok("None".to_owned());
        };
        let item = match field.r#type() {
            Type::Bool => format!("Bool({text})"),
            Type::Int32 | Type::Int64 => format!("I64({text})"),
            Type::Uint32 | Type::Uint64 => format!("U64({text})"),
            Type::Double => format!("F64({text}_f64)"),
            Type::String => format!("Str({text:?})"),
            Type::Enum => {
                let values = self.enums.get(field.type_name()).map(|item| &item.value);
                let value = values.and_then(|v| v.iter().find(|value| value.name() == text));
                let value = value.ok_or(format!("{}: unknown default {text}", field.name()))?;
                format!("I64({})", value.number())
            }
            _ => return Err(format!("{}: default is not supported", field.name())),
        };
        Ok(format!("Some(Item::{item})"))
    }
}

fn presence(field: &FieldDescriptorProto, proto3: bool) -> &'static str {
    match field.label() {
        Label::Required => "Required",
        Label::Repeated => "Repeated",
        Label::Optional if proto3 && field.r#type() != Type::Message => "Implicit",
        Label::Optional => "Optional",
    }
}

fn write_enum(out: &mut String, full_name: &str, item: &EnumDescriptorProto) {
    let _ = writeln!(
        out,
        "pub(crate) static {}: Enum = Enum {{ values: &[",
        names::table(full_name)
    );
    for value in &item.value {
        let _ = writeln!(out, "    ({}, {:?}),", value.number(), value.name());
    }
    out.push_str("] };\n");
}
