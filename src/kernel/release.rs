//! Which release a kernel's file is of, where that is cheaply found.

use super::elf::Elf;

/// What the kernel says of itself when it starts (`init/version.c`: `linux_banner`).
const BANNER: &[u8] = b"Linux version ";
/// How far into the constants of a vmlinux the banner is looked for: `init` is linked first.
const NEAR: usize = 1 << 20;

/// The release that begins at an offset, as in the setup header of x86.
pub(super) fn at(file: &[u8], at: usize) -> Option<String> {
    let text = file.get(at..)?;
    let text = text.get(..text.len().min(128))?;
    let end = text.iter().position(|byte| !byte.is_ascii_graphic())?;
    let release = str::from_utf8(text.get(..end)?).ok()?;
    release.starts_with(|c: char| c.is_ascii_digit()).then(|| release.to_owned())
}

/// The release in a kernel's banner.
pub(super) fn banner(memory: &[u8]) -> Option<String> {
    let mut found = memchr::memmem::find_iter(memory, BANNER);
    found.find_map(|start| at(memory, start + BANNER.len()))
}

/// The release of a vmlinux, or of the kernel that a module is for.
pub(super) fn of(elf: &Elf<'_>) -> Option<String> {
    if let Some(info) = elf.section(".modinfo") {
        const KEY: &[u8] = b"vermagic=";
        let found = memchr::memmem::find(info.data, KEY)?;
        return at(info.data, found + KEY.len());
    }
    let constants = elf.section(".rodata")?.data;
    banner(constants.get(..constants.len().min(NEAR))?)
}
