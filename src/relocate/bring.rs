//! The chosen forms of an ubpfc object's programs, brought in.
//!
//! In: an object's bytes and a [`Choice`]. Out: an object with exactly the chosen programs: what is not chosen is gone, what was set aside is linked in under its section's final name, reads of arguments have the
//! target's places, and questions about prototypes are answered. It is an object as any other, without `.ubpf.alt`; its CO-RE records are for [`super::plan`].

use super::choose::{Choice, Taken};
use crate::btf::Btf;
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::isa::opcode::{self as op, LDIMM64};
use crate::object::btf_ext::{self, CoreKind, CoreRecord, FuncInfo, LineInfo, SectionInfo};
use crate::object::elf::{
    self, R_BPF_64_64, SectionIdx, SymbolIdx, section_flags, section_type, symbol_type,
};
use crate::object::read::{self, Object, ReadError, Relocation, Symbol};
use crate::object::ubpf::{Attach, Form, Program, Ubpf};
use crate::object::{ASIDE_SECTION, UBPF_SECTION};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

/// The opcode of an instruction that reads an argument.
const READS_ARG: u8 = op::LDX | op::MEM | op::DW;
/// The section of callbacks, which all forms share.
const TEXT: &str = ".text";

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

/// The object with the chosen forms of its programs. An object of another compiler stays as it is.
pub fn bring_in(bytes: &[u8], choice: &Choice) -> Result<Vec<u8>, BringError> {
    let object = Object::parse(bytes)?;
    let Some(mut ubpf) = object.ubpf()? else { return Ok(bytes.to_vec()) };
    let Some(types) = object.types()? else { return malformed("it has no types") };
    let outer = Part::new(object)?;
    let inner = aside(&outer.object)?;
    let pieces = pieces(&outer, inner.as_ref(), &types, &ubpf, choice)?;
    update(&mut ubpf, choice, &pieces);
    link(&outer, &types, &pieces, &ubpf)
}

/// What an object has set aside, as an object.
pub(super) fn aside_object<'a>(outer: &Object<'a>) -> Result<Option<Object<'a>>, ReadError> {
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
    ext: Vec<SectionInfo>,
}

impl<'a> Part<'a> {
    fn new(object: Object<'a>) -> Result<Part<'a>, BringError> {
        let ext = object.section(".BTF.ext").map(|section| read::raw(section.data)).transpose()?;
        Ok(Part { object, ext: ext.unwrap_or_default() })
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
}

/// Every program that is in the result, in the order of the script.
fn pieces<'a>(
    outer: &Part<'a>,
    inner: Option<&Part<'a>>,
    types: &Btf<'_>,
    ubpf: &Ubpf,
    choice: &Choice,
) -> Result<Vec<Piece<'a>>, BringError> {
    let mut pieces = Vec::new();
    for (index, program) in ubpf.programs.iter().enumerate() {
        let chosen = choice.programs.iter().find(|chosen| chosen.program == index);
        let Some(chosen) = chosen else {
            pieces.push(piece(outer, types, index, program, &program.section)?);
            continue;
        };
        let Some(taken) = &chosen.taken else { continue };
        let Some(form) = program.forms.get(taken.form) else {
            return malformed(format!("{} has no such form", program.name));
        };
        let part = if form.aside { inner } else { Some(outer) };
        let Some(part) = part else { return malformed("nothing is set aside") };
        let mut piece = piece(part, types, index, program, &form.section)?;
        piece.aside = form.aside;
        piece.bind(types, ubpf, form, taken)?;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// A program's function with all that is said of it.
fn piece<'a>(
    part: &Part<'a>,
    types: &Btf<'_>,
    program_index: usize,
    program: &Program,
    section: &str,
) -> Result<Piece<'a>, BringError> {
    let functions = part.object.functions()?;
    let wanted = |f: &&read::Function<'_>| f.symbol.name == program.name && f.section == section;
    let Some(function) = functions.iter().find(wanted) else {
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
    })
}

impl Piece<'_> {
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
        let known = ubpf.events.iter().find(|event| event.name == form.event);
        let known = known.map_or(&[][..], |event| &event.prototypes);
        let mut rest = Vec::new();
        for record in std::mem::take(&mut self.core) {
            let name = types.get(record.root).map(|ty| ty.name()).unwrap_or_default();
            let asked = known.iter().position(|known| known.typedef.as_deref() == Some(name));
            match asked.filter(|_| record.kind == CoreKind::TypeExists) {
                Some(asked) => self.answer(record.insn_off, asked == prototype)?,
                None => rest.push(record),
            }
        }
        self.core = rest;
        Ok(())
    }

    /// Puts the answer to a question into its instruction.
    fn answer(&mut self, insn_off: u32, yes: bool) -> Result<(), BringError> {
        let slot = insn_off as usize / SLOT;
        let Some(insn) = self.insns.get_mut(slot) else {
            return malformed("a record is misplaced");
        };
        let class = insn.code & op::CLASS_MASK;
        let immediate = matches!(class, op::ALU | op::ALU64) && insn.code & op::SRC_MASK == op::K;
        if !immediate && insn.code != LDIMM64 {
            return malformed(format!("slot {slot} of {} asks nothing", self.symbol.name));
        }
        insn.imm = yes.into();
        Ok(())
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
        program.attach = Attach::Tracepoint(form.event.clone());
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
    let events: Vec<&str> =
        ubpf.programs.iter().flat_map(|p| &p.forms).map(|f| f.event.as_str()).collect();
    ubpf.events.retain(|event| events.contains(&event.name.as_str()));
}

/// A symbol of a part, as relocations refer to it.
type Key<'a> = (&'a str, usize, u64);

/// The file under construction, and where the old one's symbols are in it.
struct Linker<'a> {
    file: elf::File,
    sections: FxHashMap<usize, SectionIdx>,
    symbols: FxHashMap<Key<'a>, SymbolIdx>,
    /// Symbols by name, those of sections too: what is set aside refers to them so.
    names: FxHashMap<&'a str, SymbolIdx>,
}

fn link(
    outer: &Part<'_>,
    types: &Btf<'_>,
    pieces: &[Piece<'_>],
    ubpf: &Ubpf,
) -> Result<Vec<u8>, BringError> {
    let object = &outer.object;
    let mut linker = Linker {
        file: elf::File::default(),
        sections: FxHashMap::default(),
        symbols: FxHashMap::default(),
        names: FxHashMap::default(),
    };
    let mut programs: IndexMap<&str, Vec<&Piece<'_>>, FxBuildHasher> = IndexMap::default();
    for piece in pieces {
        programs.entry(&piece.section).or_default().push(piece);
    }
    let mut infos = linker.keep_code(outer, types);
    let added: Vec<_> =
        programs.iter().map(|(name, pieces)| linker.programs(object, name, pieces)).collect();
    linker.keep_rest(object, ubpf);
    linker.keep_symbols(object);
    for index in linker.sections.keys().copied().collect::<std::collections::BTreeSet<_>>() {
        let (Some(section), Some(to)) = (object.sections.get(index), linker.sections.get(&index))
        else {
            continue;
        };
        if section.flags & section_flags::EXECINSTR != 0 {
            let to = *to;
            for relocation in object.relocations(section.name)? {
                linker.relocate(to, 0, &relocation)?;
            }
        }
    }
    for ((_, pieces), to) in programs.iter().zip(added) {
        let mut info = SectionInfo::default();
        let mut start = 0;
        for piece in pieces {
            info.name = piece.section_name;
            for relocation in &piece.relocations {
                linker.relocate(to, start, relocation)?;
            }
            let Ok(from) = u32::try_from(start) else { return malformed("it is too large") };
            info.funcs
                .extend(piece.funcs.iter().map(|f| FuncInfo { insn_off: f.insn_off + from, ..*f }));
            info.lines
                .extend(piece.lines.iter().map(|l| LineInfo { insn_off: l.insn_off + from, ..*l }));
            info.core.extend(
                piece.core.iter().map(|c| CoreRecord { insn_off: c.insn_off + from, ..*c }),
            );
            start += piece.bytes();
        }
        infos.push(info);
    }
    let ext = btf_ext::encode(&infos, object.endian);
    linker.file.section(section(".BTF.ext", section_type::PROGBITS, 0, ext));
    Ok(linker.file.bytes(object.endian))
}

fn section(name: &str, kind: u32, flags: u64, data: Vec<u8>) -> elf::Section {
    elf::Section { name: name.into(), kind, flags, align: 8, data, relocs: Vec::new() }
}

impl<'a> Linker<'a> {
    /// Keeps the section of callbacks, with what `.BTF.ext` says of it.
    fn keep_code(&mut self, outer: &Part<'a>, types: &Btf<'_>) -> Vec<SectionInfo> {
        let mut sections = outer.object.sections.iter().enumerate();
        let Some((index, text)) = sections.find(|(_, section)| section.name == TEXT) else {
            return Vec::new();
        };
        self.keep(index, text);
        let info = outer.info(types, TEXT);
        info.cloned().into_iter().collect()
    }

    fn keep(&mut self, index: usize, kept: &read::Section<'_>) {
        let added =
            self.file.section(section(kept.name, kept.kind, kept.flags, kept.data.to_vec()));
        self.sections.insert(index, added);
    }

    /// Adds a section of programs and their symbols.
    fn programs(&mut self, object: &Object<'_>, name: &str, pieces: &[&Piece<'_>]) -> SectionIdx {
        let insns = pieces.iter().flat_map(|piece| &piece.insns);
        let data = insns.flat_map(|insn| insn.encode(object.endian)).collect();
        let flags = section_flags::ALLOC | section_flags::EXECINSTR;
        let added = self.file.section(section(name, section_type::PROGBITS, flags, data));
        let mut offset = 0;
        for piece in pieces {
            let Symbol { name, kind, global, .. } = piece.symbol;
            let (name, size) = (name.to_owned(), piece.bytes());
            self.file.symbol(elf::Symbol {
                name,
                kind,
                global,
                section: Some(added),
                offset,
                size,
            });
            offset += size;
        }
        added
    }

    /// Keeps everything that is neither code nor made anew.
    fn keep_rest(&mut self, object: &Object<'_>, ubpf: &Ubpf) {
        let names = object.sections.iter().find(|section| section.kind == section_type::SYMTAB);
        let names = names.map(|table| table.link as usize);
        for (index, kept) in object.sections.iter().enumerate() {
            let code = kept.flags & section_flags::EXECINSTR != 0;
            let table =
                matches!(kept.kind, section_type::NULL | section_type::REL | section_type::SYMTAB);
            let made = matches!(kept.name, ".BTF.ext" | ASIDE_SECTION) || names == Some(index);
            if code || table || made {
                continue;
            }
            self.keep(index, kept);
            if kept.name == UBPF_SECTION
                && let Ok(mut json) = serde_json::to_string(ubpf)
                && let Some(section) = self.sections.get(&index)
            {
                json.push('\n');
                self.file.fill(*section, json.into_bytes());
            }
        }
    }

    /// Keeps the symbols of what is kept.
    fn keep_symbols(&mut self, object: &Object<'a>) {
        for symbol in object.symbols.iter().skip(1) {
            let Some(section) = self.sections.get(&symbol.section).copied() else { continue };
            let Symbol { name, kind, global, section: of, offset, size } = *symbol;
            let owned = name.to_owned();
            let section = Some(section);
            let added =
                self.file.symbol(elf::Symbol { name: owned, kind, global, section, offset, size });
            self.symbols.insert((name, of, offset), added);
            if kind == symbol_type::SECTION {
                let of = object.sections.get(of).map_or("", |section| section.name);
                self.names.insert(of, added);
            } else if global {
                self.names.insert(name, added);
            }
        }
    }

    /// Adds a relocation whose place counts from `start`.
    fn relocate(
        &mut self,
        section: SectionIdx,
        start: u64,
        relocation: &Relocation<'a>,
    ) -> Result<(), BringError> {
        let Symbol { name, section: of, offset, .. } = relocation.symbol;
        // Of what is set aside, symbols are undefined: those of the object around it are meant.
        let symbol =
            if of == 0 { self.names.get(name) } else { self.symbols.get(&(name, of, offset)) };
        let Some(symbol) = symbol.filter(|_| relocation.kind == R_BPF_64_64) else {
            return malformed(format!("a relocation refers to `{name}`, which is not there"));
        };
        self.file.relocate(section, start.saturating_add(relocation.offset), *symbol);
        Ok(())
    }
}
