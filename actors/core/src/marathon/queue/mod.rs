//! What waits for an offer: launch delays, launch tokens, and what became of offers.
//! Matches no offers and counts no instances.

mod backoff;
mod offers;
mod tokens;

pub use backoff::Backoffs;
pub use offers::{OfferStats, RejectStep, UnusedOffer};
pub use tokens::LaunchTokens;

#[cfg(test)]
mod tests;
