//! Definitions in several units: equal ones are one, others are several, and declarations stand for definitions.

use crate::build::Built;
use ubpfc::btf::{Btf, Type, TypeId};
use ubpfc::kernel::dwarf::{Alone, Companions, types};

/// Allows only parts of the file to be given back.
#[derive(Debug)]
struct Within(std::ops::Range<usize>);

impl Companions for Within {
    fn done_with(&self, part: &[u8]) {
        let start = part.as_ptr() as usize;
        assert!(self.0.contains(&start) || part.is_empty(), "a copy was given back");
    }
}

fn linked(files: &[(&str, &str)]) -> Vec<u8> {
    let built = Built::new();
    for (name, text) in files {
        built.write(name, text);
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert!(built.run(&format!("gcc -g -fPIC -shared -nostdlib {} -o all.so", names.join(" "))));
    built.read("all.so")
}

fn structs(btf: &Btf<'_>, wanted: &str) -> Vec<(u32, usize)> {
    let each = btf.ids().filter_map(|id| match btf.get(id).unwrap() {
        Type::Composite { name, size, members, .. } if name == wanted => {
            Some((size, members.len()))
        }
        _ => None,
    });
    each.collect()
}

#[test]
fn equal_definitions_are_one_and_others_are_several() {
    let same = "struct part { int x; }; struct same { struct part p; struct same *next; struct twin *twin; } s";
    let a = format!(
        "{same}_a; struct twin {{ int a; }} t_a; struct deep {{ struct {{ int a; }} x; }} d_a;"
    );
    let b = format!(
        "int other; {same}_b; struct twin {{ long a, b; }} t_b; struct deep {{ struct {{ int b; }} x; }} d_b;"
    );
    let file = linked(&[("a.c", &a), ("b.c", &b)]);
    let found = types(&file, &Alone, &["same", "twin", "deep"]).unwrap();
    let btf = Btf::parse(&found.btf).unwrap();
    assert_eq!(structs(&btf, "same"), [(24, 3)]);
    assert_eq!(structs(&btf, "twin"), [(4, 1), (16, 2)]);
    assert_eq!(structs(&btf, "deep"), [(4, 1), (4, 1)]);
}

#[test]
fn a_flavor_is_found_under_its_essential_name_and_nothing_else_is() {
    let text = "struct page___2 { int x; } a; struct page { long x; } b; struct page__3 { int y; } c; struct mypage { int z; } d;";
    let found = types(&linked(&[("a.c", text)]), &Alone, &["page"]).unwrap();
    let btf = Btf::parse(&found.btf).unwrap();
    let names: Vec<&str> = btf
        .ids()
        .map(|id| btf.get(id).unwrap())
        .filter(|ty| matches!(ty, Type::Composite { .. }))
        .map(|ty| ty.name())
        .collect();
    assert_eq!(names, ["page___2", "page"]);
}

#[test]
fn a_declaration_stands_for_the_definition_in_another_unit() {
    let a = "struct hidden; struct nowhere; typedef void (*call_t)(struct hidden *, struct nowhere *); call_t call;";
    let b = "struct hidden { long a, b, c; } h;";
    let found = types(&linked(&[("a.c", a), ("b.c", b)]), &Alone, &["call_t"]).unwrap();
    let btf = Btf::parse(&found.btf).unwrap();
    assert_eq!(structs(&btf, "hidden"), [(24, 0)]);
    let fwd = |id: TypeId| matches!(btf.get(id), Ok(Type::Fwd { name: "nowhere", union: false }));
    assert!(btf.ids().any(fwd));
}

#[test]
fn the_size_of_a_pointer_can_be_told_from_the_types() {
    let found = types(&linked(&[("a.c", "int x;")]), &Alone, &["nothing"]).unwrap();
    let btf = Btf::parse(&found.btf).unwrap();
    let long =
        Type::Int { name: "long unsigned int", bytes: 8, bits: 64, bit_offset: 0, encoding: 0 };
    assert_eq!(btf.get(TypeId(1)).unwrap(), long);
}

#[test]
fn only_parts_of_the_file_are_given_back() {
    for flags in
        ["gcc -g -c", "gcc -g -gz=zlib -fPIC -shared -nostdlib", "gcc -g -fPIC -shared -nostdlib"]
    {
        let built = Built::new();
        built.write("a.c", "struct a { int x; } a;");
        assert!(built.run(&format!("{flags} a.c -o a.o")), "{flags}");
        let file = built.read("a.o");
        let start = file.as_ptr() as usize;
        assert!(types(&file, &Within(start..start + file.len()), &["a"]).is_ok(), "{flags}");
    }
}

#[test]
fn long_chains_of_types_in_several_units_are_made_one_quickly() {
    const CHAIN: usize = 3000;
    let mut text = "typedef void *t0;".to_owned();
    for i in 1..CHAIN {
        text += &format!("typedef t{} *t{i};", i - 1);
    }
    let [a, b] = ["a", "b"].map(|unit| format!("{text} t{} {unit};", CHAIN - 1));
    let file = linked(&[("a.c", &a), ("b.c", &b)]);
    let names: Vec<String> = (0..CHAIN).map(|i| format!("t{i}")).collect();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = std::time::Instant::now();
    let found = types(&file, &Alone, &wanted).unwrap();
    let took = start.elapsed();
    let btf = Btf::parse(&found.btf).unwrap();
    let typedefs = |id: &TypeId| matches!(btf.get(*id), Ok(Type::Typedef { .. }));
    assert_eq!(btf.ids().filter(typedefs).count(), CHAIN);
    // One round over all types for each link of the chain takes minutes.
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}
