//! The core: its loop, and the thread-local way to the one that runs here.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::buf::pool::Pool;
use crate::driver::{Aftermath, Driver};
use crate::epoll::Epoll;
use crate::executor::{self, Executor, Inbox, MAIN};
use crate::limits;
use crate::port::{Completion, Port, Token};
use crate::probe::{self, Forbidden};
use crate::stats::Stats;
use crate::sys;
use crate::timer::Timers;
use crate::uring::Uring;
use crate::waker::{self, TaskRef};
use crate::{Backend, BackendChoice, Config};

type Hook = Box<dyn FnMut() -> io::Result<()>>;

/// Everything one core owns. Each part has its own cell and is borrowed for one step at a time.
pub(crate) struct CoreState {
    pub(crate) id: u16,
    pub(crate) backend: Backend,
    pub(crate) executor: RefCell<Executor>,
    pub(crate) timers: RefCell<Timers>,
    driver: RefCell<Driver>,
    pool: Rc<Pool>,
    inbox: Arc<Inbox>,
    hook: RefCell<Option<Hook>>,
    closing: RefCell<Vec<OwnedFd>>,
    now: Cell<Option<Instant>>,
    /// The same moment on both clocks: `Instant` does not show its number.
    epoch: (Instant, u64),
    turns: Cell<u64>,
    wakeups: Cell<u64>,
}

/// Vectors reused from turn to turn.
#[derive(Default)]
struct TurnScratch {
    fresh: Vec<Token>,
    completions: Vec<Completion>,
    aftermath: Aftermath,
    closing: Vec<OwnedFd>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<CoreState>>> = const { RefCell::new(None) };
}

/// Runs `f` with the core of this thread.
///
/// # Panics
/// When no core runs on this thread.
pub(crate) fn with_core<T>(f: impl FnOnce(&CoreState) -> T) -> T {
    match try_with_core(f) {
        Some(output) => output,
        None => panic!("no reactor core is running on this thread: call this inside Core::run"),
    }
}

/// As `with_core`; `None` when no core runs on this thread.
pub(crate) fn try_with_core<T>(f: impl FnOnce(&CoreState) -> T) -> Option<T> {
    let access = CURRENT.try_with(|current| current.borrow().as_deref().map(f));
    access.ok().flatten()
}

/// Id of the core that runs on this thread.
pub(crate) fn current_id() -> Option<u16> {
    try_with_core(|core| core.id)
}

/// Closes a descriptor at the end of the turn, or at once when its core does not run here.
pub(crate) fn close_later(core_id: u16, fd: OwnedFd) {
    let mut fd = Some(fd);
    try_with_core(|core| {
        if core.id == core_id {
            core.closing.borrow_mut().extend(fd.take());
        }
    });
}

/// Counters of the core that runs on this thread.
///
/// # Panics
/// Outside a running core.
#[must_use]
pub fn stats() -> Stats {
    with_core(CoreState::stats)
}

/// One core of the data plane: a back end, its buffers and its tasks, bound to the thread that built it.
pub struct Core {
    state: Rc<CoreState>,
    fallback: Option<Forbidden>,
}

impl Core {
    /// Builds a core for the calling thread.
    ///
    /// # Errors
    /// When the back end asked for cannot be used (the text names the switch that forbids it), the processor to pin
    /// to does not exist, or the process has no descriptors or memory left.
    pub fn new(config: Config) -> io::Result<Core> {
        if let Some(cpu) = config.pin {
            sys::pin_thread(cpu)?;
        }
        let inbox = Arc::new(Inbox::new()?);
        let pool = || Pool::new(config.small_buffers, config.large_buffers, config.pool_bytes_max);
        let uring = || -> io::Result<(Port, Rc<Pool>)> {
            let pool = pool();
            let port = Uring::new(config.ring_entries, pool.clone(), inbox.clone())?;
            Ok((Port::Uring(Box::new(port)), pool))
        };
        let mut fallback = None;
        let ready = match config.backend {
            BackendChoice::Epoll => None,
            BackendChoice::Uring => match uring() {
                Ok(ready) => Some(ready),
                Err(error) => return Err(io::Error::other(probe::explain(&error))),
            },
            BackendChoice::Auto => match uring() {
                Ok(ready) => Some(ready),
                Err(error) => {
                    fallback = Some(probe::explain(&error));
                    None
                }
            },
        };
        let (port, pool) = match ready {
            Some(ready) => ready,
            None => {
                let pool = pool();
                let port = Epoll::new(pool.clone(), inbox.clone())?;
                (Port::Epoll(Box::new(port)), pool)
            }
        };
        let state = Rc::new(CoreState::new(port, pool, inbox)?);
        Ok(Core { state, fallback })
    }

    /// The back end this core runs on.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.state.backend
    }

    /// Why `BackendChoice::Auto` took epoll.
    #[must_use]
    pub fn fallback(&self) -> Option<&Forbidden> {
        self.fallback.as_ref()
    }

    /// Runs the core until `main` is ready; tasks still alive then are dropped and their operations cancelled.
    ///
    /// # Panics
    /// When a core already runs on this thread, or the kernel refuses to wait for events.
    pub fn run<F: Future<Output = T>, T>(self, main: F) -> T {
        let core = self.state.clone();
        // Declared before `main`, so that the main future is dropped before the core is taken down.
        let _entered = Entered::new(self.state);
        let mut main = pin!(main);
        let waker = waker::waker(TaskRef::new(core.id, MAIN, 0));
        waker.wake_by_ref();
        let mut scratch = TurnScratch::default();
        loop {
            if executor::run_ready(&core) {
                let mut cx = Context::from_waker(&waker);
                if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            core.turn(&mut scratch);
        }
    }

    /// Sets the hook that runs at the end of each loop turn in which sends were queued, before any of them reaches
    /// the kernel; it replaces an earlier one. When it errs, those sends fail with its error and nothing leaves.
    ///
    /// # Panics
    /// Outside a running core.
    pub fn set_pre_submit(hook: impl FnMut() -> io::Result<()> + 'static) {
        let hook: Hook = Box::new(hook);
        let old = with_core(|core| core.hook.borrow_mut().replace(hook));
        drop(old);
    }
}

/// Makes the core the current one of this thread; on drop takes it down.
struct Entered {
    core: Rc<CoreState>,
}

impl Entered {
    fn new(core: Rc<CoreState>) -> Entered {
        CURRENT.with(|current| {
            let mut current = current.borrow_mut();
            assert!(current.is_none(), "a reactor core already runs on this thread");
            *current = Some(core.clone());
        });
        waker::set_here(Some(core.id));
        Entered { core }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.core.shut_down();
        waker::set_here(None);
        let current = CURRENT.with(|current| current.borrow_mut().take());
        drop(current);
    }
}

impl CoreState {
    fn new(port: Port, pool: Rc<Pool>, inbox: Arc<Inbox>) -> io::Result<CoreState> {
        let id = waker::register(inbox.clone())?;
        Ok(CoreState {
            id,
            backend: match port {
                Port::Uring(_) => Backend::Uring,
                Port::Epoll(_) => Backend::Epoll,
            },
            executor: RefCell::new(Executor::new()),
            timers: RefCell::new(Timers::default()),
            driver: RefCell::new(Driver::new(port, pool.clone())),
            pool,
            inbox,
            hook: RefCell::new(None),
            closing: RefCell::new(Vec::new()),
            now: Cell::new(None),
            epoch: (Instant::now(), sys::monotonic_nanos()),
            turns: Cell::new(0),
            wakeups: Cell::new(0),
        })
    }

    /// Runs `f` on the driver, then what it left to be done without the borrow.
    pub(crate) fn with_driver<T>(&self, f: impl FnOnce(&mut Driver) -> T) -> T {
        let mut aftermath = Aftermath::default();
        let (output, left) = {
            let mut driver = self.driver.borrow_mut();
            let output = f(&mut driver);
            (output, driver.take_aftermath(&mut aftermath))
        };
        if left {
            aftermath.run();
        }
        output
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Instant {
        match self.now.get() {
            Some(now) => now,
            None => {
                let now = Instant::now();
                self.now.set(Some(now));
                now
            }
        }
    }

    /// A point in time as nanoseconds of the monotonic clock.
    pub(crate) fn clock_nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch.0);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.epoch.1.saturating_add(since)
    }

    /// One turn: hand what was queued to the kernel, wait, and note what became ready.
    fn turn(&self, scratch: &mut TurnScratch) {
        self.turns.set(self.turns.get() + 1);
        self.release_sends(scratch);
        let block = self.prepare_wait(scratch);
        let waited = {
            let mut driver = self.driver.borrow_mut();
            match driver.port.wait(block, &mut scratch.completions) {
                Ok(waited) => waited,
                Err(error) => panic!("the kernel refuses to wait for events: {error}"),
            }
        };
        self.now.set(None);
        self.settle(scratch);
        if let Some(tasks) = self.inbox.take() {
            self.wakeups.set(self.wakeups.get() + 1);
            let mut executor = self.executor.borrow_mut();
            for task in tasks {
                executor.wake(task.slot(), task.generation());
            }
        }
        if waited.timer {
            self.fire_timers();
        }
    }

    /// Runs the pre-submit hook over the sends of this turn and starts them.
    fn release_sends(&self, scratch: &mut TurnScratch) {
        if !self.driver.borrow().has_fresh() {
            return;
        }
        self.driver.borrow_mut().take_fresh(&mut scratch.fresh);
        // Taken out while it runs: it may use the core, even set another hook.
        let hook = self.hook.borrow_mut().take();
        let result = match hook {
            None => Ok(()),
            Some(mut hook) => {
                let result = hook();
                self.hook.borrow_mut().get_or_insert(hook);
                result
            }
        };
        let mut driver = self.driver.borrow_mut();
        for token in scratch.fresh.drain(..) {
            driver.release_send(token, &result);
        }
        driver.flush_sends();
    }

    /// Starts the receives, closes descriptors, arms the kernel timer. True when the core may sleep.
    fn prepare_wait(&self, scratch: &mut TurnScratch) -> bool {
        let (left, queued) = {
            let mut driver = self.driver.borrow_mut();
            driver.flush_receives();
            std::mem::swap(&mut *self.closing.borrow_mut(), &mut scratch.closing);
            for fd in scratch.closing.drain(..) {
                driver.port.forget(fd.as_raw_fd(), true);
            }
            if let Some(earliest) = self.timers.borrow().earliest() {
                driver.port.arm_timer(earliest);
            }
            let left = driver.take_aftermath(&mut scratch.aftermath);
            (left, driver.has_queued())
        };
        if left {
            scratch.aftermath.run();
        }
        let closing = !self.closing.borrow().is_empty();
        !queued && !closing && self.executor.borrow().is_idle()
    }

    /// Handles the completions of a wait.
    fn settle(&self, scratch: &mut TurnScratch) {
        let left = {
            let mut driver = self.driver.borrow_mut();
            for completion in scratch.completions.drain(..) {
                driver.complete(completion);
            }
            driver.take_aftermath(&mut scratch.aftermath)
        };
        if left {
            scratch.aftermath.run();
        }
    }

    fn fire_timers(&self) {
        let now = self.clock_nanos(self.now());
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            match due {
                None => return,
                Some((_, None)) => {}
                Some((_, Some(waker))) => waker.wake(),
            }
        }
    }

    fn stats(&self) -> Stats {
        let driver = self.driver.borrow();
        let executor = self.executor.borrow();
        let counters = &driver.counters;
        let (held, allocated, exhausted) = self.pool.counts();
        let (buffer_bytes_now, buffer_bytes_allocated_now) = self.pool.bytes_now();
        let (waits, overflows) = driver.port.counts();
        Stats {
            turns: self.turns.get(),
            waits,
            wakeups: self.wakeups.get(),
            receives: counters.receives,
            received_bytes: counters.received_bytes,
            sends: counters.sends,
            sent_bytes: counters.sent_bytes,
            short_sends: counters.short_sends,
            accepts: counters.accepts,
            connects: counters.connects,
            file_ops: counters.file_ops,
            cancels: counters.cancels,
            timers: self.timers.borrow().fired,
            polls: executor.polls,
            task_panics: executor.panics,
            pool_exhausted: exhausted,
            ring_overflows: overflows,
            ops_now: driver.live() as u64,
            buffers_now: held,
            buffers_allocated_now: allocated,
            buffer_bytes_now,
            buffer_bytes_allocated_now,
            tasks_now: executor.tasks() as u64,
        }
    }

    /// Drops every task and waits for the last completions, so that no memory is freed that the kernel may write to.
    fn shut_down(&self) {
        loop {
            let futures = self.executor.borrow_mut().clear();
            if futures.is_empty() {
                break;
            }
            drop(futures);
        }
        let hook = self.hook.borrow_mut().take();
        drop(hook);
        let mut scratch = TurnScratch::default();
        // What dropped futures have cancelled, and file operations, end on their own; the rest is told to.
        if !self.drain(&mut scratch, limits::CLOSE_WAIT / 2) {
            self.driver.borrow_mut().port.cancel_all();
            if !self.drain(&mut scratch, limits::CLOSE_WAIT / 2) {
                self.driver.borrow_mut().leak();
            }
        }
    }

    /// Turns without tasks until nothing is started any more; false when the time is up.
    fn drain(&self, scratch: &mut TurnScratch, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            self.release_sends(scratch);
            self.prepare_wait(scratch);
            if self.driver.borrow().started() == 0 {
                // Entries that were only queued (closes of a ring that goes) need no submission.
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            let tick = Instant::now() + Duration::from_millis(20);
            let mut driver = self.driver.borrow_mut();
            driver.port.arm_timer(self.clock_nanos(tick));
            if driver.port.wait(true, &mut scratch.completions).is_err() {
                return false;
            }
            drop(driver);
            self.settle(scratch);
        }
    }
}

impl Drop for CoreState {
    fn drop(&mut self) {
        waker::unregister(self.id);
    }
}
