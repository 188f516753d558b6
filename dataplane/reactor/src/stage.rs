//! A small area of memory that outlives the process: what is put there costs no system call and is found after a crash.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// First bytes of the file.
const MAGIC: u64 = u64::from_le_bytes(*b"SLSTAGE1");
/// ```text
/// magic:u64 length:u64 tag:u64 base:u64 | bytes, of which `length` count        (integers little-endian)
/// ```
const HEAD_BYTES: usize = 32;
/// Largest area, bytes.
const AREA_BYTES_MAX: usize = 64 * 1024 * 1024;
/// File systems that write in place and hold the blocks that were allocated: a store to the area cannot find the disk full.
/// (`linux/magic.h`: ext, XFS, tmpfs; overlayfs maps a file of the one below.)
const IN_PLACE: [u64; 4] = [0xEF53, 0x5846_5342, 0x0102_1994, 0x794C_7630];

/// An area that is written. Its bytes are in the kernel's page cache, so they survive the end of the process, not that of
/// the machine.
pub struct Stage {
    map: NonNull<u8>,
    mapped_bytes: usize,
    length: usize,
}

// SAFETY: the mapping belongs to the value alone, and memory has no thread.
unsafe impl Send for Stage {}

/// What an earlier process left in an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    pub tag: u64,
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl Stage {
    /// Makes an empty area for `bytes`, in place of what the file held.
    ///
    /// # Errors
    /// `Unsupported` where the file system may run out of space under a mapped file; else what the disk says.
    pub fn create(path: &Path, bytes: usize) -> io::Result<Stage> {
        let mapped_bytes = HEAD_BYTES + bytes.clamp(1, AREA_BYTES_MAX);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path)?;
        if !writes_in_place(&file)? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: a plain system call on a descriptor that is open; the length is positive.
        let allocated = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, mapped_bytes as libc::off_t) };
        if allocated != 0 {
            return Err(io::Error::from_raw_os_error(allocated));
        }
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
        );
        // SAFETY: a new mapping of a file that is at least this long; nobody else is told its address, and nobody else
        // truncates the file, which belongs to this process.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), mapped_bytes, access, flags, file.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut stage = Stage {
            map,
            mapped_bytes,
            length: 0,
        };
        stage.restart(0, 0);
        stage.word(0).store(MAGIC.to_le(), Ordering::Release);
        Ok(stage)
    }

    /// Empties the area. `tag` and `base` say what the bytes that follow belong to.
    pub fn restart(&mut self, tag: u64, base: u64) {
        self.length = 0;
        // Emptied first: at no moment do bytes stand under a tag that is not theirs.
        self.word(1).store(0, Ordering::Release);
        self.word(2).store(tag.to_le(), Ordering::Release);
        self.word(3).store(base.to_le(), Ordering::Release);
    }

    /// Puts all bytes behind those that are there; `false` and nothing when there is no room. A process that is killed in
    /// the middle leaves none of them.
    #[must_use]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.mapped_bytes - HEAD_BYTES - self.length {
            return false;
        }
        let at = HEAD_BYTES + self.length;
        // SAFETY: `at + bytes.len()` is inside the mapping as checked above, and a slice of the caller's cannot overlap it:
        // `bytes()` lends it out only while `self` is borrowed.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_ptr().add(at), bytes.len()) };
        self.length += bytes.len();
        self.word(1).store((self.length as u64).to_le(), Ordering::Release);
        true
    }

    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes after the head are inside the mapping and were written by `append`.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(HEAD_BYTES), self.length) }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < HEAD_BYTES / 8);
        // SAFETY: the head is inside the mapping, which is aligned to a page; nobody refers to it but through this function.
        unsafe { &*self.map.as_ptr().cast::<AtomicU64>().add(index) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `create` with this length, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.mapped_bytes) };
    }
}

impl Staged {
    /// Reads what an earlier process left; `None` when there is no area, or nothing in it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(path: &Path) -> io::Result<Option<Staged>> {
        let mut file = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let word = |index: usize| {
            let bytes = file.get(index * 8..index * 8 + 8)?;
            bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
        };
        let (Some(MAGIC), Some(length), Some(tag), Some(base)) = (word(0), word(1), word(2), word(3)) else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(file.len() - HEAD_BYTES);
        file.drain(..HEAD_BYTES);
        file.truncate(length);
        Ok((length > 0).then_some(Staged { tag, base, bytes: file }))
    }
}

fn writes_in_place(file: &File) -> io::Result<bool> {
    let mut about = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the pointer is to one `statfs`, which the call fills.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros are a valid `statfs`, and the call has filled it.
    let kind = unsafe { about.assume_init() }.f_type;
    Ok(IN_PLACE.contains(&(kind as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_there_is_found_without_the_process_that_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("staged");
        assert_eq!(Staged::read(&path).unwrap(), None);
        let mut stage = Stage::create(&path, 100).unwrap();
        assert_eq!(Staged::read(&path).unwrap(), None, "nothing is in it");
        stage.restart(7, 1000);
        assert!(stage.append(b"one "));
        assert!(stage.append(b"two"));
        assert!(!stage.append(&[0; 94]), "there is room for 93");
        assert_eq!(stage.bytes(), b"one two");
        let staged = |tag, base, bytes: &[u8]| Staged {
            tag,
            base,
            bytes: bytes.to_vec(),
        };
        assert_eq!(Staged::read(&path).unwrap(), Some(staged(7, 1000, b"one two")));
        assert!(stage.append(&[b'x'; 93]));
        assert_eq!(stage.bytes().len(), 100);
        stage.restart(8, 5);
        assert_eq!(Staged::read(&path).unwrap(), None);
        assert!(stage.append(b"three"));
        drop(stage);
        assert_eq!(Staged::read(&path).unwrap(), Some(staged(8, 5, b"three")));
    }

    #[test]
    fn what_is_no_area_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("staged");
        for bytes in [&b""[..], b"SLSTAGE1", &[0; 4096]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Staged::read(&path).unwrap(), None);
        }
        let mut lying = MAGIC.to_le_bytes().to_vec();
        lying.extend_from_slice(&u64::MAX.to_le_bytes());
        lying.extend_from_slice(&[0; 16]);
        lying.extend_from_slice(b"all that is there");
        std::fs::write(&path, lying).unwrap();
        assert_eq!(Staged::read(&path).unwrap().unwrap().bytes, b"all that is there");
    }
}
