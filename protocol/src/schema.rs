//! Static tables that describe every v1 message, and the traits through which codecs reach fields.
//! Encodes and decodes nothing; `json` and `wire` walk what is described here.

use std::collections::BTreeMap;

/// Describes one message type.
#[derive(Debug)]
pub struct Schema {
    /// Full protobuf name, e.g. `mesos.v1.TaskInfo`.
    pub name: &'static str,
    /// Bit `i` is set when field `i` is required.
    pub required: u128,
    /// True when this message or one it can hold has a required field.
    pub strict: bool,
    /// True when this message or one it can hold has a map of messages.
    pub mapped: bool,
    /// The fields in the order of their declaration.
    pub fields: &'static [Field],
}

impl Schema {
    /// Index of the field called `name`; looks at `hint` first, where the next field often is.
    #[must_use]
    pub fn find(&self, name: &str, hint: usize) -> Option<usize> {
        if self
            .fields
            .get(hint)
            .is_some_and(|field| field.name == name)
        {
            return Some(hint);
        }
        self.fields.iter().position(|field| field.name == name)
    }
}

/// Describes one field.
#[derive(Debug)]
pub struct Field {
    /// Protobuf name, which is also the JSON key.
    pub name: &'static str,
    /// Field number.
    pub number: u32,
    /// How often it may or must occur.
    pub presence: Presence,
    /// What it holds; for a map, what its values are.
    pub kind: Kind,
    /// Written to JSON when the field is unset: the declared default, unless deprecated.
    pub default: Option<Item<'static>>,
}

/// How often a field occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Zero or one time.
    Optional,
    /// Exactly one time.
    Required,
    /// A proto3 scalar: its zero value counts as unset.
    Implicit,
    /// Any number of times.
    Repeated,
    /// Any number of times, each under its own string key.
    Map,
}

/// Type of a field's values.
#[derive(Debug)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// A signed number of 32 bits.
    I32,
    /// A signed number of 64 bits.
    I64,
    /// An unsigned number of 32 bits.
    U32,
    /// An unsigned number of 64 bits.
    U64,
    /// A double.
    F64,
    /// Text.
    Str,
    /// Bytes.
    Bytes,
    /// A number with a name.
    Enum(&'static Enum),
    /// Another message.
    Message(&'static Schema),
}

/// Describes one enum type.
#[derive(Debug)]
pub struct Enum {
    /// Numbers and names in the order of their declaration.
    pub values: &'static [(i32, &'static str)],
}

impl Enum {
    /// Name of a number; none when a newer peer has added it.
    #[must_use]
    pub fn name(&self, number: i64) -> Option<&'static str> {
        let found = self.values.iter().find(|(n, _)| i64::from(*n) == number);
        found.map(|(_, name)| *name)
    }

    /// Number of a name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i32> {
        let found = self.values.iter().find(|(_, n)| *n == name);
        found.map(|(number, _)| *number)
    }
}

/// A borrowed value of a field.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed number, or the number of an enum.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// A double.
    F64(f64),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A message.
    Record(&'a dyn Record),
}

impl Item<'_> {
    /// True for the zero value of a scalar.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Item::Bool(value) => !value,
            Item::I64(value) => *value == 0,
            Item::U64(value) => *value == 0,
            Item::F64(value) => value.to_bits() == 0,
            Item::Str(value) => value.is_empty(),
            Item::Bytes(value) => value.is_empty(),
            Item::Record(_) => false,
        }
    }
}

/// An owned scalar on its way into a field.
#[derive(Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A signed number of 32 bits, or the number of an enum.
    I32(i32),
    /// A signed number of 64 bits.
    I64(i64),
    /// An unsigned number of 32 bits.
    U32(u32),
    /// An unsigned number of 64 bits.
    U64(u64),
    /// A double.
    F64(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A message whose fields can be reached by their index in its [`Schema`].
pub trait Record: std::fmt::Debug + Sync {
    /// The message's description.
    fn schema(&self) -> &'static Schema;
    /// The field at an index, if there is one.
    fn cell(&self, index: usize) -> Option<&dyn Cell>;
    /// The field at an index, to change it.
    fn cell_mut(&mut self, index: usize) -> Option<&mut dyn Cell>;
}

/// A v1 message type as the codecs of this crate need it.
pub trait Message: Record + prost::Message + Default {
    /// The message's description.
    const SCHEMA: &'static Schema;
}

impl<M: Record> Record for Box<M> {
    fn schema(&self) -> &'static Schema {
        (**self).schema()
    }
    fn cell(&self, index: usize) -> Option<&dyn Cell> {
        (**self).cell(index)
    }
    fn cell_mut(&mut self, index: usize) -> Option<&mut dyn Cell> {
        (**self).cell_mut(index)
    }
}

/// Storage of one field: optional, required, repeated or map alike.
///
/// A method that does not fit the field does nothing; codecs call by [`Kind`], so it never happens.
pub trait Cell {
    /// Number of values held: 0 when unset, 1 for a singular field that is set.
    fn len(&self) -> usize;
    /// True when no value is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The value at an index below [`Cell::len`]; none for maps.
    fn get(&self, index: usize) -> Option<Item<'_>>;
    /// Calls `visit` for each entry of a map, in the order of the keys.
    fn entries(&self, visit: &mut dyn FnMut(&str, Item<'_>)) {
        let _ = visit;
    }
    /// Removes all values; a required field gets its zero value.
    fn clear(&mut self);
    /// Sets a singular field, appends to a repeated one.
    fn put(&mut self, value: Scalar) {
        let _ = value;
    }
    /// Makes room for one more message: sets a singular field, appends to a repeated one.
    fn begin(&mut self) -> Option<&mut dyn Record> {
        None
    }
    /// The cell of a map's value under `key`, made anew.
    fn entry(&mut self, key: String) -> Option<&mut dyn Cell> {
        let _ = key;
        None
    }
    /// How many keys of a map sort before `key`.
    fn rank(&self, key: &str) -> usize {
        let _ = key;
        0
    }
}

/// A scalar that is stored as such in a message.
trait Plain: Sized + Default {
    fn item(&self) -> Item<'_>;
    fn from_scalar(value: Scalar) -> Option<Self>;
}

macro_rules! plain {
    ($($type:ty, $scalar:ident, |$value:ident| $item:expr;)*) => {$(
        impl Plain for $type {
            fn item(&self) -> Item<'_> {
                let $value = self;
                $item
            }
            fn from_scalar(value: Scalar) -> Option<Self> {
                match value {
                    Scalar::$scalar(value) => Some(value),
                    _ => None,
                }
            }
        }

        impl Cell for $type {
            fn len(&self) -> usize {
                1
            }
            fn get(&self, _index: usize) -> Option<Item<'_>> {
                Some(self.item())
            }
            fn clear(&mut self) {
                *self = Self::default();
            }
            fn put(&mut self, value: Scalar) {
                if let Some(value) = Self::from_scalar(value) {
                    *self = value;
                }
            }
        }

        impl Cell for Option<$type> {
            fn len(&self) -> usize {
                usize::from(self.is_some())
            }
            fn get(&self, _index: usize) -> Option<Item<'_>> {
                self.as_ref().map(Plain::item)
            }
            fn clear(&mut self) {
                *self = None;
            }
            fn put(&mut self, value: Scalar) {
                *self = Plain::from_scalar(value);
            }
        }
    )*};
}

plain! {
    bool, Bool, |value| Item::Bool(*value);
    i32, I32, |value| Item::I64(i64::from(*value));
    i64, I64, |value| Item::I64(*value);
    u32, U32, |value| Item::U64(u64::from(*value));
    u64, U64, |value| Item::U64(*value);
    f64, F64, |value| Item::F64(*value);
    String, Str, |value| Item::Str(value);
    Vec<u8>, Bytes, |value| Item::Bytes(value);
}

macro_rules! repeated {
    ($($type:ty),*) => {$(
        impl Cell for Vec<$type> {
            fn len(&self) -> usize {
                self.len()
            }
            fn get(&self, index: usize) -> Option<Item<'_>> {
                self.as_slice().get(index).map(Plain::item)
            }
            fn clear(&mut self) {
                self.clear();
            }
            fn put(&mut self, value: Scalar) {
                self.extend(<$type>::from_scalar(value));
            }
        }
    )*};
}

repeated!(bool, i32, i64, u32, u64, f64, String, Vec<u8>);

impl<M: Record + Default> Cell for M {
    fn len(&self) -> usize {
        1
    }
    fn get(&self, _index: usize) -> Option<Item<'_>> {
        Some(Item::Record(self))
    }
    fn clear(&mut self) {
        *self = M::default();
    }
    fn begin(&mut self) -> Option<&mut dyn Record> {
        Some(self)
    }
}

impl<M: Record + Default> Cell for Option<M> {
    fn len(&self) -> usize {
        usize::from(self.is_some())
    }
    fn get(&self, _index: usize) -> Option<Item<'_>> {
        self.as_ref().map(|message| Item::Record(message))
    }
    fn clear(&mut self) {
        *self = None;
    }
    fn begin(&mut self) -> Option<&mut dyn Record> {
        Some(self.insert(M::default()))
    }
}

impl<M: Record + Default> Cell for Vec<M> {
    fn len(&self) -> usize {
        self.len()
    }
    fn get(&self, index: usize) -> Option<Item<'_>> {
        self.as_slice()
            .get(index)
            .map(|message| Item::Record(message))
    }
    fn clear(&mut self) {
        self.clear();
    }
    fn begin(&mut self) -> Option<&mut dyn Record> {
        self.push(M::default());
        self.last_mut().map(|message| message as &mut dyn Record)
    }
}

impl<V: Cell + Default> Cell for BTreeMap<String, V> {
    fn len(&self) -> usize {
        self.len()
    }
    fn get(&self, _index: usize) -> Option<Item<'_>> {
        None
    }
    fn entries(&self, visit: &mut dyn FnMut(&str, Item<'_>)) {
        for (key, value) in self {
            if let Some(item) = value.get(0) {
                visit(key, item);
            }
        }
    }
    fn clear(&mut self) {
        self.clear();
    }
    fn entry(&mut self, key: String) -> Option<&mut dyn Cell> {
        let cell = self.entry(key).or_default();
        cell.clear();
        Some(cell)
    }
    fn rank(&self, key: &str) -> usize {
        self.keys().take_while(|other| other.as_str() < key).count()
    }
}

/// The generated tables and impls.
#[allow(clippy::all)]
mod tables {
    use super::{Cell, Enum, Field, Item, Kind, Message, Presence, Record, Schema};

    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}
