//! Fuzzes PostgreSQL's login towards a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codecs::fuzzing::pg_login_downstream(data));
