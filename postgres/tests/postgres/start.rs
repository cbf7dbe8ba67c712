//! A start of the sink on a server that has many prepared transactions: those that were decided
//! are committed, the others are aborted, none is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::sink::{Options, Participant, Sink, Value, Writer};
use seedbed_env::OsEnv;
use seedbed_postgres::PostgresParticipant;
use seedbed_postgres::cluster::{Cluster, postgres_or_skip};

use crate::bed::{Bed, query, small};

#[path = "../../../engines/tests/support/never_commits.rs"]
mod never_commits;
use never_commits::NeverCommits;

/// Transactions that are decided, and as many that are not.
const HALF: u64 = 500;
const PREPARED: &str = "SELECT count(*) FROM pg_prepared_xacts";

async fn open<P: Participant>(folder: &Path, participant: P) -> Sink<OsEnv, P> {
    let mut options = Options::default();
    options.batch_rows = 1;
    (options.transactions_max, options.checkpoint_transactions) = (10_000, 10_000);
    options.checkpoint_delay = Duration::from_secs(3600);
    let (env, writer) = (OsEnv::new(folder), Writer::new("start").expect("a writer"));
    let opened = Sink::open(env, "sink", writer, Arc::new(small()), vec![participant], options);
    opened.await.expect("a sink")
}

async fn push<P: Participant>(sink: &Sink<OsEnv, P>, offsets: std::ops::Range<u64>) {
    for offset in offsets {
        let id = offset.cast_signed();
        let row = [Value::Int(id), Value::Text("x"), Value::Int(id)];
        sink.push(offset, &row).await.expect("taken");
    }
}

/// Waits until so many transactions are prepared.
async fn until_prepared(url: &str, count: u64) {
    let there = async {
        while query(url, PREPARED).await != [count.to_string()] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("so many are prepared");
}

#[tokio::test]
async fn of_a_thousand_prepared_transactions_a_start_commits_the_decided_and_aborts_the_others() {
    let Some(programs) = postgres_or_skip() else { return };
    let cluster = Cluster::start(&programs).expect("a cluster");
    let bed = Bed::new(&cluster, "start").await;
    let folder = tempfile::tempdir().expect("a folder");
    let participant = || PostgresParticipant::new("start", &bed.url).expect("a participant");
    let first = open(folder.path(), NeverCommits(participant())).await;
    push(&first, 0..HALF).await;
    // The decision about all of these is durable, and is not carried out.
    assert_eq!(first.checkpoint().await.expect("a checkpoint").offset, HALF);
    push(&first, HALF..2 * HALF).await;
    until_prepared(&bed.url, 2 * HALF).await;
    drop(first);
    // What it has running in the background is to be over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(query(&bed.url, PREPARED).await, ["1000"], "half of them decided");
    assert_eq!(bed.items().await, Vec::<String>::new(), "none of them committed");

    let second = open(folder.path(), participant()).await;
    assert_eq!(second.checkpointed().offset, HALF);
    until_prepared(&bed.url, 0).await;
    let decided: Vec<String> = (0..HALF).map(|id| format!("{id},x,{id}")).collect();
    assert_eq!(bed.items().await, decided, "the decided ones, and nothing else");
    assert_eq!(second.damage(), []);
    // What was aborted can come again.
    push(&second, HALF..2 * HALF).await;
    second.close().await.expect("closed");
    assert_eq!(bed.items().await.len(), 1000);
    assert_eq!(query(&bed.url, PREPARED).await, ["0"]);
}
