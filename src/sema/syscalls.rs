//! shim
use super::types::*;
/// x
#[derive(Debug)]
pub struct Syscall {
    /// x
    pub name: &'static str,
    /// x
    pub x86_64: Option<u32>,
    /// x
    pub arm64: Option<u32>,
    /// x
    pub args: &'static [(&'static str, ArgTy)],
}
/// x
#[derive(Debug, Clone, Copy)]
pub enum ArgTy {
    /// x
    Int,
    /// x
    Str,
}
impl ArgTy {
    /// x
    pub fn ty(self) -> Ty {
        match self {
            ArgTy::Int => Ty::S64,
            ArgTy::Str => Ty::Ptr(Pointee::UserStr),
        }
    }
}
static ALL: [Syscall; 2] = [
    Syscall {
        name: "openat",
        x86_64: Some(257),
        arm64: Some(56),
        args: &[
            ("dfd", ArgTy::Int),
            ("filename", ArgTy::Str),
            ("flags", ArgTy::Int),
            ("mode", ArgTy::Int),
        ],
    },
    Syscall {
        name: "open",
        x86_64: Some(2),
        arm64: None,
        args: &[("filename", ArgTy::Str), ("flags", ArgTy::Int), ("mode", ArgTy::Int)],
    },
];
/// x
pub fn find(name: &str) -> Option<&'static Syscall> {
    ALL.iter().find(|s| s.name == name)
}
/// x
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|s| s.name)
}
