//! Choosing at functions: whether a kernel has a function with a program's arguments, and which form of the program finds them there.
//!
//! A form at `fentry` and `fexit` reads arguments by their index, which is put into it; it need only be one that reads those that there are. A form at `kprobe` and `kretprobe` reads registers, for
//! one prototype: only a form for the kernel's own places will do.

use super::{BoundArg, Chooser, Taken};
use crate::object::ubpf::{EventKind, Form, Program};
use crate::relocate::functions::{SeenFunction, Signature};

impl Chooser<'_, '_, '_> {
    /// The form of a program for a function; not a certain one where nothing is told of functions.
    pub(super) fn function(
        &self,
        program: &Program,
        kind: EventKind,
        name: &str,
    ) -> Result<Taken, String> {
        let probe = matches!(kind, EventKind::Kprobe | EventKind::Kretprobe);
        if !probe && !self.shows_btf {
            return Err("the kernel shows no BTF, by which it checks such programs".into());
        }
        if !probe && self.events.lacks_fentry(self.machine) {
            return Err("the kernel attaches no programs to functions in this way".into());
        }
        match self.events.function(name) {
            SeenFunction::Present(signature) => {
                let args = self.signed(program, kind, &signature)?;
                let form = form(program, kind, name, &args)?;
                Ok(taken(program, form, args, true))
            }
            SeenFunction::Several => {
                Err("the kernel has several functions of this name, which take different arguments"
                    .into())
            }
            SeenFunction::Absent => Err("there is no such function".into()),
            SeenFunction::Untold if probe => {
                let args = self.untold(program, kind, name)?;
                let form = form(program, kind, name, &args)?;
                Ok(taken(program, form, args, false))
            }
            SeenFunction::Untold => Err("the kernel's types do not tell of functions".into()),
        }
    }

    /// A program's arguments in what a function is passed.
    fn signed(
        &self,
        program: &Program,
        kind: EventKind,
        signature: &Signature,
    ) -> Result<Vec<BoundArg>, String> {
        if signature.variadic && !program.args.is_empty() {
            return Err("the kernel passes it any number of arguments".into());
        }
        let bind = |arg| {
            let found = signature.place(kind, arg, self.machine)?;
            let name = arg.names.first().cloned().unwrap_or_default();
            match found {
                Some((name, index)) => Ok(BoundArg { name, index: Some(index) }),
                None if kind != EventKind::Kretprobe && !signature.is_named() => {
                    Err("the kernel does not tell the names of its arguments".into())
                }
                None if arg.optional => Ok(BoundArg { name, index: None }),
                None if name == super::super::functions::RETVAL => {
                    Err("the kernel's function returns nothing".into())
                }
                None => Err(format!("the kernel passes no `{name}`")),
            }
        };
        program.args.iter().map(bind).collect()
    }

    /// A program's arguments where the kernel tells nothing: where all prototypes that are known agree.
    fn untold(
        &self,
        program: &Program,
        kind: EventKind,
        name: &str,
    ) -> Result<Vec<BoundArg>, String> {
        let known = self.ubpf.events.iter().find(|known| known.kind == kind && known.name == name);
        let signatures: Vec<Signature> = known
            .into_iter()
            .flat_map(|known| &known.prototypes)
            .map(|prototype| Signature::known(prototype, self.machine))
            .collect();
        let mut bound = signatures.iter().map(|signature| self.signed(program, kind, signature));
        let first = bound.next().ok_or("no prototype of it is known")??;
        if bound.all(|other| other.is_ok_and(|other| other == first)) {
            Ok(first)
        } else {
            Err("the kernel does not tell where its arguments are".into())
        }
    }
}

/// The form that finds arguments where they are, by its index.
fn form(
    program: &Program,
    kind: EventKind,
    name: &str,
    args: &[BoundArg],
) -> Result<usize, String> {
    let probe = matches!(kind, EventKind::Kprobe | EventKind::Kretprobe);
    let reads = |form: &Form| {
        form.kind == kind
            && form.event == name
            && form.places.len() == args.len()
            && form.places.iter().zip(args).all(|(place, arg)| {
                let place = place.map(|place| place as usize);
                // A result is in its register however many arguments there are.
                let exact = kind == EventKind::Kprobe && place != arg.index;
                place.is_some() == arg.index.is_some() && !exact
            })
    };
    program.forms.iter().position(reads).ok_or_else(|| {
        if probe {
            let places = args.iter().filter_map(|arg| Some((&arg.name, arg.index? + 1)));
            let places: Vec<String> =
                places.map(|(name, number)| format!("`{name}` as argument {number}")).collect();
            format!("the kernel passes {}, as no known prototype does", places.join(", "))
        } else {
            "no known prototype has just those of the arguments that the kernel passes".into()
        }
    })
}

fn taken(program: &Program, form: usize, args: Vec<BoundArg>, certain: bool) -> Taken {
    let found = &program.forms[form];
    let (kind, event, section) = (found.kind, found.event.clone(), found.section.clone());
    Taken { form, kind, event, section, certain, prototype: None, args }
}
