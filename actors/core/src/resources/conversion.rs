//! STUB of w-resources: what operations consume and what they make of it.
use tepui_protocol::v1::offer::Operation;

use super::{ResourceError, Resources};

/// Part of what an operation does: takes `consumed` away and puts `converted` in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// What must be there, with allocation roles if the operation's resources have them.
    pub consumed: Resources,
    /// What takes its place.
    pub converted: Resources,
}

/// The conversions of an operation, in order; none for LAUNCH and LAUNCH_GROUP.
///
/// # Errors
/// When the operation's payload is missing or its resources cannot be read.
pub fn conversions(_operation: &Operation) -> Result<Vec<Conversion>, ResourceError> {
    Err(ResourceError("not built yet".to_owned()))
}

impl Resources {
    /// Carries conversions out, all or none.
    ///
    /// # Errors
    /// When something to be consumed is not there.
    pub fn convert(&mut self, _conversions: &[Conversion]) -> Result<(), ResourceError> {
        Err(ResourceError("not built yet".to_owned()))
    }
}
