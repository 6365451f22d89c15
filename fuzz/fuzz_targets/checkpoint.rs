#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| colearn_fuzz_targets::targets::checkpoint(bytes));
