//! The rules for role names, beside the other rules.
//! Which names are good is said once, in `resources::roles`, because resources name roles too.

use std::collections::BTreeSet;

pub use crate::resources::roles::validate_role as validate;

/// Whether `--roles` admits this role; `*` is always admitted, and every role without the flag.
pub fn is_whitelisted(whitelist: Option<&BTreeSet<String>>, role: &str) -> bool {
    role == "*" || whitelist.is_none_or(|whitelist| whitelist.contains(role))
}
