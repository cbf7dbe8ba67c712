//! The sink under load, with embedded participants behind sockets: an operation is a row, and it is
//! done when a durable checkpoint has it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use seedbed_engines::sink::embedded::{self, Remote, Server};
use seedbed_engines::sink::{Column, ColumnType, Error, Options, Row, Schema, Sink, Value, Writer};
use seedbed_env::{Env, Net};

use super::fill;
use crate::Failed;
use crate::load::Target;
use crate::workload::Workload;

/// A sink under load, and its participants.
pub(crate) struct SinkTarget<E: Env + Net> {
    env: E,
    sink: Sink<E, Remote<E>>,
    servers: Arc<Vec<Server<E>>>,
    value_bytes: usize,
    push_rows: usize,
    waiting: Arc<Mutex<Waiting>>,
}

/// Rows that are pushed together with those that come next.
#[derive(Default)]
struct Waiting {
    first: u64,
    texts: Vec<Vec<u8>>,
}

impl<E: Env + Net> Clone for SinkTarget<E> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            sink: self.sink.clone(),
            servers: Arc::clone(&self.servers),
            value_bytes: self.value_bytes,
            push_rows: self.push_rows,
            waiting: Arc::clone(&self.waiting),
        }
    }
}

/// A row that is under way.
pub(crate) struct Written(BoxFuture<'static, Result<(), Failed>>);

impl Future for Written {
    type Output = Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<E: Env + Net> SinkTarget<E> {
    /// Opens participants, which listen at any port of `addr`, and the sink.
    pub(crate) async fn open(
        env: E,
        addr: SocketAddr,
        workload: &Workload,
    ) -> Result<Self, Failed> {
        let servers = open_servers(&env, addr, workload).await?;
        for server in &servers {
            drop(env.spawn(server.clone().serve()));
        }
        let remote = |(nth, server): (usize, &Server<E>)| {
            Remote::new(env.clone(), format!("p{nth}"), server.local_addr())
        };
        let participants = servers.iter().enumerate().map(remote).collect();
        let mut options = Options::default();
        options.batch_rows = workload.batch_rows as usize;
        options.checkpoint_delay = Duration::from_millis(workload.checkpoint_ms.into());
        options.connections_max = workload.connections as usize;
        let writer = Writer::new("bench").map_err(|error| Failed::Engine(error.to_string()))?;
        let schema = schema()?;
        let opened = Sink::open(env.clone(), "sink", writer, schema, participants, options);
        let sink = opened.await.map_err(engine)?;
        Ok(Self {
            env,
            sink,
            servers: Arc::new(servers),
            value_bytes: workload.value_bytes as usize,
            push_rows: workload.push_rows as usize,
            waiting: Arc::default(),
        })
    }

    /// For how long connections were in use since it was opened, added up; and how many there may
    /// be.
    pub(crate) fn pools(&self) -> (Duration, usize) {
        let pools = self.sink.metrics().pools;
        let connections = pools.iter().map(|pool| pool.connections_max).sum();
        (pools.iter().map(|pool| pool.busy).sum(), connections)
    }

    /// Pushes what waits.
    async fn push(&self, Waiting { first, texts }: Waiting) -> Result<(), Failed> {
        let rows = (first..).zip(&texts);
        let rows = rows.map(|(id, text)| [Value::Int(id.cast_signed()), Value::Bytes(text)]);
        let rows: Vec<[Value<'_>; 2]> = rows.collect();
        self.sink.push_rows(first, &rows).await.map_err(engine)
    }

    /// Takes what waits, if it is so many rows.
    fn take(&self, rows: usize) -> Option<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (waiting.texts.len() >= rows).then(|| std::mem::take(&mut *waiting))
    }

    /// Closes the sink; participants end with the world.
    pub(crate) async fn close(&self) -> Result<(), Failed> {
        self.sink.close().await.map_err(engine)?;
        try_join_all(self.servers.iter().map(Server::close)).await.map_err(engine)?;
        Ok(())
    }

    /// Opens the participants' folders once more and compares their rows with the first `done`.
    pub(crate) async fn check(
        env: E,
        addr: SocketAddr,
        workload: &Workload,
        done: u64,
    ) -> Result<u64, Failed> {
        let servers = open_servers(&env, addr, workload).await?;
        let mut seen = vec![false; usize::try_from(done).unwrap_or(usize::MAX)];
        let (mut wrong, mut text) = (None, Vec::new());
        for server in &servers {
            server.for_each_row(|row| {
                let found = check_row(row, &mut seen, &mut text, workload.value_bytes as usize);
                wrong = wrong.take().or(found.err());
            });
        }
        try_join_all(servers.iter().map(Server::close)).await.map_err(engine)?;
        let missing = seen.iter().position(|seen| !seen);
        match (wrong, missing) {
            (Some(wrong), _) => Err(Failed::Wrong(wrong)),
            (None, Some(row)) => Err(Failed::Wrong(format!("row {row} is missing"))),
            (None, None) => Ok(done),
        }
    }
}

fn check_row(
    row: Row<'_>,
    seen: &mut [bool],
    text: &mut Vec<u8>,
    value_bytes: usize,
) -> Result<(), String> {
    let values: Vec<Value<'_>> = row.values().collect();
    let (Some(Value::Int(id)), Some(Value::Bytes(found))) = (values.first(), values.get(1)) else {
        return Err(format!("a row of another shape: {values:?}"));
    };
    let place = usize::try_from(*id).ok().and_then(|id| seen.get_mut(id));
    let Some(place) = place else { return Err(format!("row {id}, which was never written")) };
    if std::mem::replace(place, true) {
        return Err(format!("row {id} twice"));
    }
    fill(text, value_bytes, 0, id.cast_unsigned());
    match found == text {
        true => Ok(()),
        false => Err(format!("row {id} has another text")),
    }
}

async fn open_servers<E: Env + Net>(
    env: &E,
    addr: SocketAddr,
    workload: &Workload,
) -> Result<Vec<Server<E>>, Failed> {
    let mut servers = Vec::new();
    for nth in 0..workload.participants {
        let options = embedded::Options::default();
        let opened = Server::open(env.clone(), format!("p{nth}"), addr, schema()?, options);
        servers.push(opened.await.map_err(engine)?);
    }
    Ok(servers)
}

fn schema() -> Result<Arc<Schema>, Failed> {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let columns = vec![column("id", ColumnType::Int), column("text", ColumnType::Bytes)];
    let schema = Schema::new("bench", columns, 1);
    Ok(Arc::new(schema.map_err(|error| Failed::Engine(error.to_string()))?))
}

impl<E: Env + Net> Target for SinkTarget<E> {
    type Pending = Written;

    async fn begin(&self, client: u32, nth: u64) -> Result<Written, Failed> {
        let mut text = Vec::with_capacity(self.value_bytes);
        fill(&mut text, self.value_bytes, client, nth);
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.texts.is_empty() {
                waiting.first = nth;
            }
            waiting.texts.push(text);
        }
        if let Some(waiting) = self.take(self.push_rows) {
            self.push(waiting).await?;
        }
        let sink = self.sink.clone();
        let durable = async move { sink.reached(nth + 1).await.map(drop).map_err(engine) };
        Ok(Written(Box::pin(durable)))
    }

    /// The last rows need not wait for more to come.
    async fn round_ends(&self) -> Result<(), Failed> {
        if let Some(waiting) = self.take(1) {
            self.push(waiting).await?;
        }
        let sink = self.sink.clone();
        drop(self.env.spawn(async move { sink.checkpoint().await.map(drop) }));
        Ok(())
    }
}

fn engine(error: Error) -> Failed {
    Failed::Engine(error.to_string())
}
