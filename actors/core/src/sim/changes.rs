//! Changes of resources as frameworks and operators ask for them: reservations and volumes.
//! Sends nothing, and knows nothing of what becomes of them.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{
    Create, Destroy, GrowVolume, Reserve, ShrinkVolume, Type, Unreserve,
};
use tepui_protocol::v1::resource::{
    DiskInfo, ReservationInfo, SharedInfo, disk_info::Persistence, reservation_info,
};
use tepui_protocol::v1::{Resource, Volume, value, volume};

use super::random::Random;
use crate::resources::roles::is_ancestor;
use crate::resources::{Entry, Format, Resources};

/// Names of volumes: few, so that one follows a destroyed one of the same name.
const VOLUME_NAMES: u64 = 6;

/// By how much volumes grow and shrink, in thousandths.
const STEP_MILLI: i64 = 8_000;

/// What may be changed, and by whom.
pub(super) struct Pool {
    /// What is left of it.
    pub(super) left: Resources,
    /// The role for which it is reserved.
    pub(super) role: String,
    /// How resources are written.
    pub(super) format: Format,
    /// Whether several tasks may use one volume at a time.
    pub(super) can_share: bool,
}

impl Pool {
    /// Takes these amounts in thousandths, or nothing.
    pub(super) fn take(&mut self, amounts: &[(&str, u64)]) -> Option<Resources> {
        let mut taken = Resources::new();
        for (name, milli) in amounts {
            let milli = i64::try_from(*milli).ok()?;
            let fits = |entry: &&Entry| {
                entry.name() == *name
                    && !entry.is_persistent_volume()
                    && entry.scalar_milli().is_some_and(|has| has >= milli)
            };
            let entry = self.left.iter().find(fits)?.with_milli(milli);
            taken.add_entry(entry);
        }
        self.left.subtract(&taken);
        Some(taken)
    }

    /// Takes a volume for a task. One that is shared stays for others.
    pub(super) fn take_volume(&mut self, random: &mut Random) -> Option<Entry> {
        let volume = self.some_volume(random, |_| true)?;
        if !volume.is_shared() {
            self.left.subtract_entry(&volume);
        }
        Some(volume)
    }

    fn some_volume(&self, random: &mut Random, keep: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let volumes = self.left.iter();
        let volumes: Vec<&Entry> = volumes
            .filter(|entry| entry.is_persistent_volume() && keep(entry))
            .collect();
        let volume = random.pick(&volumes).copied()?;
        // Every copy of a shared volume is the volume.
        match volume.is_shared() {
            true => one(&volume.to_v1(Format::PostRefinement)),
            false => Some(volume.clone()),
        }
    }

    fn write(&self, entry: &Entry) -> Resource {
        entry.to_v1(self.format)
    }

    /// Puts what an operation makes in place of what it takes, and writes it down.
    fn replace(&mut self, taken: &Entry, made: &Resource) -> Option<Resource> {
        let made = one(made)?;
        self.left.subtract_entry(taken);
        let written = self.write(&made);
        self.left.add_entry(made);
        Some(written)
    }
}

/// How often a change is looked for that fits.
const ATTEMPTS: usize = 4;

/// Some change of what is in the pool, if any fits.
pub(super) fn change(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    (0..ATTEMPTS).find_map(|_| attempt(random, pool))
}

fn attempt(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    match random.below(12) {
        0..=3 => reserve(random, pool),
        4 => unreserve(random, pool),
        5..=7 => create(random, pool),
        8 => destroy(random, pool),
        9 | 10 => grow(pool, random),
        _ => shrink(random, pool),
    }
}

fn reserve(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    if pool.role == "*" {
        return None;
    }
    let name = *random.pick(&["cpus", "mem", "disk", "disk", "disk"])?;
    let milli = match name {
        "cpus" => 500,
        _ => 64_000,
    };
    let can_refine = pool.format == Format::PostRefinement;
    let fits = |entry: &&Entry| {
        let is_open = match entry.reservation_role() {
            None => true,
            Some(role) => can_refine && is_ancestor(role, &pool.role),
        };
        let is_plain = entry.name() == name && !entry.is_persistent_volume();
        is_plain && is_open && entry.scalar_milli().is_some_and(|has| has >= milli)
    };
    let entries: Vec<&Entry> = pool.left.iter().filter(fits).collect();
    let entry = random.pick(&entries)?.with_milli(milli);
    let mut resource = entry.to_v1(Format::PostRefinement);
    resource.reservations.push(ReservationInfo {
        role: Some(pool.role.clone()),
        r#type: Some(reservation_info::Type::Dynamic as i32),
        ..ReservationInfo::default()
    });
    let resources = vec![pool.replace(&entry, &resource)?];
    Some(Operation {
        r#type: Some(Type::Reserve as i32),
        reserve: Some(Reserve {
            resources,
            ..Reserve::default()
        }),
        ..Operation::default()
    })
}

fn unreserve(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    let reserved =
        |entry: &&Entry| entry.is_dynamically_reserved() && !entry.is_persistent_volume();
    let entries: Vec<&Entry> = pool.left.iter().filter(reserved).collect();
    let entry = (*random.pick(&entries)?).clone();
    pool.left.subtract_entry(&entry);
    Some(Operation {
        r#type: Some(Type::Unreserve as i32),
        unreserve: Some(Unreserve {
            resources: vec![pool.write(&entry)],
        }),
        ..Operation::default()
    })
}

fn create(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    let reserved = |entry: &&Entry| {
        entry.name() == "disk" && entry.is_reserved() && !entry.is_persistent_volume()
    };
    let entries: Vec<&Entry> = pool.left.iter().filter(reserved).collect();
    let entry = (*random.pick(&entries)?).clone();
    // Some leave a part, by which the volume may grow later.
    let size = entry.scalar_milli()?;
    let entry = match size > 4 * STEP_MILLI && random.per_mille(500) {
        true => entry.with_milli(size - 2 * STEP_MILLI),
        false => entry,
    };
    let id = format!("v{}", random.below(VOLUME_NAMES));
    let known = |other: &Entry| {
        let disk = other.disk().and_then(|disk| disk.persistence.as_ref());
        disk.is_some_and(|persistence| persistence.id == id)
    };
    if pool.left.iter().any(known) {
        return None;
    }
    let mut resource = entry.to_v1(Format::PostRefinement);
    resource.disk = Some(Box::new(DiskInfo {
        persistence: Some(Persistence {
            id,
            principal: None,
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "data".to_owned(),
            ..Volume::default()
        }),
        source: None,
    }));
    if pool.can_share && random.per_mille(400) {
        resource.shared = Some(SharedInfo {});
    }
    let volumes = vec![pool.replace(&entry, &resource)?];
    Some(Operation {
        r#type: Some(Type::Create as i32),
        create: Some(Create { volumes }),
        ..Operation::default()
    })
}

fn destroy(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    let volume = pool.some_volume(random, |_| true)?;
    pool.left.subtract_entry(&volume);
    Some(Operation {
        r#type: Some(Type::Destroy as i32),
        destroy: Some(Destroy {
            volumes: vec![pool.write(&volume)],
        }),
        ..Operation::default()
    })
}

/// Later operations of the same ACCEPT cannot use the volume, so it is taken out.
fn grow(pool: &mut Pool, random: &mut Random) -> Option<Operation> {
    let fits = |volume: &Entry, entry: &Entry| {
        !entry.is_persistent_volume()
            && volume.without_persistence().can_add(entry)
            && entry.scalar_milli().is_some_and(|has| has >= STEP_MILLI)
    };
    let left = &pool.left;
    let can_grow =
        |volume: &Entry| !volume.is_shared() && left.iter().any(|entry| fits(volume, entry));
    let volume = pool.some_volume(random, can_grow)?;
    let mut entries = pool.left.iter();
    let addition = entries.find(|entry| fits(&volume, entry))?;
    let addition = addition.with_milli(STEP_MILLI);
    pool.left.subtract_entry(&volume);
    pool.left.subtract_entry(&addition);
    Some(Operation {
        r#type: Some(Type::GrowVolume as i32),
        grow_volume: Some(GrowVolume {
            volume: pool.write(&volume),
            addition: pool.write(&addition),
        }),
        ..Operation::default()
    })
}

fn shrink(random: &mut Random, pool: &mut Pool) -> Option<Operation> {
    let can_shrink = |volume: &Entry| {
        !volume.is_shared() && volume.scalar_milli().is_some_and(|size| size > STEP_MILLI)
    };
    let volume = pool.some_volume(random, can_shrink)?;
    pool.left.subtract_entry(&volume);
    Some(Operation {
        r#type: Some(Type::ShrinkVolume as i32),
        shrink_volume: Some(ShrinkVolume {
            volume: pool.write(&volume),
            subtract: value::Scalar {
                value: STEP_MILLI as f64 / 1000.0,
            },
        }),
        ..Operation::default()
    })
}

fn one(resource: &Resource) -> Option<Entry> {
    Entry::from_v1(resource).ok()
}
