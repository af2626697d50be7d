//! An object put together from what is kept of another and from pieces of code.
//!
//! In: an object, the programs that are in the result, and what its `.ubpf` says then. Out: the bytes: callbacks, programs by section, maps, constants and types as they were, `.BTF.ext` and symbols anew.

use super::{BringError, Part, Piece, TEXT, malformed};
use crate::btf::Btf;
use crate::object::btf_ext::{self, CoreRecord, FuncInfo, LineInfo, SectionInfo};
use crate::object::elf::{
    self, R_BPF_64_64, SectionIdx, SymbolIdx, section_flags, section_type, symbol_type,
};
use crate::object::read::{self, Object, Relocation, Symbol};
use crate::object::ubpf::Ubpf;
use crate::object::{ASIDE_SECTION, UBPF_SECTION};
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

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

/// The bytes of the object.
pub(super) fn link(
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
    let text = linker.keep_callbacks(object);
    let info = text.and_then(|_| outer.info(types, TEXT));
    let mut infos: Vec<SectionInfo> = info.cloned().into_iter().collect();
    let added: Vec<_> =
        programs.iter().map(|(name, pieces)| linker.programs(object, name, pieces)).collect();
    linker.keep_rest(object, ubpf);
    linker.keep_symbols(object);
    if let Some(text) = text {
        for relocation in object.relocations(TEXT)? {
            linker.relocate(text, 0, &relocation)?;
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
    /// Keeps the section of callbacks.
    fn keep_callbacks(&mut self, object: &Object<'_>) -> Option<SectionIdx> {
        let mut sections = object.sections.iter().enumerate();
        let (index, text) = sections.find(|(_, section)| section.name == TEXT)?;
        Some(self.keep(index, text))
    }

    fn keep(&mut self, index: usize, kept: &read::Section<'_>) -> SectionIdx {
        let added =
            self.file.section(section(kept.name, kept.kind, kept.flags, kept.data.to_vec()));
        self.sections.insert(index, added);
        added
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
            let code = kept.is_code();
            let table =
                matches!(kept.kind, section_type::NULL | section_type::REL | section_type::SYMTAB);
            let made = matches!(kept.name, ".BTF.ext" | ASIDE_SECTION) || names == Some(index);
            if code || table || made {
                continue;
            }
            let added = self.keep(index, kept);
            if kept.name == UBPF_SECTION {
                self.file.fill(added, ubpf.text().into_bytes());
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
