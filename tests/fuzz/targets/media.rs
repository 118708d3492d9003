//! Messages of a media worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened::media::process::fuzz::run(data));
