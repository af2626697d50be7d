//! Socket filters: the packet's fields, loads from it, how many bytes are accepted, and what such programs may not do.

use super::super::fold;
use super::super::hir::{Expr, ExprKind, SkbRead, Stmt, StmtKind};
use super::super::skb::{self, Gives};
use super::super::types::{IntTy, Ty};
use super::{Body, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident, Name};

/// What a socket filter gives that says nothing of it: the whole packet.
const WHOLE: u32 = u32::MAX;

/// Where a body says how many bytes it accepts, and where it ends without saying so.
#[derive(Debug, Default)]
pub(in super::super) struct Verdict {
    said: Option<Span>,
    silent: Option<Span>,
}

impl Body<'_, '_> {
    /// `return` with or without a value.
    pub(super) fn ret(&mut self, value: Option<&ast::Expr>, span: Span, out: &mut Vec<Stmt>) {
        let value = match value {
            Some(value) if self.probe.packet => {
                self.verdict.said.get_or_insert(span);
                let value = self.value(value);
                Some(self.assignable(value, &Ty::U32, "what a socket filter accepts", None))
            }
            Some(value) => {
                self.report(
                    Diagnostic::new(Code::E0240, value.span, "a probe returns no value")
                        .label("nobody takes it")
                        .write(span, "return"),
                );
                None
            }
            None => {
                self.verdict.silent.get_or_insert(span);
                None
            }
        };
        out.push(Stmt { kind: StmtKind::Return(value), span });
        self.unreachable = true;
    }

    /// A body that says on some ways how many bytes it accepts says so on all of them.
    pub(super) fn check_verdict(&mut self, predicate: Option<Span>, body: Span) {
        let end = Span { start: body.end.saturating_sub(1).max(body.start), ..body };
        let silent = [self.verdict.silent, predicate, (!self.unreachable).then_some(end)];
        let Some(said) = self.verdict.said else { return };
        let Some(silent) = silent.into_iter().flatten().next() else { return };
        let (label, help) = if predicate == Some(silent) {
            (
                "where this does not hold, nothing says how much",
                "test it in the body: `if condition { return bytes; } return 0;`",
            )
        } else {
            ("nothing says how much here", "`return 0;` accepts nothing")
        };
        self.report(
            Diagnostic::new(
                Code::E0438,
                silent,
                "this filter does not say on every way how much of a packet it accepts",
            )
            .label(label)
            .secondary(said, "said here")
            .help(help),
        );
    }

    /// What the program gives where it ends without a word.
    pub(in super::super) fn result(&self) -> u32 {
        if self.probe.packet && self.verdict.said.is_none() { WHOLE } else { 0 }
    }

    /// Whether a name needs what a socket filter may not call; reported.
    pub(super) fn refuses_call(&mut self, name: &str, span: Span) -> bool {
        let helper = skb::uncallable(name).filter(|_| self.probe.packet);
        helper.is_some_and(|helper| self.refuse(&format!("`{name}`"), helper, span))
    }

    /// Whether kernel structs cannot be read here; reported.
    pub(super) fn refuses_mirror(&mut self, span: Span) -> bool {
        self.probe.packet && self.refuse("a read of a kernel struct", skb::MIRRORS_NEED, span)
    }

    fn refuse(&mut self, what: &str, helper: &str, span: Span) -> bool {
        self.report(
            Diagnostic::new(Code::E0435, span, format!("{what} in `{}`", self.probe.probe))
                .label(format!("needs `{helper}`"))
                .note("socket filters may not call it on every kernel: they run wherever a packet arrives, often in a thread that has nothing to do with it")
                .help("a socket filter sees `skb`, the packet by its loads, the time, the processor, and maps"),
        );
        true
    }

    /// Whether an expression is the packet's `struct __sk_buff`.
    pub(super) fn is_skb(&self, e: &ast::Expr) -> bool {
        let named = matches!(&e.kind, ast::ExprKind::Name(name) if name == "skb");
        named && self.probe.packet && !self.pass.decls.values.contains_key("skb")
    }

    /// `skb` where it is not followed by a field, or where there is none.
    pub(super) fn skb_alone(&mut self, name: &Name, span: Span) -> Expr {
        if self.probe.packet {
            return self.fail(
                Diagnostic::new(Code::E0230, span, "`skb` as a whole is not a value")
                    .label("expected `skb.FIELD`"),
            );
        }
        if self.probe.args.iter().any(|arg| arg.name == *name) {
            return self.unknown_name(name, span);
        }
        self.no_packet("`skb`", span)
    }

    fn no_packet(&mut self, what: &str, span: Span) -> Expr {
        let text = format!("{what} in `{}`", self.probe.probe);
        self.fail(
            Diagnostic::new(Code::E0437, span, text)
                .label("there is no packet here")
                .help("it is known in `socket:filter`"),
        )
    }

    /// `skb.field`
    pub(super) fn skb_field(&mut self, name: &Ident, span: Span) -> Expr {
        if let Some(field) = skb::field(&name.name) {
            let kind = ExprKind::Skb(field, SkbRead::Plain);
            return Expr { kind, ty: Ty::U32, span };
        }
        let refused = skb::REFUSED.iter().find(|(known, ..)| *known == name.name);
        if let Some((_, why, instead)) = refused {
            let text = format!("a socket filter may not read `skb.{}`", name.name);
            let diagnostic = Diagnostic::new(Code::E0434, name.span, text).label(*why);
            return self.fail(if instead.is_empty() {
                diagnostic
            } else {
                diagnostic.help(*instead)
            });
        }
        let fields: Vec<&str> = skb::FIELDS.iter().map(|field| field.name).collect();
        let diagnostic = self.unknown_member("skb", &fields, name);
        self.fail(diagnostic)
    }

    /// `load_u16(offset)` and its like.
    pub(super) fn packet_load(
        &mut self,
        width: IntTy,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
    ) -> Expr {
        let Some(offset) = args.first().map(|a| self.value(a)) else { return error(span) };
        if !self.probe.packet {
            return self.no_packet(&format!("`{}`", callee.name), span);
        }
        match offset.ty {
            Ty::Error => return error(span),
            Ty::Int(_) | Ty::Bool => {}
            _ => {
                let found = self.show(&offset.ty);
                let text = format!("`{}` loads from an offset, not from `{found}`", callee.name);
                return self.fail(
                    Diagnostic::new(Code::E0227, offset.span, text)
                        .label(format!("expected an integer, found `{found}`")),
                );
            }
        }
        match fold::constant(&offset) {
            Some(at) if (skb::AD_OFF..0).contains(&at) => self.ancillary(at, offset.span, span),
            Some(at) if !(i128::from(skb::LL_OFF)..=i128::from(i32::MAX)).contains(&at) => self
                .fail(
                    Diagnostic::new(
                        Code::E0436,
                        offset.span,
                        format!("no packet has an offset {at}"),
                    )
                    .label("expected 0 to 2147483647, or an offset from -0x200000 on"),
                ),
            _ => {
                let kind = ExprKind::Packet { offset: Box::new(offset), width };
                Expr { kind, ty: Ty::Int(width), span }
            }
        }
    }

    /// W1009: a field in network byte order is another number on machines of the other byte order.
    pub(super) fn check_byte_order(&mut self, left: &Expr, right: &Expr) {
        for (field, other) in [(left, right), (right, left)] {
            let ExprKind::Skb(read, SkbRead::Plain) = field.kind else { continue };
            let host = skb::ANCILLARY.iter().find(|(_, _, gives)| {
                matches!(gives, Gives::Field(name, SkbRead::Host) if *name == read.name)
            });
            let Some((from, ..)) = host else { continue };
            if fold::constant(other).is_none_or(|value| value == 0) {
                continue;
            }
            let load =
                if *from == 0 { "load(-0x1000)".into() } else { format!("load(-0x1000 + {from})") };
            let text = format!("`skb.{}` is in network byte order", read.name);
            self.report(
                Diagnostic::new(Code::W1009, field.span, text)
                    .label("not the number that is written in headers, but on big-endian machines")
                    .secondary(other.span, "compared with this")
                    .write(field.span, load),
            );
        }
    }

    /// One of classic BPF's ancillary loads.
    fn ancillary(&mut self, at: i128, at_span: Span, span: Span) -> Expr {
        let known = skb::ANCILLARY.iter().find(|(from, ..)| skb::AD_OFF + from == at);
        match known {
            Some((_, _, Gives::Field(name, read))) => match skb::field(name) {
                Some(field) => Expr { kind: ExprKind::Skb(field, *read), ty: Ty::U32, span },
                None => int(0, Ty::U32, span),
            },
            Some((_, _, Gives::Builtin(builtin))) => self.builtin(*builtin, span),
            Some((_, name, Gives::Nothing(why, instead))) => {
                let text = format!("the ancillary load SKF_AD_{name} cannot be expressed in eBPF");
                let diagnostic = Diagnostic::new(Code::E0436, at_span, text).label(*why);
                self.fail(if instead.is_empty() { diagnostic } else { diagnostic.help(*instead) })
            }
            None => {
                let first = |at: i128| format!("-{:#x}", -at);
                let near = skb::ANCILLARY.iter().rev().find(|(from, ..)| skb::AD_OFF + from < at);
                let diagnostic = Diagnostic::new(
                    Code::E0436,
                    at_span,
                    format!("there is no ancillary load at {}", first(at)),
                )
                .label("classic BPF has none here")
                .note("from -0x1000 to -1 nothing is in the packet: offsets there name what the kernel knows of it");
                self.fail(match near {
                    Some((from, name, _)) => diagnostic.help(format!(
                        "the one before is SKF_AD_{name} at {}",
                        first(skb::AD_OFF + from)
                    )),
                    None => diagnostic,
                })
            }
        }
    }
}
