//! What a client can bind its login to: the hash of the certificate that it was shown (RFC 5929, `tls-server-end-point`).

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};

/// DER tags.
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Signature algorithms by the content of their object identifier, with the hash that RFC 5929, section 4.1 asks for: the
/// algorithm's own, SHA-256 in place of MD5 and SHA-1. One that names no hash of its own (RSASSA-PSS, Ed25519) has no
/// channel binding.
const SIGNATURES: &[(&[u8], &Algorithm)] = &[
    // 1.2.840.113549.1.1: md5, sha1, sha256, sha384, sha512 with RSA
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], &SHA384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], &SHA512),
    // 1.2.840.10045.4: ECDSA with SHA-1, SHA-256, SHA-384, SHA-512
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], &SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], &SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], &SHA384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], &SHA512),
];

/// The channel binding data of a server that shows this certificate; `None` if its signature defines none.
pub fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let identifier = signature_algorithm(certificate)?;
    let (_, algorithm) = SIGNATURES.iter().find(|(known, _)| *known == identifier)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }
/// (RFC 5280, section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    Some(identifier)
}

/// The content of the element with this tag at the start of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate's outline with this signature algorithm.
    fn outline(identifier: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let algorithm = wrap(SEQUENCE, &wrap(OBJECT_IDENTIFIER, identifier));
        wrap(
            SEQUENCE,
            &[wrap(SEQUENCE, b"to be signed"), algorithm, b"\x03\x01\x00".to_vec()].concat(),
        )
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (identifier, algorithm) in SIGNATURES {
            let certificate = outline(identifier);
            let hash = digest::digest(algorithm, &certificate);
            assert_eq!(tls_server_end_point(&certificate).as_deref(), Some(hash.as_ref()));
        }
        assert_eq!(tls_server_end_point(&outline(&[0x2b, 0x65, 0x70])), None, "Ed25519");
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let certificate = outline(SIGNATURES[2].0);
        for cut in 0..certificate.len() - 3 {
            assert_eq!(tls_server_end_point(&certificate[..cut]), None);
        }
        assert_eq!(tls_server_end_point(b"\x30\x85\x01\x01\x01\x01\x01"), None);
        assert_eq!(tls_server_end_point(b"\x30\x84\xff\xff\xff\xff"), None);
    }
}
