//! Hostile scripts to the whole front end: an answer in reasonable time, whatever there are many thousands of.

use std::time::{Duration, Instant};
use ubpfc::sema;
use ubpfc::sema::imports::Library;
use ubpfc::source::{Origin, Sources};

const N: usize = 20_000;

#[test]
fn many_of_a_kind_take_time_in_proportion() {
    let many = |unit: fn(usize) -> String| (0..N).map(unit).collect::<String>();
    for (what, text) in [
        ("variables", format!("begin {{ {} }}", many(|i| format!("$a{i}=1;")))),
        ("unknown names", format!("begin {{ {} }}", many(|i| format!("$a{i}=b{i};")))),
        ("unknown variables", format!("begin {{ {} }}", many(|i| format!("@a=$b{i};")))),
        ("maps", format!("begin {{ {} }}", many(|i| format!("@a{i}=1;")))),
        ("outputs", format!("begin {{ {} }}", many(|_| "exit();".to_owned()))),
        ("probes", many(|_| "begin{}".to_owned())),
        ("unknown probes", many(|i| format!("user:x{i}{{}}"))),
        ("blocks", format!("begin {{ {} }}", many(|i| format!("if 1 {{ $a{i} = 1; }}")))),
        ("map declarations", many(|i| format!("let @m{i} = hash(1);"))),
    ] {
        let mut sources = Sources::new();
        let root = sources.add("hostile.ub", text, Origin::User);
        let start = Instant::now();
        let (hir, _) = sema::analyze(&mut sources, root, &mut Library);
        let _ = sema::print(&hir);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    }
}
