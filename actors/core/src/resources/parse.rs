//! Resources from an operator's text: `name:value;name(role):value`, or a JSON array.
//! Does not read the v1 messages of programs; `convert.rs` does.

use tepui_protocol::json::{self, JsonError};
use tepui_protocol::v1;
use v1::Resource;
use v1::value::Type as ValueType;

use super::convert::entry_from_v1;
use super::validate::{role_field, validate_one};
use super::value::TextValue;
use super::{Entry, ResourceError, Resources};

/// See [`Resources::parse`].
pub(super) fn parse(text: &str, default_role: &str) -> Result<Resources, ResourceError> {
    let resources = read(text, default_role).map_err(ResourceError)?;
    let mut bag = Resources::new();
    for resource in &resources {
        validate_one(resource)?;
        bag.add_entry(entry_from_v1(resource));
    }
    check_command_line(&bag).map_err(ResourceError)?;
    Ok(bag)
}

fn read(text: &str, default_role: &str) -> Result<Vec<Resource>, String> {
    if !text.trim_start().starts_with('[') {
        return read_simple(text, default_role);
    }
    let mut resources: Vec<Resource> =
        json::list_from_slice(text.as_bytes()).map_err(|error| match error {
            JsonError::Parse(_) => {
                format!("resources that start with '[' must be a JSON array: {error}")
            }
            JsonError::Convert(_) => {
                format!("Some JSON resources were not formatted properly: {error}")
            }
        })?;
    for resource in &mut resources {
        if role_field(resource).is_none() && resource.reservations.is_empty() {
            set_role(resource, default_role);
        }
    }
    Ok(resources)
}

fn read_simple(text: &str, default_role: &str) -> Result<Vec<Resource>, String> {
    let tokens = text.split(';').filter(|token| !token.is_empty());
    tokens
        .map(|token| read_token(token, default_role))
        .collect()
}

fn read_token(token: &str, default_role: &str) -> Result<Resource, String> {
    let parts: Vec<&str> = token.split(':').filter(|part| !part.is_empty()).collect();
    let [key, value] = parts[..] else {
        return Err(format!(
            "Bad value for resources, missing or extra ':' in {token}"
        ));
    };
    let (name, role) = match key.split_once('(') {
        None => (key.trim(), default_role),
        Some((name, rest)) => match rest.split_once(')') {
            Some((role, _)) if !name.contains(')') => (name.trim(), role.trim()),
            _ => {
                return Err(format!(
                    "Bad value for resources, mismatched parentheses in {token}"
                ));
            }
        },
    };
    let mut resource = read_value(name, value)?;
    set_role(&mut resource, role);
    Ok(resource)
}

fn read_value(name: &str, text: &str) -> Result<Resource, String> {
    let value = TextValue::parse(text)
        .map_err(|error| format!("Failed to parse resource {name} value {text} error {error}"))?;
    let mut resource = Resource {
        name: name.to_owned(),
        ..Default::default()
    };
    let kind = match value {
        TextValue::Scalar(value) => {
            resource.scalar = Some(v1::value::Scalar { value });
            ValueType::Scalar
        }
        TextValue::Ranges(ranges) => {
            let range = ranges
                .into_iter()
                .map(|(begin, end)| v1::value::Range { begin, end });
            resource.ranges = Some(v1::value::Ranges {
                range: range.collect(),
            });
            ValueType::Ranges
        }
        TextValue::Set(item) => {
            resource.set = Some(v1::value::Set { item });
            ValueType::Set
        }
        TextValue::Text(_) => {
            return Err(format!(
                "Bad type for resource {name} value {text} type TEXT"
            ));
        }
    };
    resource.r#type = kind as i32;
    Ok(resource)
}

#[allow(deprecated)]
fn set_role(resource: &mut Resource, role: &str) {
    resource.role = Some(role.to_owned());
}

fn check_command_line(bag: &Resources) -> Result<(), String> {
    let mut seen: Vec<&Entry> = Vec::new();
    for entry in bag {
        if entry.is_persistent_volume() {
            return Err("Persistent volumes cannot be specified at the command line".to_owned());
        }
        if entry.is_revocable() {
            return Err(
                "Revocable resources cannot be specified at the command line; do not include a \
                 'revocable' key in the resources JSON"
                    .to_owned(),
            );
        }
        if entry.is_dynamically_reserved() {
            return Err(
                "Dynamic reservations cannot be specified at the command line; do not include a \
                 reservation with DYNAMIC type in the resources JSON"
                    .to_owned(),
            );
        }
        let name = entry.name();
        let namesake = seen.iter().find(|other| other.name() == name);
        if namesake.is_some_and(|other| !other.amount().same_kind(entry.amount())) {
            return Err(format!(
                "Resources with the same name ('{name}') but different types are not allowed"
            ));
        }
        seen.push(entry);
    }
    Ok(())
}
