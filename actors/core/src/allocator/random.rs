//! STUB until w-tests is merged.
pub type RandomSorter = super::drf::DrfSorter;
