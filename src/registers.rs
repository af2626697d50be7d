//! Where kernels pass arguments: which members of `struct pt_regs` hold a function's arguments and its result.
//!
//! One table. The registers of an architecture are told by a member that its `pt_regs` alone has, never by what a target is called.
//! (v6.12 `arch/*/include/asm/ptrace.h`; `tools/lib/bpf/bpf_tracing.h` has the same for most of them.)

/// How an architecture passes arguments.
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// What it is called.
    pub name: &'static str,
    /// A member that no other architecture of this table has in its `pt_regs`.
    pub marker: Register,
    /// Where the arguments are.
    pub args: Args,
    /// Where the result is.
    pub result: Register,
    /// Whether registers have 32 bits there at most, so that what is longer takes two.
    pub narrow: bool,
}

/// A register in `pt_regs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// A member.
    Member(&'static str),
    /// An element of a member.
    Element(&'static str, u32),
}

/// Registers that hold arguments.
#[derive(Clone, Copy, Debug)]
pub enum Args {
    /// These.
    Members(&'static [&'static str]),
    /// Elements of that member, from the first, so many.
    Elements(&'static str, u32, u32),
}

impl Convention {
    /// Where an argument is; none if it is on the stack.
    pub fn arg(&self, index: u32) -> Option<Register> {
        match self.args {
            Args::Members(names) => names.get(index as usize).map(|name| Register::Member(name)),
            Args::Elements(member, first, most) => {
                (index < most).then_some(Register::Element(member, first + index))
            }
        }
    }
}

impl Register {
    /// The member of `pt_regs`.
    pub fn member(self) -> &'static str {
        match self {
            Register::Member(name) | Register::Element(name, _) => name,
        }
    }
}

/// The architectures. Of the last one, the marker need not be asked for, since its own members are no others'.
pub const CONVENTIONS: &[Convention] = &[
    Convention {
        name: "x86_64",
        marker: Register::Member("r15"),
        args: Args::Members(&["di", "si", "dx", "cx", "r8", "r9"]),
        result: Register::Member("ax"),
        narrow: false,
    },
    Convention {
        name: "arm64",
        marker: Register::Member("orig_x0"),
        args: Args::Elements("regs", 0, 8),
        result: Register::Element("regs", 0),
        narrow: false,
    },
    Convention {
        name: "arm",
        marker: Register::Element("uregs", 0),
        args: Args::Elements("uregs", 0, 4),
        result: Register::Element("uregs", 0),
        narrow: true,
    },
    // Kernels are built with `-mregparm=3` (arch/x86/Makefile).
    Convention {
        name: "i386",
        marker: Register::Member("gs"),
        args: Args::Members(&["ax", "dx", "cx"]),
        result: Register::Member("ax"),
        narrow: true,
    },
    Convention {
        name: "ppc64",
        marker: Register::Member("softe"),
        args: Args::Elements("gpr", 3, 8),
        result: Register::Element("gpr", 3),
        narrow: false,
    },
    Convention {
        name: "s390x",
        marker: Register::Element("gprs", 0),
        args: Args::Elements("gprs", 2, 5),
        result: Register::Element("gprs", 2),
        narrow: false,
    },
    Convention {
        name: "riscv",
        marker: Register::Member("a0"),
        args: Args::Members(&["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"]),
        result: Register::Member("a0"),
        narrow: false,
    },
];
