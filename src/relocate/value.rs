//! The answer to a question on one side: the local types, or a candidate that was found to match.
//!
//! Rules: libbpf's `bpf_core_calc_field_relo`, `bpf_core_calc_type_relo` and `bpf_core_calc_enumval_relo`.

use super::Policy;
use super::compat::Shapes;
use super::fail::Fail;
use super::spec::{Path, Step};
use crate::btf::{Btf, Type, TypeId, encoding, kind};
use crate::object::btf_ext::CoreKind;
use crate::object::wanted;
use crate::target::Endian;

/// How a field lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Where it begins, in bits from the start of the root.
    pub(super) bit_offset: u32,
    /// Where its load unit begins, in bytes.
    pub(super) offset: u32,
    /// The bytes of the load unit; of what is no bitfield, its own.
    pub(super) size: u32,
    /// The bits of a bitfield.
    pub(super) bits: Option<u8>,
    /// What a load of it gives.
    pub(super) scalar: Scalar,
    /// The bytes that a load of it has: of an array those of one element, of a bitfield 0.
    pub(super) load: u32,
    /// Whether it is an element of an array, or the root itself.
    pub(super) element: bool,
    /// Of a whole array: what a load of an element gives.
    pub(super) elements: Option<Scalar>,
    /// Of a local number, or an array of them, in ubpfc's objects: how many of its bits the program uses, where that may be more than its type has.
    pub(super) wanted: Option<u32>,
}

/// What a load of a field gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// An integer of that encoding.
    Int(u8),
    /// An enum.
    Enum {
        /// Whether it is signed.
        signed: bool,
    },
    /// A pointer.
    Ptr,
    /// A floating-point number.
    Float,
    /// A struct, an array…
    Other,
}

impl Scalar {
    /// Whether its top bit is a sign.
    pub(super) fn signed(self) -> bool {
        match self {
            Scalar::Int(encoding) => encoding & encoding::SIGNED != 0,
            Scalar::Enum { signed } => signed,
            Scalar::Ptr | Scalar::Float | Scalar::Other => false,
        }
    }

    /// Whether it is a number that converts to others.
    pub(super) fn number(self) -> bool {
        match self {
            Scalar::Int(_) | Scalar::Enum { .. } | Scalar::Ptr => true,
            Scalar::Float | Scalar::Other => false,
        }
    }

    /// Whether it is a truth value.
    pub(super) fn truth(self) -> bool {
        matches!(self, Scalar::Int(encoding) if encoding & encoding::BOOL != 0)
    }

    fn of(types: &Btf<'_>, id: TypeId) -> Result<Scalar, Fail> {
        // The members of a struct are no matter.
        if matches!(types.kind(id)?, kind::STRUCT | kind::UNION) {
            return Ok(Scalar::Other);
        }
        Ok(match types.get(id)? {
            Type::Int { encoding, .. } => Scalar::Int(encoding),
            Type::Enum { signed, .. } => Scalar::Enum { signed },
            Type::Ptr(_) => Scalar::Ptr,
            Type::Float { .. } => Scalar::Float,
            _ => Scalar::Other,
        })
    }
}

impl Field {
    /// Whether both are numbers, or pointers, and of different sizes.
    pub(super) fn resized_number(&self, target: &Field) -> bool {
        let plain = |field: &Field| field.scalar.number() && !field.is_bitfield();
        plain(self) && plain(target) && self.size != target.size
    }

    /// A member that is loaded as it lies.
    fn plain(bit_offset: u32, size: u32, scalar: Scalar) -> Field {
        Field {
            bit_offset,
            offset: bit_offset / 8,
            size,
            bits: None,
            scalar,
            load: size,
            element: false,
            elements: None,
            wanted: None,
        }
    }

    /// The field that a path leads to.
    pub(super) fn of(types: &Btf<'_>, path: &Path<'_>) -> Result<Field, Fail> {
        let bit_offset = path.bit_offset;
        match path.steps.last() {
            None => Err(Fail::invalid("it has no path")),
            Some(Step::Index { array, elem, count, .. }) => {
                let one = types.size(*elem)?;
                let size = one.checked_mul(*count).ok_or_else(|| Fail::too_big("it is too big"))?;
                let scalar = Scalar::of(types, *elem)?;
                let elem = array.and_then(|array| element_of(types, array));
                let wanted = elem.and_then(|elem| wanted(types, elem));
                let plain = Field::plain(bit_offset, size, scalar);
                Ok(Field { load: one, element: true, wanted, ..plain })
            }
            Some(Step::Member { ty, width: 0, .. }) => {
                let stripped = types.strip(*ty)?;
                let size = types.size(stripped)?;
                let element = types.dimensions(stripped)?;
                let elem = element.map(|dims| dims.elem);
                let load = elem.map_or(Ok(size), |elem| types.size(elem))?;
                let elements = elem.map(|elem| Scalar::of(types, elem)).transpose()?;
                let scalar = Scalar::of(types, stripped)?;
                let wanted = wanted(types, element_of(types, stripped).unwrap_or(*ty));
                let plain = Field::plain(bit_offset, size, scalar);
                Ok(Field { load, elements, wanted, ..plain })
            }
            Some(Step::Member { ty, width, .. }) => {
                bitfield(types, types.strip(*ty)?, bit_offset, *width)
            }
        }
    }

    /// Whether its answers depend on how the compiler chose to load it.
    pub(super) fn is_bitfield(&self) -> bool {
        self.bits.is_some()
    }

    /// Whether more of it is used than its type has.
    pub(super) fn is_widened(&self) -> bool {
        self.wanted.is_some_and(|bits| bits > self.load_bits())
    }

    /// Whether every value of another number is one of its type.
    pub(super) fn holds(&self, other: &Field) -> bool {
        let bits = Field::load_bits;
        match (self.scalar.signed(), other.scalar.signed()) {
            (true, true) | (false, false) => bits(other) <= bits(self),
            (true, false) => bits(other) < bits(self),
            (false, true) => false,
        }
    }

    /// The bits that a load of it has; types claim any size.
    pub(super) fn load_bits(&self) -> u32 {
        self.bits.map_or(self.load.saturating_mul(8), u32::from)
    }

    /// Its width in bits, as libbpf counts: it wraps.
    pub(super) fn width(&self) -> u32 {
        self.bits.map_or(self.size.wrapping_mul(8), u32::from)
    }

    /// The shift that puts its top bit at bit 63 of its load unit, as libbpf counts: it wraps where the unit is wider than 8 bytes.
    pub(super) fn left_shift(&self, endian: Endian) -> u32 {
        let within = self.bit_offset.wrapping_sub(self.offset.wrapping_mul(8));
        match endian {
            Endian::Little => 64_u32.wrapping_sub(within.wrapping_add(self.width())),
            Endian::Big => 8_u32.wrapping_sub(self.size).wrapping_mul(8).wrapping_add(within),
        }
    }

    /// The shift that isolates it then.
    pub(super) fn right_shift(&self) -> u32 {
        64_u32.wrapping_sub(self.width())
    }

    /// The answer to a field question.
    pub(super) fn answer(
        &self,
        kind: CoreKind,
        endian: Endian,
        policy: Policy,
    ) -> Result<u64, Fail> {
        let shifts = matches!(kind, CoreKind::LshiftU64 | CoreKind::RshiftU64);
        if policy == Policy::Libbpf && self.element && (shifts || kind == CoreKind::Signed) {
            let what = kind.name();
            return Err(Fail::invalid(format!("{what} is asked of an element of an array")));
        }
        if policy == Policy::Strict && shifts && self.size > 8 {
            return Err(Fail::too_big(format!("it has {} bytes, a register has 8", self.size)));
        }
        Ok(match kind {
            CoreKind::ByteOff => self.offset.into(),
            CoreKind::ByteSize => self.size.into(),
            CoreKind::Signed => self.scalar.signed().into(),
            CoreKind::LshiftU64 => self.left_shift(endian).into(),
            CoreKind::RshiftU64 => self.right_shift().into(),
            _ => 1,
        })
    }
}

/// A bitfield in the smallest load unit that holds it, at a multiple of its size.
fn bitfield(types: &Btf<'_>, ty: TypeId, bit_offset: u32, width: u8) -> Result<Field, Fail> {
    let mut size = match types.kind(ty)? {
        kind::INT | kind::ENUM | kind::ENUM64 => types.size(ty)?,
        _ => 0,
    };
    if size == 0 {
        return Err(Fail::invalid("a bitfield is neither integer nor enum"));
    }
    let unit = |size: u32| (bit_offset / 8 / size).wrapping_mul(size);
    let end = u64::from(bit_offset) + u64::from(width);
    while end > (u64::from(unit(size)) + u64::from(size)) * 8 {
        if size >= 8 {
            return Err(Fail::too_big("it is a bitfield that no load of 8 bytes holds"));
        }
        size *= 2;
    }
    let plain = Field::plain(bit_offset, size, Scalar::of(types, ty)?);
    Ok(Field { offset: unit(size), bits: Some(width), load: 0, ..plain })
}

/// The type of an array's elements, as it is written.
fn element_of(types: &Btf<'_>, array: TypeId) -> Option<TypeId> {
    match types.get(array) {
        Ok(Type::Array { elem, .. }) => Some(elem),
        _ => None,
    }
}

/// How many bits of a local number are used, where its type says so.
fn wanted(types: &Btf<'_>, ty: TypeId) -> Option<u32> {
    match types.get(ty) {
        Ok(Type::Typedef { name, .. }) => wanted::bits(name),
        _ => None,
    }
}
