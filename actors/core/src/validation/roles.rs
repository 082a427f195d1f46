//! The rule for role names, beside the other rules.
//! Stated once, in `resources::roles`, because resources name roles too.

pub use crate::resources::roles::validate_role as validate;
