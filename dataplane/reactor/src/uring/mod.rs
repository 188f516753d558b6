//! The io_uring back end: one `io_uring_enter` per loop turn submits everything and waits.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use socket2::{SockAddr, SockRef};

use crate::Gather;
use crate::buf::pool::{LARGE, Pool, SMALL};
use crate::executor::SharedInbox;
use crate::limits;
use crate::port::{Completion, Token, Urgency, Waited};
use crate::probe::UringFeatures;
use crate::send_state::SendState;

pub(crate) mod buffer_ring;

/// Completions that belong to the back end itself: bit 63 is never set in a token.
const WAKE: u64 = 1 << 63;
const TIMER: u64 = WAKE + 1;
const IGNORED: u64 = WAKE + 2;

/// Marks the token of a silent send.
const SILENT: u64 = 1 << 57;

/// Flag of receive requests: wait for readiness first, do not try at once (`io_uring_prep_recv`, liburing).
const POLL_FIRST: u16 = 1;
const ENTER_GETEVENTS: libc::c_uint = 1;
const ENTER_REGISTERED_RING: libc::c_uint = 1 << 4;
const REGISTER_RING_FDS: libc::c_uint = 20;

/// A send whose success is silent.
struct Silent {
    token: Token,
    /// Bytes it sends if it succeeds.
    bytes: usize,
    /// Value of `pushed` after its entry.
    number: u64,
}

pub(crate) struct Uring {
    ring: ManuallyDrop<IoUring>,
    /// Index of the ring in the thread's table of registered rings: spares a descriptor look-up per call.
    registered: Option<u32>,
    pool: ManuallyDrop<Rc<Pool>>,
    inbox: SharedInbox,
    pub(crate) features: UringFeatures,
    wake_armed: bool,
    /// Point in time the kernel timer is set to.
    timer_at: Option<u64>,
    /// Read by the kernel when the timer request is submitted.
    timer_spec: Box<types::Timespec>,
    /// Entries that found the submission queue full while the kernel could take no more.
    backlog: VecDeque<squeue::Entry>,
    /// Requests in the kernel or the queue that have a last completion to come.
    outstanding: usize,
    /// Entries ever pushed to the submission queue.
    pushed: u64,
    /// Sends that make a completion only when they fail, in order of submission.
    silent: Vec<Silent>,
    pub(crate) waits: u64,
    pub(crate) overflows: u64,
}

impl Uring {
    /// Sets the ring up on the calling thread, which is the only one that may use it.
    ///
    /// # Errors
    /// What the kernel says when it forbids or lacks something that is needed; `probe` explains it.
    pub(crate) fn new(entries: u32, pool: Rc<Pool>, inbox: SharedInbox) -> io::Result<Uring> {
        let entries = entries.clamp(8, limits::RING_ENTRIES_MAX).next_power_of_two();
        let (ring, no_sqarray) = match build(entries, true) {
            Ok(ring) => (ring, true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (build(entries, false)?, false),
            Err(error) => return Err(error),
        };
        let registered = register_ring(ring.as_raw_fd());
        let mut uring = Uring {
            registered,
            features: UringFeatures {
                no_sqarray,
                registered_ring: registered.is_some(),
                multishot_accept: true,
            },
            ring: ManuallyDrop::new(ring),
            pool: ManuallyDrop::new(pool),
            inbox,
            wake_armed: false,
            timer_at: None,
            timer_spec: Box::new(types::Timespec::new()),
            backlog: VecDeque::new(),
            outstanding: 0,
            pushed: 0,
            silent: Vec::new(),
            waits: 0,
            overflows: 0,
        };
        for group in [SMALL, LARGE] {
            uring.register_buffers(group)?;
        }
        uring.check_silent_sends()?;
        Ok(uring)
    }

    /// Sends more than a socket takes, silently: only a kernel that reports the shortfall may be trusted when it
    /// reports nothing.
    fn check_silent_sends(&mut self) -> io::Result<()> {
        const TOO_MANY_BYTES: usize = 1024 * 1024;
        let (near, _far) = UnixStream::pair()?;
        SockRef::from(&near).set_send_buffer_size(4096)?;
        let mut state = SendState::new();
        state.load(Gather::from(vec![0; TOO_MANY_BYTES]));
        let fd = near.as_raw_fd();
        self.send(Token::new(0, 0), fd, &mut state, Urgency::Unattended);
        let mut completions = Vec::new();
        while completions.is_empty() {
            self.wait(false, &mut completions)?;
        }
        if completions.iter().all(|c| c.result < TOO_MANY_BYTES as i32) {
            return Ok(());
        }
        // The kernel may still read the bytes.
        std::mem::forget(state);
        Err(io::Error::other("the kernel does not report a send that falls short"))
    }

    fn register_buffers(&mut self, group: u8) -> io::Result<()> {
        let entries = self.pool.ring_entries(group);
        let Some(buffers) = buffer_ring::BufferRing::new(entries) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        // SAFETY: the ring memory is valid for `entries` descriptors and stays so until the kernel's ring is gone:
        // the pool keeps it attached until `Drop` below detaches it.
        unsafe {
            (self.ring.submitter()).register_buf_ring_with_flags(buffers.address(), entries, u16::from(group), 0)?;
        }
        self.pool.attach_ring(group, buffers);
        Ok(())
    }

    /// Queues an entry; everything it points to stays valid until its last completion (contract of `Port`).
    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.overflows += 1;
            if self.enter(0).is_err() || !self.backlog.is_empty() || !self.try_push(&entry) {
                self.backlog.push_back(entry);
            }
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: `Port`'s contract: buffers, headers and addresses named by the entry outlive the operation.
        let pushed = unsafe { self.ring.submission().push(entry).is_ok() };
        self.pushed += u64::from(pushed);
        pushed
    }

    fn start(&mut self, token: Token, entry: squeue::Entry) {
        self.outstanding += 1;
        self.push(entry.user_data(token.0));
    }

    pub(crate) fn recv(&mut self, token: Token, fd: RawFd, drained: bool) {
        let entry = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), 0)
            .buf_group(u16::from(token.group()))
            .ioprio(if drained { POLL_FIRST } else { 0 })
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        self.start(token, entry);
    }

    /// Sends what `state` has prepared. One that nobody awaits is tried without waiting, and only its failure makes
    /// a completion: so the call that submits it can sleep on, and once the kernel has consumed its entry, no
    /// completion means that all was sent.
    ///
    /// With MSG_WAITALL a short write counts as a failure there, and elsewhere the kernel continues it by itself.
    pub(crate) fn send(&mut self, token: Token, fd: RawFd, state: &mut SendState, urgency: Urgency) {
        let silent = urgency == Urgency::Unattended;
        let mut flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        if silent {
            flags |= libc::MSG_DONTWAIT;
        }
        let bytes_prepared = state.prepare();
        let entry = match state.single() {
            Some((bytes, len)) => opcode::Send::new(types::Fd(fd), bytes, len).flags(flags).build(),
            None => opcode::SendMsg::new(types::Fd(fd), state.header())
                .flags(flags as u32)
                .build(),
        };
        if !silent {
            self.start(token, entry);
            return;
        }
        let token = Token(token.0 | SILENT);
        self.start(token, entry.flags(squeue::Flags::SKIP_SUCCESS));
        self.silent.push(Silent {
            token,
            bytes: bytes_prepared,
            // Entries are consumed in order; those in the backlog come after all that are in the queue.
            number: self.pushed + self.backlog.len() as u64,
        });
    }

    pub(crate) fn accept(&mut self, token: Token, fd: RawFd) {
        let entry = if self.features.multishot_accept {
            opcode::AcceptMulti::new(types::Fd(fd))
                .flags(libc::SOCK_CLOEXEC)
                .build()
        } else {
            let none = std::ptr::null_mut();
            opcode::Accept::new(types::Fd(fd), none, none.cast())
                .flags(libc::SOCK_CLOEXEC)
                .build()
        };
        self.start(token, entry);
    }

    pub(crate) fn connect(&mut self, token: Token, fd: RawFd, addr: &SockAddr) {
        let entry = opcode::Connect::new(types::Fd(fd), addr.as_ptr().cast(), addr.len()).build();
        self.start(token, entry);
    }

    pub(crate) fn write(&mut self, token: Token, fd: RawFd, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // Offset -1: at the file's position, which is its end as it is opened for appending.
        let entry = opcode::Write::new(types::Fd(fd), bytes.as_ptr(), len)
            .offset(u64::MAX)
            .build();
        self.start(token, entry);
    }

    pub(crate) fn sync(&mut self, token: Token, fd: RawFd) {
        let entry = opcode::Fsync::new(types::Fd(fd))
            .flags(types::FsyncFlags::DATASYNC)
            .build();
        self.start(token, entry);
    }

    pub(crate) fn cancel(&mut self, token: Token, _fd: RawFd) {
        self.push(opcode::AsyncCancel::new(token.0).build().user_data(IGNORED));
    }

    pub(crate) fn cancel_all(&mut self) {
        let all = types::CancelBuilder::any().all();
        self.push(opcode::AsyncCancel2::new(all).build().user_data(IGNORED));
    }

    pub(crate) fn arm_timer(&mut self, at_nanos: u64) {
        if self.timer_at.is_some_and(|armed| armed <= at_nanos) {
            return;
        }
        *self.timer_spec = types::Timespec::new()
            .sec(at_nanos / 1_000_000_000)
            .nsec((at_nanos % 1_000_000_000) as u32);
        let spec: *const types::Timespec = &raw const *self.timer_spec;
        let flags = types::TimeoutFlags::ABS;
        let entry = if self.timer_at.is_some() {
            // If the old one fires first the update finds nothing, and its completion makes the core arm again.
            (opcode::TimeoutUpdate::new(TIMER, spec).flags(flags).build()).user_data(IGNORED)
        } else {
            (opcode::Timeout::new(spec).flags(flags).build()).user_data(TIMER)
        };
        self.timer_at = Some(at_nanos);
        self.push(entry);
    }

    pub(crate) fn wait(&mut self, block: bool, out: &mut Vec<Completion>) -> io::Result<Waited> {
        self.pool.refill(SMALL);
        self.pool.refill(LARGE);
        self.arm_wake();
        self.drain_backlog();
        self.waits += 1;
        self.enter(u32::from(block && self.backlog.is_empty()))?;
        Ok(self.reap(out))
    }

    fn drain_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    fn arm_wake(&mut self) {
        if self.wake_armed {
            return;
        }
        self.wake_armed = true;
        let fd = types::Fd(self.inbox.event.as_raw_fd());
        let flags = libc::POLLIN as u32;
        // Every signal is a new event for a multishot poll, so the counter never has to be read.
        self.push((opcode::PollAdd::new(fd, flags).multi(true).build()).user_data(WAKE));
    }

    /// Submits what is queued and waits for `min_complete` completions.
    fn enter(&mut self, min_complete: u32) -> io::Result<()> {
        let to_submit = self.ring.submission().len() as libc::c_uint;
        let (fd, flag) = match self.registered {
            Some(index) => (index as libc::c_int, ENTER_REGISTERED_RING),
            None => (self.ring.as_raw_fd(), 0),
        };
        let (flags, none) = (ENTER_GETEVENTS | flag, std::ptr::null::<libc::c_void>());
        let call = libc::SYS_io_uring_enter;
        // SAFETY: the entries queued point to memory that `Port`'s contract keeps valid; no argument block is passed.
        let result = unsafe { libc::syscall(call, fd, to_submit, min_complete, flags, none, 0usize) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Interrupted, or the completion queue must be drained first: the caller reaps and comes again.
            Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
            // EBADR among them: the kernel has lost a completion, and what it meant cannot be known any more.
            _ => Err(error),
        }
    }

    fn reap(&mut self, out: &mut Vec<Completion>) -> Waited {
        let mut waited = Waited::default();
        let ring = &mut *self.ring;
        for entry in ring.completion() {
            let data = entry.user_data();
            let more = cqueue::more(entry.flags());
            if data & WAKE == 0 {
                self.outstanding -= usize::from(!more);
                let completion = translate(&self.pool, &entry, more);
                self.silent.retain(|silent| silent.token != completion.token);
                out.push(completion);
                continue;
            }
            match data {
                WAKE => {
                    waited.wake = true;
                    self.wake_armed = more;
                }
                TIMER => {
                    waited.timer = true;
                    self.timer_at = None;
                }
                _ => {}
            }
        }
        self.reap_silent(out);
        waited
    }

    /// Completes the silent sends that were submitted and have not failed.
    fn reap_silent(&mut self, out: &mut Vec<Completion>) {
        if self.silent.is_empty() {
            return;
        }
        let queue = self.ring.submission();
        // A failure may still be outside the completion queue when that overflowed: judge after the next wait.
        if queue.cq_overflow() {
            return;
        }
        let consumed = self.pushed - queue.len() as u64;
        drop(queue);
        let done = self
            .silent
            .iter()
            .take_while(|silent| silent.number <= consumed)
            .count();
        for silent in self.silent.drain(..done) {
            self.outstanding -= 1;
            out.push(Completion {
                token: silent.token,
                result: silent.bytes.min(i32::MAX as usize) as i32,
                buf: None,
                more: false,
                nonempty: false,
            });
        }
    }
}

fn translate(pool: &Rc<Pool>, entry: &cqueue::Entry, more: bool) -> Completion {
    let token = Token(entry.user_data());
    let result = entry.result();
    let id = cqueue::buffer_select(entry.flags());
    // A buffer that comes with an error or an empty result goes straight back to the pool.
    let buf = id.and_then(|id| pool.claim(token.group(), id, result.max(0) as usize));
    Completion {
        token,
        result,
        buf,
        more,
        nonempty: cqueue::sock_nonempty(entry.flags()),
    }
}

fn build(entries: u32, no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * limits::CQ_PER_SQ);
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(entries)
}

/// Puts the ring into the thread's table of registered rings; `None` where the kernel has no such table or it is full.
fn register_ring(fd: RawFd) -> Option<u32> {
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let mut update = Update {
        offset: u32::MAX,
        reserved: 0,
        data: fd as u64,
    };
    let call = libc::SYS_io_uring_register;
    // SAFETY: the pointer is to one live `io_uring_rsrc_update`, as the call with count 1 expects.
    let result = unsafe { libc::syscall(call, fd, REGISTER_RING_FDS, &raw mut update, 1) };
    (result == 1).then_some(update.offset)
}

impl Drop for Uring {
    fn drop(&mut self) {
        let idle = self.outstanding == 0;
        if let Some(index) = self.registered {
            unregister_ring(self.ring.as_raw_fd(), index);
        }
        // SAFETY: neither is used after this.
        let pool = unsafe {
            ManuallyDrop::drop(&mut self.ring);
            ManuallyDrop::take(&mut self.pool)
        };
        if idle {
            pool.detach_rings();
        }
        // Otherwise the kernel may still write to the buffers: the pool leaks them, as their ring is still attached.
    }
}

fn unregister_ring(fd: RawFd, index: u32) {
    const UNREGISTER_RING_FDS: libc::c_uint = 21;
    let update = [u64::from(index), 0u64];
    let call = libc::SYS_io_uring_register;
    // SAFETY: the pointer is to 16 live bytes laid out as one `io_uring_rsrc_update` (offset, reserved, data).
    unsafe { libc::syscall(call, fd, UNREGISTER_RING_FDS, update.as_ptr(), 1) };
}
