//! Frames of a worker's pipe.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened_common::pipe::fuzz::run(data));
