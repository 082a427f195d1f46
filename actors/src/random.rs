//! Where the random ids of a process come from.
//! Makes no ids; the cores do.

/// The seed all random ids of this process come from.
#[allow(
    clippy::disallowed_methods,
    reason = "the seed itself comes from the operating system"
)]
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let (first, second) = seed.split_at_mut(16);
    first.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    second.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    seed
}

/// A new name that nobody else has.
#[allow(
    clippy::disallowed_methods,
    reason = "names of nodes in zookeeper are of no interest to the cores"
)]
pub fn uuid() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}
