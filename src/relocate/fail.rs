//! Why a question cannot be answered, before it is known which record it is of.

use super::RelocateError;
use super::record::Record;
use crate::btf::BtfError;

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
