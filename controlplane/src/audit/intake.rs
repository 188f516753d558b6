//! Takes batches of all data planes in: one task, one transaction for all batches that wait, answers after the commit.

use tokio::sync::{mpsc, oneshot};

use std::sync::Arc;

use super::ingest::{self, IngestError, Taken};
use crate::pki::Pki;
use crate::store::db::Tx;
use crate::store::{Store, StoreError, audit};
use proto::control::{AuditAck, AuditBatch};

/// Batches that wait for the task; senders wait beyond, and their streams' windows hold the rest back.
const BATCHES_WAITING_MAX: usize = 64;
/// Batches in one transaction.
const BATCHES_PER_COMMIT_MAX: usize = 64;

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Batch(#[from] IngestError),
    #[error("the store: {0}")]
    Store(String),
    #[error("the control plane is stopping")]
    Stopping,
}

impl From<StoreError> for IntakeError {
    fn from(error: StoreError) -> Self {
        IntakeError::Store(error.to_string())
    }
}

struct Job {
    sender: String,
    seal_key: Vec<u8>,
    batch: AuditBatch,
    answer: oneshot::Sender<Result<AuditAck, IntakeError>>,
}

/// Where streams hand batches in.
#[derive(Clone, Debug)]
pub struct Intake(mpsc::Sender<Job>);

impl Intake {
    /// Starts the task; it ends when all handles are gone and everything handed in is answered.
    pub fn start(store: Store, pki: Arc<Pki>) -> (Intake, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
        (Intake(sender), tokio::spawn(run(store, pki, receiver)))
    }

    /// Stores a batch of `sender`; returns when it is durable. A batch that would leave a gap is answered with the
    /// position from which to send again.
    pub async fn store(&self, sender: &str, seal_key: &[u8], batch: AuditBatch) -> Result<AuditAck, IntakeError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            sender: sender.to_owned(),
            seal_key: seal_key.to_vec(),
            batch,
            answer,
        };
        self.0.send(job).await.map_err(|_| IntakeError::Stopping)?;
        answered.await.map_err(|_| IntakeError::Stopping)?
    }
}

async fn run(store: Store, pki: Arc<Pki>, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::with_capacity(BATCHES_PER_COMMIT_MAX);
    while jobs.recv_many(&mut waiting, BATCHES_PER_COMMIT_MAX).await > 0 {
        let mut answers = Vec::with_capacity(waiting.len());
        let outcome = store_all(&store, &pki, &mut waiting, &mut answers).await;
        for (answer, result) in answers {
            let result = match (&outcome, result) {
                (Ok(()), result) => result,
                (Err(error), _) => Err(IntakeError::Store(error.to_string())),
            };
            // The stream may be gone; the data plane sends again and the position says that we have it.
            let _ = answer.send(result);
        }
        if let Err(error) = outcome {
            tracing::error!(%error, "audit batches could not be stored");
            for job in waiting.drain(..) {
                let _ = job.answer.send(Err(IntakeError::Store(error.to_string())));
            }
        }
    }
}

type Answer = (
    oneshot::Sender<Result<AuditAck, IntakeError>>,
    Result<AuditAck, IntakeError>,
);

async fn store_all(
    store: &Store,
    pki: &Pki,
    waiting: &mut Vec<Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let headers: Vec<_> = waiting
        .iter()
        .filter_map(|job| ingest::header_of(&job.batch.header, &job.sender).ok())
        .collect();
    audit::lock(&mut tx, headers.iter()).await?;
    while let Some(job) = (!waiting.is_empty()).then(|| waiting.remove(0)) {
        match store_one(&mut tx, pki, &job).await {
            Ok(ack) => answers.push((job.answer, Ok(ack))),
            Err(IntakeError::Batch(error)) => answers.push((job.answer, Err(error.into()))),
            Err(error) => {
                let text = error.to_string();
                answers.push((job.answer, Err(error)));
                return Err(StoreError::Unreadable {
                    what: "audit".to_owned(),
                    why: text,
                });
            }
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn store_one(tx: &mut Tx, pki: &Pki, job: &Job) -> Result<AuditAck, IntakeError> {
    let header = ingest::header_of(&job.batch.header, &job.sender)?;
    let stored = audit::position(tx, &header).await?;
    let mut ack = AuditAck {
        core: header.core,
        segment: header.segment,
        next_sequence: 0,
    };
    let begins = stored.is_none();
    let next = stored.as_ref().map_or(0, |position| position.next_sequence);
    let batch = &job.batch;
    let taken = ingest::take(
        header,
        &batch.header,
        batch.first_sequence,
        &batch.records,
        stored,
        &job.seal_key,
    );
    let taken: Taken = match taken {
        Ok(taken) => taken,
        Err(IngestError::Gap { .. } | IngestError::StartMissing) => {
            tracing::warn!(
                dataplane = job.sender,
                core = ack.core,
                segment = ack.segment,
                found = batch.first_sequence,
                expected = next,
                "an audit batch would leave a gap; asking for the records from there on"
            );
            ack.next_sequence = next;
            return Ok(ack);
        }
        Err(error) => return Err(error.into()),
    };
    ack.next_sequence = taken.position.next_sequence;
    audit::save(tx, &taken, begins, pki.policy_key()).await?;
    Ok(ack)
}
