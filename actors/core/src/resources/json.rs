//! The JSON array form of `--resources`, in Mesos's spelling of the v1 messages.
//! Not a general codec: it reads the fields an operator may write, and ignores unknown ones.

use serde_json::{Map, Value};
use tepui_protocol::v1;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::disk_info::{Persistence, Source, source};
use v1::resource::reservation_info::Type as ReservationType;
use v1::resource::{DiskInfo, ReservationInfo};
use v1::value::Type as ValueType;

type Object = Map<String, Value>;

/// Reads an array of resources.
pub(super) fn resources_from_json(text: &str) -> Result<Vec<v1::Resource>, String> {
    let items: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| format!("resources that start with '[' must be a JSON array: {error}"))?;
    items
        .iter()
        .map(|item| object(item, "resource").and_then(resource))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("Some JSON resources were not formatted properly: {error}"))
}

#[allow(deprecated)]
fn resource(from: &Object) -> Result<v1::Resource, String> {
    let kind = required(from, "type", string)?;
    let kind = ValueType::from_str_name(&kind)
        .ok_or_else(|| format!("type is '{kind}', expected SCALAR, RANGES or SET"))?;
    Ok(v1::Resource {
        name: required(from, "name", string)?,
        r#type: kind as i32,
        scalar: field(from, "scalar", scalar)?,
        ranges: field(from, "ranges", ranges)?,
        set: field(from, "set", set)?,
        role: field(from, "role", string)?,
        disk: field(from, "disk", disk)?.map(Box::new),
        reservation: field(from, "reservation", reservation)?,
        revocable: field(from, "revocable", |value, name| {
            object(value, name).map(|_| ())
        })?
        .map(|()| v1::resource::RevocableInfo::default()),
        shared: field(from, "shared", |value, name| {
            object(value, name).map(|_| ())
        })?
        .map(|()| v1::resource::SharedInfo::default()),
        allocation_info: None,
        provider_id: field(from, "provider_id", provider_id)?,
        reservations: list(from, "reservations", reservation)?,
    })
}

fn scalar(value: &Value, name: &str) -> Result<v1::value::Scalar, String> {
    Ok(v1::value::Scalar {
        value: required(object(value, name)?, "value", number)?,
    })
}

fn ranges(value: &Value, name: &str) -> Result<v1::value::Ranges, String> {
    let range = list(object(value, name)?, "range", |item, name| {
        let item = object(item, name)?;
        Ok(v1::value::Range {
            begin: required(item, "begin", unsigned)?,
            end: required(item, "end", unsigned)?,
        })
    })?;
    Ok(v1::value::Ranges { range })
}

fn set(value: &Value, name: &str) -> Result<v1::value::Set, String> {
    Ok(v1::value::Set {
        item: list(object(value, name)?, "item", string)?,
    })
}

fn disk(value: &Value, name: &str) -> Result<DiskInfo, String> {
    let from = object(value, name)?;
    Ok(DiskInfo {
        persistence: field(from, "persistence", |value, name| {
            let from = object(value, name)?;
            Ok(Persistence {
                id: required(from, "id", string)?,
                principal: field(from, "principal", string)?,
            })
        })?,
        // Says how a container sees a volume, which no agent resource has.
        volume: None,
        source: field(from, "source", disk_source)?,
    })
}

fn disk_source(value: &Value, name: &str) -> Result<Source, String> {
    let from = object(value, name)?;
    let kind = required(from, "type", string)?;
    let kind = SourceType::from_str_name(&kind)
        .ok_or_else(|| format!("type is '{kind}', expected PATH, MOUNT, BLOCK or RAW"))?;
    let root = |value: &Value, name: &str| field(object(value, name)?, "root", string);
    Ok(Source {
        r#type: kind as i32,
        path: field(from, "path", root)?.map(|root| source::Path { root }),
        mount: field(from, "mount", root)?.map(|root| source::Mount { root }),
        id: field(from, "id", string)?,
        metadata: field(from, "metadata", labels)?,
        profile: field(from, "profile", string)?,
        vendor: field(from, "vendor", string)?,
    })
}

fn reservation(value: &Value, name: &str) -> Result<ReservationInfo, String> {
    let from = object(value, name)?;
    let kind = field(from, "type", |value, name| {
        let kind = string(value, name)?;
        ReservationType::from_str_name(&kind)
            .ok_or_else(|| format!("type is '{kind}', expected STATIC or DYNAMIC"))
    })?;
    Ok(ReservationInfo {
        principal: field(from, "principal", string)?,
        labels: field(from, "labels", labels)?,
        role: field(from, "role", string)?,
        r#type: kind.map(|kind| kind as i32),
    })
}

fn labels(value: &Value, name: &str) -> Result<v1::Labels, String> {
    let labels = list(object(value, name)?, "labels", |item, name| {
        let item = object(item, name)?;
        Ok(v1::Label {
            key: required(item, "key", string)?,
            value: field(item, "value", string)?,
        })
    })?;
    Ok(v1::Labels { labels })
}

fn provider_id(value: &Value, name: &str) -> Result<v1::ResourceProviderId, String> {
    Ok(v1::ResourceProviderId {
        value: required(object(value, name)?, "value", string)?,
    })
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Object, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{name} is {value}, expected an object"))
}

fn string(value: &Value, name: &str) -> Result<String, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{name} is {value}, expected a string"))?;
    Ok(text.to_owned())
}

fn number(value: &Value, name: &str) -> Result<f64, String> {
    value
        .as_f64()
        .ok_or_else(|| format!("{name} is {value}, expected a number"))
}

fn unsigned(value: &Value, name: &str) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{name} is {value}, expected a non-negative integer"))
}

fn field<T>(
    from: &Object,
    name: &str,
    read: impl Fn(&Value, &str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match from.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value, name).map(Some),
    }
}

fn required<T>(
    from: &Object,
    name: &str,
    read: impl Fn(&Value, &str) -> Result<T, String>,
) -> Result<T, String> {
    field(from, name, read)?.ok_or_else(|| format!("{name} is missing"))
}

fn list<T>(
    from: &Object,
    name: &str,
    read: impl Fn(&Value, &str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items = field(from, name, |value, name| {
        value
            .as_array()
            .ok_or_else(|| format!("{name} is {value}, expected an array"))
            .map(|items| {
                items
                    .iter()
                    .map(|item| read(item, name))
                    .collect::<Result<Vec<T>, String>>()
            })
    })?;
    items.unwrap_or_else(|| Ok(Vec::new()))
}
