//! Targets behind an agent: a stream on its link, opened with the signed grant.

use super::{CancelTarget, OpenError, Opened, Request, Upstream};
use crate::core::Core;
use crate::link::AgentLink;
use crate::link::driver::{Incoming, Stream};
use codecs::postgres::refusal::sqlstate;
use proto::Message as _;
use proto::tunnel::session_frame::Kind;
use proto::tunnel::{Accept, Cancel, ColumnName, Fault, Open, Param, Refuse, SessionFrame};
use session::ResolvedColumn;
use std::rc::Rc;

/// What an agent says when a target simply closed.
pub const CLOSED: &str = "the target closed the connection";

/// Asks an agent of the connection's pool for the target.
pub async fn open(core: &Rc<Core>, request: &Request) -> Result<Opened, OpenError> {
    let (link, stream, accept) = reach(core, &request.connection.pool, open_message(request)).await?;
    Ok(opened(request, link, stream, accept))
}

/// Asks an agent of a pool for a target.
pub async fn reach(core: &Rc<Core>, pool: &str, open: Open) -> Result<(Rc<AgentLink>, Stream, Accept), OpenError> {
    let link = core.links.pick(pool).ok_or_else(|| OpenError {
        fault: Fault::Ours,
        sqlstate: sqlstate::TARGET_UNREACHABLE.into(),
        message: format!("no agent of pool \"{pool}\" is connected"),
    })?;
    let stream = link
        .driver
        .open(proto::path::AGENT_SESSION)
        .map_err(|error| OpenError::ours(format!("the agent's link takes no session: {error}")))?;
    send(&stream, Kind::Open(open));
    match answer(&stream).await? {
        Kind::Accept(accept) => Ok((link, stream, accept)),
        Kind::Refuse(refuse) => Err(refused(refuse)),
        _ => Err(OpenError::ours("the agent answered out of turn")),
    }
}

/// Asks the agent to cancel what a session is doing.
pub async fn cancel(link: &Rc<AgentLink>, session_id: &[u8; 16]) -> anyhow::Result<()> {
    let stream = link.driver.open(proto::path::AGENT_SESSION)?;
    send(
        &stream,
        Kind::Cancel(Cancel {
            session_id: session_id.to_vec(),
        }),
    );
    stream.finish();
    while stream.next().await.is_ok() {}
    Ok(())
}

/// Reads a control message of a session's stream.
pub fn control_message(message: &[u8]) -> Option<Kind> {
    SessionFrame::decode(message).ok()?.kind
}

fn send(stream: &Stream, kind: Kind) {
    stream.send_message(&SessionFrame { kind: Some(kind) }.encode_to_vec());
}

async fn answer(stream: &Stream) -> Result<Kind, OpenError> {
    match stream.next().await {
        Ok(Incoming::Message(message)) => {
            control_message(&message).ok_or_else(|| OpenError::ours("the agent's answer cannot be read"))
        }
        Ok(Incoming::Data(_)) => Err(OpenError::ours("the agent sent data before it accepted the session")),
        Err(end) => Err(OpenError::upstream(format!("the agent ended the session: {end}"))),
    }
}

fn open_message(request: &Request) -> Open {
    let columns = request.connection.columns().iter().map(|column| ColumnName {
        schema: column.schema.clone(),
        table: column.table.clone(),
        column: column.column.clone(),
    });
    Open {
        session_id: request.session_id.to_vec(),
        grant: request.connection.grant.clone(),
        user: request.user.clone(),
        database: request.database.clone(),
        params: request
            .params
            .iter()
            .map(|(name, value)| Param {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        resolve_columns: columns.collect(),
        alpn: Vec::new(),
        replication: request
            .replication
            .map_or_else(String::new, |asked| asked.to_startup().to_owned()),
    }
}

fn opened(request: &Request, link: Rc<AgentLink>, stream: Stream, accept: Accept) -> Opened {
    let columns = accept.columns.iter().filter_map(|column| {
        let attribute = i16::try_from(column.attribute).ok()?;
        Some(ResolvedColumn {
            index: column.index as usize,
            table_oid: column.table_oid,
            attribute,
        })
    });
    let cancel = if accept.cancelable {
        CancelTarget::Linked {
            link,
            session_id: request.session_id,
            pid: accept.backend_pid,
        }
    } else {
        CancelTarget::None
    };
    let database = if request.database.is_empty() {
        request.connection.database.clone()
    } else {
        request.database.clone()
    };
    Opened {
        columns: columns.collect(),
        relation_oid_max: accept.relation_oid_max,
        params: accept
            .params
            .into_iter()
            .map(|param| (param.name, param.value))
            .collect(),
        cancel,
        notices: accept.notices,
        database,
        upstream: Upstream::Linked(stream),
    }
}

fn refused(refuse: Refuse) -> OpenError {
    let valid = refuse.sqlstate.len() == 5 && refuse.sqlstate.bytes().all(|byte| byte.is_ascii_alphanumeric());
    OpenError {
        fault: refuse.fault(),
        sqlstate: if valid {
            refuse.sqlstate
        } else {
            sqlstate::TARGET_UNREACHABLE.into()
        },
        message: refuse.message,
    }
}
