//! The greeting of a link: both ends say what they are before the first session.

use prost::Message;
use proto::tunnel::{HelloReply, HelloRequest};

/// The version of the messages on a link. Ends with different versions do not talk.
pub use proto::PROTOCOL_VERSION;
/// Names and versions in a greeting are for people and at most so long.
pub const TEXT_BYTES_MAX: usize = 256;
/// Pairs of an agent's metadata.
pub const METADATA_MAX: usize = 64;

/// Why a greeting is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    /// No protobuf.
    #[error("greeting cannot be decoded")]
    Undecodable,
    /// The other end speaks another version of the link's protocol.
    #[error("the other end speaks version {theirs} of the link protocol, this end {PROTOCOL_VERSION}")]
    Version {
        /// What it said.
        theirs: u32,
    },
    /// A value out of its bounds.
    #[error("greeting: {0}")]
    Value(&'static str),
}

/// Reads and checks the data plane's greeting.
pub fn request(message: &[u8]) -> Result<HelloRequest, BadHello> {
    let hello = HelloRequest::decode(message).map_err(|_| BadHello::Undecodable)?;
    version(hello.protocol_version)?;
    texts(&[&hello.dataplane_id, &hello.version])?;
    if hello.cores == 0 || hello.core >= hello.cores {
        return Err(BadHello::Value("core number out of range"));
    }
    Ok(hello)
}

/// Reads and checks the agent's answer.
pub fn reply(message: &[u8]) -> Result<HelloReply, BadHello> {
    let hello = HelloReply::decode(message).map_err(|_| BadHello::Undecodable)?;
    version(hello.protocol_version)?;
    texts(&[&hello.name, &hello.version])?;
    if hello.instance.len() > TEXT_BYTES_MAX || hello.metadata.len() > METADATA_MAX {
        return Err(BadHello::Value("too much of it"));
    }
    hello
        .metadata
        .iter()
        .try_for_each(|param| texts(&[&param.name, &param.value]))?;
    Ok(hello)
}

fn version(theirs: u32) -> Result<(), BadHello> {
    if theirs == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(BadHello::Version { theirs })
    }
}

fn texts(texts: &[&str]) -> Result<(), BadHello> {
    match texts
        .iter()
        .all(|t| t.len() <= TEXT_BYTES_MAX && !t.contains(char::is_control))
    {
        true => Ok(()),
        false => Err(BadHello::Value("text too long or with control characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_are_checked() {
        let good = HelloRequest {
            protocol_version: PROTOCOL_VERSION,
            cores: 2,
            core: 1,
            ..Default::default()
        };
        assert_eq!(request(&good.encode_to_vec()), Ok(good.clone()));
        let old = HelloRequest {
            protocol_version: 0,
            ..good.clone()
        };
        assert_eq!(request(&old.encode_to_vec()), Err(BadHello::Version { theirs: 0 }));
        let core = HelloRequest { core: 2, ..good };
        assert!(matches!(request(&core.encode_to_vec()), Err(BadHello::Value(_))));
        let reply_good = HelloReply {
            protocol_version: PROTOCOL_VERSION,
            name: "a".into(),
            ..Default::default()
        };
        assert_eq!(reply(&reply_good.encode_to_vec()), Ok(reply_good.clone()));
        let long = HelloReply {
            name: "a\n".into(),
            ..reply_good
        };
        assert!(matches!(reply(&long.encode_to_vec()), Err(BadHello::Value(_))));
        assert_eq!(reply(&[0xff]), Err(BadHello::Undecodable));
    }
}
