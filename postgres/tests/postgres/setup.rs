//! Servers, databases and tables that are not fit: refused, and told why.

use seedbed_engines::sink::{ParticipantError, Session, WriteMode};
use seedbed_postgres::PostgresParticipant;
use seedbed_postgres::cluster::{Cluster, postgres_or_skip, shared_or_skip};

use crate::bed::{Bed, commit, query};

async fn refusal(bed: &Bed) -> String {
    match bed.try_connect().await {
        Err(ParticipantError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_table_of_another_shape_is_refused_with_all_its_differences() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "shape").await;
    let tables = [
        (
            "(id integer PRIMARY KEY, name varchar(10), more int NOT NULL)",
            vec![
                "column \"id\" is integer, and must be bigint",
                "column \"name\" is character varying(10), and must be text",
                "column \"amount\" is missing, and must be bigint",
                "column \"more\" is not the sink's, and has neither a default nor null",
            ],
        ),
        (
            "(id bigint, name text, amount bigint)",
            vec![
                "column \"id\" is of the key, and must be NOT NULL",
                "no primary key or unique index of exactly (id)",
            ],
        ),
        (
            "(id bigint, name text NOT NULL, amount bigint, PRIMARY KEY (id, name))",
            vec!["no primary key or unique index of exactly (id)"],
        ),
        (
            "(id bigint PRIMARY KEY, name text, amount bigint GENERATED ALWAYS AS (id) STORED)",
            vec!["column \"amount\" is generated"],
        ),
    ];
    for (columns, wants) in tables {
        query(&bed.url, &format!("CREATE TABLE items {columns}")).await;
        let text = refusal(&bed).await;
        for want in wants {
            assert!(text.contains(want), "{want}\nis not in\n{text}");
        }
        query(&bed.url, "DROP TABLE items").await;
    }
    let columns = "items (id bigint PRIMARY KEY, name text, amount bigint)";
    query(&bed.url, &format!("CREATE UNLOGGED TABLE {columns}")).await;
    assert!(refusal(&bed).await.contains("unlogged"));
    query(&bed.url, "ALTER TABLE items RENAME TO rest; CREATE VIEW items AS TABLE rest").await;
    assert!(refusal(&bed).await.contains("not an ordinary"));
}

#[tokio::test]
async fn a_table_that_fits_is_used_as_it_is() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "fits").await;
    let table = "CREATE TABLE items (more text DEFAULT 'm', amount bigint, name text, \
        id bigint NOT NULL, nr bigserial, UNIQUE (id)) PARTITION BY HASH (id); \
        CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
        CREATE TABLE items_1 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1)";
    query(&bed.url, table).await;
    let mut connection = bed.connect().await;
    commit(&mut connection, &bed.numbers(0..10)).await;
    commit(&mut connection, &bed.numbers(100..3_000)).await;
    let mut connection = bed.connect_as(1, WriteMode::Upsert).await;
    commit(&mut connection, &bed.numbers(5..15)).await;
    assert_eq!(query(&bed.url, "SELECT count(*) FROM items WHERE more = 'm'").await, ["2915"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_lost() {
    let url = "host=/nowhere/at/all user=postgres dbname=shop password=secret";
    let bed = Bed::at(url.to_owned(), "nowhere");
    let Err(ParticipantError::Lost(text)) = bed.try_connect().await else { panic!("connected") };
    assert!(text.contains("/nowhere/at/all") && text.contains("shop"), "{text}");
    assert!(text.contains("No such file") && !text.contains("secret"), "{text}");
    let wrong = PostgresParticipant::new("wrong", "host=x password=secret port=many");
    let text = wrong.expect_err("not a port").to_string();
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_database_or_role_that_is_not_there_is_refused() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::at(cluster.url("absent"), "absent");
    assert!(refusal(&bed).await.contains("3D000"));
    let url = cluster.url("postgres").replace("user=postgres", "user=nobody_of_this_name");
    assert!(refusal(&Bed::at(url, "absent")).await.contains("28000"));
}

#[tokio::test]
async fn a_role_without_rights_is_refused() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "rights").await;
    query(&bed.url, "CREATE ROLE guest LOGIN").await;
    let guest = Bed::at(bed.url.replace("user=postgres", "user=guest"), "rights");
    assert!(refusal(&guest).await.contains("42501"));
    // With the tables made and rights given, it needs no more.
    drop(bed.connect().await);
    let grant = "GRANT USAGE ON SCHEMA seedbed_sink TO guest; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA seedbed_sink TO guest; \
        GRANT SELECT, INSERT, UPDATE ON items TO guest";
    query(&bed.url, grant).await;
    let mut connection = guest.connect().await;
    commit(&mut connection, &guest.numbers([1])).await;
}

#[tokio::test]
async fn a_server_without_prepared_transactions_or_fsync_is_refused() {
    let Some(programs) = postgres_or_skip() else { return };
    let settings = [("max_prepared_transactions", "0")];
    let mut cluster = Cluster::start_with(&programs, &settings).expect("a cluster");
    let bed = Bed::new(&cluster, "settings").await;
    let text = refusal(&bed).await;
    assert!(text.contains("max_prepared_transactions is 0"), "{text}");
    assert!(text.contains("postgresql.conf"), "{text}");
    cluster.set("max_prepared_transactions", "100").expect("set");
    cluster.set("fsync", "off").expect("set");
    cluster.restart().expect("restarted");
    assert!(refusal(&bed).await.contains("fsync is off"));
    cluster.set("fsync", "on").expect("set");
    cluster.restart().expect("restarted");
    drop(bed.connect().await);
}

#[tokio::test]
async fn numbers_beyond_bigint_are_refused() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "bigint").await;
    let session = Session { incarnation: u64::MAX, ..bed.session(1, WriteMode::Insert) };
    let answer = seedbed_engines::sink::Participant::connect(&bed.participant, &session).await;
    assert!(matches!(answer, Err(ParticipantError::Refused(_))));
}
