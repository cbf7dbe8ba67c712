//! What the whole sink does on PostgreSQL, beside a raw client with as many connections: rows a
//! second by the size of transactions, in one phase and in two, and how much of the time the
//! connections of the sink's pool were in use; what checkpoints cost, by how often they are made;
//! recovery of prepared transactions; and what it costs to take a connection out of the pool.
//!
//! A server of its own, with durable commits. Contenders take turns; printed are medians of the
//! rounds, and medians of the rounds' ratios.
//!
//! `cargo run --release -p seedbed-postgres --example sink_postgres -- [ROUNDS [ROWS...]]`

// It measures the real world.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seedbed_engines::sink::{Column, ColumnType, Guarantee, Options, Schema, Sink, Value, Writer};
use seedbed_env::OsEnv;
use seedbed_postgres::PostgresParticipant;
use seedbed_postgres::cluster::Cluster;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

type Error = Box<dyn std::error::Error + Send + Sync>;
type PostgresSink = Sink<OsEnv, PostgresParticipant>;

const BATCHES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Of the sink and of the raw client.
const CONNECTIONS: usize = 4;
/// From here on the raw client copies, as that is its faster way.
const COPY_ROWS: usize = 2_000;
const CONTENDERS: [&str; 4] = ["raw, one phase", "sink, one", "raw, two phases", "sink, two"];
/// What is compared where checkpoints are measured: how long the first that is prepared waits for
/// one; the first contender makes one at the end.
const CHECKPOINTS: [(&str, Duration); 4] = [
    ("one_checkpoint", Duration::from_secs(3600)),
    ("50 ms (default)", Duration::from_millis(50)),
    ("200 ms", Duration::from_millis(200)),
    ("1 s", Duration::from_secs(1)),
];
/// Rows of a transaction there.
const CHECKPOINT_BATCH: usize = 1_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    // Where there is one checkpoint, all transactions are prepared at once.
    let settings = [
        ("max_wal_size", "8GB"),
        ("checkpoint_timeout", "1h"),
        ("max_prepared_transactions", "2400"),
    ];
    let cluster = Cluster::start_with(&Cluster::find()?, &settings)?;
    let bench = Bench::new(&cluster.create_database("bench").await?).await?;
    println!("rows/s, {CONNECTIONS} connections, medians of {rounds} rounds");
    print!("{:>6}", "rows");
    CONTENDERS.iter().for_each(|name| print!(" {name:>16}"));
    print!(" {:>10} {:>10} {:>9}", "sink/raw 1", "sink/raw 2", "two/one");
    println!(" {:>8} {:>8}", "pool 1 %", "pool 2 %");
    let chosen: Vec<usize> = std::env::args().skip(2).map_while(|word| word.parse().ok()).collect();
    for batch in if chosen.is_empty() { BATCHES.to_vec() } else { chosen } {
        let rows = rows_of(batch);
        let mut rates = vec![Vec::new(); CONTENDERS.len()];
        let mut used = vec![Vec::new(); CONTENDERS.len()];
        for _ in 0..rounds {
            for which in 0..CONTENDERS.len() {
                let measured = bench.rate(which, batch, rows).await?;
                rates[which].push(measured.rate(rows));
                used[which].push(measured.used);
            }
        }
        print!("{batch:>6}");
        rates.iter().for_each(|rates| print!(" {:>16.0}", median(rates.clone())));
        let ratio = |of: usize, to: usize| {
            median(rates[of].iter().zip(&rates[to]).map(|(of, to)| of / to).collect())
        };
        print!(" {:>10.2} {:>10.2} {:>9.2}", ratio(1, 0), ratio(3, 2), ratio(3, 1));
        println!(" {:>8.1} {:>8.1}", median(used[1].clone()), median(used[3].clone()));
    }
    bench.checkpoints(rounds).await?;
    bench.recovery().await?;
    bench.pool().await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many rows are measured in transactions of this size.
fn rows_of(batch: usize) -> usize {
    (batch * 4_000).clamp(8_000, 1_000_000)
}

/// What one contender came to.
#[derive(Clone, Copy)]
struct Measured {
    took: Duration,
    /// Per cent of the time of all connections in which they were in use. The raw client has no
    /// pool.
    used: f64,
}

impl Measured {
    fn rate(self, rows: usize) -> f64 {
        rows as f64 / self.took.as_secs_f64()
    }
}

struct Item {
    id: i64,
    account: i64,
    amount: i64,
    note: String,
}

impl Item {
    fn new(id: usize) -> Self {
        let id = id as i64;
        Self { id, account: id % 977, amount: id * 7, note: format!("{id:020}") }
    }

    fn values(&self) -> [Value<'_>; 4] {
        let [id, account, amount] = [self.id, self.account, self.amount].map(Value::Int);
        [id, account, amount, Value::Text(&self.note)]
    }
}

/// A raw client's connection.
struct Raw {
    client: Client,
    copy: Statement,
    unnest: Statement,
}

struct Bench {
    url: String,
    client: Client,
    raw: Vec<Arc<Raw>>,
    schema: Arc<Schema>,
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Bench {
    async fn new(url: &str) -> Result<Self, Error> {
        let kinds = [
            ("id", ColumnType::Int),
            ("account", ColumnType::Int),
            ("amount", ColumnType::Int),
            ("note", ColumnType::Text),
        ];
        let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
        let schema = Arc::new(Schema::new("bench", columns.to_vec(), 1)?);
        let client = connect(url).await?;
        client
            .batch_execute(
                "CREATE TABLE bench (id bigint PRIMARY KEY, account bigint, amount bigint, \
                    note text)",
            )
            .await?;
        let mut raw = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = connect(url).await?;
            let copy = client.prepare("COPY bench FROM STDIN BINARY").await?;
            let unnest = "INSERT INTO bench SELECT * FROM \
                unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[])";
            let unnest = client.prepare(unnest).await?;
            raw.push(Arc::new(Raw { client, copy, unnest }));
        }
        Ok(Self { url: url.to_owned(), client, raw, schema })
    }

    async fn empty(&self) -> Result<(), Error> {
        Ok(self.client.batch_execute("TRUNCATE bench; CHECKPOINT").await?)
    }

    async fn expect_rows(&self, rows: usize) -> Result<(), Error> {
        let count: i64 = self.client.query_one("SELECT count(*) FROM bench", &[]).await?.get(0);
        assert_eq!(count, rows as i64, "each row is there once");
        Ok(())
    }

    /// One contender, with an empty table.
    async fn rate(&self, which: usize, batch: usize, rows: usize) -> Result<Measured, Error> {
        self.empty().await?;
        let two = which > 1;
        let measured = match which % 2 {
            0 => Measured { took: self.raw(batch, rows, two).await?, used: f64::NAN },
            _ => {
                let mut options = Options::default();
                options.batch_rows = batch;
                if !two {
                    options.guarantee = Guarantee::AtLeastOnce;
                }
                self.sink(options, rows).await?
            }
        };
        self.expect_rows(rows).await?;
        Ok(measured)
    }

    /// What checkpoints cost in two phases: rows a second by how often there is one.
    async fn checkpoints(&self, rounds: usize) -> Result<(), Error> {
        let rows = rows_of(CHECKPOINT_BATCH);
        let mut measured = vec![Vec::new(); CHECKPOINTS.len()];
        for _ in 0..rounds {
            for ((_, delay), measured) in CHECKPOINTS.iter().zip(&mut measured) {
                let mut options = Options::default();
                options.batch_rows = CHECKPOINT_BATCH;
                options.checkpoint_delay = *delay;
                (options.checkpoint_transactions, options.transactions_max) = (10_000, 100_000);
                self.empty().await?;
                measured.push(self.sink(options, rows).await?);
                self.expect_rows(rows).await?;
            }
        }
        println!("checkpoints, two phases, {CHECKPOINT_BATCH} rows a transaction, {rows} rows");
        println!("{:>16} {:>10} {:>9} {:>8}", "", "rows/s", "ratio", "pool %");
        for ((name, _), of) in CHECKPOINTS.iter().zip(&measured) {
            let rate = median(of.iter().map(|one| one.rate(rows)).collect());
            let ratios = of.iter().zip(&measured[0]).map(|(of, to)| of.rate(rows) / to.rate(rows));
            let used = median(of.iter().map(|one| one.used).collect());
            println!("{name:>16} {rate:>10.0} {:>9.3} {used:>8.1}", median(ratios.collect()));
        }
        Ok(())
    }

    /// The raw client: transactions one after the other on each connection.
    async fn raw(&self, batch: usize, rows: usize, two: bool) -> Result<Duration, Error> {
        let began = Instant::now();
        let mut tasks = Vec::new();
        for (nth, raw) in self.raw.iter().enumerate() {
            let raw = Arc::clone(raw);
            tasks.push(tokio::spawn(async move {
                for first in (0..rows).step_by(batch).skip(nth).step_by(CONNECTIONS) {
                    let last = (first + batch).min(rows);
                    let items: Vec<Item> = (first..last).map(Item::new).collect();
                    raw.transaction(&items, two).await?;
                }
                Ok::<(), Error>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(began.elapsed())
    }

    fn participant(&self) -> Result<PostgresParticipant, Error> {
        Ok(PostgresParticipant::new("bench", &self.url)?)
    }

    async fn open(&self, folder: &Path, options: Options) -> Result<PostgresSink, Error> {
        let (env, writer) = (OsEnv::new(folder), Writer::new("bench")?);
        let (schema, participants) = (Arc::clone(&self.schema), vec![self.participant()?]);
        Ok(Sink::open(env, "sink", writer, schema, participants, options).await?)
    }

    /// Forgets earlier sinks, so that the next folder's start is the first one.
    async fn forget(&self) -> Result<(), Error> {
        let sql = "DO $$ BEGIN IF to_regclass('seedbed_sink.writers') IS NOT NULL THEN \
            DELETE FROM seedbed_sink.writers; DELETE FROM seedbed_sink.committed; END IF; END $$";
        Ok(self.client.batch_execute(sql).await?)
    }

    /// The whole sink: from the first push until all is settled.
    async fn sink(&self, mut options: Options, rows: usize) -> Result<Measured, Error> {
        self.forget().await?;
        let folder = tempfile::tempdir()?;
        options.batch_bytes = 8 << 20;
        options.connections_max = CONNECTIONS;
        let sink = self.open(folder.path(), options).await?;
        // The first connection is there already, as those of the raw client are.
        drop(sink.borrow_connection(0).await?);
        let busy = || -> Duration { sink.metrics().pools.iter().map(|pool| pool.busy).sum() };
        let (began, busy_before) = (Instant::now(), busy());
        for first in (0..rows).step_by(250) {
            let items: Vec<Item> = (first..(first + 250).min(rows)).map(Item::new).collect();
            let values: Vec<_> = items.iter().map(Item::values).collect();
            sink.push_rows(first as u64, &values).await?;
        }
        sink.checkpoint().await?;
        sink.settled().await?;
        let took = began.elapsed();
        let busy = (busy() - busy_before).as_secs_f64();
        sink.close().await?;
        Ok(Measured { took, used: busy / (CONNECTIONS as f64 * took.as_secs_f64()) * 100.0 })
    }

    /// How long a start takes that finds transactions prepared and not decided, and from its
    /// opening until none is left.
    async fn recovery(&self) -> Result<(), Error> {
        println!("{:>6} prepared: open, and until all are resolved, ms", "");
        for count in [1_usize, 10, 100, 1_000] {
            let (mut opening, mut all) = (Vec::new(), Vec::new());
            for _ in 0..3 {
                self.client.batch_execute("TRUNCATE bench").await?;
                self.forget().await?;
                let folder = tempfile::tempdir()?;
                let mut options = Options::default();
                options.batch_rows = 1;
                options.checkpoint_delay = Duration::from_secs(3600);
                options.checkpoint_transactions = 10_000;
                options.transactions_max = 10_000;
                let sink = self.open(folder.path(), options.clone()).await?;
                for id in 0..count {
                    sink.push(id as u64, &Item::new(id).values()).await?;
                }
                while self.prepared().await? < count as i64 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                drop(sink);
                // What it has running in the background is to be over.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let began = Instant::now();
                let sink = self.open(folder.path(), options).await?;
                opening.push(began.elapsed().as_secs_f64() * 1e3);
                while self.prepared().await? > 0 {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                all.push(began.elapsed().as_secs_f64() * 1e3);
                sink.close().await?;
            }
            println!("{count:>6} {:>20.2} {:>12.2}", median(opening), median(all));
        }
        Ok(())
    }

    async fn prepared(&self) -> Result<i64, Error> {
        let sql = "SELECT count(*) FROM pg_prepared_xacts";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// What it costs to take a connection that is there, and to give it back.
    async fn pool(&self) -> Result<(), Error> {
        const TIMES: u32 = 10_000;
        const HELD: u32 = 16;
        self.forget().await?;
        let folder = tempfile::tempdir()?;
        let mut options = Options::default();
        options.connections_max = HELD as usize;
        let sink = self.open(folder.path(), options).await?;
        let mut held = Vec::new();
        let (mut taken, mut given_back) = (Vec::new(), Vec::new());
        // The first round connects.
        for round in 0..10 {
            let (mut taking, mut giving) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..TIMES {
                let began = Instant::now();
                for _ in 0..HELD {
                    held.push(sink.borrow_connection(0).await?);
                }
                let full = Instant::now();
                held.clear();
                taking += full - began;
                giving += full.elapsed();
            }
            if round > 0 {
                let each = |all: Duration| all.as_secs_f64() * 1e9 / f64::from(TIMES * HELD);
                taken.push(each(taking));
                given_back.push(each(giving));
            }
        }
        let (taken, given_back) = (median(taken), median(given_back));
        println!("a connection taken: {taken:.0} ns; given back: {given_back:.0} ns");
        drop(held);
        sink.close().await?;
        Ok(())
    }
}

impl Raw {
    async fn transaction(&self, items: &[Item], two: bool) -> Result<(), Error> {
        let name = format!("raw.{}", items[0].id);
        let last = if two { format!("PREPARE TRANSACTION '{name}'") } else { "COMMIT".to_owned() };
        if items.len() < COPY_ROWS {
            self.insert(items, &last).await?;
        } else {
            self.copy(items, &last).await?;
        }
        if two {
            self.client.batch_execute(&format!("COMMIT PREPARED '{name}'")).await?;
        }
        Ok(())
    }

    /// All at once, without waiting.
    async fn insert(&self, items: &[Item], last: &str) -> Result<(), Error> {
        let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
        let accounts: Vec<i64> = items.iter().map(|item| item.account).collect();
        let amounts: Vec<i64> = items.iter().map(|item| item.amount).collect();
        let notes: Vec<&str> = items.iter().map(|item| item.note.as_str()).collect();
        let columns: [&(dyn ToSql + Sync); 4] = [&ids, &accounts, &amounts, &notes];
        tokio::try_join!(
            self.client.batch_execute("BEGIN"),
            async { self.client.execute(&self.unnest, &columns).await },
            self.client.batch_execute(last)
        )?;
        Ok(())
    }

    async fn copy(&self, items: &[Item], last: &str) -> Result<(), Error> {
        self.client.batch_execute("BEGIN").await?;
        let sink = self.client.copy_in(&self.copy).await?;
        let types = [Type::INT8, Type::INT8, Type::INT8, Type::TEXT];
        let mut writer = Box::pin(BinaryCopyInWriter::new(sink, &types));
        for item in items {
            let row: [&(dyn ToSql + Sync); 4] = [&item.id, &item.account, &item.amount, &item.note];
            writer.as_mut().write(&row).await?;
        }
        writer.as_mut().finish().await?;
        Ok(self.client.batch_execute(last).await?)
    }
}
