//! Sets of networks in CIDR notation (RFC 4632, RFC 4291 section 2.3).

use std::net::IpAddr;

/// One network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    /// IPv4 as IPv4-mapped IPv6.
    bits: u128,
    prefix: u32,
}

/// Networks; an address is looked for in each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or single addresses.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(texts: &[String]) -> Result<Networks, String> {
        texts
            .iter()
            .map(|text| network(text))
            .collect::<Result<_, _>>()
            .map(Networks)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = mapped(address);
        self.0.iter().any(|network| bits & mask(network.prefix) == network.bits)
    }
}

fn network(text: &str) -> Result<Network, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| format!("\"{text}\" is no network of the form 10.0.0.0/8 or 2001:db8::/32"))?;
    let (most, shift) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let prefix = match prefix {
        None => most,
        Some(prefix) => match prefix.parse::<u32>() {
            Ok(bits) if bits <= most && prefix.bytes().all(|b| b.is_ascii_digit()) => bits,
            _ => return Err(format!("\"{text}\": the prefix must be 0 to {most}")),
        },
    };
    let (bits, prefix) = (mapped(address), prefix + shift);
    if bits & !mask(prefix) != 0 {
        return Err(format!("\"{text}\" has bits set beyond its prefix"));
    }
    Ok(Network { bits, prefix })
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks() {
        let set = |text: &str| Networks::parse(&[text.to_owned()]);
        let has = |network: &str, address: &str| set(network).unwrap().contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"), "an IPv4 client on an IPv6 socket");
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "2001:db8::1"));
        assert!(has("::/0", "1.2.3.4") && has("::/0", "::1"));
        for wrong in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "a",
            "10.0.0.0/",
            "::/129",
            "10.0.0.0/+8",
            "",
        ] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
        assert!(!Networks::default().contains("::1".parse().unwrap()));
    }
}
