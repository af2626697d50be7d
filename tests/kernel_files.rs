//! Kernels as files: every kind that types are read from, told by content.

mod support;

use std::path::Path;
use ubpfc::btf::kind;
use ubpfc::kernel::Kernel;

#[test]
fn the_running_kernel_has_its_types() {
    if !support::require("btf") {
        return;
    }
    let kernel = Kernel::open(Path::new("running"), &[]).unwrap();
    let loaded = kernel.load(&[(kind::STRUCT, "task_struct")]).unwrap();
    let target = loaded.target().unwrap();
    let found = target.image.find(&["task_struct"]);
    assert!(target.image.size(found[0][0]).unwrap() > 1000);
}
