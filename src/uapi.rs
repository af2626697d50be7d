//! The mirror library, embedded in the compiler.
//!
//! In: a name as `import "sched";` gives it. Out: the file's text. Invariant: the table is sorted by name and holds every `.ub` file of
//! `uapi/`.

/// Name and text of every file.
const FILES: &[(&str, &str)] = &[
    ("block", include_str!("../uapi/block.ub")),
    ("bprm", include_str!("../uapi/bprm.ub")),
    ("cgroup", include_str!("../uapi/cgroup.ub")),
    ("cred", include_str!("../uapi/cred.ub")),
    ("fs", include_str!("../uapi/fs.ub")),
    ("io_uring", include_str!("../uapi/io_uring.ub")),
    ("irq", include_str!("../uapi/irq.ub")),
    ("mm", include_str!("../uapi/mm.ub")),
    ("module", include_str!("../uapi/module.ub")),
    ("net", include_str!("../uapi/net.ub")),
    ("ns", include_str!("../uapi/ns.ub")),
    ("oom", include_str!("../uapi/oom.ub")),
    ("power", include_str!("../uapi/power.ub")),
    ("process", include_str!("../uapi/process.ub")),
    ("reclaim", include_str!("../uapi/reclaim.ub")),
    ("rq", include_str!("../uapi/rq.ub")),
    ("sched", include_str!("../uapi/sched.ub")),
    ("security", include_str!("../uapi/security.ub")),
    ("signal", include_str!("../uapi/signal.ub")),
    ("skb", include_str!("../uapi/skb.ub")),
    ("slab", include_str!("../uapi/slab.ub")),
    ("syscall", include_str!("../uapi/syscall.ub")),
    ("task", include_str!("../uapi/task.ub")),
    ("tcp", include_str!("../uapi/tcp.ub")),
    ("timer", include_str!("../uapi/timer.ub")),
    ("workqueue", include_str!("../uapi/workqueue.ub")),
    ("writeback", include_str!("../uapi/writeback.ub")),
];

/// The names of the library's files, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a file of the library.
pub fn text(name: &str) -> Option<&'static str> {
    let at = FILES.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
    FILES.get(at).map(|(_, text)| *text)
}

/// The name of the file that declares the struct or enum `name`.
pub fn file_that_declares(name: &str) -> Option<&'static str> {
    let heads = ["struct", "enum"].map(|word| format!("\n{word} {name} "));
    let declares = |text: &str| heads.iter().any(|head| text.contains(head.as_str()));
    FILES.iter().find(|(_, text)| declares(text)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(FILES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_table_holds_every_file_of_the_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("uapi");
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut stems: Vec<String> = entries
            .filter(|path| path.extension().is_some_and(|e| e == "ub"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        stems.sort();
        assert_eq!(stems, names().collect::<Vec<_>>());
    }
}
