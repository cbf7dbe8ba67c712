//! Ours with tasks: callers that await their commit, or one submitter with tickets. All run on one
//! runtime with the store's task: one as `#[tokio::main]` makes it, or one with a single thread.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use seedbed_engines::atomic_commit::{Batch, Store as Ours};
use seedbed_env::Env;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::cell::{Shape, Stop};
use super::load::{Pace, Spent, Values, Writer, share};
use super::stores::Store;
use super::stores::threads::{Threads, batch_of, options, runtime};

/// A store and where it runs.
pub(crate) struct Tasks<E> {
    runtime: Runtime,
    store: Ours<E>,
}

impl<E: Env> Tasks<E> {
    /// Opens it in the world's folder, which is empty, with first values.
    pub(crate) fn open(env: E, runtime: Runtime, values: &Values) -> Result<Self, String> {
        let open = async {
            let store = Ours::open(env, "store", options()).await?;
            store.commit(batch_of(&mut values.first())).await?;
            Ok::<_, seedbed_engines::atomic_commit::Error>(store)
        };
        let store = runtime.block_on(open).map_err(|error| error.to_string())?;
        Ok(Self { runtime, store })
    }

    /// One phase. The writers come back.
    pub(crate) fn run(
        &self,
        writers: Vec<Writer>,
        shape: Shape,
        stop: Stop,
    ) -> Result<(Vec<Writer>, Vec<Spent>), String> {
        let stop = share(stop, writers.len());
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for writer in writers {
                let store = self.store.clone();
                match shape {
                    Shape::Callers(_) => tasks.spawn(caller(store, writer, stop)),
                    Shape::Window(window) => {
                        tasks.spawn(submitter(store, writer, window as usize, stop))
                    }
                };
            }
            let mut ended = Vec::new();
            while let Some(joined) = tasks.join_next().await {
                ended.push(joined.map_err(|error| error.to_string())??);
            }
            Ok(ended.into_iter().unzip())
        })
    }

    /// Closes it and opens it again.
    pub(crate) fn reopen(self, dir: &Path) -> Result<Box<dyn Store>, String> {
        let Self { runtime, store } = self;
        runtime.block_on(store.close()).map_err(|error| error.to_string())?;
        drop((store, runtime));
        Ok(Box::new(Threads::with(dir.to_path_buf(), self::runtime()?)?))
    }
}

async fn caller<E: Env>(
    store: Ours<E>,
    mut writer: Writer,
    stop: Stop,
) -> Result<(Writer, Spent), String> {
    let mut pace = Pace::new(stop, false);
    while pace.goes_on() {
        let next = writer.next();
        let begun = Instant::now();
        let commit = store.commit(Batch::putting(next.key, next.value)).await;
        let commit = commit.map_err(|error| error.to_string())?;
        writer.took(begun.elapsed());
        writer.done(&next, commit.seq);
    }
    Ok((writer, pace.end()))
}

async fn submitter<E: Env>(
    store: Ours<E>,
    mut writer: Writer,
    window: usize,
    stop: Stop,
) -> Result<(Writer, Spent), String> {
    let mut pace = Pace::new(stop, window >= 64);
    let mut waiting = VecDeque::with_capacity(window);
    let mut over = false;
    loop {
        while !over && waiting.len() < window {
            over = !pace.goes_on();
            if !over {
                let next = writer.next();
                let begun = pace.is_sampled().then(Instant::now);
                let ticket = store.submit(Batch::putting(next.key, next.value));
                let ticket = ticket.map_err(|error| error.to_string())?;
                // It counts once it is acknowledged, which is awaited below in any case.
                writer.done(&next, ticket.seq());
                waiting.push_back((ticket, begun));
            }
        }
        let Some((mut ticket, begun)) = waiting.pop_front() else {
            return Ok((writer, pace.end()));
        };
        ticket.acknowledged().await.map_err(|error| error.to_string())?;
        if let Some(begun) = begun {
            writer.took(begun.elapsed());
        }
    }
}
