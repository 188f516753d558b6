//! Fuzzes heads of HTTP/2 requests, and what they become in HTTP/1.1.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codecs::fuzzing::http_h2_head(data));
