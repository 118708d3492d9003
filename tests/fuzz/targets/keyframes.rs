//! Files of keyframe pictures.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened_common::media::keyframe_file::fuzz::run(data));
