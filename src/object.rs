//! The object file: machine code as an ELF file that stock loaders load, and such files read back.
//!
//! In: machine code and the HIR it was made from. Out: the bytes of a relocatable ELF file for BPF, described in `docs/object-format.md`. The same input gives the same bytes on
//! every host. Nothing here does I/O.

pub mod btf_ext;
mod code;
pub mod elf;
pub mod flavor;
mod maps;
mod print;
pub mod read;
pub mod rewrite;
mod rodata;
pub mod types;
pub mod ubpf;
pub(crate) mod wanted;

pub use code::section_name;
pub use maps::ring_name;
pub use print::{print_code, print_relocs};

use self::elf::{Section, section_flags, section_type};
use self::flavor::Flavors;
use crate::btf::Builder;
use crate::isa::code::Code;
use crate::sema::hir::{Hir, OutputKind};
use crate::source::Sources;
use crate::target::Target;
use smol_str::SmolStr;

/// The section of our own: JSON in the form of [`ubpf::Ubpf`].
pub const UBPF_SECTION: &str = ".ubpf";

/// The section of programs that are set aside: an object in itself, whose type information is that of the object around it.
pub const ASIDE_SECTION: &str = ".ubpf.alt";

/// The kernel takes no larger BTF (v6.12 include/uapi/linux/btf.h: `BTF_MAX_SIZE`).
const MAX_BTF: usize = 16 << 20;

/// Why code cannot be put into an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Loaders take no more steps.
    #[error("a path from struct {root} has more than {limit} steps")]
    PathTooLong {
        /// The kernel struct.
        root: SmolStr,
        /// The most steps.
        limit: usize,
    },
    /// Its members are too far apart.
    #[error("the local type {name} is too large")]
    FlavorTooLarge {
        /// The local type.
        name: SmolStr,
    },
    /// Loaders refuse it.
    #[error("{question} cannot be asked of the array element {path}")]
    ElementQuestion {
        /// The element.
        path: String,
        /// The question.
        question: &'static str,
    },
    /// The local answer does not fit the instruction.
    #[error("{function}: instruction {insn} cannot hold {value}, the local value of {path}")]
    ValueTooLarge {
        /// The function.
        function: SmolStr,
        /// The slot.
        insn: u32,
        /// What is asked about.
        path: String,
        /// The answer.
        value: u64,
    },
    /// The relocation does not belong to that instruction.
    #[error("{function}: instruction {insn} (opcode {opcode:#04x}) cannot be relocated")]
    NotRelocatable {
        /// The function.
        function: SmolStr,
        /// The slot.
        insn: u32,
        /// Its opcode.
        opcode: u8,
    },
    /// The kernel refuses functions without.
    #[error("{function} has no source line for its first instruction")]
    NoLines {
        /// The function.
        function: SmolStr,
    },
    /// More than the kernel takes.
    #[error(
        "the object's type information has {size} bytes, more than the {MAX_BTF} that the kernel takes"
    )]
    BtfTooLarge {
        /// In bytes.
        size: usize,
    },
}

/// The bytes of the object.
pub fn write(
    hir: &Hir,
    code: &Code,
    sources: &Sources,
    target: Target,
) -> Result<Vec<u8>, ObjectError> {
    let endian = target.endian;
    let mut btf = Builder::default();
    let mut file = elf::File::default();
    let flavors = Flavors::new(hir, code, endian, &mut btf)?;
    let plan = code::Plan::new(hir, code);

    let code_sections = plan.add_sections(&mut file);
    let maps = maps::add(hir, code, &mut btf, &mut file);
    let rodata = rodata::add(hir, &code.rodata, &mut btf, &mut file);
    declare_records(hir, &mut btf);
    let callbacks = code::callbacks(code);
    let symbols = code::Symbols { maps, rodata, text: plan.text(&code_sections) };
    let mut emit = |plan: &code::Plan<'_>, added: &[_], symbols: &_, file: &mut _| {
        plan.emit(added, &callbacks, &flavors, symbols, sources, target, &mut btf, file)
    };
    let info = emit(&plan, &code_sections, &symbols, &mut file)?;
    let aside = code::Plan::aside(hir, code);
    let aside = if aside.is_empty() {
        None
    } else {
        let mut file = elf::File::default();
        let sections = aside.add_sections(&mut file);
        let symbols = aside.undefined(hir, &mut file);
        let info = emit(&aside, &sections, &symbols, &mut file)?;
        file.section(data(".BTF.ext", 0, 4, btf_ext::encode(&info, endian)));
        Some(file.bytes(endian))
    };

    let ubpf = ubpf::describe(hir, code, sources, &flavors);
    file.section(data(
        "license",
        section_flags::ALLOC | section_flags::WRITE,
        1,
        b"GPL\0".to_vec(),
    ));
    let btf = btf.bytes(endian);
    if btf.len() > MAX_BTF {
        return Err(ObjectError::BtfTooLarge { size: btf.len() });
    }
    file.section(data(".BTF", 0, 4, btf));
    file.section(data(".BTF.ext", 0, 4, btf_ext::encode(&info, endian)));
    // libbpf passes over string tables in silence and warns of any other section that it does not know.
    let own =
        |name, align, bytes| Section { kind: section_type::STRTAB, ..data(name, 0, align, bytes) };
    file.section(own(UBPF_SECTION, 1, ubpf.into_bytes()));
    if let Some(aside) = aside {
        file.section(own(ASIDE_SECTION, 8, aside));
    }
    Ok(file.bytes(endian))
}

/// A section without relocations.
fn data(name: &str, flags: u64, align: u64, data: Vec<u8>) -> Section {
    let kind = section_type::PROGBITS;
    Section { name: name.into(), kind, flags, align, data, relocs: Vec::new() }
}

/// Describes the records that `emit` writes: nothing refers to their types, but readers find them by name.
fn declare_records(hir: &Hir, btf: &mut Builder) {
    for (index, (_, output)) in hir.outputs.iter().enumerate() {
        if matches!(output.kind, OutputKind::Emit) {
            types::record(hir, index, output, btf);
        }
    }
}
