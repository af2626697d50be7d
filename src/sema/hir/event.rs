//! Kernel events: what programs are attached to, and the prototypes that kernels have for them.

use crate::sema::types::IntTy;
use smol_str::SmolStr;

/// A kernel event that a program is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    /// What kind of event.
    pub kind: EventKind,
    /// The tracepoint without its category, or the function.
    pub name: SmolStr,
}

/// The kinds of kernel events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A raw tracepoint.
    Tracepoint,
    /// The entry of a function, by the trampoline that kernels put there for programs: arguments are typed by BTF.
    Fentry,
    /// The return of a function, likewise: arguments and result are typed by BTF.
    Fexit,
    /// The entry of a function, by a breakpoint: programs see the registers.
    Kprobe,
    /// The return of a function, likewise.
    Kretprobe,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 5] = [
        EventKind::Tracepoint,
        EventKind::Fentry,
        EventKind::Fexit,
        EventKind::Kprobe,
        EventKind::Kretprobe,
    ];

    /// The word for it in scripts.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Tracepoint => "tracepoint",
            EventKind::Fentry => "fentry",
            EventKind::Fexit => "fexit",
            EventKind::Kprobe => "kprobe",
            EventKind::Kretprobe => "kretprobe",
        }
    }

    /// Whether it is about a function.
    pub fn is_function(self) -> bool {
        self != EventKind::Tracepoint
    }

    /// Whether a function's result is there.
    pub fn is_return(self) -> bool {
        matches!(self, EventKind::Fexit | EventKind::Kretprobe)
    }

    /// Whether programs see registers alone.
    pub fn is_probe(self) -> bool {
        matches!(self, EventKind::Kprobe | EventKind::Kretprobe)
    }
}

impl Event {
    /// A raw tracepoint.
    pub fn tracepoint(name: impl Into<SmolStr>) -> Event {
        Event { kind: EventKind::Tracepoint, name: name.into() }
    }
}

impl std::fmt::Display for Event {
    /// `tracepoint sched_switch`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// What a kernel passes to a raw tracepoint or a function: one of the forms that kernels are known to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prototype {
    /// What it is of.
    pub kind: PrototypeKind,
    /// The tracepoint without its category, or the function.
    pub name: SmolStr,
    /// The arguments; of a tracepoint, the leading `void *__data` not counted.
    pub params: Vec<PrototypeParam>,
}

/// What a [`Prototype`] is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PrototypeKind {
    /// A raw tracepoint.
    Tracepoint,
    /// A function, with what it returns.
    Function(KParamTy),
}

/// What a function's result is called among the arguments of its return.
pub const RETVAL: &str = "retval";

impl Prototype {
    /// Where programs at an event of a kind find the first of these arguments that there is, and its type. A function's result follows its arguments; programs that see registers do not have both.
    pub fn place(&self, kind: EventKind, names: &[SmolStr]) -> Option<(u32, &KParamTy)> {
        let (at, ty) = names.iter().find_map(|name| self.place_of(kind, name))?;
        Some((u32::try_from(at).ok()?, ty))
    }

    fn place_of(&self, kind: EventKind, name: &str) -> Option<(usize, &KParamTy)> {
        match &self.kind {
            PrototypeKind::Function(ret) if name == RETVAL => {
                let there = kind.is_return() && *ret != KParamTy::Void;
                there.then_some((self.params.len(), ret))
            }
            _ if kind == EventKind::Kretprobe => None,
            _ => {
                let mut params = self.params.iter().enumerate();
                params.find_map(|(at, param)| (param.name == name).then_some((at, &param.ty)))
            }
        }
    }

    /// Whether it says what the kernel passes to programs at an event.
    pub fn is_of(&self, event: &Event) -> bool {
        let function = matches!(self.kind, PrototypeKind::Function(_));
        function == event.kind.is_function() && self.name == event.name
    }
}

/// An argument in a [`Prototype`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrototypeParam {
    /// Its name.
    pub name: SmolStr,
    /// Its type.
    pub ty: KParamTy,
}

/// A kernel type as far as CO-RE's type compatibility looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KParamTy {
    /// An integer or bool.
    Int(IntTy),
    /// A C `long` or a typedef of it: as long as the target's pointers.
    Long {
        /// Whether it is signed.
        signed: bool,
    },
    /// An enum of that name.
    Enum(SmolStr),
    /// A struct of that name.
    Struct(SmolStr),
    /// A union of that name.
    Union(SmolStr),
    /// `void`, only as a pointer's target.
    Void,
    /// A pointer.
    Ptr(Box<KParamTy>),
    /// A function, only as a pointer's target.
    Func {
        /// What it gives.
        ret: Box<KParamTy>,
        /// What it takes.
        params: Vec<KParamTy>,
        /// Whether it takes more than these.
        variadic: bool,
    },
}

impl KParamTy {
    /// The integer that it is, a `long` being as long as it is anywhere.
    pub fn int(&self) -> Option<IntTy> {
        match self {
            KParamTy::Int(int) => Some(*int),
            KParamTy::Long { signed } => Some(IntTy { bits: 64, signed: *signed }),
            KParamTy::Enum(_)
            | KParamTy::Struct(_)
            | KParamTy::Union(_)
            | KParamTy::Void
            | KParamTy::Ptr(_)
            | KParamTy::Func { .. } => None,
        }
    }
}
