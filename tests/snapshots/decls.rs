//! Declarations: what is understood of every kind, as snapshots beside their inputs; and the library, which must be free of mistakes.

use super::{shown, snapshots};
use std::fmt::Write;
use ubpfc::sema::decls::{self, Decls, ValueDecl};
use ubpfc::sema::hir::{EnumeratorValue, Hir, MirrorField};
use ubpfc::sema::imports::Library;
use ubpfc::sema::kpath::show::alternative;
use ubpfc::sema::{imports, show};
use ubpfc::source::{Origin, Sources};
use ubpfc::uapi;

fn collect(name: &str, script: &str) -> Decls {
    let mut sources = Sources::new();
    let root = sources.add(name, script, Origin::User);
    let (files, mut diags) = imports::load(&mut sources, root, &mut Library, |_| None);
    let (decls, findings) = decls::collect(&sources, &files, ubpfc::sema::Numbers::default());
    diags.extend(findings);
    assert!(diags.is_empty(), "{}", shown(&sources, &diags));
    decls
}

fn print(decls: &Decls) -> String {
    let hir = &decls.hir;
    let mut out = String::new();
    let w = &mut out;
    for (_, s) in hir.structs.iter() {
        writeln!(w, "struct {} size {} align {}", s.name, s.size, s.align).unwrap();
        for f in &s.fields {
            writeln!(w, "  {:4} {} {}", f.offset, show::ty(hir, &f.ty), f.name).unwrap();
        }
    }
    for (_, e) in hir.enums.iter() {
        writeln!(w, "enum {} mirrors {:?} as {}", e.name, e.kernel, show::int(e.repr)).unwrap();
        for e in &e.enumerators {
            match &e.value {
                EnumeratorValue::Const(value) => writeln!(w, "  {} = {value}", e.name).unwrap(),
                EnumeratorValue::Kernel { names, optional } => {
                    writeln!(
                        w,
                        "  {}{} = {}",
                        e.name,
                        if *optional { "?" } else { "" },
                        names.join(" else ")
                    )
                    .unwrap();
                }
            }
        }
    }
    for (_, m) in hir.mirrors.iter() {
        writeln!(
            w,
            "mirror {} of {} size {} align {} locked {}",
            m.name, m.kernel, m.size, m.align, m.locked
        )
        .unwrap();
        m.fields.iter().for_each(|f| w.push_str(&field(hir, f)));
    }
    for (_, p) in hir.params.iter() {
        writeln!(w, "param {}: {} = {:?} {:?}", p.name, show::ty(hir, &p.ty), p.default, p.doc)
            .unwrap();
    }
    for (name, value) in &decls.values {
        if let ValueDecl::Const { ty, value, .. } = value {
            writeln!(w, "const {name}: {} = {value:?}", show::ty(hir, ty)).unwrap();
        }
    }
    for (name, map) in &decls.maps {
        writeln!(w, "map @{name} {:?} {:?}", map.kind, map.max_entries).unwrap();
    }
    for (name, t) in &decls.tracepoints {
        writeln!(
            w,
            "user:{name} on {} locked {}",
            t.events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" else "),
            t.locked
        )
        .unwrap();
        for arg in &t.args {
            let places: Vec<String> = arg
                .arg
                .places
                .iter()
                .map(|p| {
                    format!(
                        "{:?} in {:?}",
                        p.index,
                        p.prototypes.iter().map(|i| i.into_raw().into_u32()).collect::<Vec<_>>()
                    )
                })
                .collect();
            let nullable = if arg.arg.nullable { "?" } else { "" };
            writeln!(
                w,
                "  {} {}{nullable}: {}",
                show::ty(hir, &arg.ty),
                arg.name,
                places.join(", ")
            )
            .unwrap();
        }
    }
    writeln!(w, "{:?}", decls.config).unwrap();
    out
}

fn field(hir: &Hir, f: &MirrorField) -> String {
    let optional = if f.optional { "?" } else { "" };
    let alternatives: Vec<String> = f.alternatives.iter().map(alternative).collect();
    let doc = f.doc.as_deref().map(|d| format!("  // {d}")).unwrap_or_default();
    format!(
        "  {:4} {} {}{optional} = {}{doc}\n",
        f.offset,
        show::ty(hir, &f.ty),
        f.name,
        alternatives.join(" else ")
    )
}

#[test]
fn declarations() {
    snapshots("decls/*.ub", "decls", |name, text| print(&collect(name, text)));
}

#[test]
fn the_library_is_free_of_mistakes_and_documents_every_field() {
    for name in uapi::names() {
        let decls = collect("all.ub", &format!("import \"{name}\"; begin {{ }}"));
        for (_, mirror) in decls.hir.mirrors.iter() {
            assert!(mirror.locked, "{}", mirror.name);
            for field in &mirror.fields {
                assert!(!field.alternatives.is_empty(), "{}.{}", mirror.name, field.name);
                assert!(field.doc.is_some(), "{}.{} has no doc", mirror.name, field.name);
            }
        }
        assert!(decls.tracepoints.values().all(|t| t.locked));
    }
}

#[test]
fn what_a_script_declares_does_not_change_the_library() {
    let script = "import \"task\"; const cgroups = 5; const thread_pid = 1; struct pid { u8 x; }; struct cgroup { u8 y; }; begin { }";
    let (plain, hidden) = (collect("a.ub", "import \"task\"; begin { }"), collect("b.ub", script));
    let mirrors = |decls: &Decls| {
        let fields = decls.hir.mirrors.iter().flat_map(|(_, m)| &m.fields);
        fields.map(|f| field(&decls.hir, f)).collect::<String>()
    };
    assert_eq!(mirrors(&plain), mirrors(&hidden));
}

#[test]
fn a_long_chain_of_declarations_is_followed_to_its_end() {
    let links = (0..20_000).map(|i| format!("const C{i} = C{} + 1;\n", i + 1));
    let links = links.collect::<Vec<_>>().concat();
    let decls = collect("chain.ub", &format!("{links}const C20000 = 0;"));
    assert!(
        matches!(decls.values.get("C0"), Some(ValueDecl::Const { value, .. }) if *value == ubpfc::sema::hir::ConstValue::Int(20_000))
    );
}
