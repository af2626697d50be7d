//! Records in the ring buffer.
//!
//! In: an output with its arguments. Out: code that reserves a record, builds it in place and submits it, or drops it when the ring is full. A small record is
//! built on the stack and copied: that is one call and one branch less. Invariant: every byte of a record is written, padding too, and a reserved record is
//! submitted on every way on.

use super::func::Join;
use super::kernel::Text;
use super::memory::Place;
use super::{Program, layout, walk};
use crate::ir::{CmpOp, Helper, MapTarget, Op, Space, ValueId, Width};
use crate::sema::hir::{Expr, OutputId};
use crate::target::Endian;

/// The largest record, in bytes, that is copied: so little stack is always left.
const SMALL_RECORD: u32 = 32;

/// An argument that was evaluated before the record was reserved.
enum Early {
    Scalar(ValueId),
    Memory(Place),
}

impl<'h> Program<'_, 'h> {
    /// Writes a record.
    pub(super) fn output(&mut self, id: OutputId, args: &'h [Expr]) {
        let fields = layout::record(self.hir, &self.hir.outputs[id].args);
        if fields.size <= SMALL_RECORD {
            let record = self.temp(fields.size, "a record");
            self.record(id, args, &[], &fields, record);
            let (ring, data) = (self.f.value(Op::MapAddr(MapTarget::Ring)), self.address(record));
            let (size, flags) = (self.f.number(u64::from(fields.size)), self.f.number(0));
            self.f.call(Helper::RingbufOutput, vec![ring, data, size, flags]);
            return;
        }
        // What an argument changes is changed even if the record is dropped.
        let effects = args.iter().any(walk::has_effect);
        let early: Vec<Early> =
            if effects { args.iter().map(|arg| self.early(arg)).collect() } else { Vec::new() };
        let ring = self.f.value(Op::MapAddr(MapTarget::Ring));
        let (size, flags) = (self.f.number(u64::from(fields.size)), self.f.number(0));
        let record = self.f.call(Helper::RingbufReserve, vec![ring, size, flags]);
        let (mut full, mut reserved) = (Join::new(), Join::new());
        let cond = self.f.cond_number(CmpOp::Eq, record, 0);
        self.f.branch(cond, &mut full, &mut reserved);
        self.f.enter(reserved);
        self.record(id, args, &early, &fields, Place::pointer(record, Space::Shared));
        let flags = self.f.number(0);
        self.f.call(Helper::RingbufSubmit, vec![record, flags]);
        self.f.jump(&mut full, Vec::new());
        self.f.enter(full);
    }

    /// Writes the bytes of a record.
    fn record(
        &mut self,
        id: OutputId,
        args: &'h [Expr],
        early: &[Early],
        fields: &layout::Fields,
        to: Place,
    ) {
        self.header(id, to);
        let mut end = layout::RECORD_HEADER;
        for (i, (arg, offset)) in args.iter().zip(&fields.offsets).enumerate() {
            self.clear(to.at(end), offset.saturating_sub(end));
            match early.get(i) {
                None => self.write(arg, to.at(*offset), Text::Raw),
                Some(Early::Scalar(value)) => self.store_scalar(to.at(*offset), &arg.ty, *value),
                Some(Early::Memory(from)) => {
                    self.copy(to.at(*offset), *from, self.size_of(&arg.ty));
                }
            }
            end = offset.saturating_add(self.size_of(&arg.ty));
        }
        self.clear(to.at(end), fields.size.saturating_sub(end));
    }

    fn early(&mut self, arg: &'h Expr) -> Early {
        if arg.ty.is_scalar() {
            return Early::Scalar(self.scalar(arg));
        }
        let copy = self.temp(self.size_of(&arg.ty), "an argument");
        self.write(arg, copy, Text::Canonical);
        Early::Memory(copy)
    }

    /// The output's number and 0, both `u32`, in one store.
    fn header(&mut self, id: OutputId, to: Place) {
        let number = u64::from(id.into_raw().into_u32());
        let word = match self.unit.target.endian {
            Endian::Little => number,
            Endian::Big => number << 32,
        };
        self.store_number(to, Width::D, word);
    }
}
