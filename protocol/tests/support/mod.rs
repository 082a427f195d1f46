//! What several test files need: the descriptors, and arbitrary messages made from them.
//! Knows no message by name.

#![allow(dead_code, reason = "each test file uses its own part of this module")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value,
};
use prost_types::FileDescriptorSet;

/// Below this depth only required fields are filled.
const MAX_DEPTH: usize = 3;

const FILES: &[&str] = &[
    "mesos/v1/mesos.proto",
    "mesos/v1/scheduler/scheduler.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/allocator/allocator.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/resource_provider/resource_provider.proto",
];

/// Compiles our `.proto` files as they are, with their oneofs.
pub fn compile() -> FileDescriptorSet {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto");
    protox::compile(FILES, [root]).unwrap()
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::from_file_descriptor_set(compile()).unwrap());

/// Descriptor of a message.
pub fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap()
}

/// A small deterministic source of numbers (splitmix64).
pub struct Source(pub u64);

impl Source {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Small numbers and the ends of the range more often than the middle.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => u64::MAX - self.next() % 3,
            2 => i64::MAX as u64 + self.next() % 3,
            _ => self.next() % 1000,
        }
    }

    fn double(&mut self) -> f64 {
        let any = f64::from_bits(self.next());
        match self.below(6) {
            0 => f64::INFINITY,
            1 => f64::NEG_INFINITY,
            2 if !any.is_nan() => any,
            3 => -0.0,
            _ => (self.next() % 100_000) as f64 / 1000.0,
        }
    }

    fn text(&mut self) -> String {
        const PARTS: &[&str] = &[
            "a",
            "\"",
            "\\",
            "\u{1}",
            "é",
            "\u{1F9E2}",
            "/",
            "\n",
            "value",
        ];
        (0..self.below(4))
            .map(|_| PARTS[self.below(PARTS.len())])
            .collect()
    }
}

/// An arbitrary message with all its required fields.
///
/// A field that JSON shows with its default when it is unset is always set here, so that a message
/// read back from JSON is the same one.
pub fn arbitrary(
    descriptor: &MessageDescriptor,
    source: &mut Source,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let options = field.field_descriptor_proto().options.as_ref();
        let is_deprecated = options.is_some_and(|options| options.deprecated());
        let shows_default =
            field.field_descriptor_proto().default_value.is_some() && !is_deprecated;
        let must = field.cardinality() == Cardinality::Required || shows_default;
        let may = depth < MAX_DEPTH || !matches!(field.kind(), Kind::Message(_));
        if must || (may && source.below(2) == 0) {
            message.set_field(&field, field_value(&field, source, depth));
        }
    }
    message
}

fn field_value(field: &FieldDescriptor, source: &mut Source, depth: usize) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            unreachable!("a map holds entries");
        };
        let value = entry.map_entry_value_field();
        let entries = (0..=source.below(2)).map(|_| {
            let key = MapKey::String(source.text());
            (key, scalar(&value.kind(), source, depth))
        });
        return Value::Map(entries.collect::<HashMap<_, _>>());
    }
    if field.is_list() {
        let count = 1 + source.below(2);
        return Value::List(
            (0..count)
                .map(|_| scalar(&field.kind(), source, depth))
                .collect(),
        );
    }
    scalar(&field.kind(), source, depth)
}

fn scalar(kind: &Kind, source: &mut Source, depth: usize) -> Value {
    match kind {
        Kind::Double => Value::F64(source.double()),
        Kind::Float => Value::F32(source.double() as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(source.number() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(source.number() as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(source.number() as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(source.number()),
        Kind::Bool => Value::Bool(source.below(2) == 0),
        Kind::String => Value::String(source.text()),
        Kind::Bytes => {
            let bytes: Vec<u8> = (0..source.below(20)).map(|_| source.next() as u8).collect();
            Value::Bytes(bytes.into())
        }
        Kind::Message(inner) => Value::Message(arbitrary(inner, source, depth + 1)),
        Kind::Enum(values) => {
            let values: Vec<_> = values.values().collect();
            Value::EnumNumber(values[source.below(values.len())].number())
        }
    }
}
