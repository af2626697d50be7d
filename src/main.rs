//! The command `ubpfc`.

fn main() {
    ubpfc::cli::main();
}
