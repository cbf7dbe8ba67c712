//! What each mode of writing makes of rows that are there already, in the table or in the batch.

use seedbed_engines::sink::{Connection, Outcome, Vote, WriteMode};
use seedbed_postgres::cluster::shared_or_skip;

use crate::bed::{Bed, client, commit, gid, query, vote};

#[tokio::test]
async fn upsert_keeps_what_a_null_does_not_replace() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "upsert").await;
    let mut connection = bed.connect_as(1, WriteMode::Upsert).await;
    let first = [(1, Some("a"), Some(1)), (2, Some("b"), None)];
    commit(&mut connection, &bed.rows(&first)).await;
    // The later one of a batch wins, column by column, and both before what is stored.
    let second = [
        (1, None, Some(5)),
        (3, None, None),
        (2, Some("c"), Some(7)),
        (2, None, Some(8)),
        (3, Some("d"), None),
        (3, None, Some(9)),
    ];
    commit(&mut connection, &bed.rows(&second)).await;
    assert_eq!(bed.items().await, ["1,a,5", "2,c,8", "3,d,9"]);
}

#[tokio::test]
async fn replace_takes_the_last_row_whole() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "replace").await;
    let mut connection = bed.connect_as(1, WriteMode::Replace).await;
    commit(&mut connection, &bed.rows(&[(1, Some("a"), Some(1)), (2, Some("b"), Some(2))])).await;
    let second = [(1, None, Some(5)), (2, Some("c"), Some(7)), (2, Some("d"), None)];
    commit(&mut connection, &bed.rows(&second)).await;
    assert_eq!(bed.items().await, ["1,-,5", "2,d,-"]);
}

#[tokio::test]
async fn order_counts_across_statements_too() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "order_counts").await;
    let mut connection = bed.connect_as(1, WriteMode::Replace).await;
    // Two statements of one write, and two writes.
    let rows = bed.rows(&(0..2_500).map(|nth| (nth % 3, None, Some(nth))).collect::<Vec<_>>());
    assert_eq!(connection.write(&rows).await, Ok(None));
    commit(&mut connection, &bed.rows(&[(1, Some("last"), None)])).await;
    assert_eq!(bed.items().await, ["0,-,2499", "1,last,-", "2,-,2498"]);
}

#[tokio::test]
async fn a_table_of_nothing_but_a_key_takes_rows_twice() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "only_key").await;
    let columns = bed.schema.columns()[..1].to_vec();
    let schema = seedbed_engines::sink::Schema::new("keys", columns, 1).expect("a schema");
    let bed = Bed { schema: std::sync::Arc::new(schema), ..bed };
    for mode in [WriteMode::Upsert, WriteMode::Replace] {
        let mut connection = bed.connect_as(1, mode).await;
        let mut rows = seedbed_engines::sink::Rows::new();
        for _ in 0..2 {
            let value = seedbed_engines::sink::Value::Int(1);
            rows.push(&bed.schema, &[value]).expect("a row");
        }
        commit(&mut connection, &rows).await;
    }
    assert_eq!(crate::bed::query(&bed.url, "SELECT id FROM keys").await, ["1"]);
}

/// A rule that leaves the rows away leaves the marker of their transaction.
#[tokio::test]
async fn a_table_whose_rule_inserts_nothing_has_markers() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "rule_nothing").await;
    drop(bed.connect().await);
    let rule = "CREATE RULE instead AS ON INSERT TO items DO INSTEAD NOTHING";
    client(&bed.url).await.batch_execute(rule).await.expect("a rule");
    let mut connection = bed.connect().await;
    assert_eq!(vote(&mut connection, &bed.numbers([3]), 1).await, Vote::Yes);
    for _ in 0..2 {
        assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    }
    assert!(bed.items().await.is_empty());
}

/// PostgreSQL takes no WITH where a rule makes several statements of one.
#[tokio::test]
async fn a_table_with_a_rule_takes_rows_in_one_phase_and_in_two() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "rules").await;
    drop(bed.connect().await);
    let rule = "CREATE TABLE copies (id bigint); \
        CREATE RULE also AS ON INSERT TO items DO ALSO INSERT INTO copies VALUES (NEW.id)";
    client(&bed.url).await.batch_execute(rule).await.expect("a rule");
    let mut connection = bed.connect().await;
    commit(&mut connection, &bed.numbers([1, 2])).await;
    assert_eq!(vote(&mut connection, &bed.numbers([3]), 1).await, Vote::Yes);
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    let copies = "SELECT id::text FROM copies ORDER BY id";
    assert_eq!(query(&bed.url, copies).await, ["1", "2", "3"]);
    assert_eq!(bed.items().await.len(), 3);
}
