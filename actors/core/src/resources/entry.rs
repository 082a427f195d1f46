//! One entry of a bag: name, amount, and everything that keeps it apart from others.
//! Does not read or write the v1 form; `convert.rs` does.

use std::sync::Arc;

use tepui_protocol::v1;
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::{DiskInfo, disk_info};

use super::convert::{entry_from_v1, entry_to_v1, put_entry};
use super::roles::is_ancestor;
use super::validate::validate;
use super::value::Amount;
use super::{Format, ResourceError};
use crate::ids::Role;

/// A resource's name; the usual ones cost nothing to copy and compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `cpus`
    Cpus,
    /// `mem`
    Mem,
    /// `disk`
    Disk,
    /// `gpus`
    Gpus,
    /// `ports`
    Ports,
    /// Any other name.
    Other(Arc<str>),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Cpus => "cpus",
            Name::Mem => "mem",
            Name::Disk => "disk",
            Name::Gpus => "gpus",
            Name::Ports => "ports",
            Name::Other(name) => name,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        match name {
            "cpus" => Name::Cpus,
            "mem" => Name::Mem,
            "disk" => Name::Disk,
            "gpus" => Name::Gpus,
            "ports" => Name::Ports,
            _ => Name::Other(Arc::from(name)),
        }
    }
}

/// Who made a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationKind {
    /// The agent's operator, with a flag.
    Static,
    /// A framework or operator, at run time.
    Dynamic,
}

/// One reservation of the stack an entry carries; the last one is in force.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Who made it.
    pub kind: ReservationKind,
    /// For whom.
    pub role: Role,
    /// Of whoever made a dynamic one.
    pub principal: Option<String>,
    /// Free to use by whoever made it; part of its identity.
    pub labels: Option<v1::Labels>,
}

impl PartialEq for Reservation {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.role == other.role
            && self.principal == other.principal
            && labels_equal(self.labels.as_ref(), other.labels.as_ref())
    }
}

impl Eq for Reservation {}

/// Mesos compares labels without regard to their order.
pub(super) fn labels_equal(a: Option<&v1::Labels>, b: Option<&v1::Labels>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.labels.len() == b.labels.len()
                && a.labels.iter().all(|label| b.labels.contains(label))
                && b.labels.iter().all(|label| a.labels.contains(label))
        }
        _ => false,
    }
}

/// What few resources have.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    pub reservations: Vec<Reservation>,
    pub disk: Option<Box<DiskInfo>>,
    pub provider: Option<Arc<str>>,
    pub revocable: bool,
    pub shared: bool,
}

impl Extra {
    pub fn is_plain(&self) -> bool {
        self.reservations.is_empty()
            && self.disk.is_none()
            && self.provider.is_none()
            && !self.revocable
            && !self.shared
    }

    fn source(&self) -> Option<&disk_info::Source> {
        self.disk.as_ref().and_then(|disk| disk.source.as_ref())
    }

    fn persistence_id(&self) -> Option<&str> {
        let persistence = self.disk.as_ref()?.persistence.as_ref()?;
        Some(&persistence.id)
    }
}

impl PartialEq for Extra {
    /// A disk's identity is its source and persistence id: how a volume is mounted says nothing
    /// about the resource itself.
    fn eq(&self, other: &Self) -> bool {
        self.revocable == other.revocable
            && self.shared == other.shared
            && self.provider == other.provider
            && self.reservations == other.reservations
            && self.disk.is_some() == other.disk.is_some()
            && self.persistence_id() == other.persistence_id()
            && sources_equal(self.source(), other.source())
    }
}

impl Eq for Extra {}

fn sources_equal(a: Option<&disk_info::Source>, b: Option<&disk_info::Source>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.r#type == b.r#type
                && a.path == b.path
                && a.mount == b.mount
                && a.vendor == b.vendor
                && a.id == b.id
                && a.profile == b.profile
                && labels_equal(a.metadata.as_ref(), b.metadata.as_ref())
        }
        _ => false,
    }
}

/// One entry of a bag of resources.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) name: Name,
    pub(super) amount: Amount,
    pub(super) allocation: Option<Role>,
    /// Absent for the many plain entries, shared between copies otherwise.
    pub(super) extra: Option<Arc<Extra>>,
    /// How often a shared entry is held; 1 for all others.
    pub(super) copies: u32,
}

impl Entry {
    /// Reads one resource of the v1 form, pre- or post-refinement, and validates it.
    ///
    /// # Errors
    /// When it breaks a rule; the error names it as Mesos does.
    pub fn from_v1(resource: &v1::Resource) -> Result<Entry, ResourceError> {
        validate(std::slice::from_ref(resource))?;
        Ok(entry_from_v1(resource))
    }

    /// Writes the v1 form.
    pub fn to_v1(&self, format: Format) -> v1::Resource {
        entry_to_v1(self, format)
    }

    /// Appends the v1 form as a protobuf field of that number.
    pub fn put_protobuf(&self, field: u32, format: Format, out: &mut Vec<u8>) {
        put_entry(self, field, format, out);
    }

    /// The resource's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The name in the form that compares quickly.
    pub fn kind(&self) -> &Name {
        &self.name
    }

    /// How much there is.
    pub fn amount(&self) -> &Amount {
        &self.amount
    }

    /// Thousandths, for a scalar.
    pub fn scalar_milli(&self) -> Option<i64> {
        match self.amount {
            Amount::Scalar(milli) => Some(milli),
            _ => None,
        }
    }

    /// How often a shared entry is held; 1 for all others.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// The role it is allocated to.
    pub fn allocation_role(&self) -> Option<&Role> {
        self.allocation.as_ref()
    }

    /// The reservations, outermost first.
    pub fn reservations(&self) -> &[Reservation] {
        self.extra.as_ref().map_or(&[], |extra| &extra.reservations)
    }

    /// The role it is reserved to, if any.
    pub fn reservation_role(&self) -> Option<&Role> {
        self.reservations()
            .last()
            .map(|reservation| &reservation.role)
    }

    /// Whether it is reserved at all.
    pub fn is_reserved(&self) -> bool {
        !self.reservations().is_empty()
    }

    /// Whether its innermost reservation was made at run time.
    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations()
            .last()
            .is_some_and(|r| r.kind == ReservationKind::Dynamic)
    }

    /// Whether a reservation was refined, which only frameworks that announce it understand.
    pub fn has_refined_reservations(&self) -> bool {
        self.reservations().len() > 1
    }

    /// Whether frameworks of `role` may have it: unreserved, or reserved to it or an ancestor.
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        match self.reservation_role() {
            None => true,
            Some(owner) => owner.as_ref() == role || is_ancestor(owner, role),
        }
    }

    /// The disk's data.
    pub fn disk(&self) -> Option<&DiskInfo> {
        self.extra.as_ref().and_then(|extra| extra.disk.as_deref())
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.disk().is_some_and(|disk| disk.persistence.is_some())
    }

    /// Whether it may be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.revocable)
    }

    /// Whether several may use it at once.
    pub fn is_shared(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.shared)
    }

    /// The resource provider it comes from.
    pub fn provider(&self) -> Option<&str> {
        self.extra
            .as_ref()
            .and_then(|extra| extra.provider.as_deref())
    }

    /// The same without the persistent volume on it: neither persistence, nor a way to mount it,
    /// nor sharing, which only volumes can have. The disk's source stays.
    pub fn without_persistence(&self) -> Entry {
        let mut entry = self.with_extra(|extra| {
            extra.shared = false;
            extra.disk = extra.disk.take().filter(|disk| disk.source.is_some());
            if let Some(disk) = &mut extra.disk {
                disk.persistence = None;
                disk.volume = None;
            }
        });
        entry.copies = 1;
        entry
    }

    /// The same with another amount of a scalar, in thousandths.
    pub fn with_milli(&self, milli: i64) -> Entry {
        Entry {
            amount: Amount::Scalar(milli),
            ..self.clone()
        }
    }

    /// The same with another allocation role, or none.
    pub fn with_allocation(&self, role: Option<&Role>) -> Entry {
        Entry {
            allocation: role.cloned(),
            ..self.clone()
        }
    }

    /// Whether both are the same resource and amount; copies of shared ones do not count.
    pub fn is_same(&self, other: &Entry) -> bool {
        self.equals(other)
    }

    /// The same with its rarer properties changed.
    pub(super) fn with_extra(&self, change: impl FnOnce(&mut Extra)) -> Entry {
        let mut extra = self.extra.as_deref().cloned().unwrap_or_default();
        change(&mut extra);
        Entry {
            name: self.name.clone(),
            amount: self.amount.clone(),
            allocation: self.allocation.clone(),
            extra: (!extra.is_plain()).then(|| Arc::new(extra)),
            copies: self.copies,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies == 0 || self.amount.is_empty()
    }

    /// Everything but the amount is the same.
    pub(super) fn same_identity(&self, other: &Entry) -> bool {
        self.name == other.name
            && self.amount.same_kind(&other.amount)
            && self.allocation == other.allocation
            && match (&self.extra, &other.extra) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
                _ => false,
            }
    }

    /// Equal in all but the number of copies of a shared entry.
    pub(super) fn equals(&self, other: &Entry) -> bool {
        self.same_identity(other) && self.amount.equals(&other.amount)
    }

    /// Whether both make one entry when added. MOUNT and BLOCK disks, RAW disks with an
    /// identity and persistent volumes stay apart: they are exclusive.
    pub fn can_add(&self, other: &Entry) -> bool {
        if self.is_shared() {
            return self.equals(other);
        }
        self.same_identity(other) && !self.is_exclusive()
    }

    /// Whether `other` may be cut out of `self`.
    pub(super) fn can_subtract(&self, other: &Entry) -> bool {
        if self.is_shared() {
            return self.equals(other);
        }
        self.same_identity(other) && (!self.is_exclusive() || self.amount.equals(&other.amount))
    }

    /// Whether `other` is part of `self`.
    pub(super) fn contains(&self, other: &Entry) -> bool {
        if self.is_shared() {
            return self.equals(other) && other.copies <= self.copies;
        }
        self.can_subtract(other) && self.amount.contains(&other.amount)
    }

    /// Whether a part of it may be offered on its own.
    pub fn is_divisible(&self) -> bool {
        !self.is_shared() && !self.is_exclusive()
    }

    /// Whether it is taken whole or not at all, and never becomes one with another.
    pub(super) fn is_exclusive(&self) -> bool {
        let Some(extra) = &self.extra else {
            return false;
        };
        if extra.persistence_id().is_some() {
            return true;
        }
        let Some(source) = extra.source() else {
            return false;
        };
        match SourceType::try_from(source.r#type).unwrap_or(SourceType::Unknown) {
            SourceType::Path => false,
            SourceType::Raw => source.id.is_some(),
            SourceType::Mount | SourceType::Block => true,
            // Validation lets no such entry in.
            SourceType::Unknown => true,
        }
    }
}
