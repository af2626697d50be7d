//! How much may be read of a file before it is given up.
//!
//! Entries refer to others by offset, from any place to any place, so a small file could have its entries read any number of times: by units that share one long table of abbreviations, by
//! members whose types begin in the middle of each other. Files of compilers have each entry read a few times over; what is read in lists is counted here, and what exceeds that by far is refused.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often a byte may be read, and how many beside that.
const OFTEN: u64 = 64;
const SMALL: u64 = 16 << 20;

/// What is left.
#[derive(Debug, Default)]
pub(super) struct Effort(AtomicU64);

impl Effort {
    /// For a file with so many bytes of entries and abbreviations.
    pub(super) fn for_bytes(bytes: usize) -> Effort {
        Effort(AtomicU64::new((bytes as u64).saturating_mul(OFTEN).saturating_add(SMALL)))
    }

    /// Takes some; none if there is not enough left.
    pub(super) fn spend(&self, some: usize) -> Option<()> {
        let some = some as u64;
        let left = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(some));
        left.ok().map(|_| ())
    }
}
