//! The forms in which reservations are written, and lists of resources from one to another.
//! Does not know which peer understands which form.

use tepui_protocol::v1::Resource;

use super::convert::{reservations_from_v1, write_reservations};
use super::{ResourceError, Resources};

/// In which of Mesos's forms resources are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `reservations` stack (frameworks with RESERVATION_REFINEMENT).
    PostRefinement,
    /// `role` and `reservation` fields (all others).
    PreRefinement,
    /// Both at once, as the operator endpoints write them.
    Endpoint,
}

/// Rewrites valid resources of any form to stacks of reservations, as Mesos does with all it
/// reads. Amounts and order stay as they are.
pub fn upgrade(resources: &mut [Resource]) {
    for resource in resources {
        rewrite(resource, Format::PostRefinement);
    }
}

/// Rewrites valid resources of any form to the old fields, for a peer without
/// RESERVATION_REFINEMENT, all or none. Amounts and order stay as they are.
///
/// # Errors
/// When a reservation is refined, which the old fields cannot express.
pub fn downgrade(resources: &mut [Resource]) -> Result<(), ResourceError> {
    if resources.iter().any(|one| one.reservations.len() > 1) {
        return Err(cannot_downgrade());
    }
    for resource in resources {
        rewrite(resource, Format::PreRefinement);
    }
    Ok(())
}

impl Resources {
    /// Writes the old form, for a peer without RESERVATION_REFINEMENT.
    ///
    /// # Errors
    /// When a reservation is refined, which the old fields cannot express.
    pub fn to_v1_downgraded(&self) -> Result<Vec<Resource>, ResourceError> {
        if self.iter().any(|entry| entry.has_refined_reservations()) {
            return Err(cannot_downgrade());
        }
        Ok(self.to_v1(Format::PreRefinement))
    }
}

#[allow(deprecated)]
fn rewrite(resource: &mut Resource, format: Format) {
    let stack = reservations_from_v1(resource);
    resource.role = None;
    resource.reservation = None;
    resource.reservations.clear();
    write_reservations(resource, &stack, format);
}

fn cannot_downgrade() -> ResourceError {
    ResourceError("Cannot downgrade resources containing refined reservations".to_owned())
}
