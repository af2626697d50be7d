//! Instructions with the script's lines and every relocation.

use super::{analyze, shown, snapshots};
use ubpfc::target::Target;
use ubpfc::{lower, object};

#[test]
fn scripts_become_instructions() {
    snapshots("asm/*.ub", "asm", |name, text| {
        let (sources, hir, diags) = analyze(name, text);
        assert!(!diags.has_errors(), "{}", shown(&sources, &diags));
        let module = lower::build(&hir, Target::default()).unwrap();
        let code = lower::compile(module, &hir, Target::default()).unwrap();
        let relocs = object::print_relocs(&hir, &code, &sources).unwrap();
        format!(
            "{}\n{relocs}",
            object::print_code(&hir, &code, &sources, Target::default()).unwrap()
        )
    });
}
