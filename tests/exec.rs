//! Machine code does what the HIR says: generated scripts in rbpf and in the kernel against the evaluator, on every version of the instruction set.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use support::eval::{self, Input};
use support::generate;
use support::image::KernelImage;
use support::kernel::{self, Dump};
use support::pipeline::{CPUS, Script};
use support::state::{Env, State, is_array};
use support::{require, vm};
use ubpfc::isa::code::Code;
use ubpfc::sema::hir::ConstValue;
use ubpfc::target::Cpu;

type Params = BTreeMap<String, ConstValue>;

fn input<'a>(image: &'a KernelImage, params: &Params) -> Input<'a> {
    Input { image, event: "", args: Vec::new(), env: Env::default(), params: params.clone() }
}

/// The parameters of [`generate::DECLARATIONS`], each extended to 64 bits from its type.
fn params() -> impl Strategy<Value = Params> {
    let numbers = (edge(), edge(), edge(), edge());
    (numbers, "[a-c]{0,7}").prop_map(|((a, b, c, d), text)| {
        let int = |n: u64| ConstValue::Int(n);
        let narrow = i64::from(d.to_le_bytes()[0].cast_signed()).cast_unsigned();
        BTreeMap::from([
            ("pa".into(), int(a)),
            ("pb".into(), int(b)),
            ("pc".into(), int(c & 0xffff_ffff)),
            ("pd".into(), int(narrow)),
            ("pt".into(), ConstValue::Str(text.into())),
        ])
    })
}

fn edge() -> impl Strategy<Value = u64> {
    let near = (0..64_u32, -2..3_i64).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by));
    prop_oneof![near.clone(), near.prop_map(u64::wrapping_neg), any::<u64>()]
}

/// The script and its code, or nothing where it is too large for BPF.
fn compiled(script: &Script, cpu: Cpu) -> Option<Code> {
    match script.code(cpu) {
        Ok(code) => Some(code),
        Err(told) => {
            assert!(told.contains("E05"), "not compiled for {cpu:?}: {told}");
            None
        }
    }
}

fn expected(script: &Script, input: &Input) -> State {
    let mut state = State::new(&script.hir);
    eval::run(&script.hir, 0, input, &mut state);
    state
}

/// What rbpf makes of the script; nothing where rbpf cannot run it.
fn in_rbpf(script: &Script, code: &Code, input: &Input) -> Option<State> {
    let mut state = State::new(&script.hir);
    match vm::run(&script.hir, code, 0, input, &mut state) {
        Ok(()) => Some(state),
        Err(error) if error.contains("leaves no room") || error.contains("too long for rbpf") => {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The maps and records of a dump, as the evaluator has them. Processor 0 ran the program.
fn state_of(script: &Script, dump: &Dump) -> State {
    let mut state = State { maps: Vec::new(), records: dump.records.clone() };
    for (_, map) in script.hir.maps.iter() {
        let entries = dump.maps.get(map.name.as_str()).map_or(&[][..], Vec::as_slice);
        let entries = entries
            .iter()
            .filter(|(_, values)| !is_array(map) || values[0].iter().any(|b| *b != 0));
        state.maps.push(entries.map(|(key, values)| (key.clone(), values[0].clone())).collect());
    }
    state
}

/// The script run in the kernel.
fn in_kernel(dir: &Path, script: &Script, code: &Code, cpu: Cpu, params: &Params) -> State {
    let path = dir.join("test.o");
    std::fs::write(&path, script.object(code, cpu)).unwrap();
    let rodata = vm::rodata(code, params);
    let program = script.hir.programs[0].name.as_str();
    let dump = kernel::run_once(&path, program, &rodata).unwrap_or_else(|e| panic!("{e}"));
    state_of(script, &dump)
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn generated_scripts_do_in_rbpf_what_they_mean(text in generate::script(), params in params()) {
        let script = Script::new(&text).unwrap_or_else(|told| panic!("{told}\n{text}"));
        let image = KernelImage::new("");
        let input = input(&image, &params);
        let expected = expected(&script, &input);
        for cpu in CPUS {
            let Some(code) = compiled(&script, cpu) else { continue };
            let Some(state) = in_rbpf(&script, &code, &input) else { continue };
            prop_assert_eq!(&state, &expected, "{:?}\n{}", cpu, text);
        }
    }
}

#[test]
fn generated_scripts_do_in_the_kernel_what_they_mean() {
    if !require("root") || !require("cc") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        cases(40),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let result = runner.run(&(generate::script(), params()), |(text, params)| {
        let script = Script::new(&text).unwrap_or_else(|told| panic!("{told}\n{text}"));
        let image = KernelImage::new("");
        let expected = expected(&script, &input(&image, &params));
        for cpu in [Cpu::V1, Cpu::V3, Cpu::V4] {
            let Some(code) = compiled(&script, cpu) else { continue };
            let state = in_kernel(dir.path(), &script, &code, cpu, &params);
            prop_assert_eq!(&state, &expected, "{:?}\n{}", cpu, text);
        }
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
}
