//! Makes a core's segments durable behind its writer, off the core: the `ordered` mode's 50 ms.

use super::{core_dir, segment_path, segments};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Follows the newest segment of one core.
pub struct Syncer {
    dir: PathBuf,
    open: Option<Open>,
}

struct Open {
    segment: u64,
    file: File,
    synced_bytes: u64,
}

impl Syncer {
    pub fn new(spool: &Path, core: u32) -> Self {
        Self {
            dir: core_dir(spool, core),
            open: None,
        }
    }

    /// Makes everything durable that was written before the call.
    pub fn sync(&mut self) -> io::Result<()> {
        let newest = segments(&self.dir)?.pop();
        if let Some(open) = &mut self.open {
            open.sync()?;
        }
        if newest != self.open.as_ref().map(|open| open.segment) {
            self.open = newest.map(|segment| Open::new(&self.dir, segment)).transpose()?;
            // A new file is only there after a crash if its directory is durable too.
            File::open(&self.dir)?.sync_all()?;
            if let Some(open) = &mut self.open {
                open.sync()?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn new(dir: &Path, segment: u64) -> io::Result<Self> {
        Ok(Self {
            segment,
            file: File::open(segment_path(dir, segment))?,
            synced_bytes: 0,
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        if bytes != self.synced_bytes {
            self.file.sync_data()?;
            self.synced_bytes = bytes;
        }
        Ok(())
    }
}
