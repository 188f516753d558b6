//! Generator of hostile text: real values, near misses, pieces of both, and glue that joins them in bad ways.

use proptest::prelude::*;

/// Values that some detector finds, and such as differ from one by little.
pub(super) const VALUES: &[&str] = &[
    "john.doe@example.com",
    "a@b.co",
    "bob@example",
    "x@y.z",
    "o'brien@mail.example.org",
    "4111111111111111",
    "4111 1111 1111 1111",
    "5555-5555-5555-4444",
    "3782 822463 10005",
    "4111111111111112",
    "6304000000000000",
    "DE89370400440532013000",
    "GB82 WEST 1234 5698 7654 32",
    "GB82 WEST 1234 5698 7654 33",
    "536-22-1234",
    "536 22 1234",
    "ssn 536221234",
    "536221234",
    "+14155550132",
    "+44 (0)20 7946 0958",
    "(415) 555-0132",
    "415-555-0132 x12",
    "phone: 4155550132",
    "06 12 34 56 78",
    "2024-01-15 10:22:33",
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1",
    "eyJhbGciOiJub25lIn0.e30.",
    "eyJ.eyJ.",
    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "Bearer abcdef0123456789abcd",
    "password=hunter2",
    "\"password\": \"my secret\"",
    "pwd: Abc123x",
    "api_key='abcdef0123456789'",
    "PASSWORD 'it''s'",
    "postgres://app:s3cret@db:5432/x",
    "https://u:p@ss@host",
    "glpat-abcdefghij0123456789",
    "sk_live_abcdef012345",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "AIzaabcdefghijklmnopqrstuvwxyz012345678",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    "192.168.0.1/16",
    "fe80::1",
    "00:1A:2b:3C:4D:5E",
    "AB 12 34 56 C",
    "529.982.247-25",
    "nhs 9434765919",
    "bWFpbCBhZGFAZXhhbXBsZS5jb20gbm93IQ==",
    "6d61696c20616461406578616d706c652e636f6d",
    "ada.lovelace%40example.com",
    "https://example.com/a(b).",
    "www.example.com",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "010594Y9032",
    "B-AB 123",
    "1EG4-TE5-MK73",
    "12.345.678/0001-95",
    "5-MAY-2021",
];

/// What stands between values.
pub(super) const GLUE: &[&str] = &[
    "", " ", "  ", ",", "-", "--", ".", "..", "_", "x", "1", "@", ":", "=", "'", "\"", "\n", "/", "+", "(", ")", "é",
    "号", "\\n", "\0", "; phone ", " ssn=", "eyJ", "GB", "AB ",
];

/// Concatenations of values, cut-off values and glue.
pub(super) fn hostile_text() -> impl Strategy<Value = String> {
    let value = prop::sample::select(VALUES).prop_map(str::to_owned);
    let piece = (prop::sample::select(VALUES), 0.0..1.0f64).prop_map(|(value, share)| {
        let end = (value.len() as f64 * share) as usize;
        value.get(..end).unwrap_or(value).to_owned()
    });
    let glue = prop::sample::select(GLUE).prop_map(str::to_owned);
    let soup = "[0-9 a-cA-C@.:=+'\"()/_-]{0,12}";
    prop::collection::vec(prop_oneof![4 => value, 1 => piece, 4 => glue, 1 => soup], 1..12)
        .prop_map(|parts| parts.concat())
}
