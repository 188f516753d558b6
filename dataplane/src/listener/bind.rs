//! Binds listeners: one socket per core on the same port, so that the kernel spreads clients over cores.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

const BACKLOG: i32 = 4096;

/// One bound, listening socket per core, and their common address.
pub fn bind(address: SocketAddr, cores: usize) -> io::Result<(SocketAddr, Vec<OwnedFd>)> {
    // Sockets that share a port also share it with a second instance of this program, silently. A plain bind does not.
    let exclusive = socket(address, false)?;
    let mut address = address;
    if address.port() == 0 {
        address = exclusive.local_addr()?.as_socket().unwrap_or(address);
    }
    drop(exclusive);
    let mut fds = Vec::with_capacity(cores);
    for _ in 0..cores {
        let shared = socket(address, true)?;
        shared.listen(BACKLOG)?;
        fds.push(shared.into());
    }
    Ok((address, fds))
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::bind;

    #[test]
    fn every_core_gets_a_socket_on_the_same_free_port() {
        let (address, fds) = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert!(address.port() != 0 && fds.len() == 3);
    }

    #[test]
    fn a_port_that_is_taken_is_refused() {
        let (address, _fds) = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        assert!(bind(address, 1).is_err());
    }
}
