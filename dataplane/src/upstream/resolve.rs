//! Names of targets to addresses, off the data cores: the system's resolver blocks.

use super::OpenError;
use reactor::sync::Notify;
use reactor::{Receiver, Sender};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::mpsc;

/// Names waiting to be resolved, of all cores.
const QUERIES_MAX: usize = 1024;

type Answer = Result<Vec<SocketAddr>, String>;

struct Query {
    name: String,
    port: u16,
    ticket: u64,
    reply: Sender<(u64, Answer)>,
}

#[derive(Default)]
struct Waiting {
    answers: RefCell<HashMap<u64, Answer>>,
    arrived: Notify,
}

struct Local {
    reply: Sender<(u64, Answer)>,
    waiting: Rc<Waiting>,
    next_ticket: u64,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

static QUERIES: Mutex<Option<mpsc::SyncSender<Query>>> = Mutex::new(None);

/// The first address of a host. Addresses are taken as they are; names are asked for.
pub async fn resolve(host: &str, port: u32) -> Result<SocketAddr, OpenError> {
    let port = u16::try_from(port).map_err(|_| OpenError::ours(format!("{port} is no port")))?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |why: &str| OpenError::upstream(format!("the target's name \"{host}\" cannot be resolved: {why}"));
    let (ticket, waiting) = ask(host, port).ok_or_else(|| failed("too many names are being resolved"))?;
    let answer = loop {
        let answer = waiting.answers.borrow_mut().remove(&ticket);
        match answer {
            Some(answer) => break answer,
            None => waiting.arrived.notified().await,
        }
    };
    answer
        .map_err(|error| failed(&error))?
        .into_iter()
        .next()
        .ok_or_else(|| failed("it has no address"))
}

fn ask(host: &str, port: u16) -> Option<(u64, Rc<Waiting>)> {
    LOCAL.with_borrow_mut(|local| {
        let local = local.get_or_insert_with(start_local);
        local.next_ticket += 1;
        let query = Query {
            name: host.to_owned(),
            port,
            ticket: local.next_ticket,
            reply: local.reply.clone(),
        };
        queue()?.try_send(query).ok()?;
        Some((local.next_ticket, local.waiting.clone()))
    })
}

fn start_local() -> Local {
    let (reply, answers) = reactor::mailbox(QUERIES_MAX);
    let waiting = Rc::new(Waiting::default());
    reactor::spawn(deliver(answers, waiting.clone()));
    Local {
        reply,
        waiting,
        next_ticket: 0,
    }
}

async fn deliver(mut answers: Receiver<(u64, Answer)>, waiting: Rc<Waiting>) {
    while let Some((ticket, answer)) = answers.recv().await {
        waiting.answers.borrow_mut().insert(ticket, answer);
        waiting.arrived.notify_all();
    }
}

fn queue() -> Option<mpsc::SyncSender<Query>> {
    let mut queries = QUERIES.lock().ok()?;
    if queries.is_none() {
        let (sender, receiver) = mpsc::sync_channel(QUERIES_MAX);
        std::thread::Builder::new()
            .name("resolver".into())
            .spawn(move || serve(&receiver))
            .ok()?;
        *queries = Some(sender);
    }
    queries.clone()
}

fn serve(queries: &mpsc::Receiver<Query>) {
    for query in queries {
        let answer = (query.name.as_str(), query.port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .map_err(|error| error.to_string());
        // A core that is gone needs no answer.
        drop(query.reply.try_send((query.ticket, answer)));
    }
}
