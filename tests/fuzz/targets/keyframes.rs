//! Files of keyframe pictures.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scened::media::keyframes::fuzz::run(data));
