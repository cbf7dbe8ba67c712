//! What the sink does on this machine with embedded participants: rows a second, the time from a
//! push to the durable checkpoint, memory, and what each of its means brings.
//!
//! Each measurement is a process of its own (so that its memory is its own), with three fresh
//! participants in processes of theirs, on loopback and a real disk. Contenders take turns; printed
//! are medians of the rounds, and medians of the rounds' ratios to the default.
//!
//! `cargo run --release -p seedbed-engines --features plants --example sink_throughput -- [DIR
//! [ROUNDS [ROWS [CONTENDER...]]]]`

// It measures the real world.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seedbed_engines::sink::embedded::{self, Remote, Server};
use seedbed_engines::sink::{
    Column, ColumnType, Event, Guarantee, Observer, Options, Schema, Sink, Value, Writer,
};
use seedbed_env::OsEnv;

type Failed = Box<dyn std::error::Error + Send + Sync>;

const PARTICIPANTS: usize = 3;
/// Rows that are pushed at a time.
const CHUNK: u64 = 250;
/// Rows a second where a contender is held back.
const PACE: u64 = 100_000;

/// What is compared; the first one is the default.
const CONTENDERS: [&str; 20] = [
    "default",
    "paced",
    "one_checkpoint",
    "one_phase",
    "push_one_by_one",
    "connections_1",
    "connections_2",
    "connections_8",
    "connections_not_kept",
    "buffer_1mib",
    "buffer_8mib",
    "buffer_32mib",
    "batch_100",
    "batch_300",
    "batch_3000",
    "batch_10000",
    "checkpoint_10ms",
    "checkpoint_200ms",
    "checkpoint_1000ms",
    "paced_one_phase",
];

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match words.as_slice() {
        ["participant", dir] => runtime()?.block_on(participate(dir)),
        ["sink", contender, dir, rows, addrs @ ..] => {
            runtime()?.block_on(measure(contender, dir, rows.parse()?, addrs))
        }
        _ => compare(&words),
    }
}

/// A participant, until whoever started it is gone.
async fn participate(dir: &str) -> Result<(), Failed> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = embedded::Options::default();
    let server = Server::open(OsEnv::new(dir), "rows", any, schema()?, options).await?;
    println!("{}", server.local_addr());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    Err(server.serve().await.into())
}

fn schema() -> Result<Arc<Schema>, Failed> {
    let kinds = [
        ("id", ColumnType::Int),
        ("account", ColumnType::Int),
        ("amount", ColumnType::Int),
        ("note", ColumnType::Text),
    ];
    let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
    Ok(Arc::new(Schema::new("bench", columns.to_vec(), 1)?))
}

fn options_of(contender: &str) -> Result<Options, Failed> {
    let mut options = Options::default();
    let (name, number) = contender.rsplit_once('_').unwrap_or((contender, ""));
    match (name, number) {
        #[cfg(feature = "plants")]
        ("connections_not", "kept") => options.plant = Some(contender.parse()?),
        #[cfg(not(feature = "plants"))]
        ("connections_not", "kept") => return Err("it takes --features plants".into()),
        ("connections", number) => options.connections_max = number.parse()?,
        ("batch", number) => options.batch_rows = number.parse()?,
        ("checkpoint", number) => {
            let ms = number.trim_end_matches("ms").parse()?;
            options.checkpoint_delay = Duration::from_millis(ms);
            options.checkpoint_transactions = 10_000;
        }
        ("one", "checkpoint") => {
            options.checkpoint_delay = Duration::from_secs(3600);
            options.checkpoint_transactions = 10_000;
            options.transactions_max = 100_000;
        }
        ("one" | "paced_one", "phase") => options.guarantee = Guarantee::AtLeastOnce,
        ("buffer", number) => {
            let mib: usize = number.trim_end_matches("mib").parse()?;
            options.buffer_bytes_max = mib << 20;
        }
        _ => {}
    }
    Ok(options)
}

/// When rows were pushed that are in no checkpoint yet, and how long it took for the others.
#[derive(Default)]
struct Latencies {
    waiting: VecDeque<(u64, Instant)>,
    took: Vec<Duration>,
}

impl Latencies {
    fn pushed(&mut self, to: u64) {
        self.waiting.push_back((to, Instant::now()));
    }

    fn reached(&mut self, offset: u64) {
        while self.waiting.front().is_some_and(|(to, _)| *to <= offset) {
            let pushed = self.waiting.pop_front().map(|(_, at)| at.elapsed());
            self.took.extend(pushed);
        }
    }

    fn percentile(&mut self, percent: usize) -> f64 {
        self.took.sort();
        let at = (self.took.len() * percent / 100).min(self.took.len().saturating_sub(1));
        self.took.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

/// One measurement: prints rows/s, P50 and P99 in ms, MB, and the pools' utilisation.
async fn measure(contender: &str, dir: &str, rows: u64, addrs: &[&str]) -> Result<(), Failed> {
    let mut options = options_of(contender)?;
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let told = Arc::clone(&latencies);
    options.observer = Observer::new(move |event| {
        if let Event::Checkpointed { offset, .. } = event
            && let Ok(mut latencies) = told.lock()
        {
            latencies.reached(offset);
        }
    });
    let env = OsEnv::new(dir);
    let remotes = addrs
        .iter()
        .enumerate()
        .map(|(nth, addr)| Ok(Remote::new(env.clone(), format!("p{nth}"), addr.parse()?)));
    let remotes = remotes.collect::<Result<Vec<_>, Failed>>()?;
    let writer = Writer::new("bench")?;
    let sink = Sink::open(env.clone(), "sink", writer, schema()?, remotes, options).await?;
    let paced = contender.starts_with("paced");
    let one_by_one = contender == "push_one_by_one";
    let began = Instant::now();
    let mut next = 0;
    while next < rows {
        let to = (next + CHUNK).min(rows);
        if paced {
            let due = Duration::from_secs_f64(to as f64 / PACE as f64);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        latencies.lock().map_err(|_| "poisoned")?.pushed(to);
        push(&sink, next, to, one_by_one).await?;
        next = to;
    }
    sink.checkpoint().await?;
    sink.settled().await?;
    let took = began.elapsed().as_secs_f64();
    let metrics = sink.metrics();
    let busy: f64 = metrics.pools.iter().map(|pool| pool.busy.as_secs_f64()).sum();
    let connections: usize = metrics.pools.iter().map(|pool| pool.connections_max).sum();
    let (p50, p99) = {
        let mut latencies = latencies.lock().map_err(|_| "poisoned")?;
        (latencies.percentile(50), latencies.percentile(99))
    };
    let (rate, used) = (rows as f64 / took, busy / (connections as f64 * took) * 100.0);
    println!("{rate} {p50} {p99} {} {used}", memory_mb()?);
    sink.close().await?;
    Ok(())
}

fn row(id: u64, note: &str) -> [Value<'_>; 4] {
    let [id, account, amount] = [id, id % 977, id * 7].map(u64::cast_signed);
    [Value::Int(id), Value::Int(account), Value::Int(amount), Value::Text(note)]
}

async fn push(
    sink: &Sink<OsEnv, Remote<OsEnv>>,
    from: u64,
    to: u64,
    one_by_one: bool,
) -> Result<(), Failed> {
    let notes: Vec<String> = (from..to).map(|id| format!("{id:020}")).collect();
    let rows: Vec<[Value<'_>; 4]> =
        (from..to).zip(&notes).map(|(id, note)| row(id, note)).collect();
    if one_by_one {
        for (offset, row) in (from..to).zip(&rows) {
            sink.push(offset, row).await?;
        }
        return Ok(());
    }
    Ok(sink.push_rows(from, &rows).await?)
}

/// The most memory that was resident.
fn memory_mb() -> Result<f64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("nan kB");
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}

/// A process, killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare(words: &[&str]) -> Result<(), Failed> {
    let folder = PathBuf::from(words.first().copied().unwrap_or("target"));
    let rounds: usize = words.get(1).map_or(Ok(3), |word| word.parse())?;
    let rows: u64 = words.get(2).map_or(Ok(1_000_000), |word| word.parse())?;
    let chosen: Vec<&str> = match words.get(3..) {
        Some(some) if !some.is_empty() => some.to_vec(),
        _ => {
            let possible = |name: &&str| cfg!(feature = "plants") || !name.ends_with("not_kept");
            CONTENDERS.into_iter().filter(possible).collect()
        }
    };
    let mut results = vec![Vec::new(); chosen.len()];
    for _ in 0..rounds {
        for (contender, results) in chosen.iter().zip(&mut results) {
            results.push(one(&folder, contender, rows)?);
        }
    }
    println!("{rows} rows, {PARTICIPANTS} participants, medians of {rounds} rounds");
    let head = ["rows/s", "ratio", "P50 ms", "P99 ms", "MB", "pools %"];
    println!(
        "{:22} {:>10} {:>7} {:>9} {:>9} {:>7} {:>8}",
        "", head[0], head[1], head[2], head[3], head[4], head[5]
    );
    for (contender, of) in chosen.iter().zip(&results) {
        let column = |nth: usize| median(of.iter().map(|result| result[nth]).collect());
        let ratios = of.iter().zip(&results[0]).map(|(of, to)| of[0] / to[0]);
        let ratio = median(ratios.collect());
        let [rate, p50, p99, memory, used] = [0, 1, 2, 3, 4].map(column);
        println!(
            "{contender:22} {rate:>10.0} {ratio:>7.3} {p50:>9.1} {p99:>9.1} {memory:>7.0} \
             {used:>8.1}"
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One measurement in processes of its own.
fn one(folder: &Path, contender: &str, rows: u64) -> Result<[f64; 5], Failed> {
    let folder = tempfile::Builder::new().prefix("sink-throughput-").tempdir_in(folder)?;
    let program = std::env::current_exe()?;
    let mut participants = Vec::new();
    let mut addrs = Vec::new();
    for nth in 0..PARTICIPANTS {
        let dir = folder.path().join(format!("p{nth}"));
        std::fs::create_dir(&dir)?;
        let mut command = Command::new(&program);
        command.arg("participant").arg(&dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Killed(command.spawn()?);
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        addrs.push(line.trim().to_owned());
        participants.push(child);
    }
    let mut command = Command::new(&program);
    command.arg("sink").arg(contender).arg(folder.path()).arg(rows.to_string()).args(&addrs);
    let output = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| format!("{contender}: {text}").into())
}
