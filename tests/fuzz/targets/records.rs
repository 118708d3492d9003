//! Records of the store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened::store::fuzz::run(data));
