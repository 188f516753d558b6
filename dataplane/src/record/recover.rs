//! What an earlier process left in the spool: torn ends are cut off, open segments are sealed, chains go on.

use super::spool::{ChainEnd, Sealer};
use super::{core_dir, cores, segment_path, segments};
use proto::segment::{Header, Kind, Reader, SegmentError, Writer};
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
        let numbers = segments(&dir)?;
        for number in &numbers {
            recovered.bytes += std::fs::metadata(segment_path(&dir, *number))?.len();
        }
        if let Some(last) = numbers.last() {
            let end = end_segment(&dir, *last, sealer, &mut recovered.torn_bytes)?;
            recovered.ends.insert(core, end);
        }
    }
    Ok(recovered)
}

fn end_segment(dir: &Path, number: u64, sealer: &Sealer, torn: &mut u64) -> io::Result<ChainEnd> {
    let path = segment_path(dir, number);
    let bytes = std::fs::read(&path)?;
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
    let ended = read_to_end(&mut reader, &path)?;
    if ended {
        return Ok(next(reader.hash()));
    }
    *torn += (bytes.len() - reader.position()) as u64;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(reader.position() as u64)?;
    drop(file);
    append_end(&path, &header, &reader, sealer).map(next)
}

/// Reads up to the last good record; `true` when the segment was ended in order.
fn read_to_end(reader: &mut Reader<'_>, path: &Path) -> io::Result<bool> {
    let mut ended = false;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => ended = record.kind == Kind::End,
            Ok(None) | Err(SegmentError::Torn(_)) => return Ok(ended),
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
