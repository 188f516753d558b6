//! Fuzzes requests of HTTP/1.1, heads and bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codecs::fuzzing::http_h1_request(data));
