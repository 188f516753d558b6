//! Fuzzes the framer and the message views of PostgreSQL, both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codecs::fuzzing::pg_framer(data));
