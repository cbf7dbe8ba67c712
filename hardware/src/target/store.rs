//! The store under load: an operation is a commit of one key.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use seedbed_engines::atomic_commit::{Batch, Error, Options, Store};
use seedbed_env::Env;

use super::{STAMP_LEN, fill};
use crate::Failed;
use crate::load::{Target, share};
use crate::workload::Workload;

/// Where the store is, in the folder of a run.
const FOLDER: &str = "store";

/// A store under load.
#[derive(Clone)]
pub(crate) struct StoreTarget<E: Env> {
    env: E,
    store: Store<E>,
    workload: Arc<Workload>,
}

/// A commit that is under way.
pub(crate) struct Committing(BoxFuture<'static, Result<(), Failed>>);

impl Future for Committing {
    type Output = Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<E: Env> StoreTarget<E> {
    pub(crate) async fn open(env: E, workload: &Workload) -> Result<Self, Failed> {
        let mut options = Options::new(workload.durability.0);
        options.queue_max = crate::workload::OUTSTANDING_MAX as usize;
        let store = Store::open(env.clone(), FOLDER, options).await.map_err(engine)?;
        Ok(Self { env, store, workload: Arc::new(workload.clone()) })
    }

    pub(crate) async fn close(&self) -> Result<(), Failed> {
        self.store.close().await.map_err(engine)
    }

    /// Opens the folder once more and compares it with what was acknowledged: each client's first
    /// `done` operations.
    pub(crate) async fn check(env: E, workload: &Workload, done: &[u64]) -> Result<u64, Failed> {
        let store = Store::open(env, FOLDER, Options::default()).await.map_err(engine)?;
        let mut expected = std::collections::BTreeMap::new();
        for (client, done) in done.iter().enumerate() {
            let keys = share(workload.keys.into(), workload.clients, client as u32);
            // The last ones, one for each key.
            for nth in done.saturating_sub(keys)..*done {
                expected.insert(key(workload, client as u32, nth), (client as u32, nth));
            }
        }
        let wrong = store.view(|entries| {
            if entries.len() != expected.len() {
                return Some(format!("{} keys instead of {}", entries.len(), expected.len()));
            }
            let mut value = Vec::new();
            entries.iter().zip(&expected).find_map(|((key, found), (of, (client, nth)))| {
                fill(&mut value, workload.value_bytes as usize, *client, *nth);
                (key != of || *found != value).then(|| {
                    let stamp = found.get(..STAMP_LEN);
                    format!("operation {nth} of client {client}: its key has {stamp:?}")
                })
            })
        });
        store.close().await.map_err(engine)?;
        match wrong {
            Some(wrong) => Err(Failed::Wrong(wrong)),
            None => Ok(expected.len() as u64),
        }
    }
}

impl<E: Env> Target for StoreTarget<E> {
    type Pending = Committing;

    async fn begin(&self, client: u32, nth: u64) -> Result<Committing, Failed> {
        let mut value = Vec::with_capacity(self.workload.value_bytes as usize);
        fill(&mut value, self.workload.value_bytes as usize, client, nth);
        let mut ticket = loop {
            let batch = Batch::putting(key(&self.workload, client, nth), &value);
            match self.store.submit(batch) {
                Ok(ticket) => break ticket,
                // In open loop more may arrive than there is room for.
                Err(Error::Busy { .. }) => {
                    self.env.sleep(std::time::Duration::from_micros(50)).await;
                }
                Err(error) => return Err(engine(error)),
            }
        };
        let acknowledged = async move { ticket.acknowledged().await.map(drop).map_err(engine) };
        Ok(Committing(Box::pin(acknowledged)))
    }

    async fn round_ends(&self) -> Result<(), Failed> {
        Ok(())
    }
}

/// Each client has keys of its own, which it writes one after the other.
fn key(workload: &Workload, client: u32, nth: u64) -> [u8; 12] {
    let keys = share(workload.keys.into(), workload.clients, client);
    let mut key = [0; 12];
    key[..4].copy_from_slice(&client.to_be_bytes());
    key[4..].copy_from_slice(&(nth % keys).to_be_bytes());
    key
}

fn engine(error: Error) -> Failed {
    Failed::Engine(error.to_string())
}
