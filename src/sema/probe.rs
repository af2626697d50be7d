//! Probe specs: where a program is attached, what it is called, and what `args` is in it.
//!
//! In: a spec as it is written. Out: a [`Place`]. One table says which kinds there are, under which names, and which of them are built.

use super::body::{ArgValue, ProbeArg, ProbeArgs};
use super::decls::Decls;
use super::hir::{Attach, Class, ClassLevel, Culprit, Event, Once};
use super::suggest::nearest;
use super::{show, syscall, unbuilt};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{Ident, Name, ProbeSpec};
use crate::uapi;

/// A kind of probe.
struct Kind {
    names: &'static [&'static str],
    usage: &'static str,
    what: What,
}

enum What {
    User,
    Syscall,
    Once(Once),
    /// `interval` or `profile`, which is made of so many nanoseconds.
    Timer(fn(u64) -> Attach),
    SocketFilter,
    /// Not built, under this name in the table of such things.
    Unbuilt,
}

const KINDS: &[Kind] = &[
    Kind { names: &["user"], usage: "user:NAME", what: What::User },
    Kind { names: &[syscall::KIND], usage: "syscall:NAME:enter", what: What::Syscall },
    Kind { names: &["begin", "BEGIN"], usage: "begin", what: What::Once(Once::Begin) },
    Kind { names: &["end", "END"], usage: "end", what: What::Once(Once::End) },
    Kind { names: &["interval", "i"], usage: "interval:s:1", what: What::Timer(Attach::Interval) },
    Kind { names: &["profile", "p"], usage: "profile:hz:99", what: What::Timer(Attach::Profile) },
    Kind { names: &["socket"], usage: "socket:filter", what: What::SocketFilter },
    Kind { names: &["tracepoint", "t"], usage: "tracepoint:CATEGORY:NAME", what: What::Unbuilt },
    Kind { names: &["rawtracepoint", "rt"], usage: "rawtracepoint:NAME", what: What::Unbuilt },
    Kind { names: &["fentry", "kfunc", "f"], usage: "fentry:FUNCTION", what: What::Unbuilt },
    Kind { names: &["fexit", "kretfunc", "fr"], usage: "fexit:FUNCTION", what: What::Unbuilt },
    Kind { names: &["kprobe", "k"], usage: "kprobe:FUNCTION", what: What::Unbuilt },
    Kind { names: &["kretprobe", "kr"], usage: "kretprobe:FUNCTION", what: What::Unbuilt },
    Kind { names: &["uprobe", "u"], usage: "uprobe:PATH:FUNCTION", what: What::Unbuilt },
    Kind { names: &["uretprobe", "ur"], usage: "uretprobe:PATH:FUNCTION", what: What::Unbuilt },
    Kind { names: &["usdt", "U"], usage: "usdt:PATH:PROVIDER:NAME", what: What::Unbuilt },
    Kind { names: &["software", "s"], usage: "software:EVENT:COUNT", what: What::Unbuilt },
    Kind { names: &["hardware", "h"], usage: "hardware:EVENT:COUNT", what: What::Unbuilt },
    Kind {
        names: &["watchpoint", "w"],
        usage: "watchpoint:ADDRESS:LENGTH:MODE",
        what: What::Unbuilt,
    },
    Kind { names: &["iter", "it"], usage: "iter:NAME", what: What::Unbuilt },
];

/// Units of timers, in nanoseconds; `hz` counts the other way around.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// Where a program is attached, and what it sees there.
#[derive(Debug)]
pub(super) struct Place {
    /// Where.
    pub attach: Attach,
    /// Events to attach it to where the target lacks that one.
    pub others: Vec<Event>,
    /// Whether a target may lack them all.
    pub optional: bool,
    /// What to call the program, before it is made unique.
    pub name: String,
    /// What `args` is.
    pub args: ProbeArgs,
    /// The best it can promise.
    pub class: Class,
    /// Which system call, where it is about one.
    pub guard: Option<syscall::Guard>,
    /// A construct that only the project's runner serves.
    pub runner_only: Option<&'static str>,
}

/// The place that a spec names.
pub(super) fn resolve(decls: &Decls, spec: &ProbeSpec) -> Result<Place, Box<Diagnostic>> {
    let Some((kind_name, rest)) = spec.parts.split_first() else {
        return Err(Box::new(Diagnostic::new(Code::E0421, spec.span, "empty probe")));
    };
    let kind = KINDS.iter().find(|k| k.names.contains(&kind_name.name.as_str()));
    let Some(kind) = kind else { return Err(unknown_kind(kind_name)) };
    let place = match &kind.what {
        What::User => user(decls, kind, spec, rest),
        What::Syscall => syscall::resolve(decls, spec, rest).map_err(|d| usage(*d, kind)),
        What::Once(once) => match rest {
            [] => Ok(once_place(*once, spec)),
            [extra, ..] => Err(malformed(kind, extra.span, "nothing follows here")),
        },
        What::Timer(attach) => timer(kind, *attach, spec, rest),
        What::SocketFilter => socket_filter(kind, spec, rest),
        What::Unbuilt => {
            let name = kind.names.first().copied().unwrap_or_default();
            let diagnostic = unbuilt::unbuilt(&format!("a `{name}` probe"), spec.span);
            Err(Box::new(instead(diagnostic, name, spec)))
        }
    }?;
    if spec.optional && !matches!(place.attach, Attach::Event(_)) {
        return Err(Box::new(
            Diagnostic::new(Code::E0421, spec.span.after(), "no target lacks this")
                .label("only a kernel event can be optional")
                .help("leave the `?` away"),
        ));
    }
    Ok(Place { optional: spec.optional, ..place })
}

/// What to attach to instead of a kind of probe that is not built.
fn instead(diagnostic: Diagnostic, kind: &str, spec: &ProbeSpec) -> Diagnostic {
    if diagnostic.help.is_some() {
        return diagnostic;
    }
    let event: Vec<&str> = spec.parts.iter().skip(1).map(|p| p.name.as_str()).collect();
    let (category, event) = match (kind, event.as_slice()) {
        ("tracepoint" | "rawtracepoint", [category, event]) => (*category, *event),
        ("rawtracepoint", [event]) => ("", *event),
        _ => {
            let built = KINDS.iter().filter(|k| !matches!(k.what, What::Unbuilt));
            return diagnostic.help(format!("there are {}", show::list(built.map(|k| k.usage), 8)));
        }
    };
    for (prefix, when) in [("sys_enter", "enter"), ("sys_exit", "exit")] {
        if let Some(rest) = event.strip_prefix(prefix) {
            let name = rest.strip_prefix('_').unwrap_or("*");
            return diagnostic.write(spec.span, format!("syscall:{name}:{when}"));
        }
    }
    if let Some(area) = declared_in_library(event) {
        return diagnostic
            .note(format!("the library's `{area}` has it"))
            .write(spec.span, format!("user:{event}"));
    }
    let source = if category.is_empty() { "CATEGORY" } else { category };
    diagnostic.help(format!(
        "bind a tracepoint of your own to it: `tracepoint user:NAME(…) = tracepoint {source}:{event};`"
    ))
}

fn usage(diagnostic: Diagnostic, kind: &Kind) -> Box<Diagnostic> {
    if diagnostic.help.is_some() || !diagnostic.fixes.is_empty() {
        return Box::new(diagnostic);
    }
    Box::new(diagnostic.help(format!("it is written `{}`", kind.usage)))
}

fn malformed(kind: &Kind, span: Span, label: &str) -> Box<Diagnostic> {
    let name = kind.names.first().copied().unwrap_or_default();
    let text = format!("malformed `{name}` probe");
    usage(Diagnostic::new(Code::E0421, span, text).label(label), kind)
}

fn unknown_kind(name: &Ident) -> Box<Diagnostic> {
    let text = format!("unknown kind of probe `{}`", name.name);
    let diagnostic = Diagnostic::new(Code::E0420, name.span, text).label("unknown kind of probe");
    let names = KINDS.iter().flat_map(|k| k.names).copied().filter(|n| n.len() > 2);
    let built = KINDS.iter().filter(|k| !matches!(k.what, What::Unbuilt));
    Box::new(match nearest(&name.name, names) {
        Some(near) => diagnostic.fix(format!("did you mean `{near}`?"), name.span, near),
        None => diagnostic.help(format!("there are {}", show::list(built.map(|k| k.usage), 8))),
    })
}

fn abi() -> Class {
    Class { level: ClassLevel::Abi, culprit: None }
}

fn user(
    decls: &Decls,
    kind: &Kind,
    spec: &ProbeSpec,
    rest: &[Ident],
) -> Result<Place, Box<Diagnostic>> {
    let [name] = rest else {
        return Err(malformed(kind, spec.span, "expected one name after `user:`"));
    };
    let Some(tracepoint) = decls.tracepoints.get(&name.name) else {
        return Err(unknown_tracepoint(decls, name));
    };
    let class = if tracepoint.locked {
        abi()
    } else {
        let why = format!("`user:{}` is not a tracepoint of the locked library", name.name);
        Class { level: ClassLevel::Private, culprit: Some(Culprit { span: spec.span, why }) }
    };
    let args = tracepoint.args.iter().map(|arg| ProbeArg {
        name: arg.name.clone(),
        value: ArgValue::Kernel(arg.arg.clone()),
        ty: arg.ty.clone(),
    });
    let Some((event, others)) = tracepoint.events.split_first() else {
        return Err(unknown_tracepoint(decls, name));
    };
    Ok(Place {
        attach: Attach::Event(event.clone()),
        others: others.to_vec(),
        optional: false,
        name: format!("user_{}", name.name),
        args: ProbeArgs {
            probe: format!("user:{}", name.name),
            user: true,
            packet: false,
            args: args.collect(),
        },
        class,
        guard: None,
        runner_only: None,
    })
}

fn unknown_tracepoint(decls: &Decls, name: &Ident) -> Box<Diagnostic> {
    let text = format!("unknown tracepoint `user:{}`", name.name);
    let diagnostic = Diagnostic::new(Code::E0422, name.span, text).label("not declared");
    if let Some(area) = declared_in_library(&name.name) {
        let top = Span::new(name.span.file, 0, 0);
        let import = format!("import \"{area}\";");
        let diagnostic = diagnostic.note(format!("the library's `{area}` declares it")).fix(
            format!("add `{import}`"),
            top,
            format!("{import}\n"),
        );
        return Box::new(diagnostic);
    }
    let declared = || decls.tracepoints.keys().map(Name::as_str);
    Box::new(match nearest(&name.name, declared()) {
        Some(near) => diagnostic.fix(format!("did you mean `{near}`?"), name.span, near),
        None => diagnostic.help(
            "import the library that declares it, such as `import \"sched\";`, or declare it",
        ),
    })
}

/// The library's file that declares a user tracepoint.
fn declared_in_library(name: &str) -> Option<&'static str> {
    let declaration = format!("tracepoint user:{name}(");
    uapi::names().find(|area| uapi::text(area).is_some_and(|text| text.contains(&declaration)))
}

fn once_place(once: Once, spec: &ProbeSpec) -> Place {
    let name = match once {
        Once::Begin => "begin",
        Once::End => "end",
    };
    let probe = spec.parts.first().map_or(name, |p| p.name.as_str()).to_owned();
    Place {
        attach: Attach::Once(once),
        others: Vec::new(),
        optional: false,
        name: name.to_owned(),
        args: ProbeArgs { probe, user: false, packet: false, args: Vec::new() },
        class: abi(),
        guard: None,
        runner_only: Some(name),
    }
}

fn socket_filter(kind: &Kind, spec: &ProbeSpec, rest: &[Ident]) -> Result<Place, Box<Diagnostic>> {
    match rest {
        [filter] if filter.name == "filter" => {}
        _ => return Err(malformed(kind, spec.span, "expected `filter` after `socket:`")),
    }
    Ok(Place {
        attach: Attach::SocketFilter,
        others: Vec::new(),
        optional: false,
        name: "socket_filter".to_owned(),
        args: ProbeArgs {
            probe: "socket:filter".to_owned(),
            user: false,
            packet: true,
            args: Vec::new(),
        },
        class: abi(),
        guard: None,
        runner_only: None,
    })
}

fn timer(
    kind: &Kind,
    attach: fn(u64) -> Attach,
    spec: &ProbeSpec,
    rest: &[Ident],
) -> Result<Place, Box<Diagnostic>> {
    let name = kind.names.first().copied().unwrap_or_default();
    let (unit, number, at) = match rest {
        [unit, number] => (unit.name.as_str(), number.name.as_str(), number.span),
        // `interval:100ms`
        [duration] => {
            let text = duration.name.as_str();
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            (&text[digits..], &text[..digits], duration.span)
        }
        _ => return Err(malformed(kind, spec.span, "expected a unit and a number")),
    };
    let number: Option<u64> = number.parse().ok().filter(|n| *n > 0);
    let Some(number) = number else {
        return Err(malformed(kind, at, "expected a number from 1"));
    };
    let nanoseconds = if unit == "hz" {
        1_000_000_000u64.checked_div(number)
    } else {
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let span = rest.first().map_or(spec.span, |u| u.span);
            return Err(malformed(kind, span, "expected a unit: `s`, `ms`, `us` or `hz`"));
        };
        number.checked_mul(*factor)
    };
    let Some(nanoseconds) = nanoseconds.filter(|n| *n > 0) else {
        return Err(malformed(kind, at, "out of range"));
    };
    let written: Vec<&str> = rest.iter().map(|p| p.name.as_str()).collect();
    Ok(Place {
        attach: attach(nanoseconds),
        others: Vec::new(),
        optional: false,
        name: format!("{name}_{}", written.join("_")),
        args: ProbeArgs {
            probe: format!("{name}:{}", written.join(":")),
            user: false,
            packet: false,
            args: Vec::new(),
        },
        class: abi(),
        guard: None,
        runner_only: Some(name),
    })
}
