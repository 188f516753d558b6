//! Audit segments: append-only files of records with a checksum each, a running hash over all, and signed seals.
//!
//! ```text
//! segment  = header record*
//! header   = magic(8) version:u16 flags:u16 core:u32 (flag bit 0: first segment of a process)
//!            segment:u64 created_at_micros:u64
//!            dataplane_id_len:u16 dataplane_id previous_hash(32) crc32c:u32
//! record   = payload_len:u32 kind:u8 sequence:u64 payload crc32c:u32          (integers little-endian)
//! hash 0   = SHA-256(header)          hash n = SHA-256(hash n-1 ‖ record n)
//! ```
//! The checksum covers everything of the record before it and finds torn writes; the hash chain and the seals find
//! changes. Sequences start at 0 in every segment and have no gaps; `previous_hash` ties a segment to the one before.

use crate::limits::RECORD_BYTES_MAX;
use crate::sign::{self, SigningKey, Use};
use aws_lc_rs::digest;

/// First bytes of every segment.
pub const MAGIC: [u8; 8] = *b"SLUICEA1";
const VERSION: u16 = 1;
const RECORD_HEAD_BYTES: usize = 4 + 1 + 8;
const CRC_BYTES: usize = 4;
/// Room that a writer keeps for the next record; longer ones are rare.
const CHAINED_KEPT_BYTES_MAX: usize = 16 * 1024;
const HEADER_FIXED_BYTES: usize = 8 + 2 + 2 + 4 + 8 + 8 + 2;

/// A SHA-256 value of the chain.
pub type Hash = [u8; 32];

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An encoded [`crate::audit::Event`].
    Event = 1,
    /// `hash(32) record_count:u64 signature(64)`: everything before it, signed.
    Seal = 2,
    /// As a seal, and no record follows: the segment was ended in order.
    End = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Event),
            2 => Some(Self::Seal),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// Which data plane, core and segment the records belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub dataplane_id: String,
    pub core: u32,
    pub segment: u64,
    /// Microseconds since the Unix epoch.
    pub created_at_micros: u64,
    /// Last hash of the segment before; zeros for the first one.
    pub previous_hash: Hash,
    /// The core's first segment since its process started: sessions of earlier segments without an end ended uncleanly.
    pub first_of_run: bool,
}

/// Why bytes are not a segment, or not an unchanged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    #[error("not an audit segment")]
    NotASegment,
    #[error("format version {0} is not known")]
    UnknownVersion(u16),
    #[error("the record at byte {0} is cut off")]
    Torn(usize),
    #[error("the checksum of the record at byte {0} does not match")]
    Checksum(usize),
    #[error("the record at byte {at} has sequence {found}, expected {expected}")]
    Sequence { at: usize, found: u64, expected: u64 },
    #[error("the record at byte {0} has an unknown kind or length")]
    Malformed(usize),
    #[error("the seal at byte {0} does not match the chain")]
    Seal(usize),
    #[error("a payload of {0} bytes is above the bound of {RECORD_BYTES_MAX}")]
    TooLong(usize),
}

impl Header {
    /// Bytes as they stand at the start of the segment.
    pub fn encode(&self) -> Vec<u8> {
        let id = &self.dataplane_id.as_bytes()[..self.dataplane_id.len().min(usize::from(u16::MAX))];
        let mut out = Vec::with_capacity(HEADER_FIXED_BYTES + id.len() + 32 + CRC_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u16::from(self.first_of_run).to_le_bytes());
        out.extend_from_slice(&self.core.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.created_at_micros.to_le_bytes());
        out.extend_from_slice(&(id.len() as u16).to_le_bytes());
        out.extend_from_slice(id);
        out.extend_from_slice(&self.previous_hash);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header and returns it with its length in bytes.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), SegmentError> {
        let fixed = bytes.get(..HEADER_FIXED_BYTES).ok_or(SegmentError::NotASegment)?;
        if fixed[..8] != MAGIC {
            return Err(SegmentError::NotASegment);
        }
        let version = u16::from_le_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(SegmentError::UnknownVersion(version));
        }
        let id_len = usize::from(u16::from_le_bytes([fixed[32], fixed[33]]));
        let hash_at = HEADER_FIXED_BYTES + id_len;
        let total = hash_at + 32 + CRC_BYTES;
        let whole = bytes.get(..total).ok_or(SegmentError::Torn(0))?;
        if crc32c::crc32c(&whole[..total - CRC_BYTES]) != u32_at(whole, total - CRC_BYTES) {
            return Err(SegmentError::Checksum(0));
        }
        let mut previous_hash = [0; 32];
        previous_hash.copy_from_slice(&whole[hash_at..hash_at + 32]);
        let header = Self {
            dataplane_id: String::from_utf8_lossy(&whole[HEADER_FIXED_BYTES..hash_at]).into_owned(),
            core: u32_at(fixed, 12),
            segment: u64_at(fixed, 16),
            created_at_micros: u64_at(fixed, 24),
            previous_hash,
            first_of_run: fixed[10] & 1 == 1,
        };
        Ok((header, total))
    }
}

/// Position in the chain while writing: encodes records, keeps sequence and hash.
#[derive(Clone)]
pub struct Writer {
    hash: Hash,
    sequence: u64,
    /// The hash so far and the record, in one piece: hashing that is one call without an allocation.
    chained: Vec<u8>,
}

impl Writer {
    /// Starts the chain of a segment.
    pub fn new(header: &[u8]) -> Self {
        Self {
            hash: sha256(&[header]),
            sequence: 0,
            chained: Vec::new(),
        }
    }

    /// Goes on after [`Reader`] has read everything that is there.
    pub fn resume(hash: Hash, sequence: u64) -> Self {
        Self {
            hash,
            sequence,
            chained: Vec::new(),
        }
    }

    /// Sequence of the next record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Hash over everything so far.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Appends one event record to `out`.
    pub fn event(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SegmentError> {
        self.record(Kind::Event, payload, out)
    }

    /// Appends a signed seal over everything before it.
    pub fn seal(
        &mut self,
        kind: Kind,
        key: &SigningKey,
        header: &Header,
        out: &mut Vec<u8>,
    ) -> Result<(), SegmentError> {
        let content = seal_content(header, &self.hash, self.sequence);
        let mut payload = Vec::with_capacity(32 + 8 + 64);
        payload.extend_from_slice(&self.hash);
        payload.extend_from_slice(&self.sequence.to_le_bytes());
        payload.extend_from_slice(&key.sign(Use::AuditSeal, &content));
        self.record(kind, &payload, out)
    }

    fn record(&mut self, kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SegmentError> {
        if payload.len() > RECORD_BYTES_MAX {
            return Err(SegmentError::TooLong(payload.len()));
        }
        let start = out.len();
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.push(kind as u8);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(payload);
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        self.chained.clear();
        self.chained.extend_from_slice(&self.hash);
        self.chained.extend_from_slice(&out[start..]);
        self.hash
            .copy_from_slice(digest::digest(&digest::SHA256, &self.chained).as_ref());
        self.chained.shrink_to(CHAINED_KEPT_BYTES_MAX);
        self.sequence += 1;
        Ok(())
    }
}

/// One record while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: Kind,
    pub sequence: u64,
    pub payload: &'a [u8],
    /// The record as it stands in the segment.
    pub bytes: &'a [u8],
}

/// Reads consecutive records and checks checksums and sequence, not the chain: for who passes records on to one who does.
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    sequence: u64,
}

impl<'a> Records<'a> {
    /// Reads records from a place where `sequence` comes next.
    pub fn new(bytes: &'a [u8], sequence: u64) -> Self {
        Self { bytes, at: 0, sequence }
    }

    /// Byte position after the last good record.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Sequence that the next record must have.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next record, `None` at the end. After an error nothing more is read; `position` stays before the bad record.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, SegmentError> {
        let record = self.peek()?;
        if let Some(record) = &record {
            self.pass(record);
        }
        Ok(record)
    }

    fn peek(&self) -> Result<Option<Record<'a>>, SegmentError> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let record = parse_record(rest, self.at)?;
        if record.sequence != self.sequence {
            return Err(SegmentError::Sequence {
                at: self.at,
                found: record.sequence,
                expected: self.sequence,
            });
        }
        Ok(Some(record))
    }

    fn pass(&mut self, record: &Record<'_>) {
        self.sequence += 1;
        self.at += record.bytes.len();
    }
}

/// Reads consecutive records and checks checksums, sequence and chain.
pub struct Reader<'a> {
    records: Records<'a>,
    hash: Hash,
}

impl<'a> Reader<'a> {
    /// Reads a whole segment from its header on.
    pub fn new(bytes: &'a [u8]) -> Result<(Header, Self), SegmentError> {
        let (header, at) = Header::decode(bytes)?;
        let hash = sha256(&[&bytes[..at]]);
        let records = Records { bytes, at, sequence: 0 };
        Ok((header, Self { records, hash }))
    }

    /// Reads records that follow a known place of the chain.
    pub fn resume(bytes: &'a [u8], hash: Hash, sequence: u64) -> Self {
        Self {
            records: Records::new(bytes, sequence),
            hash,
        }
    }

    /// Byte position after the last good record.
    pub fn position(&self) -> usize {
        self.records.position()
    }

    /// Hash over everything read.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Sequence that the next record must have.
    pub fn sequence(&self) -> u64 {
        self.records.sequence()
    }

    /// The next record, `None` at the end. After an error nothing more is read; `position` stays before the bad record.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, SegmentError> {
        let Some(record) = self.records.peek()? else {
            return Ok(None);
        };
        if record.kind != Kind::Event && record.payload.get(..32) != Some(&self.hash[..]) {
            return Err(SegmentError::Seal(self.records.at));
        }
        self.hash = sha256(&[&self.hash, record.bytes]);
        self.records.pass(&record);
        Ok(Some(record))
    }
}

/// Checks the signature of a seal or end record.
pub fn verify_seal(header: &Header, record: &Record<'_>, public: &[u8]) -> Result<(), SegmentError> {
    let bad = || SegmentError::Seal(0);
    let payload = record.payload;
    if record.kind == Kind::Event || payload.len() != 32 + 8 + 64 || u64_at(payload, 32) != record.sequence {
        return Err(bad());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(&payload[..32]);
    let content = seal_content(header, &hash, record.sequence);
    sign::verify(public, Use::AuditSeal, &content, &payload[40..]).map_err(|_| bad())
}

fn parse_record(rest: &[u8], at: usize) -> Result<Record<'_>, SegmentError> {
    let head = rest.get(..RECORD_HEAD_BYTES).ok_or(SegmentError::Torn(at))?;
    let payload_len = u32_at(head, 0) as usize;
    let kind = Kind::from_byte(head[4]);
    if payload_len > RECORD_BYTES_MAX {
        return Err(SegmentError::Malformed(at));
    }
    let total = RECORD_HEAD_BYTES + payload_len + CRC_BYTES;
    let bytes = rest.get(..total).ok_or(SegmentError::Torn(at))?;
    if crc32c::crc32c(&bytes[..total - CRC_BYTES]) != u32_at(bytes, total - CRC_BYTES) {
        return Err(SegmentError::Checksum(at));
    }
    let payload = &bytes[RECORD_HEAD_BYTES..total - CRC_BYTES];
    Ok(Record {
        kind: kind.ok_or(SegmentError::Malformed(at))?,
        sequence: u64_at(head, 5),
        payload,
        bytes,
    })
}

fn seal_content(header: &Header, hash: &Hash, count: u64) -> Vec<u8> {
    let mut content = header.encode();
    content.extend_from_slice(hash);
    content.extend_from_slice(&count.to_le_bytes());
    content
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Reads an integer at a place that the caller has already checked.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
