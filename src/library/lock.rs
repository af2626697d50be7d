//! The lock: what a library has promised, as text with one line for each promise, made to be read in a diff.
//!
//! In: a [`Library`], or the text. Out: a [`Lock`], or the text. Invariant: what is written is read again as it was. Kinds and names are sorted; a mirror's fields stand in their order.
//!
//! ```text
//! const PF_IDLE = 2  // The idle thread of a processor.
//! enum drop_reason_user mirrors skb_drop_reason: s32  // Why a packet was dropped.
//! enum drop_reason_user NETFILTER = SKB_DROP_REASON_NETFILTER_DROP  // By a firewall's rule.
//! struct task_struct_user mirrors task_struct  // A thread.
//! struct task_struct_user 0: s32 pid = pid  // Its id.
//! struct task_struct_user 4: u32 state = __state else (long)state  // What it waits for.
//! tracepoint user:sched_wakeup(struct task_struct_user *p) = tracepoint sched:sched_wakeup  // It has become ready to run.
//! ```

use super::{Argument, Enumerator, Library, read::one_line};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Sources, Span};
use std::fmt::Write as _;

/// Between a promise and what it means.
const MEANS: &str = "  //";
/// Between alternatives, as in the language.
const ELSE: &str = " else ";
/// How a lock begins.
const HEAD: &str = "# What the library promises, a line each. Written by `ubpfc uapi lock`; docs/uapi.md says what may change.\n";

/// What a library has promised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Everything, by kind and name; the members of each in their order.
    pub promises: Vec<Promise>,
}

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The name of the constant, enum, mirror or tracepoint.
    pub name: String,
    /// What is promised of it.
    pub what: What,
    /// The comment that documents it, on one line; may be empty.
    pub meaning: String,
}

/// What is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A constant with this value.
    Constant(String),
    /// An enum: what it mirrors, and how it is held.
    Enum {
        /// The kernel enum.
        kernel: Option<String>,
        /// The integer type.
        repr: String,
    },
    /// An enumerator of an enum.
    Enumerator {
        /// Its name.
        name: String,
        /// Whether a kernel may lack it.
        optional: bool,
        /// Its number, or the kernel's enumerators.
        sources: Vec<String>,
    },
    /// A mirror of this kernel struct.
    Mirror(String),
    /// A field of a mirror.
    Field(Field),
    /// A user tracepoint.
    Tracepoint {
        /// Its arguments in order.
        args: Vec<Arg>,
        /// What it is bound to, in order.
        sources: Vec<String>,
    },
}

/// A field of a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Where it is in the C struct, in bytes.
    pub offset: u32,
    /// Whether a kernel may lack it.
    pub optional: bool,
    /// Where its value comes from.
    pub alternatives: Vec<String>,
}

/// An argument of a user tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Whether it may be null or missing.
    pub optional: bool,
    /// What kernels call it.
    pub names: Vec<String>,
}

impl Lock {
    /// What a library promises.
    pub fn of(library: &Library) -> Lock {
        let mut promises = Vec::new();
        let mut add = |name: &str, what: What, doc: &Option<String>| {
            let meaning = one_line(doc.as_deref().unwrap_or_default());
            promises.push(Promise { name: name.to_owned(), what, meaning });
        };
        for constant in &library.constants {
            add(&constant.name, What::Constant(constant.value.clone()), &constant.doc);
        }
        for of in &library.enums {
            let what = What::Enum { kernel: of.kernel.clone(), repr: of.repr.to_string() };
            add(&of.name, what, &of.doc);
            for enumerator in &of.enumerators {
                add(&of.name, What::enumerator(enumerator), &enumerator.doc);
            }
        }
        for mirror in &library.mirrors {
            add(&mirror.name, What::Mirror(mirror.kernel.clone()), &mirror.doc);
            for field in &mirror.fields {
                let what = What::Field(Field {
                    name: field.name.clone(),
                    ty: field.ty.to_string(),
                    offset: field.offset,
                    optional: field.optional,
                    alternatives: field.alternatives.iter().map(|a| a.text.clone()).collect(),
                });
                add(&mirror.name, what, &field.doc);
            }
        }
        for tracepoint in &library.tracepoints {
            let args = tracepoint.args.iter().map(Arg::of).collect();
            let what = What::Tracepoint { args, sources: tracepoint.sources.clone() };
            add(&tracepoint.name, what, &tracepoint.doc);
        }
        // Members follow what they are of, and keep their order.
        promises.sort_by(|a, b| (a.what.kind(), &a.name).cmp(&(b.what.kind(), &b.name)));
        Lock { promises }
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for promise in &self.promises {
            let kind = promise.what.kind();
            let _ = write!(text, "{kind} {}", promise.line());
            text.push_str(MEANS);
            if !promise.meaning.is_empty() {
                let _ = write!(text, " {}", promise.meaning);
            }
            text.push('\n');
        }
        text
    }

    /// What a text says.
    ///
    /// # Errors
    /// Every line that is none of a lock.
    pub fn parse(sources: &Sources, file: FileId) -> Result<Lock, Diags> {
        let (mut lock, mut diags) = (Lock::default(), Diags::new());
        let mut start = 0;
        for line in sources.file(file).text.split_inclusive('\n') {
            let content = line.trim_end();
            if !content.is_empty() && !content.starts_with('#') {
                if let Some(promise) = Promise::parse(content) {
                    lock.promises.push(promise);
                } else {
                    let end = start + u32::try_from(content.len()).unwrap_or(0);
                    let message = "this line is no promise of a lock";
                    diags.push(
                            Diagnostic::new(Code::E0350, Span::new(file, start, end), message)
                                .label("expected a `const`, `enum`, `struct` or `tracepoint`, as `ubpfc uapi lock` writes them")
                                .help("a lock is written by `ubpfc uapi lock`, and not by hand"),
                        );
                }
            }
            start = start.saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        }
        if diags.has_errors() { Err(diags) } else { Ok(lock) }
    }
}

impl What {
    fn enumerator(enumerator: &Enumerator) -> What {
        let sources = match enumerator.value {
            Some(value) => vec![value.to_string()],
            None => enumerator.sources.clone(),
        };
        let (name, optional) = (enumerator.name.clone(), enumerator.optional);
        What::Enumerator { name, optional, sources }
    }

    /// The word that its line begins with.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Constant(_) => "const",
            What::Enum { .. } | What::Enumerator { .. } => "enum",
            What::Mirror(_) | What::Field(_) => "struct",
            What::Tracepoint { .. } => "tracepoint",
        }
    }
}

impl Arg {
    fn of(arg: &Argument) -> Arg {
        Arg {
            name: arg.name.clone(),
            ty: arg.ty.to_string(),
            optional: arg.optional,
            names: arg.names.clone(),
        }
    }

    /// As it is declared: `struct pid *pid? = target else targ`.
    fn line(&self) -> String {
        let declared = declared(&self.ty, &self.name, self.optional);
        if self.names == [self.name.as_str()] {
            return declared;
        }
        format!("{declared} = {}", self.names.join(ELSE))
    }

    fn parse(text: &str) -> Option<Arg> {
        let (declared, names) = match text.split_once(" = ") {
            Some((declared, names)) => (declared, Some(alternatives(names))),
            None => (text, None),
        };
        let (ty, name, optional) = undeclared(declared)?;
        let names = names.unwrap_or_else(|| vec![name.clone()]);
        Some(Arg { name, ty, optional, names })
    }
}

impl Promise {
    /// What it is of, as scripts reach it: `task_struct_user.pid`, `user:sched_switch`.
    pub fn spelled(&self) -> String {
        match &self.what {
            What::Constant(_) | What::Enum { .. } | What::Mirror(_) => self.name.clone(),
            What::Enumerator { name, .. } => name.clone(),
            What::Field(field) => format!("{}.{}", self.name, field.name),
            What::Tracepoint { .. } => format!("user:{}", self.name),
        }
    }

    /// The line without its kind and meaning.
    fn line(&self) -> String {
        let name = &self.name;
        match &self.what {
            What::Constant(value) => format!("{name} = {value}"),
            What::Enum { kernel: Some(kernel), repr } => format!("{name} mirrors {kernel}: {repr}"),
            What::Enum { kernel: None, repr } => format!("{name}: {repr}"),
            What::Enumerator { name: enumerator, optional, sources } => {
                let optional = if *optional { "?" } else { "" };
                format!("{name} {enumerator}{optional} = {}", sources.join(ELSE))
            }
            What::Mirror(kernel) => format!("{name} mirrors {kernel}"),
            What::Field(field) => {
                let declared = declared(&field.ty, &field.name, field.optional);
                format!("{name} {}: {declared} = {}", field.offset, field.alternatives.join(ELSE))
            }
            What::Tracepoint { args, sources } => {
                let args: Vec<String> = args.iter().map(Arg::line).collect();
                format!("user:{name}({}) = {}", args.join(", "), sources.join(ELSE))
            }
        }
    }

    fn parse(line: &str) -> Option<Promise> {
        let (promise, meaning) = line.rsplit_once(MEANS)?;
        let (kind, rest) = promise.split_once(' ')?;
        let (name, what) = match kind {
            "const" => {
                let (name, value) = rest.split_once(" = ")?;
                (name, What::Constant(value.to_owned()))
            }
            "enum" => {
                if let Some((names, sources)) = rest.split_once(" = ") {
                    let (name, enumerator) = names.split_once(' ')?;
                    let (enumerator, optional) = without_mark(enumerator);
                    let (enumerator, sources) = (enumerator.to_owned(), alternatives(sources));
                    (name, What::Enumerator { name: enumerator, optional, sources })
                } else {
                    let (names, repr) = rest.split_once(": ")?;
                    let (name, kernel) = match names.split_once(" mirrors ") {
                        Some((name, kernel)) => (name, Some(kernel.to_owned())),
                        None => (names, None),
                    };
                    (name, What::Enum { kernel, repr: repr.to_owned() })
                }
            }
            "struct" => {
                let (name, rest) = rest.split_once(' ')?;
                let what = match rest.strip_prefix("mirrors ") {
                    Some(kernel) => What::Mirror(kernel.to_owned()),
                    None => What::Field(Field::parse(rest)?),
                };
                (name, what)
            }
            "tracepoint" => {
                let (name, rest) = rest.strip_prefix("user:")?.split_once('(')?;
                let (args, sources) = rest.split_once(") = ")?;
                let args = args.split(", ").filter(|arg| !arg.is_empty()).map(Arg::parse);
                let args = args.collect::<Option<_>>()?;
                (name, What::Tracepoint { args, sources: alternatives(sources) })
            }
            _ => return None,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = !name.is_empty() && name.chars().all(plain);
        named.then(|| Promise { name: name.to_owned(), what, meaning: meaning.trim().to_owned() })
    }
}

impl Field {
    /// What follows the mirror's name: `24: u32 state = __state else (long)state`.
    fn parse(text: &str) -> Option<Field> {
        let (offset, rest) = text.split_once(": ")?;
        let (declared, sources) = rest.split_once(" = ")?;
        let (ty, name, optional) = undeclared(declared)?;
        let (offset, alternatives) = (offset.parse().ok()?, alternatives(sources));
        Some(Field { name, ty, offset, optional, alternatives })
    }
}

/// `u32 state`, `struct pid *pid?`: a type and a name.
fn declared(ty: &str, name: &str, optional: bool) -> String {
    let gap = if ty.ends_with('*') { "" } else { " " };
    let optional = if optional { "?" } else { "" };
    format!("{ty}{gap}{name}{optional}")
}

/// The type, the name, and whether it is optional.
fn undeclared(text: &str) -> Option<(String, String, bool)> {
    let (text, optional) = without_mark(text);
    let (ty, name) = text.split_at(text.rfind([' ', '*'])? + 1);
    (!name.is_empty()).then(|| (ty.trim().to_owned(), name.to_owned(), optional))
}

fn without_mark(text: &str) -> (&str, bool) {
    text.strip_suffix('?').map_or((text, false), |text| (text, true))
}

fn alternatives(text: &str) -> Vec<String> {
    text.split(ELSE).map(str::to_owned).collect()
}
