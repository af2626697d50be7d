//! What a record asks about, walked over the object's own types.
//!
//! In: a root type, a kind and an access string: decimal indices with colons between them. Out: the named steps and array indices that have to be found in the target, and
//! where they lead to locally. Rules: libbpf's `bpf_core_parse_spec`.

use super::Policy;
use super::fail::Fail;
use crate::btf::{Btf, Type, TypeId, essential, kind};
use crate::object::btf_ext::CoreKind;
use crate::object::read::Core;

/// The most indices that a path has.
pub(super) const MAX_STEPS: usize = 64;

/// What a record asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spec<'a> {
    /// The root type itself.
    Type,
    /// An enumerator, by the name without its flavor, and its value.
    Enumerator {
        /// As the local enum has it.
        name: &'a str,
        /// Extended to 64 bits.
        value: u64,
        /// Whether the enum has 64-bit values.
        wide: bool,
    },
    /// A field.
    Field(Path<'a>),
}

/// The way to a field, in the local types or in a candidate's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// What was stepped over by name or by index; the first is the index of the root. Anonymous members are no steps.
    pub(super) steps: Vec<Step<'a>>,
    /// Where it leads to, in bits from the start of the root.
    pub(super) bit_offset: u32,
}

/// A step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// To a named member.
    Member {
        /// Its name.
        name: &'a str,
        /// Its type.
        ty: TypeId,
        /// The width of a bitfield, otherwise 0.
        width: u8,
        /// Whether it is the last of its struct or union: if it is an array of no length, then every index is within it.
        last: bool,
    },
    /// To an element.
    Index {
        /// Which.
        index: u32,
        /// The array that it is of, unless it is the root's.
        array: Option<TypeId>,
        /// The type of the element, stripped.
        elem: TypeId,
        /// So many elements as a whole: the row of an array that the other side has in one dimension.
        count: u32,
    },
}

impl<'a> Spec<'a> {
    /// Parses an access string and walks it over the local types.
    pub(super) fn parse(
        types: &Btf<'a>,
        core: &Core<'a>,
        policy: Policy,
    ) -> Result<Spec<'a>, Fail> {
        types.kind(core.root)?;
        if is_type_kind(core.kind) {
            return match core.access {
                "0" => Ok(Spec::Type),
                other => Err(Fail::invalid(format!("the access string {other:?} is not \"0\""))),
            };
        }
        let indices = indices(core.access)?;
        if matches!(core.kind, CoreKind::EnumvalExists | CoreKind::EnumvalValue) {
            enumerator(types, core.root, &indices, policy)
        } else {
            Ok(Spec::Field(walk(types, core.root, &indices, policy)?))
        }
    }
}

/// Whether a kind asks about a whole type.
fn is_type_kind(kind: CoreKind) -> bool {
    match kind {
        CoreKind::LocalTypeId
        | CoreKind::TargetTypeId
        | CoreKind::TypeExists
        | CoreKind::TypeSize
        | CoreKind::TypeMatches => true,
        CoreKind::ByteOff
        | CoreKind::ByteSize
        | CoreKind::FieldExists
        | CoreKind::Signed
        | CoreKind::LshiftU64
        | CoreKind::RshiftU64
        | CoreKind::EnumvalExists
        | CoreKind::EnumvalValue => false,
    }
}

/// The indices of an access string. As `scanf` reads numbers: blanks and a `+` may precede each.
fn indices(access: &str) -> Result<Vec<u32>, Fail> {
    let wrong = || Fail::invalid(format!("the access string {access:?} is malformed"));
    let mut rest = access;
    let mut indices = Vec::new();
    if rest.starts_with(':') {
        return Err(wrong());
    }
    while !rest.is_empty() {
        rest = rest.strip_prefix(':').unwrap_or(rest);
        rest = rest.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
        rest = rest.strip_prefix('+').unwrap_or(rest);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let number = number.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
        if indices.len() == MAX_STEPS {
            return Err(Fail::invalid(format!(
                "the access string has more than {MAX_STEPS} parts"
            )));
        }
        indices.push(number.ok_or_else(wrong)?);
        rest = after;
    }
    if indices.is_empty() { Err(wrong()) } else { Ok(indices) }
}

fn enumerator<'a>(
    types: &Btf<'a>,
    root: TypeId,
    indices: &[u32],
    policy: Policy,
) -> Result<Spec<'a>, Fail> {
    let ty = types.get(types.strip(root)?)?;
    let (Type::Enum { values, .. }, [index]) = (&ty, indices) else {
        return Err(Fail::invalid("its type is not an enum, or it names no single enumerator"));
    };
    let value = values.get(*index as usize);
    let (name, _) =
        value.ok_or_else(|| Fail::invalid(format!("there is no enumerator {index}")))?;
    let wide = matches!(ty, Type::Enum { wide: true, .. });
    let value = enum_value(&ty, *index as usize, policy).unwrap_or_default();
    Ok(Spec::Enumerator { name: essential(name), value, wide })
}

/// The value of an enumerator. libbpf takes every 32-bit one for signed.
pub(super) fn enum_value(ty: &Type<&str>, index: usize, policy: Policy) -> Option<u64> {
    let Type::Enum { values, wide, .. } = ty else { return None };
    let (_, value) = values.get(index)?;
    let as_signed = i64::from(low_word((*value).into()).cast_signed()).cast_unsigned();
    Some(if policy == Policy::Libbpf && !wide { as_signed } else { *value })
}

/// The low 32 bits.
pub(super) fn low_word(value: u128) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the rest is to be cut off")]
    let low = value as u32;
    low
}

/// Walks over the local types.
fn walk<'a>(
    types: &Btf<'a>,
    root: TypeId,
    indices: &[u32],
    policy: Policy,
) -> Result<Path<'a>, Fail> {
    let mut at = types.strip(root)?;
    let mut path = Path::default();
    let (first, rest) = indices.split_first().ok_or_else(|| Fail::invalid("it has no path"))?;
    path.enter(types, Step::Index { index: *first, array: None, elem: at, count: 1 }, policy)?;
    for index in rest {
        at = types.strip(at)?;
        let step = match types.kind(at)? {
            kind::STRUCT | kind::UNION => {
                let mut members = types.members(at)?;
                let Some(member) = members.nth(*index as usize) else {
                    let (name, count) = (types.name(at)?, types.members(at)?.count());
                    return Err(Fail::invalid(format!(
                        "the local struct {name:?} has {count} members and none numbered {index}",
                    )));
                };
                let member = member?;
                path.move_by(member.bit_offset.into(), policy)?;
                at = member.ty;
                if member.name.is_empty() {
                    continue;
                }
                let last = members.next().is_none();
                let Field { bit_shift, width } = bits(types, &member, policy)?;
                path.move_by(bit_shift.into(), policy)?;
                Step::Member { name: member.name, ty: member.ty, width, last }
            }
            kind::ARRAY => {
                let Type::Array { elem, len, .. } = types.get(at)? else {
                    return Err(Fail::invalid("its path goes into a broken array"));
                };
                let flexible = len == 0 && path.at_end_of_struct();
                if *index >= len && !flexible {
                    return Err(Fail::invalid(format!(
                        "the local array has {len} elements and none numbered {index}"
                    )));
                }
                let elem = types.strip(elem)?;
                let array = Some(at);
                at = elem;
                Step::Index { index: *index, array, elem, count: 1 }
            }
            _ => return Err(Fail::invalid("its path goes into what is neither struct nor array")),
        };
        path.enter(types, step, policy)?;
    }
    Ok(path)
}

/// How a member is kept in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Where it begins behind the member's own offset.
    pub(super) bit_shift: u8,
    /// The width of a bitfield, otherwise 0.
    pub(super) width: u8,
}

/// How a member is kept. In types from before kernel 5.0 an integer of fewer bits than its bytes have makes a bitfield of it, which libbpf does not know of.
pub(super) fn bits(
    types: &Btf<'_>,
    member: &crate::btf::Member<&str>,
    policy: Policy,
) -> Result<Field, Fail> {
    let plain = Field { bit_shift: 0, width: member.bit_width };
    if member.bit_width != 0 || policy == Policy::Libbpf {
        return Ok(plain);
    }
    let ty = types.strip(member.ty)?;
    if types.kind(ty)? != kind::INT {
        return Ok(plain);
    }
    Ok(match types.get(ty)? {
        Type::Int { bytes, bits, bit_offset, .. } if u32::from(bits) < bytes.saturating_mul(8) => {
            Field { bit_shift: bit_offset, width: bits }
        }
        _ => plain,
    })
}

impl<'a> Path<'a> {
    /// Appends a step, and of an index moves on to the element.
    pub(super) fn enter(
        &mut self,
        types: &Btf<'_>,
        step: Step<'a>,
        policy: Policy,
    ) -> Result<(), Fail> {
        if let Step::Index { index, elem, .. } = step {
            let size = types.size(elem)?;
            self.move_by(u128::from(index) * u128::from(size) * 8, policy)?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Moves on by so many bits. libbpf counts them in 32 bits and lets them wrap.
    pub(super) fn move_by(&mut self, bits: u128, policy: Policy) -> Result<(), Fail> {
        let to = u128::from(self.bit_offset) + bits;
        self.bit_offset = match u32::try_from(to) {
            Ok(to) => to,
            Err(_) if policy == Policy::Libbpf => low_word(to),
            Err(_) => return Err(Fail::too_big("it lies beyond 512 MiB")),
        };
        Ok(())
    }

    /// Whether the last step led to the last member of a struct or union.
    pub(super) fn at_end_of_struct(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Member { last: true, .. }))
    }
}
