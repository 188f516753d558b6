//! The hot path in pieces: each [`Case`] is one unit of work that the data plane does for every query, row or frame.
//!
//! The same cases are timed by `cargo bench` (criterion) and counted by `perf/run instructions` (callgrind).

mod codec_cases;
mod rows;
mod scan_cases;
mod session_cases;
mod tunnel_cases;

/// One unit of work, ready to be run again and again.
pub struct Case {
    /// `part/what`, unique.
    pub name: &'static str,
    /// What one run works through, in bytes; 0 where time per run is the figure.
    pub bytes: usize,
    /// Runs it once.
    pub run: Box<dyn FnMut()>,
}

/// How a case is made.
pub type Make = fn() -> Case;

/// All cases, by part.
pub fn cases() -> Vec<(&'static str, Make)> {
    [
        codec_cases::CASES,
        session_cases::CASES,
        tunnel_cases::CASES,
        scan_cases::CASES,
    ]
    .concat()
}

fn case(name: &'static str, bytes: usize, run: impl FnMut() + 'static) -> Case {
    Case {
        name,
        bytes,
        run: Box::new(run),
    }
}
