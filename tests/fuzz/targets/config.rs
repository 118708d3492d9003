//! config.toml, and edits of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened::config::fuzz::run(data));
