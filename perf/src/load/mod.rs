//! Load generators. Each prints one JSON object; failed operations are counted and end the run with code 1.

pub mod bulk;
pub mod idle;
pub mod logins;
pub mod queries;

use std::future::Future;

use anyhow::Result;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Runs a generator on this thread alone, so that it takes at most one core.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}
