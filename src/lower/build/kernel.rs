//! Kernel memory: paths from one kernel object to another, and what is read at their end.
//!
//! In: a base pointer and a path. Out: the value there, or 0 where a pointer on the way is null or bad. Memory is read in one of two ways. **Directly**, where the
//! verifier knows the pointer by BTF: one load, with a null check first wherever the pointer itself came from memory, since newer verifiers call such a
//! pointer maybe-null. **By probing** elsewhere: `bpf_probe_read_kernel`, which leaves zeros where it fails.
//!
//! Invariant: a pointer that the verifier knows is never added to before it is checked, and never by a number that is not a constant (`kernel/bpf/verifier.c:
//! adjust_ptr_min_max_vals`, `check_ptr_to_btf_access`).

use super::func::Join;
use super::memory::Place;
use super::{MAX_STACK, Program};
use crate::ir::reloc::{Access, AccessId, CoreReloc, FieldQuestion, LocalTy};
use crate::ir::{BinOp, CmpOp, Helper, Off, Op, Space, ValueId, Width};
use crate::sema::hir::{KEntry, KHop, KLeaf, KPath, KStep, KThen};
use crate::sema::types::{IntTy, Ty};
use crate::target::Endian;
use smol_str::SmolStr;

/// A pointer into kernel memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelPtr {
    /// The address.
    pub(super) value: ValueId,
    /// Whether the verifier knows it, so that it is read directly.
    pub(super) known: bool,
    /// Whether it must be compared with null first.
    pub(super) check: bool,
}

/// How text is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Filled up with NULs, so that equal texts are equal bytes.
    Canonical,
    /// As the kernel has it, for readers that stop at the NUL.
    Raw,
}

/// What the number at the end of a path is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// To be converted to that type.
    As(IntTy),
    /// All of it.
    Whole,
    /// Whether it is 0.
    Truth,
}

impl Want {
    /// What the value is converted to.
    pub(super) fn int(self) -> IntTy {
        match self {
            Want::As(int) => int,
            Want::Whole | Want::Truth => IntTy::S64,
        }
    }
}

/// How a value is extended to what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// As the target's type has it.
    Asked,
    /// As the local type has it: loaders do not tell of an array's element, and of a mere truth it does not matter.
    Taken(bool),
}

impl Program<'_, '_> {
    /// The scalar that a path leads to. A number is converted to what is wanted.
    pub(super) fn path_scalar(&mut self, path: &KPath, base: KernelPtr, want: Want) -> ValueId {
        let zero = self.f.number(0);
        let mut null = Join::new();
        let value = match path.hops.split_last() {
            Some((last, way)) => {
                let object = self.walk(way, base, &mut null);
                let object = self.enter_hop(last, object, &mut null);
                self.leaf_scalar(last, &path.leaf, object, &mut null, want)
            }
            None => zero,
        };
        if null.is_empty() {
            return value;
        }
        // The ways that met a null pointer hand over nothing: go through a block of their own that does.
        let mut done = Join::new();
        self.f.jump(&mut done, vec![value]);
        self.f.enter(null);
        self.f.jump(&mut done, vec![zero]);
        self.f.enter(done)[0]
    }

    /// Copies the text or array that a path leads to.
    pub(super) fn path_into(
        &mut self,
        path: &KPath,
        base: KernelPtr,
        to: Place,
        ty: &Ty,
        text: Text,
    ) {
        let size = self.size_of(ty);
        let Some((last, way)) = path.hops.split_last() else { return self.clear(to, size) };
        let (mut null, mut done) = (Join::new(), Join::new());
        let object = self.walk(way, base, &mut null);
        let object = self.enter_hop(last, object, &mut null);
        let object = self.checked(object, &mut null);
        match (&path.leaf, ty) {
            (KLeaf::Ints(int, len), Ty::Array(element, wanted))
                if object.known && int.size().saturating_mul(*len) <= MAX_STACK / 8 =>
            {
                self.load_elements(to, (element, *wanted), last, object, (*int, *len));
            }
            (leaf, _) => {
                let want = self.wanted(ty);
                let found = self.leaf_scalar(last, leaf, object, &mut null, want);
                self.memory_into(leaf, found, object.known, to, ty, text);
            }
        }
        self.f.jump(&mut done, Vec::new());
        if !null.is_empty() {
            self.f.enter(null);
            self.clear(to, size);
            self.f.jump(&mut done, Vec::new());
        }
        self.f.enter(done);
    }

    /// Copies the text or array at an address, where a path leads to.
    fn memory_into(
        &mut self,
        leaf: &KLeaf,
        found: ValueId,
        known: bool,
        to: Place,
        ty: &Ty,
        text: Text,
    ) {
        let size = self.size_of(ty);
        match (leaf, text) {
            (KLeaf::Ptr(_), _) | (KLeaf::Chars(_), Text::Canonical) => {
                self.read_text(to, size, found, Helper::ProbeReadKernelStr);
            }
            (KLeaf::Ints(int, len), _)
                if self.wanted(ty) == Want::Truth
                    || self.element_of(ty).is_some_and(|e| e.bits != int.bits) =>
            {
                self.convert_array(to, ty, found, (*int, *len));
            }
            (leaf, _) => self.copy_array(to, size, found, leaf, known),
        }
    }

    /// A short array by direct loads, each of which loaders patch.
    fn load_elements(
        &mut self,
        to: Place,
        (element, wanted): (&Ty, u32),
        hop: &KHop,
        object: KernelPtr,
        (int, len): (IntTy, u32),
    ) {
        let (count, size) = (len.min(wanted), self.size_of(element));
        let want = self.wanted(element);
        for i in 0..count {
            let mut hop = hop.clone();
            hop.steps.push(KStep::Index(i));
            let access = self.access(&hop, number_ty(true, int, want, LocalTy::Int));
            let value = self.number(&KLeaf::Int(int), access, object, want);
            let value = self.convert(value, &Ty::Int(want.int()), element);
            self.store_scalar(to.at(i * size), element, value);
        }
        self.clear(to.at(count * size), (wanted - count) * size);
    }

    /// Reads text at an address, filled up with NULs; an unreadable address reads as empty.
    pub(super) fn read_text(&mut self, to: Place, size: u32, address: ValueId, helper: Helper) {
        // The helper writes up to the NUL and no further.
        self.clear(to, size);
        let to = self.address(to);
        let size = self.f.number(u64::from(size));
        self.f.call(helper, vec![to, size, address]);
    }

    /// The array or raw text at an address, cut or filled up with zeros.
    fn copy_array(&mut self, to: Place, size: u32, address: ValueId, leaf: &KLeaf, known: bool) {
        let len = match leaf {
            KLeaf::Chars(len) => *len,
            KLeaf::Ints(int, len) => int.size().saturating_mul(*len),
            KLeaf::Int(_)
            | KLeaf::Number(..)
            | KLeaf::Bits { .. }
            | KLeaf::Enum(..)
            | KLeaf::Ptr(_)
            | KLeaf::Struct(_)
            | KLeaf::Any => size,
        };
        let len = len.min(size);
        if known && len <= MAX_STACK / 8 {
            self.copy(to, Place::pointer(address, Space::Kernel), len);
        } else {
            self.probe(to, len, address);
        }
        self.clear(to.at(len), size - len);
    }

    /// The integer type of an array's elements.
    fn element_of(&self, ty: &Ty) -> Option<IntTy> {
        match ty {
            Ty::Array(element, _) if element.is_scalar() => Some(self.int_of(element)),
            _ => None,
        }
    }

    /// An array of integers of another width, element by element.
    fn convert_array(&mut self, to: Place, ty: &Ty, address: ValueId, (int, len): (IntTy, u32)) {
        let (Ty::Array(element, wanted), Some(kept)) = (ty, self.element_of(ty)) else { return };
        let from = Place::pointer(address, Space::Kernel);
        let count = len.min(*wanted);
        for i in 0..count {
            let scratch = self.scratch();
            let source = self.address(from.at(i * int.size()));
            self.probe(scratch, int.size(), source);
            let value = self.load_int(scratch, int);
            let value = self.convert(value, &Ty::Int(int), element);
            self.store_scalar(to.at(i * kept.size()), element, value);
        }
        let end = count * kept.size();
        self.clear(to.at(end), self.size_of(ty) - end);
    }

    /// Follows hops to the object that the last hop of a path starts from.
    fn walk(&mut self, way: &[KHop], base: KernelPtr, null: &mut Join) -> KernelPtr {
        let mut object = base;
        for (i, hop) in way.iter().enumerate() {
            object = self.enter_hop(hop, object, null);
            object = self.checked(object, null);
            // An address that a number is to be added to must be a number itself.
            let indexed = way.get(i + 1).is_some_and(|h| matches!(h.then, KThen::Element { .. }));
            object = match &hop.then {
                KThen::Deref if object.known && !indexed => {
                    let access = self.access(hop, LocalTy::Ptr);
                    let value = self.load_direct(access, object.value, IntTy::U64);
                    KernelPtr { value, known: true, check: true }
                }
                KThen::Deref | KThen::Leaf => {
                    let access = self.access(hop, LocalTy::Ptr);
                    let value = self.probe_unit(access, object.value);
                    KernelPtr { value, known: false, check: false }
                }
                KThen::Element { elem, index } => {
                    let start =
                        if object.known { self.launder(object.value) } else { object.value };
                    let array = LocalTy::Array(Box::new(LocalTy::Struct), 1);
                    let start = self.member_address(hop, array, start);
                    let index = self.kexpr(index, base, Want::Whole);
                    let stride = self.f.value(Op::Core(CoreReloc::StructSize(elem.clone())));
                    let distance = self.f.bin(BinOp::Mul, index, stride);
                    let value = self.f.bin(BinOp::Add, start, distance);
                    KernelPtr { value, known: false, check: false }
                }
            };
        }
        object
    }

    /// The struct at whose start a hop begins, by the pointer that it is given.
    fn enter_hop(&mut self, hop: &KHop, object: KernelPtr, null: &mut Join) -> KernelPtr {
        if hop.entry == KEntry::Typed {
            return object;
        }
        let indexed = matches!(hop.then, KThen::Element { .. });
        let mut object = self.checked(object, null);
        if object.known && indexed {
            object.value = self.launder(object.value);
        }
        if let KEntry::Member { of, steps, leaf } = &hop.entry {
            // Before a null pointer there is memory, and what is there is nothing's.
            let start = self.checked(KernelPtr { check: !object.known, ..object }, null);
            let access = self.entry_access(of, steps, leaf);
            let offset = self.ask(access, FieldQuestion::ByteOffset);
            object.value = self.f.bin(BinOp::Sub, start.value, offset);
        }
        KernelPtr { known: false, ..object }
    }

    fn entry_access(&mut self, of: &SmolStr, steps: &[KStep], leaf: &KLeaf) -> AccessId {
        let leaf = leaf_ty(matches!(steps.last(), Some(KStep::Index(_))), leaf, Want::Whole);
        self.unit.accesses.intern(Access { root: of.clone(), steps: steps.to_vec(), leaf })
    }

    /// What a path's last hop leads to.
    fn leaf_scalar(
        &mut self,
        hop: &KHop,
        leaf: &KLeaf,
        object: KernelPtr,
        null: &mut Join,
        want: Want,
    ) -> ValueId {
        let object = self.checked(object, null);
        if hop.steps.is_empty() {
            return object.value;
        }
        let local = leaf_ty(is_element(hop), leaf, want);
        match leaf {
            KLeaf::Number(int, name) => {
                let as_int = self.access(hop, local);
                let answer = self.ask(as_int, FieldQuestion::Exists);
                let cond = self.f.cond_number(CmpOp::Ne, answer, 0);
                let (mut this, mut other, mut done) = (Join::new(), Join::new(), Join::new());
                self.f.branch(cond, &mut this, &mut other);
                self.f.enter(this);
                let value = self.number(&KLeaf::Int(*int), as_int, object, want);
                self.f.jump(&mut done, vec![value]);
                self.f.enter(other);
                let leaf = KLeaf::Enum(name.clone(), *int);
                let as_enum = self.access(hop, leaf_ty(is_element(hop), &leaf, want));
                let value = self.number(&leaf, as_enum, object, want);
                self.f.jump(&mut done, vec![value]);
                self.f.enter(done)[0]
            }
            KLeaf::Int(_) | KLeaf::Enum(..) | KLeaf::Bits { .. } => {
                let access = self.access(hop, local);
                self.number(leaf, access, object, want)
            }
            KLeaf::Ptr(_) if object.known => {
                let access = self.access(hop, local);
                self.load_direct(access, object.value, IntTy::U64)
            }
            KLeaf::Ptr(_) => {
                let access = self.access(hop, local);
                self.probe_unit(access, object.value)
            }
            KLeaf::Struct(_) => {
                // A probe fails by itself where it starts from null; an address must be told.
                let object = self.checked(KernelPtr { check: !object.known, ..object }, null);
                self.member_address(hop, local, object.value)
            }
            // Text and arrays are no scalars: their address stands for them.
            KLeaf::Chars(_) | KLeaf::Ints(..) | KLeaf::Any => {
                self.member_address(hop, local, object.value)
            }
        }
    }

    /// Goes to `null` if the pointer is null and has not been compared with it yet.
    fn checked(&mut self, object: KernelPtr, null: &mut Join) -> KernelPtr {
        if object.check {
            let cond = self.f.cond_number(CmpOp::Eq, object.value, 0);
            let mut valid = Join::new();
            self.f.branch(cond, null, &mut valid);
            self.f.enter(valid);
        }
        KernelPtr { check: false, ..object }
    }

    /// A number, converted to what is wanted.
    fn number(&mut self, leaf: &KLeaf, access: AccessId, object: KernelPtr, want: Want) -> ValueId {
        let local = self.unit.accesses.get(access).number();
        let element = self.unit.accesses.get(access).is_element();
        let sign = match want {
            Want::Truth => Sign::Taken(false),
            _ if element => Sign::Taken(local.signed),
            Want::As(_) | Want::Whole => Sign::Asked,
        };
        let wanted = Ty::Int(want.int());
        match leaf {
            KLeaf::Int(_) | KLeaf::Enum(..) if object.known => {
                let mut value = self.load_direct(access, object.value, local);
                if matches!(want, Want::As(int) if int.bits > local.bits) && sign == Sign::Asked {
                    value = self.sign_extended(access, value);
                }
                // What is signed has its width; loaders widen what is not where the target does, and all of the value arrives.
                let held = if local.signed { Ty::Int(local) } else { Ty::U64 };
                self.convert(value, &held, &wanted)
            }
            _ => {
                let unit = if object.known {
                    self.unit_direct(access, object.value)
                } else {
                    self.probe_unit(access, object.value)
                };
                let value = self.cut_bits(access, unit, sign);
                self.convert(value, &Ty::U64, &wanted)
            }
        }
    }

    /// One load, which loaders patch. They widen it where the target's unsigned field is wider.
    fn load_direct(&mut self, access: AccessId, base: ValueId, int: IntTy) -> ValueId {
        let width = Width::from_bytes(int.size()).unwrap_or(Width::D);
        let signed = int.signed && width != Width::D;
        let off = Off::Core(access);
        self.f.value(Op::Load { width, signed, addr: base, off, space: Space::Kernel })
    }

    /// A number that fills its own width, with the sign that it has if the target's field is signed.
    fn sign_extended(&mut self, access: AccessId, value: ValueId) -> ValueId {
        self.by_sign(
            access,
            |p| {
                let unused = p.ask(access, FieldQuestion::RshiftU64);
                let top = p.f.bin(BinOp::Shl, value, unused);
                p.f.bin(BinOp::ShrS, top, unused)
            },
            |_| value,
        )
    }

    /// One value if the target's field is signed, another if it is not.
    fn by_sign(
        &mut self,
        access: AccessId,
        signed: impl FnOnce(&mut Self) -> ValueId,
        unsigned: impl FnOnce(&mut Self) -> ValueId,
    ) -> ValueId {
        let answer = self.ask(access, FieldQuestion::Signed);
        let cond = self.f.cond_number(CmpOp::Ne, answer, 0);
        let (mut this, mut other, mut done) = (Join::new(), Join::new(), Join::new());
        self.f.branch(cond, &mut this, &mut other);
        self.f.enter(this);
        let value = signed(self);
        self.f.jump(&mut done, vec![value]);
        self.f.enter(other);
        let value = unsigned(self);
        self.f.jump(&mut done, vec![value]);
        self.f.enter(done)[0]
    }

    /// The load unit of a field of any width and place, read as wide as it is.
    fn unit_direct(&mut self, access: AccessId, base: ValueId) -> ValueId {
        let address = self.field_address(access, base);
        let size = self.ask(access, FieldQuestion::ByteSize);
        let mut done = Join::new();
        for width in [Width::W, Width::B, Width::H, Width::D] {
            let (mut this, mut other) = (Join::new(), Join::new());
            if width == Width::D {
                self.f.jump(&mut this, Vec::new());
            } else {
                let cond = self.f.cond_number(CmpOp::Eq, size, u64::from(width.bytes()));
                self.f.branch(cond, &mut this, &mut other);
            }
            self.f.enter(this);
            let unit = self.load(Place::pointer(address, Space::Kernel), width);
            self.f.jump(&mut done, vec![unit]);
            self.f.enter(other);
        }
        self.f.enter(done)[0]
    }

    /// The same through `bpf_probe_read_kernel`: the load unit lands in the low-order end of eight zeroed bytes.
    fn probe_unit(&mut self, access: AccessId, base: ValueId) -> ValueId {
        let scratch = self.scratch();
        self.store_number(scratch, Width::D, 0);
        let from = self.field_address(access, base);
        let size = self.ask(access, FieldQuestion::ByteSize);
        let to = match self.unit.target.endian {
            Endian::Little => self.address(scratch),
            Endian::Big => {
                let end = self.address(scratch.at(8));
                self.f.bin(BinOp::Sub, end, size)
            }
        };
        self.f.call(Helper::ProbeReadKernel, vec![to, size, from]);
        self.load(scratch, Width::D)
    }

    /// The field in its load unit. Of an array's element, which is its whole unit, loaders tell the size only.
    fn cut_bits(&mut self, access: AccessId, unit: ValueId, sign: Sign) -> ValueId {
        let (left, right) = if self.unit.accesses.get(access).is_element() {
            let size = self.ask(access, FieldQuestion::ByteSize);
            let bits = self.f.bin_number(BinOp::Mul, size, 8);
            let all = self.f.number(64);
            let unused = self.f.bin(BinOp::Sub, all, bits);
            (unused, unused)
        } else {
            (self.ask(access, FieldQuestion::LshiftU64), self.ask(access, FieldQuestion::RshiftU64))
        };
        let top = self.f.bin(BinOp::Shl, unit, left);
        match sign {
            Sign::Asked => self.by_sign(
                access,
                |p| p.f.bin(BinOp::ShrS, top, right),
                |p| p.f.bin(BinOp::ShrU, top, right),
            ),
            Sign::Taken(true) => self.f.bin(BinOp::ShrS, top, right),
            Sign::Taken(false) => self.f.bin(BinOp::ShrU, top, right),
        }
    }

    /// Eight bytes of kernel memory.
    pub(super) fn probe_u64(&mut self, address: ValueId) -> ValueId {
        let scratch = self.scratch();
        self.probe(scratch, 8, address);
        self.load(scratch, Width::D)
    }

    /// So many bytes of kernel memory; zeros where they cannot be read.
    pub(super) fn probe(&mut self, to: Place, size: u32, address: ValueId) {
        let to = self.address(to);
        let size = self.f.number(u64::from(size));
        self.f.call(Helper::ProbeReadKernel, vec![to, size, address]);
    }

    /// A pointer as a plain number: the verifier forgets what a helper copies.
    pub(super) fn launder(&mut self, pointer: ValueId) -> ValueId {
        let copy = self.temp(8, "a pointer to be read as a number");
        self.store(copy, Width::D, pointer);
        let address = self.address(copy);
        self.probe_u64(address)
    }

    /// The address of what a hop leads to.
    fn member_address(&mut self, hop: &KHop, leaf: LocalTy, base: ValueId) -> ValueId {
        let access = self.access(hop, leaf);
        self.field_address(access, base)
    }

    fn field_address(&mut self, access: AccessId, base: ValueId) -> ValueId {
        let offset = self.ask(access, FieldQuestion::ByteOffset);
        self.f.bin(BinOp::Add, base, offset)
    }

    fn ask(&mut self, access: AccessId, question: FieldQuestion) -> ValueId {
        self.f.value(Op::Core(CoreReloc::Field(access, question)))
    }

    fn access(&mut self, hop: &KHop, leaf: LocalTy) -> AccessId {
        let (root, steps) = (hop.root.clone(), hop.steps.clone());
        self.unit.accesses.intern(Access { root, steps, leaf })
    }

    /// The questions of which one must be answered with 1 where the target has what a hop of a path leads to; of an array, the last element that is wanted.
    pub(super) fn hop_exists(
        &mut self,
        hop: &KHop,
        leaf: &KLeaf,
        want: Want,
    ) -> Vec<Vec<CoreReloc>> {
        let mut all = Vec::new();
        if let KEntry::Member { of, steps, leaf } = &hop.entry {
            all.push(self.exists_as(leaf, |p, leaf| p.entry_access(of, steps, leaf)));
        }
        if hop.steps.is_empty() {
            return all;
        }
        all.push(match (&hop.then, leaf) {
            (KThen::Leaf, KLeaf::Ints(int, len)) => {
                let mut last = hop.clone();
                last.steps.push(KStep::Index(len.saturating_sub(1)));
                let leaf = number_ty(true, *int, want, LocalTy::Int);
                vec![exists(self.access(&last, leaf))]
            }
            (KThen::Leaf, leaf) => {
                self.exists_as(leaf, |p, leaf| p.access(hop, leaf_ty(is_element(hop), leaf, want)))
            }
            (KThen::Deref, _) => vec![exists(self.access(hop, LocalTy::Ptr))],
            (KThen::Element { .. }, _) => {
                vec![exists(self.access(hop, LocalTy::Array(Box::new(LocalTy::Struct), 1)))]
            }
        });
        all
    }

    /// Whether something exists, as each of the kinds of types that it may have.
    fn exists_as(
        &mut self,
        leaf: &KLeaf,
        access: impl Fn(&mut Self, &KLeaf) -> AccessId,
    ) -> Vec<CoreReloc> {
        leaf.kinds().iter().map(|kind| exists(access(self, kind))).collect()
    }
}

fn exists(access: AccessId) -> CoreReloc {
    CoreReloc::Field(access, FieldQuestion::Exists)
}

/// Whether a hop leads to an array's element.
fn is_element(hop: &KHop) -> bool {
    matches!(hop.steps.last(), Some(KStep::Index(_)))
}

/// What the compiler takes the end of a path for.
fn leaf_ty(element: bool, leaf: &KLeaf, want: Want) -> LocalTy {
    const CHAR: IntTy = IntTy { bits: 8, signed: true };
    match leaf {
        KLeaf::Int(int) | KLeaf::Number(int, _) => number_ty(element, *int, want, LocalTy::Int),
        KLeaf::Bits { width, word } => LocalTy::Bits { width: *width, word: *word },
        KLeaf::Enum(name, int) => {
            number_ty(element, *int, want, |int| LocalTy::Enum(name.clone(), int))
        }
        KLeaf::Ptr(_) => LocalTy::Ptr,
        KLeaf::Chars(len) => LocalTy::Array(Box::new(LocalTy::Int(CHAR)), *len),
        KLeaf::Ints(int, len) => {
            LocalTy::Array(Box::new(number_ty(true, *int, want, LocalTy::Int)), *len)
        }
        KLeaf::Struct(_) | KLeaf::Any => LocalTy::Struct,
    }
}

/// What a number is taken for, and what is wanted of it where its own type may not have that.
fn number_ty(element: bool, int: IntTy, want: Want, ty: impl FnOnce(IntTy) -> LocalTy) -> LocalTy {
    let wider = want.int().bits > int.bits;
    // Where the target's sign is asked for, or none is needed, loads without it are those that loaders widen.
    let asked = matches!(want, Want::As(_)) && wider && !element || want == Want::Truth;
    let local = ty(IntTy { signed: int.signed && !asked, ..int });
    if wider || element { LocalTy::Wanted(Box::new(local), want.int().bits) } else { local }
}
