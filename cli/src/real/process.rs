//! What runs in processes of its own, to be killed: the sink, and embedded participants.
//!
//! The first line on standard input is the configuration; further lines are orders. Its end means
//! that whoever started us is gone, and so are we then. What is said goes to standard output, line
//! by line.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seedbed_engines::sink::embedded::{self, Remote, Server};
use seedbed_engines::sink::{Error, Options, Participant, Plant, Sink, Writer};
use seedbed_env::OsEnv;
use seedbed_postgres::PostgresParticipant;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::source::{self, Item};
use crate::exit::Exit;

/// The sink's name.
pub(super) const WRITER: &str = "real";
/// Rows that are made and pushed at a time.
const CHUNK: u64 = 256;
/// How often the sink's checkpoint is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a participant tries to get its port back.
const BIND_MAX: u32 = 200;

/// What a process is to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Role {
    Sink(SinkRole),
    Participant(ParticipantRole),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SinkRole {
    pub(super) dir: PathBuf,
    pub(super) rows: u64,
    pub(super) seed: u64,
    pub(super) batch: usize,
    pub(super) checkpoint_ms: u64,
    /// Transactions on their way: the participants have a place for each of them.
    pub(super) transactions: usize,
    pub(super) plant: Option<String>,
    pub(super) peers: PeersRole,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum PeersRole {
    Embedded(Vec<SocketAddr>),
    Postgres(Vec<Database>),
}

/// A participant's place at a PostgreSQL server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Database {
    pub(super) url: String,
    pub(super) namespace: String,
    pub(super) branch: String,
}

impl Database {
    /// The participant that it is.
    pub(super) fn participant(&self) -> Result<PostgresParticipant, String> {
        let branch = Writer::new(&self.branch).map_err(|error| error.to_string())?;
        let made = PostgresParticipant::new(&self.branch, &self.url)
            .and_then(|participant| participant.in_schema(&self.namespace));
        Ok(made.map_err(|error| error.to_string())?.branch(branch))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ParticipantRole {
    pub(super) dir: PathBuf,
    pub(super) port: u16,
    pub(super) plant: Option<String>,
}

/// The name that all starts of the sink have.
pub(super) fn writer() -> Writer {
    Writer::new(WRITER).expect("a name by the rules")
}

/// Runs as what standard input says.
pub(crate) fn run() -> Exit {
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() {
        return Exit::Usage;
    }
    let role: Role = match serde_json::from_str(&line) {
        Ok(role) => role,
        Err(error) => {
            let _ = writeln!(io::stderr(), "this is for `run sink --real` to start: {error}");
            return Exit::Usage;
        }
    };
    let level = tracing_subscriber::filter::LevelFilter::DEBUG;
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    let _ = log.with_writer(io::stderr).try_init();
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = match threads.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let ended = runtime.block_on(async {
        match role {
            Role::Sink(role) => sink(role).await,
            Role::Participant(role) => participant(role).await,
        }
    });
    match ended {
        Ok(()) => Exit::Fine,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> Exit {
    say(format_args!("failed {}", error.replace('\n', " ")));
    Exit::Violation
}

/// One line to whoever started us; nobody to tell means that it is time to go.
fn say(line: std::fmt::Arguments<'_>) {
    let text = format!("{line}\n");
    let mut out = io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(Exit::Killed.code().into());
    }
}

/// Carries out orders until there are none any more.
#[allow(clippy::disallowed_methods, reason = "it blocks on standard input")]
fn obey(with: impl Fn(&str) + Send + 'static) {
    std::thread::spawn(move || {
        io::stdin().lock().lines().map_while(Result::ok).for_each(|line| with(&line));
        std::process::exit(Exit::Killed.code().into());
    });
}

fn plant(name: Option<&str>) -> Result<Option<Plant>, String> {
    name.map(str::parse).transpose().map_err(|unknown| format!("{unknown}"))
}

async fn sink(role: SinkRole) -> Result<(), String> {
    match role.peers.clone() {
        PeersRole::Embedded(addrs) => {
            let env = OsEnv::new(&role.dir);
            let remote = |(nth, addr): (usize, SocketAddr)| {
                Remote::new(env.clone(), format!("p{nth}"), addr)
            };
            push_all(&role, addrs.into_iter().enumerate().map(remote).collect()).await
        }
        PeersRole::Postgres(databases) => {
            let participants = databases.iter().map(Database::participant);
            push_all(&role, participants.collect::<Result<_, _>>()?).await
        }
    }
}

/// The rows up to which the sink may go.
#[derive(Default)]
struct Limit {
    offset: AtomicU64,
    raised: Notify,
}

async fn push_all<P: Participant>(role: &SinkRole, participants: Vec<P>) -> Result<(), String> {
    let limit = Arc::new(Limit::default());
    let raised = Arc::clone(&limit);
    obey(move |line| {
        if let Some(offset) = line.strip_prefix("upto ").and_then(|text| text.parse().ok()) {
            raised.offset.store(offset, Ordering::SeqCst);
            raised.raised.notify_one();
        }
    });
    let mut options = Options::default();
    options.batch_rows = role.batch;
    options.checkpoint_delay = Duration::from_millis(role.checkpoint_ms);
    options.retry_delay_max = Duration::from_millis(200);
    options.resolve_every = Duration::from_secs(1);
    options.transactions_max = role.transactions;
    options.plant = plant(role.plant.as_deref())?;
    let decided = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&decided);
    options.observer = seedbed_engines::sink::Observer::new(move |event| {
        if matches!(event, seedbed_engines::sink::Event::Recovered { .. }) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let env = OsEnv::new(&role.dir);
    let schema = source::schema();
    let opened = Sink::open(env, "sink", writer(), schema, participants, options).await;
    let sink = opened.map_err(told)?;
    let (start, decided) = (sink.checkpointed().offset, decided.load(Ordering::Relaxed));
    say(format_args!("opened {} {start} {decided}", sink.incarnation()));
    let ended = tokio::select! {
        ended = feed(role, &sink, &limit) => ended,
        () = watch(&sink) => unreachable!("it watches for ever"),
    };
    ended.map_err(told)?;
    let damage = sink.damage().len();
    say(format_args!("closed {} {} {damage}", sink.checkpointed().offset, sink.metrics().rejected));
    Ok(())
}

/// The reason of all reasons.
fn told(error: Error) -> String {
    error.to_string()
}

/// Tells how far it is.
async fn watch<P: Participant>(sink: &Sink<OsEnv, P>) {
    let mut last = (0, 0);
    loop {
        let now = (sink.checkpointed().offset, sink.damage().len());
        if now != last {
            say(format_args!("at {} {}", now.0, now.1));
            last = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn feed<P: Participant>(
    role: &SinkRole,
    sink: &Sink<OsEnv, P>,
    limit: &Limit,
) -> Result<(), Error> {
    let mut next = sink.checkpointed().offset;
    while next < role.rows {
        let end = limit.offset.load(Ordering::SeqCst).min(role.rows).min(next + CHUNK);
        if end <= next {
            tokio::select! {
                () = limit.raised.notified() => {}
                // A sink that has stopped says so when it is asked for something.
                stopped = sink.reached(u64::MAX) => drop(stopped?),
            }
            continue;
        }
        let items: Vec<Item> = (next..end).map(|offset| Item::new(role.seed, offset)).collect();
        let rows: Vec<_> = items.iter().map(Item::values).collect();
        sink.push_rows(next, &rows).await?;
        next = end;
    }
    sink.close().await.map(drop)
}

async fn participant(role: ParticipantRole) -> Result<(), String> {
    let mut options = embedded::Options::default();
    options.plant = plant(role.plant.as_deref())?;
    let env = OsEnv::new(&role.dir);
    let mut attempt = 0;
    let server = loop {
        let addr = SocketAddr::from(([127, 0, 0, 1], role.port));
        let opened =
            Server::open(env.clone(), "rows", addr, source::schema(), options.clone()).await;
        match opened {
            Ok(server) => break server,
            // A caller may have been given the port for a moment while it was free.
            Err(Error::Net { .. }) if role.port > 0 && attempt < BIND_MAX => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(told(error)),
        }
    };
    let prepared = server.prepared(&writer()).len();
    say(format_args!("ready {} {prepared}", server.local_addr().port()));
    let handle = tokio::runtime::Handle::current();
    let ordered = server.clone();
    obey(move |line| match line {
        "list" => say(format_args!("prepared {}", ordered.prepared(&writer()).len())),
        "close" => drop(handle.block_on(ordered.close())),
        _ => {}
    });
    match server.serve().await {
        Error::Closed => Ok(()),
        error => Err(told(error)),
    }
}
