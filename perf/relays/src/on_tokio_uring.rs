//! tokio-uring: one owned buffer per direction.

use std::net::Shutdown;
use std::rc::Rc;

use anyhow::Result;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

use crate::{Options, listener};

pub fn run(options: Options) -> Result<()> {
    tokio_uring::start(async move {
        let listener = TcpListener::from_std(listener(options, false)?);
        loop {
            let (downstream, _) = listener.accept().await?;
            tokio_uring::spawn(session(downstream, options));
        }
    })
}

async fn session(downstream: TcpStream, options: Options) -> Result<()> {
    let upstream = TcpStream::connect(options.upstream).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (downstream, upstream) = (Rc::new(downstream), Rc::new(upstream));
    let (from, to) = (downstream.clone(), upstream.clone());
    tokio_uring::spawn(async move { pump(&from, &to, options.buffer).await });
    pump(&upstream, &downstream, options.buffer).await
}

async fn pump(from: &TcpStream, to: &TcpStream, bytes: usize) -> Result<()> {
    let mut buffer = vec![0; bytes];
    loop {
        let (read, filled) = from.read(buffer).await;
        let count = read?;
        if count == 0 {
            return Ok(to.shutdown(Shutdown::Write)?);
        }
        let (written, used) = to.write_all(filled.slice(..count)).await;
        written?;
        buffer = used.into_inner();
    }
}
