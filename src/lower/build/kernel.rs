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
use crate::sema::hir::{KHop, KLeaf, KPath, KThen};
use crate::sema::types::{IntTy, Ty};
use crate::target::Endian;

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

impl Program<'_, '_> {
    /// The scalar that a path leads to.
    pub(super) fn path_scalar(&mut self, path: &KPath, base: KernelPtr) -> ValueId {
        let zero = self.f.number(0);
        let mut null = Join::new();
        let value = match path.hops.split_last() {
            Some((last, way)) => {
                let object = self.walk(way, base, &mut null);
                self.leaf_scalar(last, &path.leaf, object, &mut null)
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
        let object = self.checked(object, &mut null);
        let found = self.leaf_scalar(last, &path.leaf, object, &mut null);
        match (&path.leaf, text) {
            (KLeaf::Ptr(_), _) | (KLeaf::Chars(_), Text::Canonical) => {
                self.read_text(to, size, found, Helper::ProbeReadKernelStr);
            }
            (KLeaf::Ints(int, len), _)
                if self.element_of(ty).is_some_and(|e| e.bits != int.bits) =>
            {
                self.convert_array(to, ty, found, (*int, *len), object.known);
            }
            (leaf, _) => self.copy_array(to, size, found, leaf, object.known),
        }
        self.f.jump(&mut done, Vec::new());
        if !null.is_empty() {
            self.f.enter(null);
            self.clear(to, size);
            self.f.jump(&mut done, Vec::new());
        }
        self.f.enter(done);
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
            | KLeaf::Bits { .. }
            | KLeaf::Enum(..)
            | KLeaf::Ptr(_)
            | KLeaf::Struct(_) => size,
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
    fn convert_array(
        &mut self,
        to: Place,
        ty: &Ty,
        address: ValueId,
        (int, len): (IntTy, u32),
        known: bool,
    ) {
        let (Ty::Array(element, wanted), Some(kept)) = (ty, self.element_of(ty)) else { return };
        let from = Place::pointer(address, Space::Kernel);
        let count = len.min(*wanted);
        for i in 0..count {
            let value = if known {
                self.load_int(from.at(i * int.size()), int)
            } else {
                let scratch = self.scratch();
                let source = self.address(from.at(i * int.size()));
                self.probe(scratch, int.size(), source);
                self.load_int(scratch, int)
            };
            self.store_scalar(to.at(i * kept.size()), element, value);
        }
        let end = count * kept.size();
        self.clear(to.at(end), self.size_of(ty) - end);
    }

    /// Follows hops to the object that the last hop of a path starts from.
    fn walk(&mut self, way: &[KHop], base: KernelPtr, null: &mut Join) -> KernelPtr {
        let mut object = base;
        for (i, hop) in way.iter().enumerate() {
            object = self.checked(object, null);
            // An address that a number is to be added to must be a number itself.
            let indexed = way.get(i + 1).is_some_and(|h| matches!(h.then, KThen::Element { .. }));
            object = match &hop.then {
                KThen::Deref if object.known && !indexed => {
                    let value = self.load_direct(hop, LocalTy::Ptr, object.value, IntTy::U64);
                    KernelPtr { value, known: true, check: true }
                }
                KThen::Deref | KThen::Leaf => {
                    let value = self.pointer_probed(hop, LocalTy::Ptr, object.value);
                    KernelPtr { value, known: false, check: false }
                }
                KThen::Element { elem, index } => {
                    let start =
                        if object.known { self.launder(object.value) } else { object.value };
                    let array = LocalTy::Array(Box::new(LocalTy::Struct), 1);
                    let start = self.member_address(hop, array, start);
                    let index = self.kexpr(index, base);
                    let stride = self.f.value(Op::Core(CoreReloc::StructSize(elem.clone())));
                    let distance = self.f.bin(BinOp::Mul, index, stride);
                    let value = self.f.bin(BinOp::Add, start, distance);
                    KernelPtr { value, known: false, check: false }
                }
            };
        }
        object
    }

    /// What a path's last hop leads to.
    fn leaf_scalar(
        &mut self,
        hop: &KHop,
        leaf: &KLeaf,
        object: KernelPtr,
        null: &mut Join,
    ) -> ValueId {
        let object = self.checked(object, null);
        let local = leaf_ty(leaf);
        match leaf {
            KLeaf::Int(int) | KLeaf::Enum(_, int) if object.known => {
                self.load_direct(hop, local, object.value, *int)
            }
            KLeaf::Ptr(_) if object.known => self.load_direct(hop, local, object.value, IntTy::U64),
            KLeaf::Bits { word, .. } if object.known => {
                let access = self.access(hop, local);
                let value = self.bits_direct(access, object.value, word.signed);
                self.as_wide_as(value, *word)
            }
            KLeaf::Int(int) | KLeaf::Enum(_, int) | KLeaf::Bits { word: int, .. } => {
                let access = self.access(hop, local);
                let value = self.bits_probed(access, object.value, int.signed);
                self.as_wide_as(value, *int)
            }
            KLeaf::Ptr(_) => self.pointer_probed(hop, local, object.value),
            KLeaf::Struct(_) => {
                // A probe fails by itself where it starts from null; an address must be told.
                let object = self.checked(KernelPtr { check: !object.known, ..object }, null);
                self.member_address(hop, local, object.value)
            }
            // Text and arrays are no scalars: their address stands for them.
            KLeaf::Chars(_) | KLeaf::Ints(..) => self.member_address(hop, local, object.value),
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

    /// One load, which loaders patch. They widen it where the target's unsigned field is wider, and its low bits are the value.
    fn load_direct(&mut self, hop: &KHop, leaf: LocalTy, base: ValueId, int: IntTy) -> ValueId {
        let width = Width::from_bytes(int.size()).unwrap_or(Width::D);
        let signed = int.signed && width != Width::D;
        let off = Off::Core(self.access(hop, leaf));
        let value = self.f.value(Op::Load { width, signed, addr: base, off, space: Space::Kernel });
        if int.signed || width == Width::D { value } else { self.extended(value, int) }
    }

    /// A value cut to the type that it is taken for: the target's field may be wider.
    fn as_wide_as(&mut self, value: ValueId, int: IntTy) -> ValueId {
        if int.bits == 64 { value } else { self.extended(value, int) }
    }

    /// A field of any width and place: the target's load unit, read as wide as it is, then cut to the field.
    fn bits_direct(&mut self, access: AccessId, base: ValueId, signed: bool) -> ValueId {
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
        let unit = self.f.enter(done)[0];
        self.cut_bits(access, unit, signed)
    }

    /// The same through `bpf_probe_read_kernel`.
    fn bits_probed(&mut self, access: AccessId, base: ValueId, signed: bool) -> ValueId {
        let unit = self.unit_probed(access, base);
        self.cut_bits(access, unit, signed)
    }

    /// A pointer, of whatever size the target's are.
    fn pointer_probed(&mut self, hop: &KHop, leaf: LocalTy, base: ValueId) -> ValueId {
        let access = self.access(hop, leaf);
        self.unit_probed(access, base)
    }

    /// A field's load unit through `bpf_probe_read_kernel`: it lands in the low-order end of eight zeroed bytes.
    fn unit_probed(&mut self, access: AccessId, base: ValueId) -> ValueId {
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
    fn cut_bits(&mut self, access: AccessId, unit: ValueId, signed: bool) -> ValueId {
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
        self.f.bin(if signed { BinOp::ShrS } else { BinOp::ShrU }, top, right)
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

    /// The question whether the target has what a hop of a path leads to.
    pub(super) fn hop_exists(&mut self, hop: &KHop, leaf: &KLeaf) -> CoreReloc {
        let leaf = match &hop.then {
            KThen::Leaf => leaf_ty(leaf),
            KThen::Deref => LocalTy::Ptr,
            KThen::Element { .. } => LocalTy::Array(Box::new(LocalTy::Struct), 1),
        };
        CoreReloc::Field(self.access(hop, leaf), FieldQuestion::Exists)
    }
}

/// What the compiler takes the end of a path for.
fn leaf_ty(leaf: &KLeaf) -> LocalTy {
    const CHAR: IntTy = IntTy { bits: 8, signed: true };
    match leaf {
        KLeaf::Int(int) => LocalTy::Int(*int),
        KLeaf::Bits { width, word } => LocalTy::Bits { width: *width, word: *word },
        KLeaf::Enum(name, int) => LocalTy::Enum(name.clone(), *int),
        KLeaf::Ptr(_) => LocalTy::Ptr,
        KLeaf::Chars(len) => LocalTy::Array(Box::new(LocalTy::Int(CHAR)), *len),
        KLeaf::Ints(int, len) => LocalTy::Array(Box::new(LocalTy::Int(*int)), *len),
        KLeaf::Struct(_) => LocalTy::Struct,
    }
}
