//! Why a question cannot be answered, before it is known which record it is of.

use super::RelocateError;
use super::record::Record;
use crate::btf::BtfError;
use std::cell::Cell;

/// What is wrong. Which errors exist follows from libbpf's, which differ in `errno`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fail {
    /// What is asked cannot be (`EINVAL`).
    Invalid(String),
    /// It is too deep or too big (`E2BIG`).
    TooBig(String),
}

impl Fail {
    pub(super) fn invalid(why: impl Into<String>) -> Fail {
        Fail::Invalid(why.into())
    }

    pub(super) fn too_big(why: impl Into<String>) -> Fail {
        Fail::TooBig(why.into())
    }

    /// The same, of that record.
    pub(super) fn at(self, record: &Record<'_>) -> RelocateError {
        let (place, at) = (record.place(), record.at.clone().map(Box::new));
        match self {
            Fail::Invalid(why) => RelocateError::Record { place, at, why },
            Fail::TooBig(why) => RelocateError::TooBig { place, at, why },
        }
    }

    /// In words.
    pub(super) fn why(self) -> String {
        match self {
            Fail::Invalid(why) | Fail::TooBig(why) => why,
        }
    }
}

impl From<BtfError> for Fail {
    fn from(error: BtfError) -> Fail {
        Fail::Invalid(error.to_string())
    }
}

/// How many types and members all records of an object together look at. Real ones look at thousands.
const MAX_WORK: u64 = 1 << 28;

/// What is left of that: records, candidates, members and what they refer to multiply, and a small file can have many of each.
#[derive(Debug)]
pub(super) struct Work(Cell<u64>);

impl Default for Work {
    fn default() -> Work {
        Work(Cell::new(MAX_WORK))
    }
}

impl Work {
    /// Takes some; nothing is left after it was asked for more than there is.
    pub(super) fn spend(&self, steps: usize) -> Result<(), Fail> {
        self.0.set(self.0.get().saturating_sub(steps as u64));
        self.check()
    }

    /// Whether anything is left.
    pub(super) fn check(&self) -> Result<(), Fail> {
        if self.0.get() > 0 {
            return Ok(());
        }
        Err(Fail::too_big(
            "the object and the kernel have more types and members that could be meant than can be compared",
        ))
    }
}
