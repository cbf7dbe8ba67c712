//! What the tests share: a database of one's own on the shared server, a small table, and a raw
//! client to look behind the participant's back.

use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::sink::{
    Column, ColumnType, Connection, Gid, No, Participant, ParticipantError, Rows, Schema, Session,
    Value, Vote, WriteMode, Writer,
};
use seedbed_postgres::cluster::Cluster;
use seedbed_postgres::{PostgresConnection, PostgresParticipant};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A database, and the writer of the same name: names of prepared transactions are the server's.
pub(crate) struct Bed {
    pub(crate) url: String,
    pub(crate) writer: Writer,
    pub(crate) participant: PostgresParticipant,
    pub(crate) schema: Arc<Schema>,
}

/// A row of the small table.
pub(crate) type Item = (i64, Option<&'static str>, Option<i64>);

pub(crate) fn small() -> Schema {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let columns = vec![
        column("id", ColumnType::Int),
        column("name", ColumnType::Text),
        column("amount", ColumnType::Int),
    ];
    Schema::new("items", columns, 1).expect("a schema")
}

impl Bed {
    pub(crate) async fn new(cluster: &Cluster, name: &str) -> Self {
        let url = cluster.create_database(name).await.expect("a database");
        Self::at(url, name)
    }

    pub(crate) fn at(url: String, name: &str) -> Self {
        let participant = PostgresParticipant::new(name, &url).expect("a participant");
        let participant = participant.lock_timeout(Duration::from_millis(200));
        let writer = Writer::new(name).expect("a writer");
        Self { url, writer, participant, schema: Arc::new(small()) }
    }

    pub(crate) fn session(&self, incarnation: u64, mode: WriteMode) -> Session {
        let (writer, schema) = (self.writer.clone(), Arc::clone(&self.schema));
        Session { writer, identity: 7, incarnation, schema, mode }
    }

    pub(crate) async fn try_connect(&self) -> Result<PostgresConnection, ParticipantError> {
        self.participant.connect(&self.session(1, WriteMode::Insert)).await
    }

    pub(crate) async fn connect(&self) -> PostgresConnection {
        self.try_connect().await.expect("a connection")
    }

    pub(crate) async fn connect_as(&self, incarnation: u64, mode: WriteMode) -> PostgresConnection {
        self.participant.connect(&self.session(incarnation, mode)).await.expect("a connection")
    }

    pub(crate) fn rows(&self, items: &[Item]) -> Rows {
        let mut rows = Rows::new();
        for (id, name, amount) in items {
            let name = name.map_or(Value::Null, Value::Text);
            let values = [Value::Int(*id), name, amount.map_or(Value::Null, Value::Int)];
            rows.push(&self.schema, &values).expect("a row");
        }
        rows
    }

    /// Rows with these numbers.
    pub(crate) fn numbers(&self, ids: impl IntoIterator<Item = i64>) -> Rows {
        let items: Vec<Item> = ids.into_iter().map(|id| (id, Some("x"), Some(id))).collect();
        self.rows(&items)
    }

    /// The table's rows, a text each.
    pub(crate) async fn items(&self) -> Vec<String> {
        let sql = "SELECT id || ',' || coalesce(name, '-') || ',' || coalesce(amount::text, '-') \
            FROM items ORDER BY id";
        query(&self.url, sql).await
    }

    /// Writes rows and prepares them as transaction 1.`number`.
    pub(crate) async fn prepare(&self, number: u64, rows: &Rows) -> PostgresConnection {
        let mut connection = self.connect().await;
        assert_eq!(connection.write(rows).await, Ok(None));
        assert_eq!(connection.prepare(gid(number), Gid::default()).await, Ok(Vote::Yes));
        connection
    }

    pub(crate) fn name(&self, number: u64) -> String {
        format!("seedbed/{}/1.{number}", self.writer)
    }
}

pub(crate) fn gid(number: u64) -> Gid {
    Gid { incarnation: 1, number }
}

/// Prepares, wherever the *no* shows.
pub(crate) async fn vote(connection: &mut PostgresConnection, rows: &Rows, number: u64) -> Vote {
    if let Some(no) = connection.write(rows).await.expect("an answer") {
        return Vote::No(no);
    }
    connection.prepare(gid(number), Gid::default()).await.expect("a vote")
}

/// Writes and commits at once.
pub(crate) async fn commit(connection: &mut PostgresConnection, rows: &Rows) {
    assert_eq!(connection.write(rows).await, Ok(None));
    assert_eq!(connection.commit_open().await, Ok(Vote::Yes));
}

/// The row that was rejected and why.
pub(crate) fn rejected(vote: Vote) -> (u32, String) {
    match vote {
        Vote::No(No::Rejected { row, reason }) => (row, reason),
        other => panic!("not a rejected row: {other:?}"),
    }
}

pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a client");
    tokio::spawn(connection);
    client
}

/// The first column of what the statements give.
pub(crate) async fn query(url: &str, sql: &str) -> Vec<String> {
    let messages = client(url).await.simple_query(sql).await.expect("an answer");
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    rows.collect()
}
