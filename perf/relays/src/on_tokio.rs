//! tokio, its current-thread scheduler (epoll) and its own bidirectional copy.

use anyhow::Result;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

use crate::{Options, listener};

pub fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener(options, true)?)?;
        loop {
            let (mut downstream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(options.upstream).await?;
                downstream.set_nodelay(true)?;
                upstream.set_nodelay(true)?;
                copy_bidirectional_with_sizes(&mut downstream, &mut upstream, options.buffer, options.buffer).await
            });
        }
    })
}
