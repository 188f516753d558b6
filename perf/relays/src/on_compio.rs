//! compio on io_uring: buffers that the kernel selects from a pool, deferred task work, one issuer.

use std::num::NonZero;

use anyhow::Result;
use compio::driver::ProactorBuilder;
use compio::io::{AsyncReadManaged, AsyncWrite, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::RuntimeBuilder;

use crate::{Options, listener};

/// Buffers of the pool.
const BUFFERS: NonZero<u16> = NonZero::new(256).unwrap();

pub fn run(options: Options) -> Result<()> {
    let mut driver = ProactorBuilder::new();
    driver
        .single_issuer(true)
        .defer_taskrun(true)
        .taskrun_flag(true)
        .buffer_pool_size(BUFFERS)
        .buffer_pool_buffer_len(options.buffer);
    let runtime = RuntimeBuilder::new().with_proactor(driver).build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener(options, false)?)?;
        loop {
            let (downstream, _) = listener.accept().await?;
            compio::runtime::spawn(session(downstream, options)).detach();
        }
    })
}

async fn session(downstream: TcpStream, options: Options) -> Result<()> {
    let upstream = TcpStream::connect(options.upstream).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (down_read, down_write) = downstream.into_split();
    let (up_read, up_write) = upstream.into_split();
    compio::runtime::spawn(pump(down_read, up_write)).detach();
    pump(up_read, down_write).await
}

async fn pump(mut from: TcpStream, mut to: TcpStream) -> Result<()> {
    loop {
        match from.read_managed(0).await? {
            Some(piece) => to.write_all(piece).await.0?,
            None => return Ok(to.shutdown().await?),
        }
    }
}
