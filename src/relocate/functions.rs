//! Which functions a kernel has, what they are passed and return, and in which registers.
//!
//! In: a target's types and the names of functions. Out: for each what can be told of it. BTF has a function with the names and types of its arguments; it does not say whether a program can be
//! attached to it: a function may be inlined somewhere, or closed to probes.

use super::events::{Events, Passed, kernel_type};
use crate::btf::{Btf, Type, TypeId, kind};
use crate::kernel::Target;
use crate::object::ubpf::{Arg, EventKind, KernelType, Prototype};
use crate::registers::{CONVENTIONS, Convention};

/// A function that every kernel has: where types do not tell of it, they tell of none.
pub(super) const WITNESS: &str = "schedule";
/// The enum that says to what programs can be attached, and the enumerator that came with trampolines (5.5).
pub(super) const ATTACH_TYPES: &str = "bpf_attach_type";
const FENTRY: &str = "BPF_TRACE_FENTRY";
/// What a function's result is called among the arguments of its return.
pub(super) const RETVAL: &str = "retval";
/// How deep unnamed members are looked into for registers.
const MAX_NESTED: usize = 4;

/// What can be told of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeenFunction {
    /// The kernel has it.
    Present(Signature),
    /// The kernel has several of that name, which take different arguments.
    Several,
    /// The kernel's types tell of functions, and not of this one.
    Absent,
    /// The kernel's types tell of no function.
    Untold,
}

/// What a function is passed and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The arguments.
    pub(super) args: Vec<Passed>,
    /// Whether it takes more.
    pub(super) variadic: bool,
    /// The result; none if there is none.
    pub(super) ret: Option<Passed>,
}

/// What is known of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// The bytes of a register.
    pub(super) word: u32,
    convention: Option<&'static Convention>,
}

impl Events<'_, '_> {
    /// What can be told of a function.
    pub(super) fn function(&self, name: &str) -> SeenFunction {
        let mut all = self.all(kind::FUNC, name).filter_map(|(btf, id)| signature(btf, id));
        let Some(first) = all.next() else {
            let told = self.all(kind::FUNC, WITNESS).next().is_some();
            return if told { SeenFunction::Absent } else { SeenFunction::Untold };
        };
        if all.all(|other| other == first) {
            SeenFunction::Present(first)
        } else {
            SeenFunction::Several
        }
    }

    /// Whether the kernel is known to attach no programs to functions by trampolines. No architecture of 32 bits has them (v6.12 `arch/*/net`: `arch_prepare_bpf_trampoline`).
    pub(super) fn lacks_fentry(&self, machine: Machine) -> bool {
        if machine.word < 8 {
            return true;
        }
        let enums = self.all(kind::ENUM, ATTACH_TYPES);
        let mut enums = enums.filter_map(|(btf, id)| btf.get(id).ok()).filter_map(|ty| match ty {
            Type::Enum { values, .. } if !values.is_empty() => Some(values),
            _ => None,
        });
        enums.next().is_some_and(|values| values.iter().all(|(name, _)| *name != FENTRY))
    }
}

impl Machine {
    /// The target's.
    pub(super) fn of(target: &Target<'_>) -> Machine {
        let btf = &*target.image;
        let structs = btf.find_of(&[kind::STRUCT], &["pt_regs"]).into_iter().flatten();
        let registers: Vec<TypeId> =
            structs.filter(|id| btf.name(*id).is_ok_and(|name| name == "pt_regs")).collect();
        let has = |member| registers.iter().any(|id| has_member(btf, *id, member, MAX_NESTED));
        let told = CONVENTIONS.iter().find(|convention| has(convention.marker.member()));
        // The last one's marker need not be asked for.
        let convention = told.or(CONVENTIONS.last());
        Machine { word: btf.pointer_size(), convention }
    }
}

fn has_member(btf: &Btf<'_>, composite: TypeId, name: &str, depth: usize) -> bool {
    let Ok(Type::Composite { members, .. }) = btf.strip(composite).and_then(|id| btf.get(id))
    else {
        return false;
    };
    members.iter().any(|member| {
        member.name == name
            || (member.name.is_empty() && depth > 0 && has_member(btf, member.ty, name, depth - 1))
    })
}

fn signature(btf: &Btf<'_>, function: TypeId) -> Option<Signature> {
    let Type::Func { proto, .. } = btf.get(function).ok()? else { return None };
    let Type::FuncProto { ret, params } = btf.get(btf.strip(proto).ok()?).ok()? else {
        return None;
    };
    let more = params.last().is_some_and(|(name, ty)| name.is_empty() && *ty == crate::btf::VOID);
    let params = if more { params.split_last().map_or(&[][..], |(_, rest)| rest) } else { &params };
    let passed = |name: &str, ty: TypeId| Passed {
        name: (!name.is_empty()).then(|| name.to_owned()),
        ty: in_register(btf, ty),
    };
    let void = btf.strip(ret).is_ok_and(|ret| matches!(btf.get(ret), Ok(Type::Void)));
    Some(Signature {
        args: params.iter().map(|(name, ty)| passed(name, *ty)).collect(),
        variadic: more,
        ret: (!void).then(|| passed(RETVAL, ret)),
    })
}

/// A type, unless it is an enum of other than four bytes: those are not known by their name.
fn in_register(btf: &Btf<'_>, ty: TypeId) -> Option<KernelType> {
    let known = kernel_type(btf, ty)?;
    let whole = !matches!(known, KernelType::Enum(_)) || btf.size(ty).is_ok_and(|size| size == 4);
    whole.then_some(known)
}

impl Signature {
    /// That of a known prototype, in which a `long` has the machine's words.
    pub(super) fn known(prototype: &Prototype, machine: Machine) -> Signature {
        let passed = |name: &str, ty: &KernelType| {
            let ty = match ty {
                KernelType::Int { signed, long: true, .. } => {
                    KernelType::Int { size: machine.word, signed: *signed, long: false }
                }
                _ => ty.clone(),
            };
            Passed { name: Some(name.to_owned()), ty: Some(ty) }
        };
        let ret = prototype.ret.as_ref().filter(|ret| **ret != KernelType::Void);
        Signature {
            args: prototype.args.iter().map(|arg| passed(&arg.name, &arg.ty)).collect(),
            variadic: false,
            ret: ret.map(|ret| passed(RETVAL, ret)),
        }
    }

    /// The place of an argument at an event of a kind, with its name: of the result, the number of the arguments. None if there is no such argument.
    ///
    /// # Errors
    /// Where it cannot be read from there, as a clause.
    pub(super) fn place(
        &self,
        kind: EventKind,
        arg: &Arg,
        machine: Machine,
    ) -> Result<Option<(String, usize)>, String> {
        let found = arg.names.iter().find_map(|name| Some((name, self.find(kind, name)?)));
        let Some((name, index)) = found else { return Ok(None) };
        let passed = self.args.get(index).or(self.ret.as_ref());
        let ty = passed.and_then(|passed| passed.ty.as_ref());
        let probe = matches!(kind, EventKind::Kprobe | EventKind::Kretprobe);
        let Some(ty) = ty.filter(|ty| fits(arg, ty, probe, machine.word)) else {
            let ty = ty.map_or_else(|| "another type".to_owned(), ToString::to_string);
            return Err(format!("the kernel has `{name}` as `{ty}`, not as `{}`", arg.ty));
        };
        // A result is in a register of its own; in memory it follows the arguments.
        let before = match kind {
            EventKind::Kretprobe => &[][..],
            _ => self.args.get(..=index).unwrap_or(&self.args),
        };
        let word = if probe { machine.word } else { 8 };
        let one = |ty: &KernelType| match ty {
            KernelType::Int { size, .. } => *size <= word,
            KernelType::Struct(_) | KernelType::Union(_) => false,
            KernelType::Void | KernelType::Func | KernelType::Enum(_) | KernelType::Ptr(_) => true,
        };
        let large = before.iter().find(|passed| !passed.ty.as_ref().is_some_and(one));
        if let Some(large) = large {
            let large = large.name.as_deref().unwrap_or("an argument");
            return Err(format!(
                "the kernel passes `{large}` in more or less than one register, so that it does not tell where `{name}` is"
            ));
        }
        if !one(ty) {
            return Err(format!("the kernel returns `{ty}` in more than one register"));
        }
        if kind == EventKind::Kprobe
            && let Some(convention) = machine.convention
            && u32::try_from(index).ok().and_then(|index| convention.arg(index)).is_none()
        {
            let arch = convention.name;
            return Err(format!("`{name}` is in no register on {arch}, but on the stack"));
        }
        Ok(Some((name.clone(), index)))
    }

    fn find(&self, kind: EventKind, name: &str) -> Option<usize> {
        let is_return = matches!(kind, EventKind::Fexit | EventKind::Kretprobe);
        if name == RETVAL {
            return (is_return && self.ret.is_some()).then_some(self.args.len());
        }
        if kind == EventKind::Kretprobe {
            return None;
        }
        self.args.iter().position(|passed| passed.name.as_deref() == Some(name))
    }

    /// Whether the names of all arguments are told.
    pub(super) fn is_named(&self) -> bool {
        self.args.iter().all(|passed| passed.name.is_some())
    }
}

/// Whether the target's type of a signed `long` that a program extends itself is what the program takes it for; none where it does not do that there.
pub(super) fn fits_long(arg: &Arg, passed: &KernelType, word: u32) -> Option<bool> {
    let is_it =
        |size: u32| matches!(passed, KernelType::Int { size: s, signed: true, .. } if *s == size);
    (arg.long && word < 8).then(|| is_it(word))
}

/// Whether what is in a register is all of what a program reads there. At a probe the program sees the machine's registers, which have that many bytes.
fn fits(arg: &Arg, passed: &KernelType, probe: bool, word: u32) -> bool {
    if let Some(fits) = fits_long(arg, passed, word) {
        return fits;
    }
    match (&arg.ty, passed) {
        // What is one byte may be asked for its truth.
        (KernelType::Int { size: 1, .. }, KernelType::Int { size, .. }) => *size == 1,
        (KernelType::Int { size: wanted, .. }, KernelType::Int { size, signed, .. }) => {
            wanted <= size || (probe && word == *size && !signed)
        }
        (KernelType::Int { size, .. }, KernelType::Enum(_)) => (2..=4).contains(size),
        (KernelType::Ptr(wanted), KernelType::Ptr(passed)) => match &**wanted {
            KernelType::Struct(name) | KernelType::Union(name) => {
                matches!(&**passed, KernelType::Struct(n) | KernelType::Union(n) if n == name)
            }
            _ => true,
        },
        _ => false,
    }
}
