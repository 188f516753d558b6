//! monoio on io_uring: one owned buffer per direction.

use anyhow::Result;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use monoio::net::{TcpListener, TcpStream};

use crate::{Options, listener};

pub fn run(options: Options) -> Result<()> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener(options, false)?)?;
        loop {
            let (downstream, _) = listener.accept().await?;
            monoio::spawn(session(downstream, options));
        }
    })
}

async fn session(downstream: TcpStream, options: Options) -> Result<()> {
    let upstream = TcpStream::connect_addr(options.upstream).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (down_read, down_write) = downstream.into_split();
    let (up_read, up_write) = upstream.into_split();
    monoio::spawn(pump(down_read, up_write, options.buffer));
    pump(up_read, down_write, options.buffer).await
}

async fn pump<R: AsyncReadRent, W: AsyncWriteRent>(mut from: R, mut to: W, bytes: usize) -> Result<()> {
    let mut buffer = Vec::with_capacity(bytes);
    loop {
        let (read, filled) = from.read(buffer).await;
        if read? == 0 {
            return Ok(to.shutdown().await?);
        }
        let (written, used) = to.write_all(filled).await;
        written?;
        buffer = used;
        buffer.clear();
    }
}
