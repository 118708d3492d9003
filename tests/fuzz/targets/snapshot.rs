//! Header of an index snapshot.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened::ann::fuzz::run(data));
