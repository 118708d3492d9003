//! Files of a model folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened_common::embed::model::fuzz::run(data));
