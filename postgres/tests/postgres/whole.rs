//! The whole sink on a real server: people's hands, restarts, the limit of prepared transactions.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::sink::{Gid, Options, Sink, Value, Writer};
use seedbed_env::OsEnv;
use seedbed_postgres::PostgresParticipant;
use seedbed_postgres::cluster::{Cluster, postgres_or_skip, shared_or_skip};

use crate::bed::{Bed, client, query, small};

type PostgresSink = Sink<OsEnv, PostgresParticipant>;

fn options(batch_rows: usize) -> Options {
    let mut options = Options::default();
    options.batch_rows = batch_rows;
    options.batch_delay = Duration::from_millis(1);
    options.retry_delay_max = Duration::from_millis(50);
    options
}

async fn open(url: &str, name: &str, folder: &Path, options: Options) -> PostgresSink {
    let participant = PostgresParticipant::new(name, url).expect("a participant");
    let (env, writer) = (OsEnv::new(folder), Writer::new(name).expect("a writer"));
    let opened = Sink::open(env, "sink", writer, Arc::new(small()), vec![participant], options);
    opened.await.expect("a sink")
}

async fn push(sink: &PostgresSink, offsets: std::ops::Range<u64>) {
    for offset in offsets {
        let id = offset.cast_signed();
        let row = [Value::Int(id), Value::Text("x"), Value::Int(id)];
        sink.push(offset, &row).await.expect("taken");
    }
}

/// The first column of what a statement gives, once it gives something.
async fn once_there(url: &str, sql: &str) -> Vec<String> {
    loop {
        let found = query(url, sql).await;
        if !found.is_empty() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_transaction_rolled_back_by_hand_is_damage_that_later_starts_know() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "undone").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut slow = options(10);
    slow.checkpoint_delay = Duration::from_secs(3600);
    let sink = open(&bed.url, "undone", folder.path(), slow.clone()).await;
    push(&sink, 0..10).await;
    let sql = "SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, 'seedbed/undone/')";
    let name = once_there(&bed.url, sql).await.remove(0);
    let rollback = format!("ROLLBACK PREPARED '{name}'");
    client(&bed.url).await.batch_execute(&rollback).await.expect("rolled back");
    push(&sink, 10..20).await;
    sink.close().await.expect("closed");
    let damage = vec![(Gid { incarnation: 1, number: 1 }, 0)];
    assert_eq!(sink.damage(), damage, "the sink names what a person has undone");
    assert_eq!(bed.items().await.len(), 10, "the other transaction is there");
    let again = open(&bed.url, "undone", folder.path(), slow).await;
    assert_eq!(again.damage(), damage);
    again.close().await.expect("closed");
}

#[tokio::test]
async fn rows_are_there_exactly_once_after_the_server_was_killed_under_the_sink() {
    let Some(programs) = postgres_or_skip() else { return };
    let mut cluster = Cluster::start(&programs).expect("a cluster");
    let bed = Bed::new(&cluster, "restarts").await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = open(&bed.url, "restarts", folder.path(), options(20)).await;
    push(&sink, 0..500).await;
    cluster.kill().expect("killed");
    push(&sink, 500..1000).await;
    cluster.start_again().expect("started");
    push(&sink, 1000..1500).await;
    cluster.crash().expect("crashed");
    cluster.start_again().expect("started");
    // And the sink itself: what is not in a checkpoint comes again.
    drop(sink);
    let sink = open(&bed.url, "restarts", folder.path(), options(20)).await;
    push(&sink, sink.checkpointed().offset..2000).await;
    sink.close().await.expect("closed");
    assert_eq!(sink.damage(), []);
    let expected: Vec<String> = (0..2000).map(|id| format!("{id},x,{id}")).collect();
    assert_eq!(bed.items().await, expected);
    let left = query(&bed.url, "SELECT gid FROM pg_prepared_xacts").await;
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn at_the_limit_of_prepared_transactions_the_sink_waits_and_goes_on() {
    let Some(programs) = postgres_or_skip() else { return };
    let settings = [("max_prepared_transactions", "16"), ("log_min_messages", "error")];
    let cluster = Cluster::start_with(&programs, &settings).expect("a cluster");
    let bed = Bed::new(&cluster, "limit").await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = client(&bed.url).await;
    for nth in 0..16 {
        let sql = format!("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'other.{nth}'");
        other.batch_execute(&sql).await.expect("prepared");
    }
    // Ten transactions: no more than there are places, or the first could be left without one.
    let sink = open(&bed.url, "limit", folder.path(), options(2)).await;
    push(&sink, 0..20).await;
    while !cluster.log().contains("maximum number of prepared transactions reached") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bed.items().await, Vec::<String>::new());
    for nth in 0..16 {
        let sql = format!("ROLLBACK PREPARED 'other.{nth}'");
        other.batch_execute(&sql).await.expect("rolled back");
    }
    sink.close().await.expect("closed");
    assert_eq!((bed.items().await.len(), sink.damage()), (20, Vec::new()));
}
