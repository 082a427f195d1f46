//! Compares our `.proto` files with the tables of Apache Mesos 1.12.0's v1 API, both ways.
//! Says nothing about codecs.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

mod support;

use std::collections::BTreeMap;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};
use serde_json::Value;

const TABLES: &[&str] = &[
    include_str!("data/schema/v1.agent.agent.json"),
    include_str!("data/schema/v1.allocator.allocator.json"),
    include_str!("data/schema/v1.executor.executor.json"),
    include_str!("data/schema/v1.maintenance.maintenance.json"),
    include_str!("data/schema/v1.master.master.json"),
    include_str!("data/schema/v1.mesos.json"),
    include_str!("data/schema/v1.quota.quota.json"),
    include_str!("data/schema/v1.resource_provider.resource_provider.json"),
    include_str!("data/schema/v1.scheduler.scheduler.json"),
];

/// Everything the tables say, one line per fact, so that two of them can be compared as sets.
type Facts = BTreeMap<String, String>;

#[test]
fn our_schema_is_that_of_mesos() {
    let mut theirs = Facts::new();
    for table in TABLES {
        let table: Value = serde_json::from_str(table).unwrap();
        let package = table["package"].as_str().unwrap();
        theirs.insert(
            package.to_owned(),
            table["syntax"].as_str().unwrap().to_owned(),
        );
        table_scope(package, &table, &mut theirs);
    }
    let set = support::compile();
    let mut ours = Facts::new();
    for file in set
        .file
        .iter()
        .filter(|file| file.package().starts_with("mesos."))
    {
        let syntax = if file.syntax().is_empty() {
            "proto2"
        } else {
            file.syntax()
        };
        ours.insert(file.package().to_owned(), syntax.to_owned());
        for message in &file.message_type {
            our_message(file.package(), message, &mut ours);
        }
        for item in &file.enum_type {
            our_enum(file.package(), item, &mut ours);
        }
    }
    let mut differences = Vec::new();
    for name in ours.keys().chain(theirs.keys()) {
        if ours.get(name) != theirs.get(name) {
            differences.push(format!(
                "{name}: {:?}, {:?}",
                ours.get(name),
                theirs.get(name)
            ));
        }
    }
    differences.dedup();
    assert!(theirs.len() > 1800, "only {} facts", theirs.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Facts of a table: a file or a message with nested types.
fn table_scope(scope: &str, table: &Value, facts: &mut Facts) {
    for (name, message) in table["messages"].as_object().into_iter().flatten() {
        let name = format!("{scope}.{name}");
        let is_map = message["map_entry"].as_bool().unwrap_or(false);
        facts.insert(name.clone(), format!("message, map entry: {is_map}"));
        let fields = message["fields"].as_array().unwrap();
        for (position, field) in fields.iter().enumerate() {
            let text = |key: &str| field[key].as_str().unwrap_or("").to_owned();
            let fact = Fact {
                position,
                number: field["number"].as_i64().unwrap(),
                label: text("label"),
                kind: text("type"),
                type_name: text("type_name"),
                default: field.get("default").map(|default| match default {
                    Value::String(default) => default.clone(),
                    other => other.to_string(),
                }),
                deprecated: field["deprecated"].as_bool().unwrap_or(false),
                oneof: text("oneof"),
            };
            facts.insert(format!("{name}.{}", text("name")), format!("{fact:?}"));
        }
        table_scope(&name, message, facts);
    }
    for (name, item) in table["enums"].as_object().into_iter().flatten() {
        let name = format!("{scope}.{name}");
        let first = item["first"].as_str().unwrap();
        facts.insert(name.clone(), format!("enum, first: {first}"));
        for (value, number) in item["values"].as_object().unwrap() {
            facts.insert(format!("{name}.{value}"), number.to_string());
        }
    }
}

/// What is compared of a field.
#[derive(Debug)]
#[allow(dead_code, reason = "read through Debug")]
struct Fact {
    position: usize,
    number: i64,
    label: String,
    kind: String,
    type_name: String,
    default: Option<String>,
    deprecated: bool,
    oneof: String,
}

fn our_message(scope: &str, message: &DescriptorProto, facts: &mut Facts) {
    let name = format!("{scope}.{}", message.name());
    let is_map = message.options.as_ref().is_some_and(|o| o.map_entry());
    facts.insert(name.clone(), format!("message, map entry: {is_map}"));
    for (position, field) in message.field.iter().enumerate() {
        let fact = our_field(position, message, field);
        facts.insert(format!("{name}.{}", field.name()), format!("{fact:?}"));
    }
    for nested in &message.nested_type {
        our_message(&name, nested, facts);
    }
    for item in &message.enum_type {
        our_enum(&name, item, facts);
    }
}

fn our_field(position: usize, message: &DescriptorProto, field: &FieldDescriptorProto) -> Fact {
    let label = match field.label() {
        Label::Optional => "optional",
        Label::Required => "required",
        Label::Repeated => "repeated",
    };
    let oneof = field
        .oneof_index
        .map(|index| &message.oneof_decl[index as usize]);
    Fact {
        position,
        number: i64::from(field.number()),
        label: label.to_owned(),
        kind: kind(field.r#type()).to_owned(),
        type_name: field.type_name().trim_start_matches('.').to_owned(),
        default: field.default_value.clone(),
        deprecated: field.options.as_ref().is_some_and(|o| o.deprecated()),
        oneof: oneof
            .map(|oneof| oneof.name().to_owned())
            .unwrap_or_default(),
    }
}

fn our_enum(scope: &str, item: &EnumDescriptorProto, facts: &mut Facts) {
    let name = format!("{scope}.{}", item.name());
    facts.insert(
        name.clone(),
        format!("enum, first: {}", item.value[0].name()),
    );
    for value in &item.value {
        facts.insert(
            format!("{name}.{}", value.name()),
            value.number().to_string(),
        );
    }
}

fn kind(kind: Type) -> &'static str {
    match kind {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Group => "group",
        Type::Message => "message",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Enum => "enum",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
    }
}
