//! Every bound of the matcher in one place: lengths in bytes, counts of things.

/// Longest match that a stream reports in one piece. A longer one (a huge token or key) is decided by its first
/// `LONG_MATCH_BYTES` and then reported piece by piece until its terminator.
pub const LONG_MATCH_BYTES: usize = 4096;

/// Span of overlapping raw matches that are weighed against each other; a chain that is longer is cut at the match
/// that would exceed it.
pub const CLUSTER_BYTES_MAX: usize = LONG_MATCH_BYTES;

/// Characters to the left of a match in which the end of a hot word counts.
pub const CONTEXT_CHARS: usize = 30;

/// Longest hot word or hot phrase.
pub const HOT_WORD_BYTES_MAX: usize = 32;

/// Bytes to the left of a match that any detector may look at: thirty characters of at most four bytes, then the word.
pub const CONTEXT_BYTES_MAX: usize = CONTEXT_CHARS * 4 + HOT_WORD_BYTES_MAX + 1;

/// Distance between the byte that gives away a match and the start of the match, when that byte stands to the left.
pub const TRIGGER_BACK_BYTES: usize = 40;

/// Original bytes that a stream remembers after their release.
pub const STREAM_TAIL_BYTES: usize = CONTEXT_BYTES_MAX + TRIGGER_BACK_BYTES + 30;

/// Distance between the start of a match and the byte that gives it away, when that byte stands to the right.
pub const LATE_TRIGGER_BYTES: usize = 72;

/// Letters and separators in front of the first digit of a number, back from where its word begins.
pub const LEAD_BYTES: usize = 18;

/// Bytes that a verifier may read beyond `LONG_MATCH_BYTES` to see a terminator (the last line of a PEM block).
pub const TERMINATOR_BYTES_MAX: usize = 128;

/// Local part and whole domain of a mail address: RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2.
pub const EMAIL_LOCAL_BYTES_MAX: usize = 64;
pub const EMAIL_DOMAIN_BYTES_MAX: usize = 255;
/// One label of a domain name: RFC 1035 section 2.3.4.
pub const DOMAIN_LABEL_BYTES_MAX: usize = 63;

/// `user:password` part of a URL.
pub const USERINFO_BYTES_MAX: usize = 512;

/// Quoted value of an assignment; a longer one is taken up to its first white space.
pub const QUOTED_VALUE_BYTES_MAX: usize = 256;

/// Encoded header of a JSON web token.
pub const JWT_HEADER_BYTES_MAX: usize = 1024;

/// Decoded bytes of a basic-authentication value in which the colon must appear.
pub const BASIC_DECODED_BYTES_MAX: usize = 512;

/// Custom detectors per scanner.
pub const CUSTOM_COUNT_MAX: usize = 256;
/// Custom detectors that bring hot words of their own.
pub const CUSTOM_CONTEXT_COUNT_MAX: usize = 64;
/// Hot words per custom detector.
pub const CUSTOM_WORD_COUNT_MAX: usize = 64;
/// Text of a custom regex.
pub const CUSTOM_REGEX_BYTES_MAX: usize = 4096;
/// Longest match of a custom detector.
pub const CUSTOM_MATCH_BYTES_MAX: usize = 1024;
/// Compiled size of one direction of one custom regex.
pub const CUSTOM_DFA_BYTES_MAX: usize = 4 << 20;
/// Memory used while compiling one direction of one custom regex.
pub const CUSTOM_DETERMINIZE_BYTES_MAX: usize = 16 << 20;
/// Size of the intermediate automaton of a custom regex.
pub const CUSTOM_NFA_BYTES_MAX: usize = 4 << 20;

/// Entries of one dictionary.
pub const DICTIONARY_COUNT_MAX: usize = 1_000_000;
/// All entries of one dictionary.
pub const DICTIONARY_BYTES_MAX: usize = 64 << 20;
/// One entry of a dictionary.
pub const DICTIONARY_ENTRY_BYTES_MAX: usize = 256;

/// Values of all allow-lists of a scanner.
pub const ALLOW_COUNT_MAX: usize = 100_000;
/// Patterns of all allow-lists of a scanner.
pub const ALLOW_PATTERN_COUNT_MAX: usize = 256;

/// Levels of encoding that may be undone.
pub const DECODE_DEPTH_MAX: usize = 2;
/// Fewest characters of a run that is taken for encoded.
pub const ENCODED_BYTES_MIN: usize = 24;
/// The same for URL encoding, where an escape shows that something is encoded.
pub const URL_ENCODED_BYTES_MIN: usize = 8;
/// Longest encoded run that is decided as a whole; of a longer one this much is decoded and decides.
pub const ENCODED_BYTES_MAX: usize = 4096;

/// Longest haystack of one call: spans are `u32`. A stream may be of any length.
pub const HAYSTACK_BYTES_MAX: usize = u32::MAX as usize;

/// Bytes at the end of a piece of a stream that back ends leave to the reference: what follows may complete a shape.
pub const BULK_TAIL_BYTES: usize = 64;
