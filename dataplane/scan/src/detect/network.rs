//! IP_ADDRESS and MAC_ADDRESS: dotted and colon notations of RFC 4291 and RFC 4632, and EUI-48 in pairs.

use std::net::Ipv6Addr;

use crate::Detector::{IpAddress, MacAddress};
use crate::class::{DIGIT, HEX, WORD, is};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::text::Text;

/// Longest text of an IPv6 address, with a dotted tail (RFC 4291 section 2.2).
const IPV6_BYTES_MAX: usize = 45;
const ZONE_BYTES_MAX: usize = 15;
const MAC_PAIRS: usize = 6;

/// Four octets without leading zeros from `start`, then perhaps a prefix length.
pub(crate) fn ipv4(text: &Text<'_>, start: usize) -> Option<Hit> {
    if text.before(start, 1) == b'.' && is(text.before(start, 2), WORD)
        || text.before(start, 1) == b':' && text.before(start, 2) == b':'
    {
        return None;
    }
    let place = match text.digit_bits(start) {
        Some(digits) => octets_end(text, start, digits)?,
        None => octets(text, start)?,
    };
    let fifth = text.at(place) == b'.' && text.is(place + 1, DIGIT);
    (text.boundary_at(place) && !fifth).then(|| Hit::new(start, prefix_length(text, place, 32), 85))
}

/// The same as [`octets`] where the digits of the next bytes are known.
#[inline(always)]
fn octets_end(text: &Text<'_>, start: usize, digits: u64) -> Option<usize> {
    let (mut place, mut rest) = (start, digits);
    for octet in 0..4 {
        if octet > 0 {
            (text.at(place) == b'.').then_some(())?;
            (place, rest) = (place + 1, rest >> 1);
        }
        let len = rest.trailing_ones() as usize;
        let digit = |back: usize| u32::from(text.before(place + len, back) & 15) * u32::from(len >= back);
        let value = digit(1) + digit(2) * 10 + digit(3) * 100;
        let sound = (1..=3).contains(&len) && value <= 255 && (len == 1 || digit(len) != 0);
        sound.then_some(())?;
        (place, rest) = (place + len, rest >> len);
    }
    Some(place)
}

/// End of four octets.
fn octets(text: &Text<'_>, start: usize) -> Option<usize> {
    let mut place = start;
    for octet in 0..4 {
        if octet > 0 {
            (text.at(place) == b'.').then_some(())?;
            place += 1;
        }
        let end = text.short_run(place, DIGIT, 4);
        let digits = &text.bytes()[place..end];
        let value = digits
            .iter()
            .fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        let sound = (1..=3).contains(&digits.len()) && value <= 255 && (digits.len() == 1 || digits[0] != b'0');
        sound.then_some(())?;
        place = end;
    }
    Some(place)
}

/// End of `/24` behind an address, or the address's end.
fn prefix_length(text: &Text<'_>, end: usize, bits_max: u32) -> usize {
    if text.at(end) != b'/' {
        return end;
    }
    let digits_end = text.short_run(end + 1, DIGIT, 4);
    let digits = &text.bytes()[end + 1..digits_end.max(end + 1)];
    let bits = digits
        .iter()
        .fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    let sound = !digits.is_empty() && digits.len() <= 3 && bits <= bits_max && text.boundary_at(digits_end);
    if sound { digits_end } else { end }
}

/// A colon at `place`: the first one of an IPv6 address or of a MAC address.
pub(crate) fn colon(engine: &mut Engine<'_, '_>, place: usize) {
    if engine.on(IpAddress) {
        let text = engine.text();
        let start = text.run_back(place, HEX, 5);
        let first = text.before(start, 1) != b':' && text.boundary_before(start) && place - start <= 4;
        if first && text.before(start, 1) != b'.' {
            engine.consider(IpAddress, start, |text| ipv6(text, start));
        }
    }
    mac_candidate(engine, place);
}

/// A dash at `place`, perhaps the first one of a MAC address.
pub(crate) fn dash(engine: &mut Engine<'_, '_>, place: usize) {
    mac_candidate(engine, place);
}

fn mac_candidate(engine: &mut Engine<'_, '_>, place: usize) {
    if engine.on(MacAddress) && place >= 2 {
        engine.consider(MacAddress, place - 2, |text| mac(text, place - 2));
    }
}

fn ipv6(text: &Text<'_>, start: usize) -> Option<Hit> {
    let mut end = start;
    while end - start <= IPV6_BYTES_MAX && (text.is(end, HEX) || matches!(text.at(end), b':' | b'.')) {
        end += 1;
    }
    if end - start > IPV6_BYTES_MAX || is(text.at(end), WORD) {
        return None;
    }
    let written = std::str::from_utf8(&text.bytes()[start..end]).ok()?;
    let trimmed = written.trim_end_matches('.');
    let single_colon = trimmed.ends_with(':') && !trimmed.ends_with("::");
    let trimmed = if single_colon {
        &trimmed[..trimmed.len() - 1]
    } else {
        trimmed
    };
    trimmed.parse::<Ipv6Addr>().ok()?;
    let end = start + trimmed.len();
    // Source code is full of `a::b`.
    let written_out = trimmed.bytes().any(|byte| byte.is_ascii_digit()) || trimmed.len() > 9;
    let end_with_prefix = prefix_length(text, zone(text, end), 128);
    (written_out || end_with_prefix > end).then(|| Hit::new(start, end_with_prefix, 80))
}

/// End of a zone id (`%eth0`) behind an address.
fn zone(text: &Text<'_>, end: usize) -> usize {
    if text.at(end) != b'%' {
        return end;
    }
    let zone_end = text.short_run(end + 1, WORD, ZONE_BYTES_MAX + 1);
    if zone_end == end + 1 || zone_end - end > ZONE_BYTES_MAX {
        end
    } else {
        zone_end
    }
}

fn mac(text: &Text<'_>, start: usize) -> Option<Hit> {
    let separator = text.at(start + 2);
    if !text.boundary_before(start) || text.before(start, 1) == separator {
        return None;
    }
    let mut all = [0; MAC_PAIRS * 2];
    for pair in 0..MAC_PAIRS {
        let place = start + pair * 3;
        if pair > 0 && text.at(place - 1) != separator {
            return None;
        }
        for half in 0..2 {
            let byte = text.at(place + half);
            if !is(byte, HEX) {
                return None;
            }
            all[pair * 2 + half] = byte.to_ascii_lowercase();
        }
    }
    let end = start + MAC_PAIRS * 3 - 1;
    let more = text.at(end) == separator && text.is(end + 1, HEX);
    let real = all != *b"000000000000" && all != *b"ffffffffffff";
    (real && !more && text.boundary_at(end)).then(|| Hit::new(start, end, 90))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn addresses_are_found() {
        assert_spans(
            IpAddress,
            &[
                "«10.0.0.1», «172.16.0.1»",
                "«192.168.0.0/16»",
                "x=«255.255.255.255».",
                "号«1.2.3.4»号",
                "«fe80::1»",
                "[«2001:db8::1»]:80",
                "«::1»",
                "«::/0»",
                "«fe80::1%eth0»",
                "«2001:db8:1::192.0.2.1»",
                "«2001:db8::/32»",
                "at «2001:db8:0:0:0:0:2:1»: x",
            ],
        );
        assert_misses(
            IpAddress,
            &[
                "192.168.1",
                "256.1.1.1",
                "1.2.3.4.5",
                "01.2.3.4",
                "a1.2.3.4",
                "1.2.3.4a",
                "10:22:33",
                "std::abs",
                "a::b",
                "::",
                "abc:def:ghi",
                "1:2:3:4:5:6:7:8:9",
                "v1.2.3",
            ],
        );
        assert_spans(
            MacAddress,
            &["«00:1A:2b:3C:4D:5E»", "«00-1a-2b-3c-4d-5e».", "(«02:00:00:00:00:01»)"],
        );
        assert_misses(
            MacAddress,
            &[
                "00:1A:2B:3C:4D",
                "00:1A:2B:3C:4D:5E:6F",
                "00:1A-2B:3C:4D:5E",
                "00:00:00:00:00:00",
                "ff:ff:ff:ff:ff:ff",
                "x00:1A:2B:3C:4D:5E",
            ],
        );
    }
}
