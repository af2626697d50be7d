//! The survey: a script that asks a kernel everything that a library may ask.
//!
//! In: a [`Library`]. Out: the script's text, and its questions: one for each program, in the order of the programs. Invariant: a question is in a program of its own, so that
//! each has its own answer; and programs are bound to an event only where the question is about one.

use super::{Enum, Field, Library, Mirror, Tracepoint};
use std::fmt::Write as _;

/// A question, and the program that asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The program's name in the object, such as `task_struct_user__pid`.
    pub program: String,
    /// What it asks for.
    pub about: About,
}

/// What a question is about, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A mirror's field.
    Field {
        /// The mirror.
        mirror: String,
        /// The field.
        field: String,
    },
    /// A mirrored enum's enumerator.
    Enumerator {
        /// The enum.
        name: String,
        /// The enumerator.
        enumerator: String,
    },
    /// A user tracepoint, with all of its arguments.
    Tracepoint(String),
}

/// The longest name of a program that names what it asks for: kernels take no more than 127 bytes.
const MAX_PROGRAM: usize = 120;

impl Library {
    /// The questions, in the order of the survey's programs.
    pub fn questions(&self) -> Vec<Question> {
        let mut questions: Vec<Question> = Vec::new();
        for asked in self.asked() {
            let (of, what) = match &asked {
                Asked::Field(mirror, field) => (&*mirror.name, &*field.name),
                Asked::Enumerator(of, enumerator) => (&*of.name, *enumerator),
                Asked::Tracepoint(tracepoint) => ("user", &*tracepoint.name),
            };
            let name = format!("{of}__{what}");
            let taken = |name: &str| questions.iter().any(|question| question.program == name);
            let program = if name.len() > MAX_PROGRAM || taken(&name) {
                format!("question__{}", questions.len())
            } else {
                name
            };
            questions.push(Question { program, about: asked.about() });
        }
        questions
    }

    /// The script. Compiled as it is, its programs are numbered; [`driver::survey`](crate::driver::survey) names them after the questions.
    pub fn survey(&self) -> String {
        let mut script = String::new();
        for file in &self.files {
            let _ = writeln!(script, "import \"{}\";", file.name);
        }
        for asked in self.asked() {
            script.push_str(&asked.probe());
        }
        script
    }

    fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let fields = self
            .mirrors
            .iter()
            .flat_map(|mirror| mirror.fields.iter().map(move |field| Asked::Field(mirror, field)));
        let mirrored = self.enums.iter().filter(|e| e.kernel.is_some());
        let enumerators = mirrored
            .flat_map(|of| of.enumerators.iter().map(move |e| Asked::Enumerator(of, &e.name)));
        fields.chain(enumerators).chain(self.tracepoints.iter().map(Asked::Tracepoint))
    }
}

/// What is asked.
enum Asked<'l> {
    Field(&'l Mirror, &'l Field),
    Enumerator(&'l Enum, &'l str),
    Tracepoint(&'l Tracepoint),
}

impl Asked<'_> {
    fn about(&self) -> About {
        match self {
            Asked::Field(mirror, field) => {
                About::Field { mirror: mirror.name.clone(), field: field.name.clone() }
            }
            Asked::Enumerator(of, enumerator) => {
                About::Enumerator { name: of.name.clone(), enumerator: (*enumerator).to_owned() }
            }
            Asked::Tracepoint(tracepoint) => About::Tracepoint(tracepoint.name.clone()),
        }
    }

    /// The probe that asks it: what is read is kept, or the question would be left out. A mirror is read through a pointer from nowhere, since not every one is handed over by an event.
    fn probe(&self) -> String {
        match self {
            Asked::Field(mirror, field) => {
                let read = format!("$p.{}", field.name);
                let keep = if field.ty.is_scalar() {
                    format!("@scalar = (u64){read};")
                } else {
                    format!("print({read});")
                };
                let has = field.optional.then(|| format!(" @scalar = (u64)has({read});"));
                format!(
                    "begin {{ $p = (struct {} *)fetch_ptr(0); {keep}{} }}\n",
                    mirror.name,
                    has.unwrap_or_default()
                )
            }
            Asked::Enumerator(_, enumerator) => {
                format!("begin {{ @scalar = (u64){enumerator}; }}\n")
            }
            Asked::Tracepoint(tracepoint) => {
                let keep = |arg: &super::Argument| format!(" @scalar = (u64)args.{};", arg.name);
                let keep: String = tracepoint.args.iter().map(keep).collect();
                let body = if keep.is_empty() { " @scalar = 1;" } else { &keep };
                format!("user:{}? {{{body} }}\n", tracepoint.name)
            }
        }
    }
}
