//! What an earlier process left in the spool: torn ends are cut off, open segments are sealed, chains go on.

use super::spool::{ChainEnd, Sealer};
use super::{core_dir, cores, segment_path, segments, stage_path};
use proto::segment::{Header, Kind, Reader, SegmentError, Writer};
use reactor::Staged;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// State of the spool after recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    pub ends: BTreeMap<u32, ChainEnd>,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of torn records that were cut off; none of them was followed by an answer to a client.
    pub torn_bytes: u64,
}

/// Brings every core's last segment to an end in order.
pub fn recover(spool: &Path, sealer: &Sealer) -> io::Result<Recovered> {
    std::fs::create_dir_all(spool)?;
    let mut recovered = Recovered::default();
    for core in cores(spool)? {
        let dir = core_dir(spool, core);
        if let Some(last) = segments(&dir)?.last() {
            let end = end_segment(&dir, *last, sealer, &mut recovered.torn_bytes)?;
            recovered.ends.insert(core, end);
        }
        for number in segments(&dir)? {
            recovered.bytes += std::fs::metadata(segment_path(&dir, number))?.len();
        }
    }
    Ok(recovered)
}

fn end_segment(dir: &Path, number: u64, sealer: &Sealer, torn: &mut u64) -> io::Result<ChainEnd> {
    let path = segment_path(dir, number);
    let mut bytes = std::fs::read(&path)?;
    let appended = bytes.len();
    if let Some(staged) = Staged::read(&stage_path(dir))? {
        bytes.extend_from_slice(rest_of(&staged, number, appended));
    }
    let next = |hash| ChainEnd {
        next_segment: number + 1,
        hash,
    };
    let (header, mut reader) = match Reader::new(&bytes) {
        Ok(start) => start,
        Err(error) => {
            // Not even the header was whole: no record can have been written. Kept beside, for whoever wants to look.
            tracing::warn!(%error, path = %path.display(), "a segment without a whole header was set aside");
            std::fs::rename(&path, path.with_extension("unreadable"))?;
            return Ok(next([0; 32]));
        }
    };
    let ended = read_to_end(&bytes, appended, &mut reader, &path)?;
    if ended {
        return Ok(next(reader.hash()));
    }
    *torn += (bytes.len() - reader.position()) as u64;
    let mut file = OpenOptions::new().append(true).open(&path)?;
    file.set_len(reader.position().min(appended) as u64)?;
    file.write_all(bytes.get(appended..reader.position()).unwrap_or_default())?;
    drop(file);
    let hash = append_end(&path, &header, &reader, sealer)?;
    match std::fs::remove_file(stage_path(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(next(hash)),
    }
}

/// What was staged for a segment and is not among the `appended` bytes that it has.
fn rest_of(staged: &Staged, segment: u64, appended: usize) -> &[u8] {
    let known = (appended as u64)
        .checked_sub(staged.base)
        .filter(|_| staged.tag == segment);
    let known = known.and_then(|known| usize::try_from(known).ok());
    known.and_then(|known| staged.bytes.get(known..)).unwrap_or_default()
}

/// Reads up to the last good record; `true` when the segment was ended in order.
fn read_to_end(bytes: &[u8], appended: usize, reader: &mut Reader<'_>, path: &Path) -> io::Result<bool> {
    let mut ended = false;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => ended = record.kind == Kind::End,
            Ok(None) | Err(SegmentError::Torn(_)) => return Ok(ended),
            // After the end of the machine the staging area may hold anything: what stands there was not on disk yet.
            Err(_) if is_torn_without_stage(bytes, appended, reader) => return Ok(ended),
            Err(error) => {
                // Anything but a torn tail is damage or tampering; it is not repaired silently.
                let message = format!(
                    "{}: {error}; move the file away to go on without its records",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
    }
}

/// Whether the segment itself has nothing at the reader's place, or a torn record.
fn is_torn_without_stage(bytes: &[u8], appended: usize, reader: &Reader<'_>) -> bool {
    let rest = bytes.get(reader.position()..appended).unwrap_or_default();
    let mut alone = Reader::resume(rest, reader.hash(), reader.sequence());
    matches!(alone.next_record(), Ok(None) | Err(SegmentError::Torn(_)))
}

fn append_end(path: &Path, header: &Header, reader: &Reader<'_>, sealer: &Sealer) -> io::Result<proto::segment::Hash> {
    let mut writer = Writer::resume(reader.hash(), reader.sequence());
    let mut record = Vec::new();
    writer
        .seal(Kind::End, &sealer.key, header, &mut record)
        .map_err(io::Error::other)?;
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(&record)?;
    file.sync_data()?;
    Ok(writer.hash())
}
