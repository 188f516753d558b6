//! Arbitrary bytes from the peer of a link, see `tunnel::fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tunnel::fuzzing::frames(data));
