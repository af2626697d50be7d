//! The compiler's stages, one after the other, for tests that look between them.

use ubpfc::diag::{Diags, Format, render};
use ubpfc::isa::code::Code;
use ubpfc::sema::hir::Hir;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::{Cpu, Endian, Target};
use ubpfc::{lower, object, sema};

/// A script that was analyzed.
#[derive(Debug)]
pub struct Script {
    /// Its text.
    pub sources: Sources,
    /// What it means.
    pub hir: Hir,
}

impl Script {
    /// Analyzes a script; the error is what the compiler says.
    pub fn new(text: &str) -> Result<Script, String> {
        let mut sources = Sources::new();
        let root = sources.add("test.ub", text, Origin::User);
        let (hir, diags) = sema::analyze(&mut sources, root, &mut sema::imports::Library);
        if diags.has_errors() {
            return Err(told(&diags, &sources));
        }
        Ok(Script { sources, hir })
    }

    /// Its machine code for a version of the instruction set.
    pub fn code(&self, cpu: Cpu) -> Result<Code, String> {
        let target = Target { endian: Endian::Little, cpu };
        let told = |diags: Diags| told(&diags, &self.sources);
        let mut module = lower::build(&self.hir, target).map_err(told)?;
        lower::optimize(&mut module);
        lower::emit(module, &self.hir, target).map_err(told)
    }

    /// Its object.
    pub fn object(&self, code: &Code, cpu: Cpu) -> Vec<u8> {
        let target = Target { endian: Endian::Little, cpu };
        match object::write(&self.hir, code, &self.sources, target) {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The index of the program of that name.
    pub fn program(&self, name: &str) -> usize {
        let found = self.hir.programs.iter().position(|p| p.name == name);
        found.unwrap_or_else(|| panic!("there is no program {name}"))
    }
}

fn told(diags: &Diags, sources: &Sources) -> String {
    render(sources, diags, Format::Short)
}

/// Every version of the instruction set.
pub const CPUS: [Cpu; 4] = [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4];
