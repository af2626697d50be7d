#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ubpfc_fuzz::dwarf(data));
