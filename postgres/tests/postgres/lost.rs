//! Connections that are lost, and requests that are abandoned, in each phase.

use std::time::Duration;

use seedbed_engines::sink::{Connection, ConnectionState, Gid, Outcome, ParticipantError, Vote};
use seedbed_postgres::PostgresConnection;
use seedbed_postgres::cluster::shared_or_skip;

use crate::bed::{Bed, client, gid, query};

/// Ends all sessions of the participant.
async fn end_sessions(bed: &Bed) {
    let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name LIKE 'seedbed/%'";
    assert!(!query(&bed.url, sql).await.is_empty());
}

fn is_lost<T: std::fmt::Debug>(
    connection: &PostgresConnection,
    answer: Result<T, ParticipantError>,
) {
    assert!(matches!(answer, Err(ParticipantError::Lost(_))), "{answer:?}");
    assert_eq!(connection.state(), ConnectionState::Broken);
}

#[tokio::test]
async fn what_was_written_is_gone_with_its_connection() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "lost_write").await;
    let mut connection = bed.connect().await;
    // The first one is sent when there is another.
    assert_eq!(connection.write(&bed.numbers([1])).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([2])).await, Ok(None));
    end_sessions(&bed).await;
    let answer = connection.prepare(gid(1), Gid::default()).await;
    is_lost(&connection, answer);
    let mut connection = bed.connect().await;
    assert_eq!(connection.prepared().await, Ok(vec![]));
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert!(bed.items().await.is_empty());
}

#[tokio::test]
async fn what_is_prepared_outlives_its_connection() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "lost_prepared").await;
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    end_sessions(&bed).await;
    let answer = connection.commit(&[gid(1)]).await;
    is_lost(&connection, answer);
    let mut connection = bed.connect().await;
    assert_eq!(connection.prepared().await, Ok(vec![gid(1)]));
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    end_sessions(&bed).await;
    let mut connection = bed.connect().await;
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(bed.items().await, ["1,x,1"]);
}

#[tokio::test]
async fn an_idle_connection_that_was_lost_says_so() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "lost_idle").await;
    let mut connection = bed.connect().await;
    end_sessions(&bed).await;
    let answer = connection.ping().await;
    is_lost(&connection, answer);
    let answer = connection.write(&bed.numbers(0..5_000)).await;
    is_lost(&connection, answer);
}

#[tokio::test]
async fn an_abandoned_request_leaves_the_connection_open_and_closing_rolls_back() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "abandoned").await;
    let mut connection = bed.connect().await;
    let holder = client(&bed.url).await;
    holder.batch_execute("BEGIN; INSERT INTO items VALUES (1)").await.expect("a lock");
    assert_eq!(connection.write(&bed.numbers([2, 1])).await, Ok(None));
    let waits = connection.prepare(gid(1), Gid::default());
    assert!(tokio::time::timeout(Duration::from_millis(50), waits).await.is_err());
    assert_eq!(connection.state(), ConnectionState::Open);
    let answer = connection.ping().await;
    assert!(matches!(answer, Err(ParticipantError::Refused(_))), "{answer:?}");
    drop(connection);
    holder.batch_execute("ROLLBACK").await.expect("rolled back");

    // What was sent may still be carried out; after an abort it is not, or is undone.
    let mut connection = bed.connect().await;
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(connection.prepared().await, Ok(vec![]));
    assert!(bed.items().await.is_empty());
    assert_eq!(connection.write(&bed.numbers([1, 2])).await, Ok(None));
    assert_eq!(connection.prepare(gid(2), Gid::default()).await, Ok(Vote::Yes), "no locks left");
    assert_eq!(connection.commit(&[gid(2)]).await, Ok(vec![Outcome::Done]));
}

#[tokio::test]
async fn an_open_transaction_ends_with_its_connection() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "closed").await;
    let mut connection = bed.connect().await;
    assert_eq!(connection.write(&bed.numbers(0..3_000)).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([9_999])).await, Ok(None));
    drop(connection);
    let mut connection = bed.connect().await;
    let mut vote = None;
    // The server notices a closed socket when it reads from it next.
    for number in 1..100 {
        assert_eq!(connection.write(&bed.numbers([1, 9_999])).await, Ok(None));
        vote = Some(connection.prepare(gid(number), Gid::default()).await.expect("a vote"));
        if vote == Some(Vote::Yes) {
            assert_eq!(connection.commit(&[gid(number)]).await, Ok(vec![Outcome::Done]));
            break;
        }
    }
    assert_eq!(vote, Some(Vote::Yes));
    assert_eq!(bed.items().await.len(), 2);
}

#[tokio::test]
async fn a_table_that_goes_away_is_refused_and_ends_the_connection() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "dropped").await;
    for (number, count) in [(1, 5), (2, 5_000)] {
        let mut connection = bed.connect().await;
        query(&bed.url, "DROP TABLE items").await;
        // By COPY it shows at once, and the connection's answers are out of step from then on.
        let written = connection.write(&bed.numbers(0..count)).await;
        let answer = match written {
            Ok(_) => connection.prepare(gid(number), Gid::default()).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(answer, Err(ParticipantError::Refused(_))), "{answer:?}");
        assert_eq!(connection.state(), ConnectionState::Broken);
        drop(connection);
        assert_eq!(bed.connect().await.prepared().await, Ok(vec![]));
    }
}
