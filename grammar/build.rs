//! Compiles the grammar `ub.lalrpop` into a parser in `OUT_DIR`.

fn main() {
    #[expect(
        clippy::disallowed_methods,
        reason = "build scripts are told by the environment where to write"
    )]
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    lalrpop::Configuration::new()
        .set_in_dir("grammar")
        .set_out_dir(out)
        .emit_rerun_directives(true)
        .process()
        .expect("the grammar compiles");
}
