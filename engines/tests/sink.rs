//! The sink and embedded participants on the operating system's files and network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::sink::embedded::{self, Remote, Server};
use seedbed_engines::sink::{
    Column, ColumnType, Error, Guarantee, OnRejected, Options, Schema, Sink, Value, WriteMode,
    Writer,
};
use seedbed_env::cpu::{CpuAccounts, CpuOptions};
use seedbed_env::{OsEnv, Spawn};
use tempfile::TempDir;

#[path = "support/never_commits.rs"]
mod never_commits;
use never_commits::NeverCommits;

fn schema() -> Arc<Schema> {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let columns = vec![column("id", ColumnType::Int), column("text", ColumnType::Text)];
    Arc::new(Schema::new("events", columns, 1).unwrap())
}

async fn participant(env: &OsEnv, dir: &str) -> Server<OsEnv> {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let options = embedded::Options::default();
    let server = Server::open(env.clone(), dir, any, schema(), options).await.unwrap();
    drop(env.spawn(server.clone().serve()));
    server
}

async fn sink(
    env: &OsEnv,
    servers: &[Server<OsEnv>],
    options: Options,
) -> Result<Sink<OsEnv, Remote<OsEnv>>, Error> {
    let remote = |(nth, server): (usize, &Server<OsEnv>)| {
        Remote::new(env.clone(), format!("p{nth}"), server.local_addr())
    };
    let participants = servers.iter().enumerate().map(remote).collect();
    let writer = Writer::new("test").unwrap();
    Sink::open(env.clone(), "sink", writer, schema(), participants, options).await
}

async fn servers(env: &OsEnv, count: usize) -> Vec<Server<OsEnv>> {
    let mut all = Vec::new();
    for nth in 0..count {
        all.push(participant(env, &format!("p{nth}")).await);
    }
    all
}

fn rows(servers: &[Server<OsEnv>]) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for server in servers {
        server.for_each_row(|row| {
            let values: Vec<Value<'_>> = row.values().collect();
            let [Value::Int(id), text] = values[..] else { panic!("not a row of ours: {row:?}") };
            all.push((id, format!("{text:?}")));
        });
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_to_all_participants_once_also_over_a_restart() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let servers = servers(&env, 3).await;
    let first = sink(&env, &servers, Options::default()).await.unwrap();
    assert_eq!((first.incarnation(), first.checkpointed().offset), (1, 0));
    for offset in 0..5000 {
        first.push(offset, &[Value::Int(offset as i64), Value::Text("row")]).await.unwrap();
    }
    let checkpoint = first.checkpoint().await.unwrap();
    assert_eq!(checkpoint.offset, 5000);
    first.push(5000, &[Value::Int(5000), Value::Text("lost with the first start")]).await.unwrap();
    drop(first);

    let second = sink(&env, &servers, Options::default()).await.unwrap();
    assert_eq!((second.incarnation(), second.checkpointed()), (2, checkpoint));
    for offset in 5000..5100 {
        second.push(offset, &[Value::Int(offset as i64), Value::Text("row")]).await.unwrap();
    }
    assert_eq!(second.close().await.unwrap().offset, 5100);
    let rows = rows(&servers);
    assert_eq!(rows.len(), 5100);
    assert!(rows.iter().enumerate().all(|(nth, (id, _))| *id == nth as i64));
    assert!(servers.iter().all(|server| server.prepared(&Writer::new("test").unwrap()).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modes_do_with_a_second_row_of_a_key_what_they_say() {
    for (mode, expected) in [
        (WriteMode::Insert, vec![(1, "Text(\"first\")"), (2, "Text(\"other\")")]),
        (WriteMode::Upsert, vec![(1, "Text(\"second\")"), (2, "Text(\"other\")")]),
        (WriteMode::Replace, vec![(1, "Null"), (2, "Text(\"other\")")]),
    ] {
        let dir = TempDir::new().unwrap();
        let env = OsEnv::new(dir.path());
        let servers = servers(&env, 2).await;
        let on_rejected = OnRejected::LeaveOut;
        let mut options = Options::default();
        (options.mode, options.on_rejected, options.batch_rows) = (mode, on_rejected, 2);
        let sink = sink(&env, &servers, options).await.unwrap();
        let rows_in = [
            [Value::Int(1), Value::Text("first")],
            [Value::Int(2), Value::Text("other")],
            [Value::Int(1), Value::Text("second")],
            [Value::Int(1), Value::Null],
        ];
        sink.push_rows(0, &rows_in).await.unwrap();
        assert_eq!(sink.close().await.unwrap().offset, 4);
        let rejected = if mode == WriteMode::Insert { 2 } else { 0 };
        assert_eq!(sink.metrics().rejected, rejected, "{mode:?}");
        let expected: Vec<_> = expected.into_iter().map(|(id, text)| (id, text.into())).collect();
        assert_eq!(rows(&servers), expected, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_row_stops_the_sink_if_that_is_wished() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let servers = servers(&env, 1).await;
    let sink = sink(&env, &servers, Options::default()).await.unwrap();
    sink.push(7, &[Value::Int(1), Value::Null]).await.unwrap();
    sink.checkpoint().await.unwrap();
    sink.push(9, &[Value::Int(1), Value::Null]).await.unwrap();
    let error = sink.checkpoint().await.unwrap_err();
    assert!(matches!(error, Error::Rejected { offset: 9, .. }), "{error}");
    assert!(matches!(
        sink.push(10, &[Value::Int(2), Value::Null]).await,
        Err(Error::Rejected { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_phase_commits_without_preparing() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let servers = servers(&env, 2).await;
    let mut options = Options::default();
    options.guarantee = Guarantee::AtLeastOnce;
    let sink = sink(&env, &servers, options).await.unwrap();
    for offset in 0..2500 {
        sink.push(offset, &[Value::Int(offset as i64), Value::Text("row")]).await.unwrap();
    }
    assert_eq!(sink.close().await.unwrap().offset, 2500);
    assert_eq!(rows(&servers).len(), 2500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_start_fences_the_earlier_one_off() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let servers = servers(&env, 1).await;
    let first = sink(&env, &servers, Options::default()).await.unwrap();
    first.push(0, &[Value::Int(0), Value::Null]).await.unwrap();
    first.checkpoint().await.unwrap();
    first.settled().await.unwrap();
    // A copy of the folder, as on another machine.
    let moved = TempDir::new().unwrap();
    std::fs::create_dir(moved.path().join("sink")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("sink")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), moved.path().join("sink").join(entry.file_name())).unwrap();
    }
    let second = sink(&OsEnv::new(moved.path()), &servers, Options::default()).await.unwrap();
    second.push(1, &[Value::Int(1), Value::Null]).await.unwrap();
    second.checkpoint().await.unwrap();
    first.push(1, &[Value::Int(1), Value::Text("twice")]).await.unwrap();
    let stopped = first.checkpoint().await.unwrap_err();
    assert!(matches!(stopped, Error::Fenced), "{stopped}");
    second.close().await.unwrap();
    assert_eq!(rows(&servers), [(0, "Null".to_owned()), (1, "Null".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_closes_connections_beyond_its_limit_and_takes_more_when_some_are_gone() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let mut options = embedded::Options::default();
    options.connections_max = 2;
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let server = Server::open(env.clone(), "p0", any, schema(), options).await.unwrap();
    drop(env.spawn(server.clone().serve()));
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(tokio::net::TcpStream::connect(server.local_addr()).await.unwrap());
    }
    let mut third = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut third, &mut [0; 1]).await;
    assert_eq!(read.unwrap(), 0, "it is closed");
    drop(idle);
    let sink = sink(&env, std::slice::from_ref(&server), Options::default()).await.unwrap();
    sink.push(0, &[Value::Int(0), Value::Null]).await.unwrap();
    sink.close().await.unwrap();
    assert_eq!(rows(&[server]), [(0, "Null".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_that_comes_late_gets_its_rows_and_one_that_is_wrong_is_named() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let mut servers = servers(&env, 2).await;
    let late = servers.remove(1);
    let addr = late.local_addr();
    late.close().await.unwrap();
    drop(late);
    let remotes = |names: [&str; 2]| {
        [(names[0], servers[0].local_addr()), (names[1], addr)]
            .map(|(name, addr)| Remote::new(env.clone(), name, addr))
            .to_vec()
    };
    let writer = Writer::new("test").unwrap();
    let options = Options::default();
    let open = |remotes, schema| {
        Sink::open(env.clone(), "sink", writer.clone(), schema, remotes, options.clone())
    };
    let sink = open(remotes(["p0", "p1"]), schema()).await.unwrap();
    for offset in 0..100 {
        sink.push(offset, &[Value::Int(offset as i64), Value::Null]).await.unwrap();
    }
    let checkpoint = tokio::spawn({
        let sink = sink.clone();
        async move { sink.checkpoint().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!checkpoint.is_finished(), "half of the rows have nowhere to go");
    let options = embedded::Options::default();
    let late = Server::open(env.clone(), "p1", addr, schema(), options);
    let late = late.await.unwrap();
    drop(env.spawn(late.clone().serve()));
    assert_eq!(checkpoint.await.unwrap().unwrap().offset, 100);
    sink.close().await.unwrap();
    drop(sink);

    let other = open(remotes(["p0", "p2"]), schema()).await.unwrap_err().to_string();
    assert!(other.contains("p0,p1") && other.contains("p0,p2"), "{other}");
    let column = Column { name: "id".to_owned(), kind: ColumnType::Int };
    let narrow = Arc::new(Schema::new("events", vec![column], 1).unwrap());
    let sink = open(remotes(["p0", "p1"]), narrow).await.unwrap();
    sink.push(100, &[Value::Int(100)]).await.unwrap();
    let refused = sink.checkpoint().await.unwrap_err().to_string();
    assert!(refused.contains("the sink's table is not the one here"), "{refused}");
}

#[test]
fn what_it_burns_is_accounted_to_classes() {
    let dir = TempDir::new().unwrap();
    let accounts = CpuAccounts::new(CpuOptions::default());
    // This thread is none of the runtime's, and opens the stores.
    let _metered = accounts.meter().unwrap();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    accounts.install(builder.worker_threads(2).enable_all());
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let env = OsEnv::new(dir.path());
        let servers = servers(&env, 2).await;
        let sink = sink(&env, &servers, Options::default()).await.unwrap();
        for offset in 0..100 {
            sink.push(offset, &[Value::Int(offset as i64), Value::Null]).await.unwrap();
        }
        assert_eq!(sink.close().await.unwrap().offset, 100);
        assert_eq!(rows(&servers).len(), 100);
    });
    drop(runtime);
    let total = accounts.total();
    let classes = ["log task", "merkle", "snapshot", "disk", "participant"];
    for class in classes.into_iter().chain(["sink batch", "sink checkpoint", "sink decision"]) {
        assert!(total.class(class).is_some_and(|usage| usage.operations > 0), "{class}: {total}");
    }
    assert_eq!(total.cpu, total.classes.iter().map(|usage| usage.cpu).sum());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_prepared_transactions_a_start_commits_the_decided_and_aborts_the_others() {
    const HALF: u64 = 500;
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let server = participant(&env, "p0").await;
    let writer = Writer::new("test").unwrap();
    let remote = || Remote::new(env.clone(), "p0", server.local_addr());
    let mut options = Options::default();
    options.batch_rows = 1;
    (options.transactions_max, options.checkpoint_transactions) = (10_000, 10_000);
    options.checkpoint_delay = Duration::from_secs(3600);
    let never = vec![NeverCommits(remote())];
    let first = Sink::open(env.clone(), "sink", writer.clone(), schema(), never, options.clone());
    let first = first.await.unwrap();
    let push = |offset: u64| {
        let sink = first.clone();
        async move { sink.push(offset, &[Value::Int(offset.cast_signed()), Value::Null]).await }
    };
    for offset in 0..HALF {
        push(offset).await.unwrap();
    }
    // The decision about all of these is durable, and is not carried out.
    assert_eq!(first.checkpoint().await.unwrap().offset, HALF);
    for offset in HALF..2 * HALF {
        push(offset).await.unwrap();
    }
    while server.prepared(&writer).len() < 2 * HALF as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(first);
    // What it has running in the background is to be over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.prepared(&writer).len(), 1000, "half of them decided");
    assert_eq!(rows(std::slice::from_ref(&server)), [], "none of them committed");

    let servers = [server];
    let second = sink(&env, &servers, options).await.unwrap();
    assert_eq!(second.checkpointed().offset, HALF);
    let none_is_prepared = async {
        while !servers[0].prepared(&writer).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), none_is_prepared).await.unwrap();
    let ids: Vec<i64> = rows(&servers).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..500).collect::<Vec<_>>(), "the decided ones, and nothing else");
    assert_eq!(second.damage(), []);
    // What was aborted can come again.
    for offset in HALF..2 * HALF {
        second.push(offset, &[Value::Int(offset.cast_signed()), Value::Null]).await.unwrap();
    }
    assert_eq!(second.close().await.unwrap().offset, 2 * HALF);
    assert_eq!(rows(&servers).len(), 1000);
}
