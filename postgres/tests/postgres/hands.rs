//! What people and other programs do at the same server: their transactions are let be, and what
//! they do to ours is told.

use seedbed_engines::sink::{Connection, Decision, Gid, No, Outcome, Vote};
use seedbed_postgres::cluster::{Cluster, postgres_or_skip, shared_or_skip};

use crate::bed::{Bed, client, gid, query, vote};

#[tokio::test]
async fn a_commit_by_hand_is_done_and_shows_when_abort_is_asked() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "by_hand").await;
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    query(&bed.url, &format!("COMMIT PREPARED '{}'", bed.name(1))).await;
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    let told = Outcome::Heuristic(Decision::Commit);
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![told]));
}

#[tokio::test]
async fn a_rollback_by_hand_is_missing_when_commit_is_asked() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "rolled_back").await;
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    query(&bed.url, &format!("ROLLBACK PREPARED '{}'", bed.name(1))).await;
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Missing]));
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    // Now it is known that it was aborted.
    let told = Outcome::Heuristic(Decision::Abort);
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![told]));
}

#[tokio::test]
async fn transactions_of_others_are_let_be() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "neighbours").await;
    let elsewhere = cluster.create_database("neighbours_elsewhere").await.expect("a database");
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    let theirs = [
        (&bed.url, "theirs".to_owned()),
        (&bed.url, "seedbed/neighbours2/1.1".to_owned()),
        (&bed.url, "seedbed/neighbours/1.01".to_owned()),
        (&bed.url, "seedbed/neighbours/1.1.1".to_owned()),
        (&bed.url, "seedbed/neighbours/+1.2".to_owned()),
        (&elsewhere, bed.name(7)),
    ];
    for (nth, (url, name)) in theirs.iter().enumerate() {
        let sql = format!("BEGIN; CREATE TABLE t{nth} (); PREPARE TRANSACTION '{name}'");
        query(url, &sql).await;
    }
    // As another role.
    let role = "CREATE ROLE other; GRANT CREATE ON SCHEMA public TO other; SET ROLE other; BEGIN; \
        CREATE TABLE t9 (); PREPARE TRANSACTION 'seedbed/neighbours/1.8'";
    query(&bed.url, role).await;

    assert_eq!(connection.prepared().await, Ok(vec![gid(1)]));
    assert_eq!(
        connection.commit(&[gid(1), gid(7)]).await,
        Ok(vec![Outcome::Done, Outcome::Missing])
    );
    assert_eq!(connection.abort(&[gid(7)]).await, Ok(vec![Outcome::Done]));
    let left = "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE '%neighbours%' OR gid = \
        'theirs'";
    assert_eq!(query(&bed.url, left).await, ["7"]);
}

#[tokio::test]
async fn locks_of_others_are_conflicts() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "locks").await;
    let mut first = bed.prepare(1, &bed.numbers([1])).await;
    let mut second = bed.connect().await;
    let conflict = Vote::No(No::Conflict);
    assert_eq!(vote(&mut second, &bed.numbers([2, 1]), 2).await, conflict, "the same key");
    assert_eq!(vote(&mut second, &bed.numbers([2]), 3).await, Vote::Yes);
    assert_eq!(first.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(vote(&mut second, &bed.numbers([1]), 4).await, Vote::Yes);
    assert_eq!(second.commit(&[gid(3), gid(4)]).await, Ok(vec![Outcome::Done; 2]));
    assert_eq!(bed.items().await, ["1,x,1", "2,x,2"]);

    // By COPY as well.
    let holder = client(&bed.url).await;
    holder.batch_execute("BEGIN; INSERT INTO items VALUES (5000)").await.expect("a lock");
    assert_eq!(vote(&mut second, &bed.numbers(1_000..6_000), 5).await, conflict);
}

#[tokio::test]
async fn a_transaction_that_is_being_prepared_is_not_taken_for_absent() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "in_doubt").await;
    let mut connection = bed.connect().await;
    // A session that we lost has sent its marker, and its PREPARE is still to come.
    let lost = client(&bed.url).await;
    let marker = "BEGIN; INSERT INTO items VALUES (1); \
        INSERT INTO seedbed_sink.committed VALUES ('in_doubt', 1, 1)";
    lost.batch_execute(marker).await.expect("a marker");
    let prepare = format!("PREPARE TRANSACTION '{}'", bed.name(1));
    let later = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        lost.batch_execute(&prepare).await
    });
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    later.await.expect("no panic").expect("prepared");
    assert_eq!(connection.prepared().await, Ok(vec![]), "found, and rolled back");

    // One that comes later than the abort is refused.
    assert_eq!(connection.abort(&[gid(2)]).await, Ok(vec![Outcome::Done]));
    let Vote::No(No::Unable { reason }) = vote(&mut connection, &bed.numbers([1]), 2).await else {
        panic!("prepared after its abort");
    };
    assert!(reason.contains("decided already"), "{reason}");
    assert_eq!(connection.prepared().await, Ok(vec![]));
}

#[tokio::test]
async fn the_limit_of_prepared_transactions_is_a_no_for_now() {
    let Some(programs) = postgres_or_skip() else { return };
    let cluster = Cluster::start_with(&programs, &[("max_prepared_transactions", "2")]);
    let cluster = cluster.expect("a cluster");
    let bed = Bed::new(&cluster, "full").await;
    let bed = Bed { participant: bed.participant.prepared_min(2), ..bed };
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    assert_eq!(vote(&mut connection, &bed.numbers([2]), 2).await, Vote::Yes);
    let Vote::No(No::Unable { reason }) = vote(&mut connection, &bed.numbers([3]), 3).await else {
        panic!("a third was prepared");
    };
    assert!(reason.contains("max_prepared_transactions"), "{reason}");
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(vote(&mut connection, &bed.numbers([3]), 4).await, Vote::Yes);
    assert_eq!(
        connection.prepare(gid(5), Gid::default()).await.map(|vote| vote == Vote::Yes),
        Ok(false)
    );
}
