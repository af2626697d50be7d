//! Types out of DWARF.

mod vmlinux;
