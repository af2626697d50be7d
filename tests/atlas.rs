//! Atlases: their kernels decide as the kernels themselves do, what was never asked is unknown, and the one in the program is up to date.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests read and write files")]
#![allow(clippy::print_stderr, reason = "sizes are worth seeing")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use support::cli::{Folder, NEW, OLD, status, text};
use support::kernels::{self, KernelTypes};
use support::objects;
use ubpfc::atlas::{Atlas, AtlasError, Given, NotFound, Unknown, build};
use ubpfc::btf::{Btf, Type, TypeId, encoding, kind};
use ubpfc::driver;
use ubpfc::kernel::{Kernel, Places};
use ubpfc::library::Library;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::EventKind;
use ubpfc::relocate::{self, Asked, Options, Policy, Refusal, Relocation};
use ubpfc::sema::{Numbers, imports};
use ubpfc::target::{Endian, Target};

/// How the atlas in the program is made anew.
const REBUILD: &str = "testdata/kernels/atlas.sh FOLDER && cargo run -- atlas build testdata/kernels FOLDER -o uapi/kernels.atlas";

/// The object that asks everything that the library may ask.
fn survey(endian: Endian) -> Vec<u8> {
    let target = Target { endian, ..Target::default() };
    driver::survey(&Library::embedded(), &mut imports::Library, target).unwrap()
}

/// What a kernel is called in an atlas, and whether it shows its types.
fn called(kernel: &KernelTypes) -> (&str, bool) {
    kernel.name.strip_suffix("-from-dwarf").map_or((&kernel.name, true), |name| (name, false))
}

fn opened(kernel: &KernelTypes) -> Kernel {
    Kernel::from_bytes(&Places::default(), Path::new("k"), kernel.btf().to_vec()).unwrap()
}

fn given(kernel: &KernelTypes) -> Given {
    let (name, shows_btf) = called(kernel);
    Given { name: name.to_owned(), kernel: opened(kernel), shows_btf }
}

fn atlas_of(objects: &[&[u8]], kernels: &[Given]) -> Vec<u8> {
    let objects: Vec<_> = objects.iter().map(|bytes| Object::parse(bytes).unwrap()).collect();
    build(&objects.iter().collect::<Vec<_>>(), kernels).unwrap()
}

/// Everything that a relocation gives, as text: without ids, which are each file's own, without names that are near, for which all of a kernel's names would be needed, and without those of typedefs, which decide nothing.
fn shown(relocation: Relocation) -> (Option<Vec<u8>>, String) {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, value| {
                    let typed = name == "why" && value.as_str().unwrap().contains(" is of type `");
                    !matches!(&**name, "id" | "target_id" | "near") && !typed
                });
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let Relocation { result, told } = relocation;
    let mut answers = serde_json::to_value(&told.answers).unwrap();
    strip(&mut answers);
    let sizes: Vec<_> = told.sizes.iter().map(|access| &access.local).collect();
    let mut out = format!("{answers:#}\n{:?}\n{:?}\n{sizes:?}\n", told.lacks, told.programs);
    match result {
        Ok(bytes) => return (Some(bytes), out),
        Err(Refusal::Events(mut error)) => {
            error.programs.iter_mut().for_each(|lost| lost.near.clear());
            write!(out, "{error}").unwrap();
        }
        Err(Refusal::Apply { error: relocate::ApplyError::Missing(_), .. }) => {}
        Err(other) => write!(out, "{other}").unwrap(),
    }
    (None, out)
}

/// That an object becomes the same for a kernel of an atlas as for the kernel itself; whether it becomes anything.
fn same(name: &str, object: &[u8], atlas: &Atlas<'_>, kernel: &KernelTypes) -> bool {
    let (called, shows_btf) = called(kernel);
    let ours = atlas.kernel(called).unwrap().unwrap();
    let mut theirs = opened(kernel);
    (theirs.name, theirs.release) = (ours.name.clone(), ours.release.clone());
    let mut done = false;
    for policy in [Policy::Strict, Policy::Libbpf] {
        let options = Options { policy, no_btf: false };
        let ours = shown(relocate::relocate(object, &ours, options));
        let options = Options { policy, no_btf: !shows_btf };
        let theirs = shown(relocate::relocate(object, &theirs, options));
        let mut lines = ours.1.lines().zip(theirs.1.lines());
        let context = format!("{name} on {called}, {policy:?}");
        if let Some((ours, theirs)) = lines.find(|(ours, theirs)| ours != theirs) {
            panic!("{context}: {ours} where the kernel has {theirs}");
        }
        assert_eq!(ours.1.len(), theirs.1.len(), "{context}");
        assert!(ours.0 == theirs.0, "{context}: the objects differ");
        done |= policy == Policy::Strict && ours.0.is_some();
    }
    done
}

#[test]
fn an_object_becomes_the_same_for_a_kernel_of_an_atlas_as_for_the_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let both = [Endian::Little, Endian::Big].map(|endian| {
        let folder = dir.path().join(format!("{endian:?}"));
        std::fs::create_dir(&folder).unwrap();
        let all = [objects::ours(&folder, endian), objects::clangs(&folder, endian)];
        let all = all.iter().flatten().map(|object| (object.name.clone(), object.bytes()));
        all.chain([("survey".to_owned(), survey(endian))]).collect::<Vec<_>>()
    });
    let asking: Vec<&[u8]> = both.iter().flatten().map(|(_, bytes)| &**bytes).collect();
    let file = atlas_of(&asking, &kernels::all().iter().map(given).collect::<Vec<_>>());
    let atlas = Atlas::parse(&file).unwrap();
    assert_eq!(atlas.kernels().len(), kernels::all().len());
    let each = file.len() / kernels::all().len();
    eprintln!("{} kernels, {each} bytes for each", kernels::all().len());
    assert!(each < 20 << 10, "{each} bytes for each kernel");
    let (mut done, mut all) = (0, 0);
    for (at, kernel) in kernels::all().iter().enumerate() {
        let [little, big] = &both;
        let objects = if kernel.name.starts_with("s390x") { big } else { little };
        for (number, (name, object)) in objects.iter().enumerate() {
            // Without optimisation, some of them on each kernel, and the survey on some.
            let part = if name == "survey" { 4 } else { 12 };
            if cfg!(debug_assertions) && !(at + number).is_multiple_of(part) {
                continue;
            }
            all += 1;
            done += usize::from(same(name, object, &atlas, kernel));
        }
    }
    eprintln!("{done} of {all} can be relocated");
    assert!(done * 2 > all, "{done} of {all}");
}

#[test]
fn the_atlas_in_the_program_covers_the_library_and_answers_as_the_files_of_its_kernels() {
    let atlas = Atlas::embedded().unwrap_or_else(|error| panic!("{error}: {REBUILD}"));
    assert!(atlas.kernels().len() >= 30, "{}", atlas.kernels().len());
    for endian in [Endian::Little, Endian::Big] {
        let survey = survey(endian);
        let unknown = atlas.unknown(&Object::parse(&survey).unwrap()).unwrap();
        let first: Vec<_> = unknown.iter().take(5).collect();
        assert!(
            unknown.is_empty(),
            "the library asks more than the atlas tells, such as {first:?}; make it anew: {REBUILD}"
        );
        for (at, kernel) in kernels::all().iter().enumerate() {
            let big = kernel.name.starts_with("s390x");
            let known = atlas.kernels().iter().find(|entry| entry.name == called(kernel).0);
            let Some(known) = known else {
                let here = kernel.path.starts_with(support::package("testdata"));
                assert!(!here, "{} is not in the atlas: {REBUILD}", kernel.name);
                continue;
            };
            let identity = opened(kernel).identity();
            assert_eq!(atlas.open(known).unwrap().identity(), known.identity);
            if known.identity == identity && big == (endian == Endian::Big) {
                // Without optimisation, on some: it takes long.
                if big || !cfg!(debug_assertions) || at.is_multiple_of(4) {
                    same("the survey", &survey, atlas, kernel);
                }
            } else {
                let here = kernel.path.starts_with(support::package("testdata"));
                assert!(!here || known.identity == identity, "{}: {REBUILD}", kernel.name);
            }
        }
    }
}

#[test]
fn the_table_of_numbers_is_what_the_atlas_in_the_program_gives() {
    let table = Atlas::embedded().unwrap().leaves().unwrap();
    let rebuild = "cargo run -- atlas numbers > FILE && mv FILE uapi/kernels.numbers";
    assert!(table == Numbers::EMBEDDED.0, "the table is another; make it anew: {rebuild}");
    let paths: Vec<_> = table.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert!(paths.is_sorted());
    assert!(paths.len() > 200, "{} lines", paths.len());
}

/// Everything that members of a struct lead to along a path, as integers are written in the table; other things as `?`.
fn ends(btf: &Btf<'_>, at: TypeId, path: &str, found: &mut Vec<String>) {
    let at = btf.strip(at).unwrap();
    let members = match btf.get(at).unwrap() {
        Type::Array { elem, .. } => return ends(btf, elem, path, found),
        Type::Composite { members, .. } => members,
        _ => return,
    };
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    for member in &members {
        match (member.name, rest) {
            ("", _) => ends(btf, member.ty, path, found),
            (own, Some(rest)) if own == name => ends(btf, member.ty, rest, found),
            (own, None) if own == name => {
                found.push(match btf.get(btf.strip(member.ty).unwrap()) {
                    Ok(Type::Int { bytes, encoding, .. }) if member.bit_width == 0 => {
                        let signed = encoding & encoding::SIGNED != 0;
                        format!("{}{}", if signed { 's' } else { 'u' }, bytes * 8)
                    }
                    _ => "?".to_owned(),
                });
            }
            _ => {}
        }
    }
}

#[test]
fn all_types_of_the_kernels_have_the_numbers_of_the_table() {
    let mut seen = BTreeSet::new();
    for kernel in kernels::all() {
        // The table tells of the kernels in the atlas.
        if Atlas::embedded().unwrap().kernel(called(kernel).0).is_err() {
            continue;
        }
        let mut btf = Btf::parse(kernel.btf()).unwrap();
        btf.set_pointer_size(kernel.pointer_size());
        let lines = Numbers::EMBEDDED.0.lines().map(|line| line.split_once(' ').unwrap());
        let lines: Vec<_> = lines.collect();
        let roots: BTreeSet<&str> =
            lines.iter().map(|(path, _)| path.split_once('.').unwrap().0).collect();
        let roots: Vec<&str> = roots.into_iter().collect();
        let types: BTreeMap<&str, _> = roots.iter().copied().zip(btf.find(&roots)).collect();
        for (line, number) in lines {
            let (root, path) = line.split_once('.').unwrap();
            let mut found = Vec::new();
            types[root].iter().for_each(|id| ends(&btf, *id, path, &mut found));
            assert!(found.iter().all(|n| n == number), "{line} on {}: {found:?}", kernel.name);
            if !found.is_empty() {
                seen.insert(line);
            }
        }
    }
    assert!(seen.len() * 10 > Numbers::EMBEDDED.0.lines().count() * 9, "{}", seen.len());
}

#[test]
fn the_same_kernels_in_any_order_give_the_same_bytes() {
    let survey = survey(Endian::Little);
    let mut kernels: Vec<_> = [OLD, NEW, support::cli::BIG_ENDIAN].map(kernels::named).into();
    let one = atlas_of(&[&survey], &kernels.iter().map(|k| given(k)).collect::<Vec<_>>());
    kernels.reverse();
    let other = atlas_of(&[&survey], &kernels.iter().map(|k| given(k)).collect::<Vec<_>>());
    assert_eq!(one, other);
    let twice = [OLD, OLD].map(|name| given(kernels::named(name)));
    let object = Object::parse(&survey).unwrap();
    let error = build(&[&object], &twice).unwrap_err().to_string();
    assert!(error.contains("two kernels are called x86_64-5.10"), "{error}");
}

/// All that can be done with an atlas.
fn look_at(file: &[u8]) -> Result<usize, AtlasError> {
    let atlas = Atlas::parse(file)?;
    let mut types = 0;
    for entry in atlas.kernels() {
        let kernel = atlas.open(entry)?;
        let loaded = kernel.load(&[]).map_err(|_| AtlasError::Broken("its types"))?;
        types += loaded.target().map_or(0, |target| target.image.ids().count());
    }
    Ok(types)
}

#[test]
fn a_broken_atlas_is_an_error_wherever_it_is_broken() {
    let survey = survey(Endian::Little);
    let file = atlas_of(&[&survey], &[OLD, NEW].map(|name| given(kernels::named(name))));
    assert!(look_at(&file).unwrap() > 100);
    for at in (0..file.len()).step_by(if cfg!(debug_assertions) { 13 } else { 1 }) {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(look_at(&changed).is_err(), "byte {at}");
        if at % 7 == 0 {
            assert!(look_at(&file[..at]).is_err(), "cut at {at}");
        }
    }
    assert!(look_at(&[&file[..], &[0]].concat()).is_err());
    assert_eq!(look_at(b"text").unwrap_err(), AtlasError::NotAtlas);
    assert!(look_at(b"ubpfatls\x09\0\0\0").unwrap_err().to_string().contains("version 9"));
}

#[test]
fn what_was_never_asked_is_unknown_and_what_is_on_the_way_to_an_answer_is_not() {
    let object = std::fs::read(support::package("testdata/cli/lacks.o")).unwrap();
    let file = atlas_of(&[&object], &[given(kernels::named(OLD))]);
    let atlas = Atlas::parse(&file).unwrap();
    let parsed = Object::parse(&object).unwrap();
    assert_eq!(atlas.unknown(&parsed).unwrap(), []);
    let of = |kind: CoreKind, root_kind: u32, root: &str, local: &str| {
        let (root, local) = (root.to_owned(), local.to_owned());
        let (function, section) = (String::new(), String::new());
        let asked = Asked { function, section, insn: 0, at: None, kind, root_kind, root, local };
        atlas.covers(&asked)
    };
    let task = |kind: CoreKind, local: &str| of(kind, kind::STRUCT, "struct task_struct", local);
    let deep = relocate::asked(&parsed).unwrap();
    let deep = deep.iter().find(|asked| asked.local.matches('.').count() > 1).unwrap();
    let cut = deep.local.rsplit_once('.').unwrap().0;
    assert!(of(CoreKind::FieldExists, deep.root_kind, &deep.root, &deep.local));
    assert!(of(CoreKind::ByteOff, deep.root_kind, &deep.root, cut), "{cut}");
    assert!(of(CoreKind::TypeExists, deep.root_kind, &deep.root, &deep.root));
    assert!(of(CoreKind::LocalTypeId, kind::STRUCT, "struct mine", "struct mine"));
    assert!(task(CoreKind::ByteSize, "struct task_struct.pid"));
    assert!(of(
        CoreKind::ByteOff,
        kind::STRUCT,
        "struct task_struct___mine",
        "struct task_struct___mine.pid"
    ));
    assert!(!task(CoreKind::ByteOff, "struct task_struct.pid.x"));
    assert!(!task(CoreKind::ByteOff, "struct task_struct.pi"));
    assert!(!task(CoreKind::TypeMatches, "struct task_struct"));
    assert!(!of(CoreKind::TypeExists, kind::UNION, "union task_struct", "union task_struct"));
    assert!(!of(CoreKind::TypeExists, kind::TYPEDEF, "task_struct", "task_struct"));
    assert!(!of(CoreKind::TypeExists, kind::STRUCT, "struct task", "struct task"));
    // The same of another atlas, which is not asked what this object asks.
    let unknown = Atlas::embedded().unwrap().unknown(&parsed).unwrap();
    assert!(unknown.iter().any(|unknown| matches!(unknown, Unknown::Question(_))), "{unknown:?}");
}

#[test]
fn kernels_are_found_by_what_they_are_called() {
    let atlas = Atlas::embedded().unwrap();
    let found = |called: &str| atlas.find(called).map(|entry| entry.name.as_str());
    assert_eq!(found(OLD), Ok(OLD));
    assert_eq!(found("5.10.0-46-amd64"), Ok(OLD));
    assert_eq!(found("x86_64-6.18"), Ok(NEW));
    assert_eq!(found("6.18."), Ok(NEW));
    // A name counts before what others begin with.
    assert_eq!(found("6.1.0-50-amd64"), Ok("x86_64-6.1.0-50-amd64"));
    let Err(NotFound::Several(several)) = found("x86_64-6.1") else { panic!("it is several") };
    assert!(several.len() > 2 && several.contains(&"x86_64-6.1.0-50-cloud-amd64"), "{several:?}");
    let Err(NotFound::None(near)) = found("x86_64-6.18.51+deb13-amd64") else { panic!("none") };
    assert!(near.contains(&NEW), "{near:?}");
    assert!(matches!(found(""), Err(NotFound::None(_))));
    assert!(atlas.covers_event(EventKind::Tracepoint, "sched_switch"));
    assert!(!atlas.covers_event(EventKind::Tracepoint, "no_such_event"));
    assert!(!atlas.covers_event(EventKind::Fentry, "sched_switch"));
}

#[test]
fn a_kernel_of_the_atlas_is_named_on_the_command_line() {
    let folder = Folder::new();
    folder.compile(
        "a",
        &std::fs::read_to_string(support::package("examples/runqlat.ub")).unwrap(),
        &[],
    );
    let by_name =
        folder.json(&["relocate", "a.o", "-k", "x86_64-6.12.117+deb12-amd64", "--json"], 0);
    assert_eq!(by_name["kernel"]["release"], "6.12.117+deb12-amd64");
    let by_release = folder.json(&["relocate", "a.o", "-k", "6.12.117+deb12-amd64", "--json"], 0);
    assert_eq!(by_name, by_release);
    // A file counts before a name: this one has the types of another kernel.
    let file = support::package("testdata/kernels").join(format!("{NEW}.btf.xz"));
    std::os::unix::fs::symlink(file, folder.path("6.12.117+deb12-amd64")).unwrap();
    let by_file = folder.json(&["relocate", "a.o", "-k", "6.12.117+deb12-amd64", "--json"], 0);
    assert_eq!(by_file["kernel"]["release"], Value::Null);
    // Without BTF, it takes the forms that need none.
    let plain = folder.json(&["relocate", "a.o", "-k", "armv7-6.1.0-50-armmp", "--json"], 0);
    assert_eq!(plain["kernel"]["form"], "dwarf");
    let section = plain["programs"][0]["section"].as_str().unwrap();
    assert!(section.starts_with("raw_tp/"), "{section}");

    folder.write("broken.atlas", b"ubpfatls\x01\0\0\0\x05\0\0\0");
    let refused: [(&[&str], i32, &str); 6] = [
        (&["relocate", "a.o", "-k", "x86_64-6.1"], 2, "E0705"),
        (&["relocate", "a.o", "-k", "x86_64-6.18.51"], 2, "did you mean `x86_64-6.18.15"),
        (&["relocate", "a.o", "-k", "6.18", "--atlas", "broken.atlas"], 2, "E0706"),
        (&["relocate", "a.o", "-k", "6.18", "-m", "ext4.ko"], 2, "the atlas has no modules"),
        (&["relocate", "lacks.o", "-k", "x86_64-6.18"], 3, "E0704"),
        (&["btf", "x86_64-6.18", "--for", "lacks.o", "-o", "x"], 3, "E0704"),
    ];
    for (args, expected, said) in refused {
        let output = folder.run(args);
        assert_eq!(status(&output), expected, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    folder.snapshot("atlas-unknown", &["relocate", "lacks.o", "-k", "x86_64-6.18"]);
    folder.snapshot("atlas-several", &["relocate", "clang.o", "-k", "x86_64-6.1.0"]);
}

#[test]
fn an_atlas_is_made_and_listed_on_the_command_line() {
    let folder = Folder::new();
    for kernel in [OLD, support::cli::BIG_ENDIAN, "x86_64-6.12.117+deb12-amd64--ext4"] {
        let file = format!("{kernel}.btf.xz");
        std::fs::create_dir_all(folder.path("kernels")).unwrap();
        std::fs::copy(
            support::package("testdata/kernels").join(&file),
            folder.path("kernels").join(&file),
        )
        .unwrap();
    }
    // Of a folder, modules are left out; objects may ask more than the library does.
    let output = folder.run(&["atlas", "build", "kernels", "--for", "clang.o", "-o", "my.atlas"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("my.atlas: 2 kernels, "), "{}", text(&output.stderr));
    let shown = folder.json(&["atlas", "show", "my.atlas", "--json"], 0);
    let names: Vec<_> = shown["kernels"].as_array().unwrap().iter().map(|k| &k["name"]).collect();
    assert_eq!(names, [support::cli::BIG_ENDIAN, OLD]);
    assert_eq!(shown["kernels"][0]["endian"], "big");
    let asked = shown["asked"].as_array().unwrap();
    assert!(asked.iter().any(|asked| asked == "struct task_struct .pid"), "{asked:?}");
    let output =
        folder.run(&["relocate", "clang.o", "-k", "5.10", "--atlas", "my.atlas", "--json"]);
    let by_file = folder.run(&["relocate", "clang.o", "-k", OLD, "--json"]);
    assert_eq!(status(&output), status(&by_file), "{}", text(&output.stderr));
    let output = folder.run(&["atlas", "build", "testdata", "-o", "x"]);
    assert_ne!(status(&output), 0);
    let output = folder.run(&["atlas", "show"]);
    assert!(text(&output.stdout).contains(NEW), "{}", text(&output.stdout));
}
