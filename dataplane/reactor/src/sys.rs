//! The few kernel calls that have no safe wrapper in the libraries used.

#![allow(unsafe_code)]

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::core::close_later;

/// A descriptor that is closed at the end of the turn in which it was dropped: its number stays taken until every
/// entry that names it has been submitted.
pub(crate) struct LateFd {
    fd: ManuallyDrop<OwnedFd>,
    core: u16,
}

impl LateFd {
    pub(crate) fn new(fd: OwnedFd, core: u16) -> LateFd {
        LateFd {
            fd: ManuallyDrop::new(fd),
            core,
        }
    }
}

impl AsFd for LateFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for LateFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for LateFd {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and never used again.
        let fd = unsafe { ManuallyDrop::take(&mut self.fd) };
        close_later(self.core, fd);
    }
}

/// Result of a call that returns -1 and sets `errno`.
fn checked(result: libc::c_long) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

/// A new non-blocking event counter that is closed on exec.
pub(crate) fn event_fd() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed; the returned descriptor is new and owned here alone.
    unsafe {
        let fd = checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Adds one to an event counter. A counter that is full has woken its reader already.
pub(crate) fn event_signal(fd: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the pointer and length describe `one`, which outlives the call.
    unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Writes at the end of a file opened for appending; returns the bytes written.
pub(crate) fn append(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length describe `bytes`.
    let n = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    checked(n as libc::c_long).map(|n| n as usize)
}

/// Owns the descriptor that an accept has returned.
pub(crate) fn accepted(fd: RawFd) -> OwnedFd {
    // SAFETY: called once per successful accept completion, which makes a new descriptor that nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Makes the data of a file durable.
pub(crate) fn sync_data(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::fdatasync(fd.as_raw_fd()) }.into()).map(drop)
}

/// Binds the calling thread to one processor.
pub(crate) fn pin_thread(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: the set is a plain bit field for which all zeroes is valid, `cpu` is inside it (checked above), and
    // the pointer and size passed describe it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        checked(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set).into())?;
    }
    Ok(())
}

/// Keeps the kernel from backing this process's memory by huge pages from now on. For processes with many small long-lived objects: a
/// page of 2 MiB stays resident as long as one of them lives in it.
///
/// # Errors
/// On kernels that do not know the setting.
pub fn forgo_huge_pages() -> io::Result<()> {
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, unused, unused, unused) }.into()).map(drop)
}

/// Ends a TCP connection at once with a reset, keeping the descriptor.
pub(crate) fn disconnect(fd: RawFd) -> io::Result<()> {
    // SAFETY: an address of family AF_UNSPEC is only read up to its family; all zeroes is valid for the type.
    unsafe {
        let addr: libc::sockaddr = std::mem::zeroed();
        checked(libc::connect(fd, &raw const addr, size_of::<libc::sockaddr>() as u32).into())?;
    }
    Ok(())
}

/// The monotonic clock in nanoseconds.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A timer on the monotonic clock that is read through epoll.
pub(crate) fn timer_fd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no pointer is passed; the returned descriptor is new and owned here alone.
    unsafe {
        let fd = checked(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Lets a timer fire once at a point of the monotonic clock, in nanoseconds (0 is taken as 1: 0 would disarm).
pub(crate) fn timer_arm(fd: BorrowedFd<'_>, at_nanos: u64) -> io::Result<()> {
    let at_nanos = at_nanos.max(1);
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::itimerspec {
        it_interval: zero,
        it_value: libc::timespec {
            tv_sec: (at_nanos / 1_000_000_000) as libc::time_t,
            tv_nsec: (at_nanos % 1_000_000_000) as libc::c_long,
        },
    };
    // SAFETY: the new value is a live itimerspec; the old one is not asked for.
    let result = unsafe {
        let old = std::ptr::null_mut();
        libc::timerfd_settime(fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const value, old)
    };
    checked(result.into()).map(drop)
}

/// Limits of memory that a process may lock, in bytes: what io_uring is charged to on older kernels.
pub(crate) fn memlock_bytes_max() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}
