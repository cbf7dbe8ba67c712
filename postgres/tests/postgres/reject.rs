//! Rows that break a rule of the table are named.

use seedbed_engines::sink::{Connection, ConnectionState, Gid, Vote, WriteMode};
use seedbed_postgres::cluster::shared_or_skip;

use crate::bed::{Bed, commit, gid, query, rejected, vote};

#[tokio::test]
async fn the_first_row_whose_key_is_there_is_named() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "stored_key").await;
    let mut connection = bed.connect().await;
    commit(&mut connection, &bed.numbers([50, 70])).await;
    for (number, count) in [(1, 100), (2, 1_500), (3, 5_000)] {
        let (row, reason) = rejected(vote(&mut connection, &bed.numbers(0..count), number).await);
        assert_eq!(row, 50, "of {count}: {reason}");
        assert!(reason.contains("23505"), "{reason}");
        assert_eq!(connection.state(), ConnectionState::Idle);
    }
    let without = bed.numbers(0..100).without(70).without(50);
    assert_eq!(vote(&mut connection, &without, 4).await, Vote::Yes);
    assert_eq!(connection.prepared().await, Ok(vec![gid(4)]));
    assert!(connection.abort(&[gid(4)]).await.is_ok());
}

#[tokio::test]
async fn of_two_rows_of_one_key_the_second_is_named() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "double_key").await;
    let mut connection = bed.connect().await;
    for count in [10, 3_000] {
        let ids = (0..count).chain([4]).chain(count..count + 3).chain([2]);
        let (row, _) = rejected(vote(&mut connection, &bed.numbers(ids), 1).await);
        assert_eq!(i64::from(row), count);
    }
    // Counted through all writes of the transaction.
    assert_eq!(connection.write(&bed.numbers(0..7)).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([8, 3])).await, Ok(None));
    let answer = connection.prepare(gid(2), Gid::default()).await.expect("a vote");
    assert_eq!(rejected(answer).0, 8);
    assert_eq!(connection.write(&bed.numbers([1, 1])).await, Ok(None));
    let answer = connection.commit_open().await.expect("a vote");
    assert_eq!(rejected(answer).0, 1);
    assert!(bed.items().await.is_empty());
}

#[tokio::test]
async fn rows_against_constraints_are_named_in_each_mode() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "constraints").await;
    let table = "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, \
        amount bigint CHECK (amount < 1000), seen timestamptz DEFAULT now()); \
        CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('x'); \
        ALTER TABLE items ADD FOREIGN KEY (name) REFERENCES parents DEFERRABLE INITIALLY DEFERRED";
    query(&bed.url, table).await;
    for mode in [WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace] {
        let mut connection = bed.connect_as(1, mode).await;
        let check = bed.numbers(990..1_010);
        let (row, reason) = rejected(vote(&mut connection, &check, 1).await);
        assert_eq!((row, reason.contains("23514")), (10, true), "{mode:?}: {reason}");
        let null = bed.rows(&[(1, Some("x"), None), (2, None, None), (3, None, None)]);
        let (row, reason) = rejected(vote(&mut connection, &null, 2).await);
        assert_eq!((row, reason.contains("23502")), (1, true), "{mode:?}: {reason}");
        // Looked at only when the transaction ends.
        let late = bed.rows(&[(1, Some("x"), None), (2, Some("x"), None), (3, Some("y"), None)]);
        let (row, reason) = rejected(vote(&mut connection, &late, 3).await);
        assert_eq!((row, reason.contains("23503")), (2, true), "{mode:?}: {reason}");
        assert_eq!(connection.write(&late).await, Ok(None));
        let one_phase = connection.commit_open().await.expect("a vote");
        assert_eq!(rejected(one_phase).0, 2, "{mode:?}");
        assert_eq!(connection.state(), ConnectionState::Idle);
    }
}

#[tokio::test]
async fn a_trigger_that_raises_names_its_row() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "raises").await;
    let mut connection = bed.connect().await;
    let trigger = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF NEW.id = 13 THEN RAISE 'unlucky'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER no BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION no()";
    query(&bed.url, trigger).await;
    let (row, reason) = rejected(vote(&mut connection, &bed.numbers(0..30), 1).await);
    assert_eq!((row, reason.contains("unlucky")), (13, true), "{reason}");
}

#[tokio::test]
async fn answers_stay_in_step_after_a_copy_that_fails_before_its_first_row() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "in_step").await;
    let mut connection = bed.connect().await;
    let trigger = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        RAISE 'closed today'; END $$; CREATE TRIGGER no BEFORE INSERT ON items \
        FOR EACH STATEMENT EXECUTE FUNCTION no()";
    query(&bed.url, trigger).await;
    let (row, reason) = rejected(vote(&mut connection, &bed.numbers(0..5_000), 1).await);
    assert_eq!((row, reason.contains("closed today")), (0, true), "{reason}");
    query(&bed.url, "DROP TRIGGER no ON items").await;
    assert_eq!(connection.prepared().await, Ok(vec![]));
    assert_eq!(vote(&mut connection, &bed.numbers(0..5_000), 2).await, Vote::Yes);
    assert_eq!(connection.prepared().await, Ok(vec![gid(2)]));
    assert!(connection.commit(&[gid(2)]).await.is_ok());
    assert_eq!(bed.items().await.len(), 5_000);
}
