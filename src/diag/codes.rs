//! The codes: one table, from which names, titles and severities derive.
//!
//! E00 syntax, E01 names, E02 types, E03 mirrors and ABI, E04 probes, maps and output, E05 limits of BPF, E06 relocation,
//! E07 kernel types, E08 load and attach, W1 warnings. A code is never given another meaning.

use super::Severity;

macro_rules! codes {
    ($($code:ident $title:literal)*) => {
        /// A stable code such as `E0301`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $code,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// As it is printed: `E0301`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }
        }
    };
}

codes! {
    // E00 syntax
    E0001 "unexpected token"
    E0002 "character that means nothing"
    E0003 "string or character literal that is never closed"
    E0004 "comment that is never closed"
    E0005 "number out of range or malformed"
    E0006 "escape sequence or character literal that does not exist"
    E0007 "bracket that does not match"
    E0008 "nested too deeply"
    E0009 "missing semicolon"
    E0010 "assignment in a condition"
    E0011 "assignment to something that is not a variable"
    E0012 "words that make no integer type"
    E0013 "member without a type or a name"
    E0014 "file without any declaration or probe"
    E0015 "file with too many tokens"
    E0016 "map name that begins with a digit"
    // E01 names
    E0101 "unknown type"
    E0102 "name declared twice"
    E0103 "import that is not found"
    E0104 "imports in a circle"
    E0105 "too many imports"
    E0106 "unknown setting"
    E0107 "unknown name in a constant"
    E0108 "name that is too long"
    E0120 "unknown name"
    E0121 "unknown variable"
    E0122 "unknown function"
    E0123 "unknown field"
    E0124 "unknown argument of a probe"
    E0126 "variable that may have no value yet"
    E0129 "variable declared twice"
    E0190 "not supported yet"
    // E02 types
    E0201 "type that cannot stand here"
    E0202 "declaration that needs itself"
    E0203 "size out of range"
    E0204 "value that is not constant"
    E0205 "value that is not of its type"
    E0206 "struct without members"
    E0207 "two members of one name"
    E0208 "bitfield that is not possible"
    E0209 "member without a name"
    E0220 "operator that does not work on a type"
    E0221 "types that do not go together"
    E0222 "value that does not fit its place"
    E0223 "condition that is not a scalar"
    E0224 "cast that does not exist"
    E0225 "element that does not exist"
    E0226 "wrong number of arguments"
    E0227 "argument of the wrong type"
    E0228 "mirrored enum compared with a number"
    E0229 "struct literal that does not give every field once"
    E0230 "something that is not a value"
    E0231 "constant expected"
    E0232 "something that cannot be assigned to"
    E0240 "value returned from a probe"
    E0241 "`break` or `continue` outside of a loop"
    // E03 mirrors and ABI
    E0301 "path through an unknown type"
    E0302 "kernel value that does not convert"
    E0303 "kernel member declared in two ways"
    E0304 "expression that a mirror cannot have"
    E0305 "member of something that has none"
    E0306 "mirrored enumerator that is not a name"
    E0320 "write to something read-only"
    E0321 "raw kernel memory in a user tracepoint"
    E0322 "whole mirror outside of `emit`"
    E0323 "kernel struct without a mirror"
    E0330 "guard of an alternative that is taken in any case"
    E0331 "guard that is not about what the target has"
    E0340 "program compiled against another kernel"
    E0350 "line that is no promise of a lock"
    E0351 "name that the library has not"
    E0352 "change that breaks a promise of the library"
    E0399 "program below the demanded ABI class"
    // E04 probes, maps, output
    E0401 "event without a known prototype"
    E0402 "argument that the event has not"
    E0403 "argument of another type"
    E0404 "prototypes that cannot be told apart"
    E0405 "unknown kind of map"
    E0406 "map size out of range"
    E0407 "setting out of range"
    E0408 "argument that no one register holds"
    E0420 "unknown kind of probe"
    E0421 "malformed probe"
    E0422 "unknown user tracepoint"
    E0423 "unknown system call"
    E0424 "map used with different keys"
    E0425 "map given different kinds of values"
    E0426 "map that is never given a value"
    E0427 "aggregation read by a program"
    E0428 "aggregation that is not given to a map"
    E0429 "map of a kind that cannot do this"
    E0430 "format that does not exist"
    E0431 "format that does not go with its arguments"
    E0432 "record that says nothing"
    E0433 "map whose type follows from itself"
    E0434 "field of a packet that a socket filter may not read"
    E0435 "helper that a socket filter may not call"
    E0436 "load that no socket filter can make"
    E0437 "packet outside of a socket filter"
    E0438 "socket filter that does not always say what it accepts"
    // E05 limits of BPF
    E0501 "stack too small"
    E0502 "program too long"
    E0503 "too many values at once"
    E0504 "map key too large"
    E0505 "record too large"
    E0506 "object that cannot be written"
    E0507 "too many programs"
    E0520 "loop without a limit"
    E0521 "text without a small constant size"
    // E06 relocation
    E0601 "field that the kernel has not"
    E0602 "type that the kernel has not"
    E0603 "enumerator that the kernel has not"
    E0604 "types of the kernel that disagree"
    E0605 "field or type of another kind than the program takes it for"
    E0606 "relocation record that is malformed"
    E0607 "answer that does not fit its instruction"
    E0608 "instruction that is not what its record says"
    E0609 "object that cannot be read"
    E0610 "object for machines of another kind"
    E0611 "object that cannot be written anew"
    E0612 "program that the kernel has no event for"
    E0613 "object that is relocated already"
    E0620 "program that uses what the kernel has not"
    // E07 kernel types
    E0701 "kernel file that cannot be read"
    E0702 "file without a kernel's types"
    E0703 "kernel types that are broken"
    E0704 "question that the atlas was never asked"
    E0705 "name of several kernels"
    E0706 "atlas that cannot be read"
    // W1 warnings
    W1001 "comparison of different signs"
    W1002 "construct that needs the runner"
    W1003 "never used"
    W1004 "never reached"
    W1005 "kernel module that cannot be read"
    W1006 "helper, kind of map or program, or instruction that the kernel has not"
    W1007 "number whose size is another in the kernel, and is not asked for"
    W1008 "program that depends on a kernel other than this"
    W1009 "number in network byte order compared with a constant"
    W1010 "program of which the atlas does not tell whether it runs"
}

impl Code {
    /// Whether findings of this code refuse the input.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// The code of that name, in either case.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.as_str().eq_ignore_ascii_case(name))
    }
}
