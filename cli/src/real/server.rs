//! PostgreSQL: a server of our own that is killed, or one of the user's that is not.

use seedbed_engines::sink::{Participant, Rows, Session, Value, WriteMode, Writer};
use seedbed_postgres::cluster::Cluster;
use tokio_postgres::{Client, NoTls, Row};

use super::process::{Database, WRITER};
use super::verify::Verifier;
use super::{Ended, failure, source};
use crate::exit::{Exit, Failure};

/// The name under which it is looked whether a sink can work there.
const LOOK: &str = "real-look";
/// Rows that are read at a time.
const PAGE: i64 = 20_000;
const READ: &str = "SELECT id, account, amount, price, checked, note, \
    (extract(epoch FROM at) * 1000000)::bigint FROM";

/// See the module.
#[derive(Debug)]
pub(super) struct Server {
    /// The server, if it is ours.
    cluster: Option<Cluster>,
    databases: Vec<Database>,
    /// Schemas in the user's database that are to be removed.
    made: Vec<String>,
    /// Its limit of prepared transactions.
    prepared_max: usize,
}

impl Server {
    /// A server of our own with a database for each participant; or the user's, with a schema for
    /// each.
    pub(super) async fn start(url: &str, count: usize) -> Result<Self, Ended> {
        let mut server = match url {
            "auto" => Self::own(count).await?,
            url => Self::of_user(url, count).await?,
        };
        if let Err(error) = server.look().await {
            server.clean_up().await;
            return Err(error);
        }
        Ok(server)
    }

    async fn own(count: usize) -> Result<Self, Ended> {
        let programs = Cluster::find().map_err(Failure::usage)?;
        // A crash in each second: as little as possible is to be waited for after it.
        let settings = [("max_wal_size", "4GB"), ("recovery_init_sync_method", "syncfs")];
        let cluster = Cluster::start_with(&programs, &settings);
        let cluster = cluster.map_err(Failure::usage)?;
        let mut databases = Vec::new();
        for nth in 0..count {
            let made = cluster.create_database(&format!("real_{nth}")).await;
            let url = made.map_err(|error| failure(&"making a database", error))?;
            let (namespace, branch) = ("public".to_owned(), format!("p{nth}"));
            databases.push(Database { url, namespace, branch });
        }
        Ok(Self { cluster: Some(cluster), databases, made: Vec::new(), prepared_max: 0 })
    }

    async fn of_user(url: &str, count: usize) -> Result<Self, Ended> {
        let client = connect(url).await?;
        let (databases, made) = (Vec::new(), Vec::new());
        let mut server = Self { cluster: None, databases, made, prepared_max: 0 };
        for nth in 0..count {
            let (namespace, branch) = (format!("seedbed_real_{nth}"), format!("p{nth}"));
            if let Err(error) = client.batch_execute(&format!("CREATE SCHEMA {namespace}")).await {
                server.clean_up().await;
                let said = error.as_db_error().map_or(error.to_string(), ToString::to_string);
                return Err(Ended::Failed(Failure::usage(format!(
                    "cannot make the schema {namespace}: {said}. If it is of an earlier run that \
                     was killed: roll back what pg_prepared_xacts lists under \
                     'seedbed/{WRITER}+', then DROP SCHEMA {namespace} CASCADE"
                ))));
            }
            server.made.push(namespace.clone());
            server.databases.push(Database { url: url.to_owned(), namespace, branch });
        }
        Ok(server)
    }

    /// Whether a sink can work there; makes the tables.
    async fn look(&mut self) -> Result<(), Ended> {
        for database in &self.databases {
            let participant = database.participant().map_err(Failure::usage)?;
            let (schema, mode) = (source::schema(), WriteMode::Insert);
            // Not under the sink's name, which belongs to whoever comes first.
            let writer = Writer::new(LOOK).expect("a name that is allowed");
            let session = Session { writer, identity: 0, incarnation: 1, schema, mode };
            participant.connect(&session).await.map_err(Failure::usage)?;
            let client = connect(&database.url).await?;
            let sql = "SELECT current_setting('max_prepared_transactions')::int";
            let row = client.query_one(sql, &[]).await;
            let most: i32 = row.map_err(|error| failure(&"asking the server", error))?.get(0);
            self.prepared_max = usize::try_from(most).unwrap_or(0);
        }
        Ok(())
    }

    /// Prepared transactions for which each participant has a place.
    pub(super) fn places(&self) -> usize {
        self.prepared_max / self.databases.len().max(1)
    }

    pub(super) fn databases(&self) -> Vec<Database> {
        self.databases.clone()
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("a server in {}", cluster.folder().display()),
            None => "the server of --postgres, which is not killed".to_owned(),
        }
    }

    pub(super) fn participants(&self) -> usize {
        self.databases.len()
    }

    /// Whether it may be killed.
    pub(super) fn is_ours(&self) -> bool {
        self.cluster.is_some()
    }

    /// Ends the server without a checkpoint; `hard` by SIGKILL of the postmaster.
    pub(super) fn kill(&mut self, hard: bool) -> Result<(), Ended> {
        let Some(cluster) = &mut self.cluster else { return Ok(()) };
        let killed = if hard { cluster.kill() } else { cluster.crash() };
        killed.map_err(|error| failure(&"killing the server", error))
    }

    /// Starts it again, and gives how many transactions it finds prepared.
    pub(super) async fn start_again(&mut self) -> Result<u64, Ended> {
        if let Some(cluster) = &mut self.cluster {
            cluster.start_again().map_err(|error| failure(&"starting the server", error))?;
        }
        self.prepared().await
    }

    /// How many transactions of ours are prepared.
    pub(super) async fn prepared(&self) -> Result<u64, Ended> {
        let Some(first) = self.databases.first() else { return Ok(0) };
        let client = connect(&first.url).await?;
        let sql = "SELECT count(*) FROM pg_prepared_xacts WHERE starts_with(gid, $1)";
        let row = client.query_one(sql, &[&format!("seedbed/{WRITER}+")]).await;
        let count: i64 = row.map_err(|error| failure(&"asking the server", error))?.get(0);
        Ok(count.cast_unsigned())
    }

    /// Looks at all rows.
    pub(super) async fn verify(&self, verifier: &mut Verifier) -> Result<u64, Ended> {
        let cannot = |error| failure(&"reading the table", error);
        for (nth, database) in self.databases.iter().enumerate() {
            let client = connect(&database.url).await?;
            let table = format!("\"{}\".\"{}\"", database.namespace, source::TABLE);
            let sql = format!("{READ} {table} WHERE id > $1 ORDER BY id LIMIT {PAGE}");
            let read = client.prepare(&sql).await.map_err(cannot)?;
            let mut after = i64::MIN;
            loop {
                let rows = client.query(&read, &[&after]).await.map_err(cannot)?;
                let Some(last) = rows.last() else { break };
                after = last.get(0);
                rows.iter().for_each(|row| look_at(verifier, nth, row));
            }
        }
        self.prepared().await
    }

    /// Removes what was made in the user's database.
    pub(super) async fn clean_up(&mut self) {
        let (Some(first), false) = (self.databases.first(), self.made.is_empty()) else { return };
        let Ok(client) = connect(&first.url).await else { return };
        let list = "SELECT gid FROM pg_prepared_xacts \
            WHERE database = current_database() AND starts_with(gid, $1)";
        let ours = format!("seedbed/{WRITER}+");
        for row in client.query(list, &[&ours]).await.unwrap_or_default() {
            let gid: &str = row.get(0);
            let _ = client.batch_execute(&format!("ROLLBACK PREPARED '{gid}'")).await;
        }
        for namespace in self.made.drain(..) {
            let _ = client.batch_execute(&format!("DROP SCHEMA {namespace} CASCADE")).await;
        }
        let forget = "DELETE FROM seedbed_sink.writers WHERE starts_with(writer, $1)";
        for writer in [WRITER, LOOK] {
            let _ = client.execute(forget, &[&format!("{writer}+")]).await;
        }
        let forget = "DELETE FROM seedbed_sink.committed WHERE starts_with(writer, $1)";
        let _ = client.execute(forget, &[&format!("{WRITER}+")]).await;
    }
}

async fn connect(url: &str) -> Result<Client, Ended> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.map_err(|error| {
        let why = std::error::Error::source(&error).map(|why| format!(": {why}"));
        let text = format!("cannot connect to PostgreSQL: {error}{}", why.unwrap_or_default());
        Failure::new(Exit::Usage, text)
    })?;
    tokio::spawn(connection);
    Ok(client)
}

fn look_at(verifier: &mut Verifier, participant: usize, row: &Row) {
    fn or_null<'a, T>(value: Option<T>, some: impl Fn(T) -> Value<'a>) -> Value<'a> {
        value.map_or(Value::Null, some)
    }
    let values = [
        Value::Int(row.get(0)),
        or_null(row.get(1), Value::Text),
        or_null(row.get(2), Value::Int),
        or_null(row.get(3), Value::Float),
        or_null(row.get(4), Value::Bool),
        or_null(row.get(5), Value::Text),
        or_null(row.get(6), Value::Timestamp),
    ];
    let mut rows = Rows::new();
    // What does not fit any more was not written by us: an empty row is one that is wrong.
    if rows.push(&verifier.schema(), &values).is_ok() {
        rows.iter().for_each(|row| verifier.row(participant, row));
    }
}
