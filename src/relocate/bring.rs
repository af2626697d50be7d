//! The chosen forms of an ubpfc object's programs, brought in.
//!
//! In: an object's bytes and a [`Choice`]. Out: [`Brought`], an object with exactly the chosen programs: what is not chosen is gone, what was set aside is linked in under its section's final name, reads of arguments have the
//! target's places, and questions about prototypes are answered. It is an object as any other, without `.ubpf.alt`; its CO-RE records are for [`super::plan`].

mod link;

use super::choose::{Choice, Taken};
use super::reason::spell;
use super::{Access, Action, Place};
use crate::btf::{Btf, essential};
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::isa::opcode::{self as op, LDIMM64};
use crate::object::ASIDE_SECTION;
use crate::object::btf_ext::{CoreKind, CoreRecord, FuncInfo, LineInfo, SectionInfo};
use crate::object::read::{self, Function, Object, ReadError, Relocation, Symbol};
use crate::object::ubpf::{Attach, Form, Program, Ubpf};
use std::borrow::Cow;

/// The opcode of an instruction that reads an argument.
const READS_ARG: u8 = op::LDX | op::MEM | op::DW;
/// The section of callbacks, which all forms share.
const TEXT: &str = ".text";
/// No script has more programs.
const MAX_PROGRAMS: usize = 4096;

/// Why forms cannot be brought in.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// The object cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The object is not as its section `.ubpf` says.
    #[error("the object is not as its section .ubpf says: {0}")]
    Malformed(String),
}

fn malformed<T>(what: impl Into<String>) -> Result<T, BringError> {
    Err(BringError::Malformed(what.into()))
}

/// An object with the chosen forms of its programs.
#[derive(Clone, Debug)]
pub struct Brought<'a> {
    /// Its bytes.
    pub bytes: Cow<'a, [u8]>,
    /// The questions about prototypes, which are answered: they are not among its records.
    pub answered: Vec<Access>,
}

/// The object with the chosen forms of its programs. An object of another compiler stays as it is.
pub fn bring_in<'a>(bytes: &'a [u8], choice: &Choice) -> Result<Brought<'a>, BringError> {
    let object = Object::parse(bytes)?;
    let Some(mut ubpf) = object.ubpf()? else {
        return Ok(Brought { bytes: Cow::Borrowed(bytes), answered: Vec::new() });
    };
    let Some(types) = object.types()? else { return malformed("it has no types") };
    let outer = Part::new(object)?;
    let inner = aside(&outer.object)?;
    // Every slot and record of a program has at least eight bytes of its own in the file.
    let room = bytes.len() / SLOT;
    let mut pieces = pieces(&outer, inner.as_ref(), &types, &ubpf, choice, room)?;
    update(&mut ubpf, choice, &pieces);
    let bytes = Cow::Owned(link::link(&outer, &types, &pieces, &ubpf)?);
    let answered = pieces.iter_mut().flat_map(|piece| std::mem::take(&mut piece.answered));
    Ok(Brought { bytes, answered: answered.collect() })
}

/// What an object has set aside, as an object: without types and maps, which are those of the object around it.
pub fn aside_object<'a>(outer: &Object<'a>) -> Result<Option<Object<'a>>, ReadError> {
    outer.section(ASIDE_SECTION).map(|section| Object::parse(section.data)).transpose()
}

fn aside<'a>(outer: &Object<'a>) -> Result<Option<Part<'a>>, BringError> {
    let Some(inner) = aside_object(outer)? else { return Ok(None) };
    if inner.endian != outer.endian {
        return malformed("what is set aside has another byte order");
    }
    Ok(Some(Part::new(inner)?))
}

/// An object, or what it has set aside.
struct Part<'a> {
    object: Object<'a>,
    functions: Vec<Function<'a>>,
    ext: Vec<SectionInfo>,
}

impl<'a> Part<'a> {
    fn new(object: Object<'a>) -> Result<Part<'a>, BringError> {
        let ext = object.section(".BTF.ext").map(|section| read::raw(section.data)).transpose()?;
        let functions = object.functions()?;
        Ok(Part { object, functions, ext: ext.unwrap_or_default() })
    }

    /// What `.BTF.ext` says of a section.
    fn info(&self, types: &Btf<'_>, section: &str) -> Option<&SectionInfo> {
        self.ext.iter().find(|info| types.string(info.name).is_ok_and(|name| name == section))
    }
}

/// A program that is in the result; offsets count from its start.
struct Piece<'a> {
    /// Its index in `.ubpf`.
    program: usize,
    aside: bool,
    symbol: Symbol<'a>,
    section: String,
    /// The section's name among the strings of `.BTF`.
    section_name: u32,
    insns: Vec<Insn>,
    relocations: Vec<Relocation<'a>>,
    funcs: Vec<FuncInfo>,
    lines: Vec<LineInfo>,
    core: Vec<CoreRecord>,
    /// What was a record, and has its answer in the code.
    answered: Vec<Access>,
}

/// Every program that is in the result, in the order of the script.
fn pieces<'a>(
    outer: &Part<'a>,
    inner: Option<&Part<'a>>,
    types: &Btf<'_>,
    ubpf: &Ubpf,
    choice: &Choice,
    mut room: usize,
) -> Result<Vec<Piece<'a>>, BringError> {
    if ubpf.programs.len() > MAX_PROGRAMS {
        return malformed(format!("it has more than {MAX_PROGRAMS} programs"));
    }
    let mut pieces = Vec::new();
    let mut add = |piece: Piece<'a>| match room.checked_sub(piece.weight()) {
        Some(rest) => {
            room = rest;
            pieces.push(piece);
            Ok(())
        }
        None => malformed("programs overlap"),
    };
    for (index, program) in ubpf.programs.iter().enumerate() {
        let chosen = choice.programs.iter().find(|chosen| chosen.program == index);
        let Some(chosen) = chosen else {
            add(piece(outer, types, index, program, &program.section, 0)?)?;
            continue;
        };
        let Some(taken) = &chosen.taken else { continue };
        let Some(form) = program.forms.get(taken.form) else {
            return malformed(format!("{} has no such form", program.name));
        };
        let part = if form.aside { inner } else { Some(outer) };
        let Some(part) = part else { return malformed("nothing is set aside") };
        let earlier = program.forms.iter().take(taken.form);
        let same = earlier.filter(|f| (f.aside, &f.section) == (form.aside, &form.section));
        let mut piece = piece(part, types, index, program, &form.section, same.count())?;
        piece.aside = form.aside;
        piece.bind(types, ubpf, form, taken)?;
        add(piece)?;
    }
    Ok(pieces)
}

/// A program's function with all that is said of it; of several forms in one section, the one of that number.
fn piece<'a>(
    part: &Part<'a>,
    types: &Btf<'_>,
    program_index: usize,
    program: &Program,
    section: &str,
    number: usize,
) -> Result<Piece<'a>, BringError> {
    let wanted = |f: &&Function<'_>| f.symbol.name == program.name && f.section == section;
    let Some(function) = part.functions.iter().filter(wanted).nth(number) else {
        return malformed(format!("there is no program {} in section {section}", program.name));
    };
    let Some(info) = part.info(types, section) else {
        return malformed(format!(".BTF.ext has nothing of section {section}"));
    };
    let symbol = function.symbol;
    let (start, end) = (symbol.offset, symbol.offset.saturating_add(symbol.size));
    let inside = |offset: u64| (start..end).contains(&offset);
    let at = |offset: u32| {
        let offset = u64::from(offset);
        if inside(offset) { u32::try_from(offset - start).ok() } else { None }
    };
    let func = |f: &FuncInfo| Some(FuncInfo { insn_off: at(f.insn_off)?, ..*f });
    let line = |l: &LineInfo| Some(LineInfo { insn_off: at(l.insn_off)?, ..*l });
    let core = |c: &CoreRecord| Some(CoreRecord { insn_off: at(c.insn_off)?, ..*c });
    let mut relocations = part.object.relocations(section)?;
    relocations.retain(|relocation| inside(relocation.offset));
    for relocation in &mut relocations {
        relocation.offset -= start;
    }
    Ok(Piece {
        program: program_index,
        aside: false,
        symbol,
        section: section.to_owned(),
        section_name: info.name,
        insns: function.insns(),
        relocations,
        funcs: info.funcs.iter().filter_map(func).collect(),
        lines: info.lines.iter().filter_map(line).collect(),
        core: info.core.iter().filter_map(core).collect(),
        answered: Vec::new(),
    })
}

impl Piece<'_> {
    /// How many slots and records there are.
    fn weight(&self) -> usize {
        let records = self.relocations.len() + self.funcs.len() + self.lines.len();
        self.insns.len() + records + self.core.len()
    }

    fn bytes(&self) -> u64 {
        (self.insns.len() * SLOT) as u64
    }

    /// Gives reads of arguments the target's places, and answers questions about the event's prototype.
    fn bind(
        &mut self,
        types: &Btf<'_>,
        ubpf: &Ubpf,
        form: &Form,
        taken: &Taken,
    ) -> Result<(), BringError> {
        for read in &form.reads {
            let insn = usize::try_from(read.insn).ok().and_then(|slot| self.insns.get_mut(slot));
            let Some(insn) = insn.filter(|insn| insn.code == READS_ARG) else {
                return malformed(format!(
                    "slot {} of {} reads no argument",
                    read.insn, form.section
                ));
            };
            // Where the event lacks the argument, what reads it cannot run.
            let index = taken.args.get(read.arg).and_then(|bound| bound.index);
            if let Some(off) = index.and_then(|index| i16::try_from(index.checked_mul(8)?).ok()) {
                insn.off = off;
            }
        }
        let Some(prototype) = taken.prototype else { return Ok(()) };
        let known = ubpf.events.iter().find(|event| event.is_of(form));
        let known = known.map_or(&[][..], |event| &event.prototypes);
        let mut rest = Vec::new();
        for record in std::mem::take(&mut self.core) {
            let name = types.get(record.root).map(|ty| ty.name()).unwrap_or_default();
            let asked = known.iter().position(|known| known.typedef.as_deref() == Some(name));
            match asked.filter(|_| record.kind == CoreKind::TypeExists) {
                Some(asked) => self.answer(types, &record, asked == prototype)?,
                None => rest.push(record),
            }
        }
        self.core = rest;
        Ok(())
    }

    /// Puts the answer to a question into its instruction.
    fn answer(
        &mut self,
        types: &Btf<'_>,
        record: &CoreRecord,
        yes: bool,
    ) -> Result<(), BringError> {
        let slot = record.insn_off as usize / SLOT;
        let Some(insn) = self.insns.get_mut(slot) else {
            return malformed("a record is misplaced");
        };
        let class = insn.code & op::CLASS_MASK;
        let immediate = matches!(class, op::ALU | op::ALU64) && insn.code & op::SRC_MASK == op::K;
        if !immediate && insn.code != LDIMM64 {
            return malformed(format!("slot {slot} of {} asks nothing", self.symbol.name));
        }
        insn.imm = yes.into();
        let at = self.line_at(types, record.insn_off);
        let local = spell(types, record.root);
        let target = yes.then(|| essential(&local).to_owned());
        let (local_value, value) = (Some(1), Some(yes.into()));
        let (function, section) = (self.symbol.name.to_owned(), self.section.clone());
        let action = if yes { Action::Same } else { Action::Patched };
        let told = Access { target, local_value, value, action, ..Access::of(record.kind, local) };
        self.answered.push(Access { function, section, insn: slot, at, ..told });
        Ok(())
    }

    /// The source line of an instruction.
    fn line_at(&self, types: &Btf<'_>, insn_off: u32) -> Option<Place> {
        let before = self.lines.iter().filter(|line| line.insn_off <= insn_off && line.line != 0);
        let line = before.max_by_key(|line| line.insn_off)?;
        let string = |offset| types.string(offset).unwrap_or_default().trim_end().to_owned();
        let (file, text) = (string(line.file), string(line.text));
        Some(Place { file, line: line.line, col: line.col, text })
    }
}

/// Says in `.ubpf` what there is now.
fn update(ubpf: &mut Ubpf, choice: &Choice, pieces: &[Piece<'_>]) {
    for chosen in &choice.programs {
        let Some(program) = ubpf.programs.get_mut(chosen.program) else { continue };
        let form = chosen.taken.as_ref().and_then(|taken| program.forms.get(taken.form));
        let Some(form) = form else { continue };
        // Where arguments are read has been put into the code.
        let form = Form { aside: false, reads: Vec::new(), ..form.clone() };
        program.section.clone_from(&form.section);
        program.attach = Attach::of(form.kind, form.event.as_str());
        (program.insns, program.frame) = (form.insns, form.frame);
        program.forms = vec![form];
    }
    let kept = |name: &str| {
        let mut all = ubpf.programs.iter().enumerate();
        let program = all.find(|(_, program)| program.name == name);
        program.is_none_or(|(i, _)| pieces.iter().any(|piece| piece.program == i && !piece.aside))
    };
    let mut relocs = std::mem::take(&mut ubpf.relocs);
    relocs.retain(|reloc| {
        let piece = pieces.iter().find(|piece| piece.symbol.name == reloc.function);
        let asked = piece.is_none_or(|piece| {
            let at = |record: &CoreRecord| record.insn_off as usize / SLOT == reloc.insn as usize;
            piece.core.iter().any(at)
        });
        kept(&reloc.function) && asked
    });
    ubpf.relocs = relocs;
    let mut index = 0;
    ubpf.programs.retain(|_| {
        index += 1;
        pieces.iter().any(|piece| piece.program == index - 1)
    });
    let forms: Vec<&Form> = ubpf.programs.iter().flat_map(|program| &program.forms).collect();
    ubpf.events.retain(|event| forms.iter().any(|form| event.is_of(form)));
}
