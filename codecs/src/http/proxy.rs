//! PROXY protocol, version 2: what a load balancer says about its client, before the first byte of that client.
//!
//! ```text
//! signature (12) | version 2, command (1) | family, transport (1) | length (2) | addresses and extensions (length)
//! ```
//! HAProxy, "The PROXY protocol, versions 1 & 2", section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Refused;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const HEAD_BYTES: usize = 16;
/// Longest part after the fixed head, bytes.
const REST_BYTES_MAX: usize = 2048;

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client; none when the balancer speaks for itself (health checks).
    pub client: Option<SocketAddr>,
    /// Bytes of the header.
    pub bytes: usize,
}

/// Reads the header at the start of `bytes`. `None`: more bytes are needed.
///
/// # Errors
/// What is not version 2, or not TCP over IP.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Refused> {
    const WRONG: Refused = Refused::bad("no PROXY header of version 2");
    let known = bytes.len().min(SIGNATURE.len());
    if bytes.get(..known) != SIGNATURE.get(..known) {
        return Err(WRONG);
    }
    let Some([command, family, high, low]) = bytes.get(12..HEAD_BYTES) else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > REST_BYTES_MAX {
        return Err(WRONG);
    }
    let Some(addresses) = bytes.get(HEAD_BYTES..HEAD_BYTES + rest) else {
        return Ok(None);
    };
    let header = |client| Header {
        client,
        bytes: HEAD_BYTES + rest,
    };
    match (command, family) {
        (0x20, _) => Ok(Some(header(None))),
        (0x21, 0x11) => {
            let ip: [u8; 4] = part(addresses, 0).ok_or(WRONG)?;
            let port: [u8; 2] = part(addresses, 8).ok_or(WRONG)?;
            let ip = IpAddr::V4(Ipv4Addr::from(ip));
            Ok(Some(header(Some(SocketAddr::new(ip, u16::from_be_bytes(port))))))
        }
        (0x21, 0x21) => {
            let ip: [u8; 16] = part(addresses, 0).ok_or(WRONG)?;
            let port: [u8; 2] = part(addresses, 32).ok_or(WRONG)?;
            let ip = IpAddr::V6(Ipv6Addr::from(ip));
            Ok(Some(header(Some(SocketAddr::new(ip, u16::from_be_bytes(port))))))
        }
        _ => Err(WRONG),
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn clients_are_read_however_the_header_is_cut() {
        let v4 = header(0x21, 0x11, &[10, 0, 0, 9, 127, 0, 0, 1, 0x30, 0x39, 0, 80, 4, 0, 0]);
        let read_whole = read(&v4).unwrap().unwrap();
        assert_eq!(read_whole.client, Some("10.0.0.9:12345".parse().unwrap()));
        assert_eq!(read_whole.bytes, v4.len());
        for end in 0..v4.len() {
            assert_eq!(read(&v4[..end]).unwrap(), None, "{end}");
        }
        let mut v6 = [0u8; 36];
        (v6[15], v6[33]) = (1, 80);
        let v6 = read(&header(0x21, 0x21, &v6)).unwrap().unwrap();
        assert_eq!(v6.client, Some("[::1]:80".parse().unwrap()));
        assert_eq!(read(&header(0x20, 0, &[])).unwrap().unwrap().client, None);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for wrong in [
            b"GET / HTTP/1.1".to_vec(),
            b"PROXY TCP4 1.2.3.4".to_vec(),
            header(0x11, 0x11, &[0; 12]),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &[0; 3]),
            header(0x21, 0x11, &[0; 5000]),
        ] {
            assert!(read(&wrong).is_err());
        }
    }
}
