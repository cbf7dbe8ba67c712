//! What the adapter costs beside a raw client that does the same, by rows in a transaction, and
//! what two phases cost beside one. A server of its own. The contenders take turns, a transaction
//! each, so that all of them meet the same weather; ratios are medians of the turns' ratios.
//!
//! `cargo run --release -p seedbed-postgres --example raw_client [seconds for each size]`

// It measures the real world.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use seedbed_engines::sink::{
    Column, ColumnType, Connection, Gid, Outcome, Participant, Rows, Schema, Session, Value, Vote,
    WriteMode, Writer,
};
use seedbed_postgres::cluster::Cluster;
use seedbed_postgres::{PostgresConnection, PostgresParticipant};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

/// Turns between two that empty the table.
const TURNS: usize = 50;
const BATCHES: [usize; 6] = [1, 10, 100, 1_000, 2_000, 10_000];
const CONTENDERS: [&str; 9] = [
    "raw COPY, COMMIT",
    "raw COPY, two phases",
    "raw unnest, COMMIT",
    "raw unnest, two phases",
    "raw unnest sent at once, COMMIT",
    "raw unnest sent at once, two phases",
    "adapter, one phase",
    "adapter, two phases",
    "raw unnest and marker at once, two",
];

type Error = Box<dyn std::error::Error>;
type Parameter<'a> = &'a (dyn ToSql + Sync);

struct Item {
    id: i64,
    account: i64,
    amount: i64,
    note: String,
}

/// All contenders, at one table.
struct Bench {
    client: Client,
    copy: Statement,
    unnest: Statement,
    marker: Statement,
    adapter: PostgresConnection,
    schema: Arc<Schema>,
    next_id: i64,
    number: u64,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let seconds = std::env::args().nth(1).map_or(Ok(6), |text| text.parse())?;
    let settings = [("max_wal_size", "8GB"), ("checkpoint_timeout", "1h")];
    let cluster = Cluster::start_with(&Cluster::find()?, &settings)?;
    let mut bench = Bench::new(&cluster.create_database("bench").await?).await?;
    println!("{:>6}  {:36} {:>10} {:>10}", "rows", "", "us each", "rows/s");
    for batch in BATCHES {
        let mut times = vec![Vec::new(); CONTENDERS.len()];
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            if times[0].len() % TURNS == 0 {
                bench.client.batch_execute("TRUNCATE bench").await?;
            }
            for (which, times) in times.iter_mut().enumerate() {
                times.push(bench.transaction(which, batch).await?);
            }
        }
        report(batch, &times);
    }
    bench.list_and_resolve().await?;
    connect(&cluster.url("bench")).await
}

/// How long it takes to connect.
async fn connect(url: &str) -> Result<(), Error> {
    let participant = PostgresParticipant::new("bench", url)?;
    let session = session(&Arc::new(schema()?))?;
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let began = Instant::now();
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("").await?;
        raw.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        drop(participant.connect(&session).await?);
        ours.push(began.elapsed().as_secs_f64() * 1e3);
    }
    println!("connect: raw {:.2} ms, adapter {:.2} ms", median(raw), median(ours));
    Ok(())
}

fn session(schema: &Arc<Schema>) -> Result<Session, Error> {
    let (writer, schema) = (Writer::new("bench")?, Arc::clone(schema));
    Ok(Session { writer, identity: 7, incarnation: 1, schema, mode: WriteMode::Insert })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(batch: usize, times: &[Vec<f64>]) {
    for (name, times) in CONTENDERS.iter().zip(times) {
        let time = median(times.clone());
        println!("{batch:>6}  {name:36} {time:>10.1} {:>10.0}", batch as f64 / time * 1e6);
    }
    let ratio = |of: usize, to: usize| {
        median(times[of].iter().zip(&times[to]).map(|(of, to)| of / to).collect())
    };
    println!("{batch:>6}  speed of the adapter, one phase and two, in that of");
    for (name, raw) in [("raw COPY", 0), ("raw unnest", 2), ("raw unnest sent at once", 4)] {
        println!("{batch:>6}    {name:34} {:>10.2} {:>10.2}", ratio(raw, 6), ratio(raw + 1, 7));
    }
    println!("{batch:>6}    {:34} {:>10} {:>10.2}", "the same with a marker", "", ratio(8, 7));
    println!("{batch:>6}  time of two phases in that of one");
    for (name, one) in [("COPY", 0), ("unnest", 2), ("unnest sent at once", 4), ("adapter", 6)] {
        println!("{batch:>6}    {name:34} {:>10.2}", ratio(one + 1, one));
    }
}

fn schema() -> Result<Schema, Error> {
    let kinds = [
        ("id", ColumnType::Int),
        ("account", ColumnType::Int),
        ("amount", ColumnType::Int),
        ("note", ColumnType::Text),
    ];
    let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
    Ok(Schema::new("bench", columns.to_vec(), 1)?)
}

impl Bench {
    async fn new(url: &str) -> Result<Self, Error> {
        let schema = Arc::new(schema()?);
        let session = session(&schema)?;
        let adapter = PostgresParticipant::new("bench", url)?.connect(&session).await?;
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let copy = client.prepare("COPY bench FROM STDIN BINARY").await?;
        let unnest = "INSERT INTO bench SELECT * FROM \
            unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[])";
        let unnest = client.prepare(unnest).await?;
        client.batch_execute("CREATE TABLE marker (number bigint PRIMARY KEY)").await?;
        let marker = client.prepare("INSERT INTO marker VALUES ($1)").await?;
        Ok(Self { client, copy, unnest, marker, adapter, schema, next_id: 0, number: 0 })
    }

    /// Microseconds of a transaction.
    async fn transaction(&mut self, which: usize, batch: usize) -> Result<f64, Error> {
        let items = self.items(batch);
        let rows = self.rows(&items)?;
        self.number += 1;
        let began = Instant::now();
        match which {
            0 | 1 => self.copy(&items, which == 1).await?,
            2 | 3 => self.unnest(&items, which == 3).await?,
            4 | 5 | 8 => self.unnest_at_once(&items, which > 4, which == 8).await?,
            _ => self.adapter(&rows, which == 7).await?,
        }
        Ok(began.elapsed().as_secs_f64() * 1e6)
    }

    fn items(&mut self, batch: usize) -> Vec<Item> {
        let first = self.next_id;
        self.next_id += batch as i64;
        let item = |id| Item { id, account: id % 977, amount: id * 7, note: format!("{id:020}") };
        (first..self.next_id).map(item).collect()
    }

    fn rows(&self, items: &[Item]) -> Result<Rows, Error> {
        let mut rows = Rows::new();
        for item in items {
            let [id, account, amount] = [item.id, item.account, item.amount].map(Value::Int);
            rows.push(&self.schema, &[id, account, amount, Value::Text(&item.note)])?;
        }
        Ok(rows)
    }

    fn last(&self, two: bool) -> String {
        if two { format!("PREPARE TRANSACTION 'raw.{}'", self.number) } else { "COMMIT".to_owned() }
    }

    async fn second_phase(&self, two: bool) -> Result<(), Error> {
        if two {
            let sql = format!("COMMIT PREPARED 'raw.{}'", self.number);
            self.client.batch_execute(&sql).await?;
        }
        Ok(())
    }

    async fn copy(&self, items: &[Item], two: bool) -> Result<(), Error> {
        self.client.batch_execute("BEGIN").await?;
        let sink = self.client.copy_in(&self.copy).await?;
        let types = [Type::INT8, Type::INT8, Type::INT8, Type::TEXT];
        let mut writer = Box::pin(BinaryCopyInWriter::new(sink, &types));
        for item in items {
            let row: [Parameter<'_>; 4] = [&item.id, &item.account, &item.amount, &item.note];
            writer.as_mut().write(&row).await?;
        }
        writer.as_mut().finish().await?;
        self.client.batch_execute(&self.last(two)).await?;
        self.second_phase(two).await
    }

    async fn unnest(&self, items: &[Item], two: bool) -> Result<(), Error> {
        let columns = Columns::of(items);
        self.client.batch_execute("BEGIN").await?;
        self.client.execute(&self.unnest, &columns.parameters()).await?;
        self.client.batch_execute(&self.last(two)).await?;
        self.second_phase(two).await
    }

    async fn unnest_at_once(&self, items: &[Item], two: bool, marker: bool) -> Result<(), Error> {
        let columns = Columns::of(items);
        let (last, number) = (self.last(two), self.number as i64);
        tokio::try_join!(
            self.client.batch_execute("BEGIN"),
            async { self.client.execute(&self.unnest, &columns.parameters()).await },
            async {
                if marker { self.client.execute(&self.marker, &[&number]).await } else { Ok(0) }
            },
            self.client.batch_execute(&last)
        )?;
        self.second_phase(two).await
    }

    async fn adapter(&mut self, rows: &Rows, two: bool) -> Result<(), Error> {
        assert_eq!(self.adapter.write(rows).await?, None);
        if !two {
            assert_eq!(self.adapter.commit_open().await?, Vote::Yes);
            return Ok(());
        }
        let gid = Gid { incarnation: 1, number: self.number };
        assert_eq!(self.adapter.prepare(gid, gid).await?, Vote::Yes);
        assert_eq!(self.adapter.commit(&[gid]).await?, [Outcome::Done]);
        Ok(())
    }

    /// Lists and commits many prepared transactions.
    async fn list_and_resolve(&mut self) -> Result<(), Error> {
        println!("{:>6}  {:>20} {:>20}  ms, raw and adapter", "", "list", "commit all");
        for count in [1, 10, 100, 1_000] {
            let (mut raw, mut ours) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
            for _ in 0..3 {
                let gids = self.prepare_many(count, false).await?;
                let began = Instant::now();
                self.client.query("SELECT gid FROM pg_prepared_xacts", &[]).await?;
                raw[0].push(began.elapsed().as_secs_f64() * 1e3);
                for gid in &gids {
                    let sql = format!("COMMIT PREPARED 'raw.{}'", gid.number);
                    self.client.batch_execute(&sql).await?;
                }
                raw[1].push(began.elapsed().as_secs_f64() * 1e3);
                let gids = self.prepare_many(count, true).await?;
                let began = Instant::now();
                assert_eq!(self.adapter.prepared().await?, gids);
                ours[0].push(began.elapsed().as_secs_f64() * 1e3);
                self.adapter.commit(&gids).await?;
                ours[1].push(began.elapsed().as_secs_f64() * 1e3);
            }
            let [list, all] = raw.map(median);
            let [our_list, our_all] = ours.map(median);
            println!("{count:>6}  {list:>9.2} {our_list:>10.2} {all:>9.2} {our_all:>10.2}");
        }
        Ok(())
    }

    async fn prepare_many(&mut self, count: usize, adapter: bool) -> Result<Vec<Gid>, Error> {
        let mut gids = Vec::new();
        for _ in 0..count {
            let items = self.items(1);
            self.number += 1;
            let gid = Gid { incarnation: 1, number: self.number };
            if adapter {
                let rows = self.rows(&items)?;
                assert_eq!(self.adapter.write(&rows).await?, None);
                assert_eq!(self.adapter.prepare(gid, Gid::default()).await?, Vote::Yes);
            } else {
                let columns = Columns::of(&items);
                self.client.batch_execute("BEGIN").await?;
                self.client.execute(&self.unnest, &columns.parameters()).await?;
                self.client.batch_execute(&self.last(true)).await?;
            }
            gids.push(gid);
        }
        Ok(gids)
    }
}

struct Columns<'a> {
    numbers: [Vec<i64>; 3],
    notes: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(items: &'a [Item]) -> Self {
        let numbers = [
            items.iter().map(|item| item.id).collect(),
            items.iter().map(|item| item.account).collect(),
            items.iter().map(|item| item.amount).collect(),
        ];
        Self { numbers, notes: items.iter().map(|item| item.note.as_str()).collect() }
    }

    fn parameters(&self) -> [Parameter<'_>; 4] {
        let [id, account, amount] = &self.numbers;
        [id, account, amount, &self.notes]
    }
}
