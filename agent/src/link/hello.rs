//! The first stream of a link: the gateway says who it is and how many cores it has, the agent answers.

use std::sync::Arc;

use prost::Message as _;
use proto::tunnel::{HelloReply, HelloRequest, Param};
use tunnel::GrpcStatus;

use super::stream::{Incoming, Stream};
use crate::agent::Agent;

/// Key of the metadata that carries the host name.
const HOSTNAME: &str = "hostname";

/// Answers one hello; `None` when the gateway's request was not usable, which the gateway was told.
pub(super) async fn answer(agent: &Arc<Agent>, stream: &Stream) -> Option<HelloRequest> {
    let request = loop {
        match stream.next().await {
            Incoming::Message(message) => break HelloRequest::decode(message.as_slice()).ok(),
            Incoming::Data(data) => stream.release(data.len()),
            Incoming::Half => break None,
            Incoming::Closed { .. } => return None,
        }
    };
    let Some(request) = request else {
        stream.finish(GrpcStatus::InvalidArgument, "the hello cannot be read");
        return None;
    };
    if request.protocol_version != proto::PROTOCOL_VERSION {
        let ours = proto::PROTOCOL_VERSION;
        tracing::error!(
            theirs = request.protocol_version,
            ours,
            "the gateway speaks another version of the protocol"
        );
        stream.finish(
            GrpcStatus::FailedPrecondition,
            &format!("this agent speaks version {ours} of the protocol"),
        );
        return None;
    }
    let reply = HelloReply {
        protocol_version: proto::PROTOCOL_VERSION,
        name: agent.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sessions_max: 0,
        instance: agent.instance.to_vec(),
        metadata: metadata(agent),
    };
    stream.send_message(&reply.encode_to_vec());
    stream.finish(GrpcStatus::Ok, "");
    Some(request)
}

fn metadata(agent: &Agent) -> Vec<Param> {
    let configured = agent
        .config
        .metadata
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let hostname = agent
        .config
        .use_hostname
        .then(|| (HOSTNAME.to_owned(), crate::host_name()));
    configured
        .chain(hostname)
        .map(|(name, value)| Param { name, value })
        .collect()
}
