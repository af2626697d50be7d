//! Shapes: what accesses together say about a kernel struct.
//!
//! In: the paths of accesses. Out: a C struct with the named members and nothing else. Members stay in the order in which they were first named, so an access keeps its
//! numbers while others are added; offsets are asked for when all are known.

use super::super::{ObjectError, wanted};
use crate::btf::{Builder, Member, Type, TypeId, VOID};
use crate::ir::reloc::{Access, LocalTy};
use crate::sema::hir::KStep;
use crate::sema::layout::{Fields, Layout, place};
use crate::sema::types::IntTy;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smol_str::SmolStr;
use std::fmt::Write;

/// The most steps in an access, one less than what loaders take, since they count the struct itself.
const MAX_STEPS: usize = 63;
/// The largest flavor in bytes: bit offsets beside bitfields have 24 bits.
pub(super) const MAX_SIZE: u32 = 1 << 20;

/// What is known of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Int(IntTy),
    Bits { width: u8, word: IntTy },
    Enum(SmolStr, IntTy),
    Ptr,
    Array(Box<Shape>, u32),
    Struct(IndexMap<SmolStr, Shape, FxBuildHasher>),
    Wanted(Box<Shape>, u8),
}

/// Where an access leads to in a flavor.
#[derive(Debug)]
pub(super) struct Place {
    /// The numbers of members and elements, the root's first.
    pub(super) access: String,
    /// The same in names, to be put after the root's.
    pub(super) path: String,
    /// In bytes; of a bitfield, of its word.
    pub(super) offset: u32,
    /// In bytes; of a bitfield, of its word.
    pub(super) size: u32,
    /// How many bits count.
    pub(super) bits: u64,
    /// Whether it is a signed integer.
    pub(super) signed: bool,
    /// Whether the last step is an element of an array.
    pub(super) is_element: bool,
}

impl Shape {
    /// A struct of which nothing is known.
    pub(super) fn empty() -> Shape {
        Shape::Struct(IndexMap::default())
    }

    /// What an access says about its root.
    pub(super) fn of_access(access: &Access) -> Result<Shape, ObjectError> {
        if access.steps.len() > MAX_STEPS {
            return Err(ObjectError::PathTooLong { root: access.root.clone(), limit: MAX_STEPS });
        }
        Ok(access.steps.iter().rev().fold(
            Shape::of_local(&access.leaf),
            |inner, step| match step {
                KStep::Member(name) => Shape::Struct([(name.clone(), inner)].into_iter().collect()),
                KStep::Index(index) => Shape::Array(Box::new(inner), index.saturating_add(1)),
            },
        ))
    }

    fn of_local(ty: &LocalTy) -> Shape {
        match ty {
            LocalTy::Int(int) => Shape::Int(*int),
            LocalTy::Bits { width, word } => Shape::Bits { width: *width, word: *word },
            LocalTy::Enum(name, int) => Shape::Enum(name.clone(), *int),
            LocalTy::Ptr => Shape::Ptr,
            LocalTy::Array(elem, len) => Shape::Array(Box::new(Shape::of_local(elem)), *len),
            LocalTy::Struct => Shape::empty(),
            LocalTy::Wanted(number, bits) => {
                Shape::Wanted(Box::new(Shape::of_local(number)), *bits)
            }
        }
    }

    /// Whether both can be said of one type.
    pub(super) fn fits(&self, other: &Shape) -> bool {
        match (self, other) {
            (Shape::Struct(ours), Shape::Struct(theirs)) => theirs
                .iter()
                .all(|(name, shape)| ours.get(name).is_none_or(|ours| ours.fits(shape))),
            (Shape::Array(ours, _), Shape::Array(theirs, _)) => ours.fits(theirs),
            (ours, theirs) => ours == theirs,
        }
    }

    /// Adds what `other`, which fits, says.
    pub(super) fn merge(&mut self, other: Shape) {
        match (self, other) {
            (Shape::Struct(ours), Shape::Struct(theirs)) => {
                for (name, shape) in theirs {
                    match ours.get_mut(&name) {
                        Some(member) => member.merge(shape),
                        None => drop(ours.insert(name, shape)),
                    }
                }
            }
            (Shape::Array(ours, len), Shape::Array(theirs, other_len)) => {
                ours.merge(*theirs);
                *len = (*len).max(other_len);
            }
            (_, _) => {}
        }
    }

    /// In bytes.
    pub(super) fn size(&self) -> u32 {
        self.layout().size
    }

    fn layout(&self) -> Layout {
        match self {
            Shape::Int(int) | Shape::Enum(_, int) | Shape::Bits { word: int, .. } => {
                Layout { size: int.size(), align: int.size() }
            }
            Shape::Ptr => Layout { size: 8, align: 8 },
            Shape::Array(elem, len) => {
                let elem = elem.layout();
                Layout { size: elem.size.saturating_mul(*len), ..elem }
            }
            Shape::Struct(members) => {
                let Fields { size, align, .. } = fields(members);
                Layout { size, align }
            }
            Shape::Wanted(number, _) => number.layout(),
        }
    }

    /// The number's own type.
    fn number(&self) -> &Shape {
        match self {
            Shape::Wanted(number, _) => number,
            Shape::Int(_)
            | Shape::Bits { .. }
            | Shape::Enum(..)
            | Shape::Ptr
            | Shape::Array(..)
            | Shape::Struct(_) => self,
        }
    }

    /// Follows the steps of an access that was merged into this shape.
    pub(super) fn locate(&self, steps: &[KStep]) -> Place {
        let (mut shape, mut offset) = (self, 0_u32);
        let (mut access, mut path) = (String::from("0"), String::new());
        for step in steps {
            let index = match (shape, step) {
                (Shape::Struct(members), KStep::Member(name)) => {
                    let Some((index, _, member)) = members.get_full(name) else { break };
                    offset = offset.saturating_add(fields(members).offsets[index]);
                    shape = member;
                    let _ = write!(path, ".{name}");
                    index
                }
                (Shape::Array(elem, _), KStep::Index(index)) => {
                    offset = offset.saturating_add(elem.size().saturating_mul(*index));
                    shape = elem;
                    let _ = write!(path, "[{index}]");
                    *index as usize
                }
                // The access is part of the shape, so that its steps and the shape's kinds agree.
                (_, _) => break,
            };
            let _ = write!(access, ":{index}");
        }
        let shape = shape.number();
        let size = shape.size();
        let bits = match shape {
            Shape::Bits { width, .. } => u64::from(*width),
            _ => u64::from(size) * 8,
        };
        let signed = match shape {
            Shape::Int(int) | Shape::Enum(_, int) | Shape::Bits { word: int, .. } => int.signed,
            Shape::Ptr | Shape::Array(..) | Shape::Struct(_) | Shape::Wanted(..) => false,
        };
        let is_element = matches!(steps.last(), Some(KStep::Index(_)));
        Place { access, path, offset, size, bits, signed, is_element }
    }

    /// Puts the type into the BTF; `name` is that of a struct, empty for one inside another.
    pub(super) fn declare(&self, name: &str, btf: &mut Builder) -> TypeId {
        match self {
            Shape::Int(int) | Shape::Bits { word: int, .. } => btf.int(*int),
            Shape::Enum(name, int) => btf.add(Type::Enum {
                name: name.clone(),
                size: int.size(),
                signed: int.signed,
                wide: false,
                values: Vec::new(),
            }),
            Shape::Ptr => btf.ptr(VOID),
            Shape::Wanted(number, bits) => {
                let name = match &**number {
                    Shape::Int(IntTy { bits, signed: true }) => format!("s{bits}"),
                    Shape::Enum(name, _) if !name.is_empty() => name.to_string(),
                    other => format!("u{}", other.size() * 8),
                };
                let number = number.declare("", btf);
                btf.typedef(wanted::name(&name, *bits), number)
            }
            Shape::Array(elem, len) => {
                let elem = elem.declare("", btf);
                btf.array(elem, *len)
            }
            Shape::Struct(members) => {
                let layout = fields(members);
                let members = members.iter().zip(layout.offsets).map(|((name, shape), offset)| {
                    let bit_width = if let Shape::Bits { width, .. } = shape { *width } else { 0 };
                    let ty = shape.declare("", btf);
                    let bit_offset = offset.saturating_mul(8);
                    Member { name: name.clone(), ty, bit_offset, bit_width }
                });
                let members = members.collect();
                btf.composite(name, layout.size, members)
            }
        }
    }
}

/// The layout of a struct: every bitfield begins a word of its own, which is right in both byte orders.
fn fields(members: &IndexMap<SmolStr, Shape, FxBuildHasher>) -> Fields {
    place(members.values().map(Shape::layout))
}
