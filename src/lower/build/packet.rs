//! What socket filters read: the packet's `struct __sk_buff`, and the packet itself.
//!
//! In: a field or an offset. Out: its value; where the packet has it not, the program ends there. Fields of the context are read by plain loads, which the kernel
//! translates to its own `struct sk_buff`; bytes of the packet by calls, since the packet need not be in one piece of memory.

use super::Program;
use super::func::Join;
use crate::ir::{BinOp, CmpOp, Helper, Off, Op, Space, ValueId, Width};
use crate::sema::fold;
use crate::sema::hir::{Attach, Expr, SkbRead};
use crate::sema::skb::{self, Field};
use crate::sema::types::IntTy;
use crate::target::Endian;

/// Where an offset counts from (`include/uapi/linux/bpf.h: enum bpf_hdr_start_off`).
#[derive(Clone, Copy)]
enum From {
    /// What the socket sees.
    Start,
    /// The link layer's header.
    Link,
    /// The network header.
    Network,
}

/// Offsets by where they count from: the first one, and how many there are.
const REGIONS: [(From, i64, i64); 3] = [
    (From::Start, 0, 1 << 31),
    (From::Network, skb::NET_OFF, -skb::NET_OFF),
    (From::Link, skb::LL_OFF, skb::NET_OFF - skb::LL_OFF),
];

impl<'h> Program<'_, 'h> {
    /// Whether it is a socket filter, which may not call what reads kernel memory.
    pub(super) fn is_socket_filter(&self) -> bool {
        self.source.attach == Attach::SocketFilter
    }

    /// A field of `struct __sk_buff`.
    pub(super) fn skb(&mut self, field: &Field, read: SkbRead) -> ValueId {
        let addr = self.f.value(Op::Ctx);
        let (off, space) = (Off::Bytes(field.offset), Space::Ctx);
        let value = self.f.value(Op::Load { width: Width::W, signed: false, addr, off, space });
        match read {
            SkbRead::Plain => value,
            SkbRead::Host => self.host_order(value, 16),
            SkbRead::OrEnd => {
                self.end_if(CmpOp::Eq, value);
                value
            }
        }
    }

    /// An integer of the packet.
    pub(super) fn packet(&mut self, offset: &'h Expr, width: IntTy) -> ValueId {
        let (low, high) = fold::range(offset);
        let offset = self.scalar(offset);
        let mut done = Join::new();
        for (from, first, count) in REGIONS {
            let (start, end) = (i128::from(first), i128::from(first) + i128::from(count));
            if high < start || low >= end || !self.f.is_live() {
                continue;
            }
            let at = self.f.bin_number(BinOp::Sub, offset, first.cast_unsigned());
            let (mut inside, mut outside) = (Join::new(), Join::new());
            if low >= start && high < end {
                self.f.jump(&mut inside, Vec::new());
            } else {
                let cond = self.f.cond_number(CmpOp::LtU, at, count.cast_unsigned());
                self.f.branch(cond, &mut inside, &mut outside);
            }
            self.f.enter(inside);
            let failed = self.load_bytes(from, at, width.size());
            self.f.jump(&mut done, vec![failed]);
            self.f.enter(outside);
        }
        self.f.ret();
        let failed = self.f.enter(done);
        let Some(failed) = failed.first() else { return self.f.number(0) };
        self.end_if(CmpOp::Ne, *failed);
        let scratch = self.scratch();
        let value = self.load_int(scratch, width);
        self.host_order(value, width.bits)
    }

    /// Copies bytes of the packet to the scratch slot. Out: 0 where it has them.
    fn load_bytes(&mut self, from: From, at: ValueId, size: u32) -> ValueId {
        let scratch = self.scratch();
        let (ctx, to) = (self.f.value(Op::Ctx), self.address(scratch));
        let size = self.f.number(size.into());
        let header = match from {
            From::Start => return self.f.call(Helper::SkbLoadBytes, vec![ctx, at, to, size]),
            From::Link => 0,
            From::Network => 1,
        };
        let header = self.f.number(header);
        self.f.call(Helper::SkbLoadBytesRelative, vec![ctx, at, to, size, header])
    }

    /// Goes on unless a value is (not) 0; then the program ends.
    fn end_if(&mut self, op: CmpOp, value: ValueId) {
        let cond = self.f.cond_number(op, value, 0);
        let (mut end, mut on) = (Join::new(), Join::new());
        self.f.branch(cond, &mut end, &mut on);
        self.f.enter(end);
        self.f.ret();
        self.f.enter(on);
    }

    /// What network byte order holds in so many low bits.
    fn host_order(&mut self, value: ValueId, bits: u8) -> ValueId {
        match self.unit.target.endian {
            Endian::Little if bits > 8 => self.f.value(Op::Bswap { value, bits }),
            Endian::Little | Endian::Big => value,
        }
    }
}
