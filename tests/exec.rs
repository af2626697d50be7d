//! Machine code does what the HIR says: generated scripts in rbpf and in the kernel against the evaluator, on every version of the instruction set.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use support::eval::{self, Input};
use support::generate;
use support::image::KernelImage;
use support::kernel::{self, Dump};
use support::pipeline::{CPUS, Script};
use support::state::{Env, State, is_array};
use support::{package, require, vm};
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
        Ok(_) => Some(state),
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
fn in_kernel(
    dir: &Path,
    script: &Script,
    code: &Code,
    cpu: Cpu,
    params: &Params,
) -> Result<State, String> {
    let path = dir.join("test.o");
    std::fs::write(&path, script.object(code, cpu)).unwrap();
    let rodata = vm::rodata(code, params);
    let program = script.hir.programs[0].name.as_str();
    kernel::run_once(&path, program, &rodata).map(|dump| state_of(script, &dump))
}

/// Gives `check` scripts with parameters: the same ones each time, or as many random ones as `PROPTEST_CASES` says.
fn for_scripts(count: u32, check: impl Fn(&Script, &str, &Params) -> Result<(), TestCaseError>) {
    let default = ProptestConfig::default();
    let fixed = default.cases == 256;
    let cases = if fixed { count } else { default.cases };
    let config =
        ProptestConfig { cases, max_shrink_iters: 500, failure_persistence: None, ..default };
    let mut runner = if fixed {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    };
    let result = runner.run(&(generate::script(), params()), |(text, params)| {
        let script =
            Script::new(&text).map_err(|told| TestCaseError::fail(format!("{told}\n{text}")))?;
        check(&script, &text, &params)
    });
    result.unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn generated_scripts_do_in_rbpf_what_they_mean() {
    let (runs, skips) = (Cell::new(0), Cell::new(0));
    for_scripts(160, |script, text, params| {
        let image = KernelImage::new("");
        let input = input(&image, params);
        let expected = expected(script, &input);
        for cpu in CPUS {
            let code = compiled(script, cpu);
            let Some(state) = code.and_then(|code| in_rbpf(script, &code, &input)) else {
                skips.set(skips.get() + 1);
                continue;
            };
            runs.set(runs.get() + 1);
            prop_assert_eq!(&state, &expected, "{:?}\n{}", cpu, text);
        }
        Ok(())
    });
    assert!(runs.get() > 3 * skips.get(), "{} runs, {} scripts too large", runs.get(), skips.get());
}

#[test]
fn generated_scripts_do_in_the_kernel_what_they_mean() {
    if !require("root") || !require("cc") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (runs, skips) = (Cell::new(0), Cell::new(0));
    for_scripts(48, |script, text, params| {
        let image = KernelImage::new("");
        let expected = expected(script, &input(&image, params));
        for cpu in [Cpu::V1, Cpu::V3, Cpu::V4] {
            let Some(code) = compiled(script, cpu) else {
                skips.set(skips.get() + 1);
                continue;
            };
            runs.set(runs.get() + 1);
            let state = in_kernel(dir.path(), script, &code, cpu, params)
                .map_err(|e| TestCaseError::fail(format!("{e}\n{cpu:?}\n{text}")))?;
            prop_assert_eq!(&state, &expected, "{:?}\n{}", cpu, text);
        }
        Ok(())
    });
    assert!(runs.get() > 3 * skips.get(), "{} runs, {} scripts too large", runs.get(), skips.get());
}

/// What a script says of its own maps: `@name = …; // = 5`.
fn claims(text: &str) -> Vec<(&str, i64)> {
    text.lines()
        .filter_map(|line| {
            let (code, value) = line.split_once("// = ")?;
            let (name, _) = code.trim().strip_prefix('@')?.split_once(" =")?;
            Some((name, value.trim().parse().ok()?))
        })
        .collect()
}

fn check_claims(script: &Script, text: &str, state: &State, how: &str) {
    for (name, value) in claims(text) {
        let index = script.hir.maps.iter().position(|(_, m)| m.name == name);
        let index = index.unwrap_or_else(|| panic!("no map {name}"));
        let bytes = state.maps[index].values().next().cloned().unwrap_or_default();
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(&bytes);
        assert_eq!(i64::from_le_bytes(word), value, "@{name} {how}");
    }
}

/// The scripts in `testdata/exec`, which say what their maps hold in the end.
#[test]
fn scripts_do_what_they_say() {
    let kernel = require("root") && require("cc");
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(package("testdata/exec")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!claims(&text).is_empty(), "{} says nothing", path.display());
        let name = path.display();
        let script = Script::new(&text).unwrap_or_else(|told| panic!("{name}: {told}"));
        let image = KernelImage::new("");
        let params = Params::new();
        let input = input(&image, &params);
        check_claims(&script, &text, &expected(&script, &input), &format!("of {name}, evaluated"));
        for cpu in CPUS {
            let code = script.code(cpu).unwrap_or_else(|told| panic!("{name}: {told}"));
            let how = format!("of {name} on {cpu:?}");
            if let Some(state) = in_rbpf(&script, &code, &input) {
                check_claims(&script, &text, &state, &how);
            }
            if kernel {
                let state = in_kernel(dir.path(), &script, &code, cpu, &params);
                let state = state.unwrap_or_else(|e| panic!("{how}: {e}"));
                check_claims(&script, &text, &state, &format!("{how} in the kernel"));
            }
        }
    }
}
