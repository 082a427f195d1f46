//! The stack of reservations on entries: pushing, popping, what two stacks have in common.
//! Does not decide who may reserve; `validation` does.

use super::entry::{Entry, Reservation, ReservationKind};
use super::roles::{is_ancestor, validate_role};
use super::{ResourceError, Resources};

impl Entry {
    /// The same with one more reservation, which is then in force.
    ///
    /// # Errors
    /// When the reservation may not stand there: its role is no role that can be reserved for, or
    /// not below the one in force, or it is static on top of another.
    pub fn push_reservation(&self, reservation: &Reservation) -> Result<Entry, ResourceError> {
        self.may_push(reservation).map_err(ResourceError)?;
        Ok(self.with_extra(|extra| extra.reservations.push(reservation.clone())))
    }

    /// The same without the reservation in force; `None` when there is none.
    pub fn pop_reservation(&self) -> Option<Entry> {
        self.is_reserved().then(|| {
            self.with_extra(|extra| {
                extra.reservations.pop();
            })
        })
    }

    /// The same without reservations.
    pub fn to_unreserved(&self) -> Entry {
        if !self.is_reserved() {
            return self.clone();
        }
        self.with_extra(|extra| extra.reservations = Vec::new())
    }

    fn may_push(&self, reservation: &Reservation) -> Result<(), String> {
        let role = reservation.role.as_ref();
        validate_role(role)?;
        if role == "*" {
            return Err("Invalid reservation: role \"*\" cannot be reserved".to_owned());
        }
        let Some(below) = self.reservation_role() else {
            return Ok(());
        };
        if reservation.kind == ReservationKind::Static {
            return Err(
                "Invalid refined reservation: A refined reservation cannot be STATIC".to_owned(),
            );
        }
        if !is_ancestor(below, role) {
            return Err(format!(
                "Invalid refined reservation: role '{role}' is not a refinement of '{below}'"
            ));
        }
        Ok(())
    }
}

impl Resources {
    /// The same with one more reservation on every entry.
    ///
    /// # Errors
    /// As for [`Entry::push_reservation`], by the first entry that cannot have it.
    pub fn push_reservation(&self, reservation: &Reservation) -> Result<Resources, ResourceError> {
        self.iter()
            .map(|entry| entry.push_reservation(reservation))
            .collect()
    }

    /// The same without the reservation in force on every entry; they may become fewer entries.
    ///
    /// # Errors
    /// When an entry is not reserved.
    pub fn pop_reservation(&self) -> Result<Resources, ResourceError> {
        self.iter()
            .map(|entry| {
                entry.pop_reservation().ok_or_else(|| {
                    ResourceError(format!("{entry} is not reserved, expected a reservation"))
                })
            })
            .collect()
    }

    /// The same without reservations.
    pub fn to_unreserved(&self) -> Resources {
        if self.iter().all(|entry| !entry.is_reserved()) {
            return self.clone();
        }
        self.iter().map(Entry::to_unreserved).collect()
    }
}

/// The reservations that both stacks begin with: how far those of one must be popped before those
/// of the other can be pushed. Mesos: `Resources::getReservationAncestor`.
pub fn common_reservations<'a>(a: &'a [Reservation], b: &[Reservation]) -> &'a [Reservation] {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a.get(..common).unwrap_or_default()
}
