//! Votes and outcomes in good weather.

use seedbed_engines::sink::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, Vote, WriteMode,
};
use seedbed_postgres::cluster::{Cluster, postgres_or_skip, shared_or_skip};

use crate::bed::{Bed, commit, gid, query, vote};

#[tokio::test]
async fn prepared_rows_show_when_they_are_committed_and_never_when_aborted() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "phases").await;
    let mut connection = bed.connect().await;
    assert_eq!(connection.state(), ConnectionState::Idle);
    assert_eq!(connection.write(&bed.numbers([1])).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([2])).await, Ok(None));
    assert_eq!(connection.state(), ConnectionState::Open);
    assert_eq!(connection.prepare(gid(1), Gid::default()).await, Ok(Vote::Yes));
    assert_eq!(connection.state(), ConnectionState::Idle);
    assert_eq!(vote(&mut connection, &bed.numbers([3]), 2).await, Vote::Yes);
    assert!(bed.items().await.is_empty());
    assert_eq!(connection.prepared().await, Ok(vec![gid(1), gid(2)]));

    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(connection.abort(&[gid(2)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(bed.items().await, ["1,x,1", "2,x,2"]);
    assert_eq!(connection.prepared().await, Ok(vec![]));
    assert_eq!(connection.ping().await, Ok(()));
}

#[tokio::test]
async fn one_phase_commits_at_once() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "one_phase").await;
    let mut connection = bed.connect().await;
    commit(&mut connection, &bed.numbers([1])).await;
    // COPY, and arrays before and after it.
    assert_eq!(connection.write(&bed.numbers([2])).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers(10..5_000)).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers(5_000..9_000)).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([3])).await, Ok(None));
    assert_eq!(connection.commit_open().await, Ok(Vote::Yes));
    assert_eq!(bed.items().await.len(), 3 + 8_990);
    assert_eq!(connection.commit_open().await, Ok(Vote::Yes), "nothing was open");
}

#[tokio::test]
async fn asked_again_the_answer_is_the_same() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "again").await;
    let mut connection = bed.prepare(1, &bed.numbers([1])).await;
    assert_eq!(vote(&mut connection, &bed.numbers([2]), 2).await, Vote::Yes);
    for _ in 0..2 {
        assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
        assert_eq!(connection.abort(&[gid(2)]).await, Ok(vec![Outcome::Done]));
    }
    drop(connection);
    let mut connection = bed.connect_as(2, WriteMode::Insert).await;
    for _ in 0..2 {
        assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
        assert_eq!(connection.abort(&[gid(2)]).await, Ok(vec![Outcome::Done]));
    }
    let other = Outcome::Heuristic(Decision::Commit);
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![other]));
    assert_eq!(bed.items().await, ["1,x,1"]);
}

#[tokio::test]
async fn outcomes_below_finished_are_forgotten_and_the_others_kept() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "forgotten").await;
    let mut connection = bed.connect().await;
    for number in 1..=3 {
        assert_eq!(vote(&mut connection, &bed.numbers([number as i64]), number).await, Vote::Yes);
        assert_eq!(connection.commit(&[gid(number)]).await, Ok(vec![Outcome::Done]));
    }
    assert_eq!(connection.write(&bed.numbers([4])).await, Ok(None));
    assert_eq!(connection.prepare(gid(4), gid(3)).await, Ok(Vote::Yes));
    // The forgetting is behind the vote, and before this.
    assert_eq!(connection.ping().await, Ok(()));
    let left = query(&bed.url, "SELECT number FROM seedbed_sink.committed").await;
    assert_eq!(left, ["3"]);
    let outcomes = connection.commit(&[gid(1), gid(3), gid(4)]).await;
    assert_eq!(outcomes, Ok(vec![Outcome::Missing, Outcome::Done, Outcome::Done]));
    assert_eq!(connection.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
}

#[tokio::test]
async fn many_are_resolved_in_one_request() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "many").await;
    let mut connection = bed.connect().await;
    for number in 1..=300 {
        let rows = bed.numbers([number]);
        assert_eq!(vote(&mut connection, &rows, number as u64).await, Vote::Yes);
    }
    let gids: Vec<Gid> = (1..=300).map(gid).collect();
    assert_eq!(connection.prepared().await, Ok(gids.clone()));
    let outcomes = connection.commit(&gids).await.expect("outcomes");
    assert_eq!(outcomes, vec![Outcome::Done; 300]);
    assert_eq!(bed.items().await.len(), 300);
}

#[tokio::test]
async fn a_name_that_is_taken_makes_a_no_that_says_why() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "taken").await;
    let name = bed.name(1);
    query(&bed.url, &format!("BEGIN; CREATE TABLE other (); PREPARE TRANSACTION '{name}'")).await;
    let mut connection = bed.connect().await;
    let Vote::No(No::Unable { reason }) = vote(&mut connection, &bed.numbers([1]), 1).await else {
        panic!("a yes for a name that is taken");
    };
    assert!(reason.contains("prepared already") && reason.contains("branch"), "{reason}");
    assert_eq!(connection.state(), ConnectionState::Idle);
    assert_eq!(vote(&mut connection, &bed.numbers([1]), 2).await, Vote::Yes);
    assert_eq!(connection.abort(&[gid(1), gid(2)]).await, Ok(vec![Outcome::Done; 2]));
}

#[tokio::test]
async fn branches_keep_participants_at_one_server_apart() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "branches").await;
    let branch = seedbed_engines::sink::Writer::new("second").expect("a name");
    let other = Bed::at(bed.url.clone(), "branches");
    let other = Bed { participant: other.participant.branch(branch), ..other };
    let mut first = bed.prepare(1, &bed.numbers([1])).await;
    let mut second = other.prepare(1, &other.numbers([2])).await;
    assert_eq!(first.prepared().await, Ok(vec![gid(1)]));
    assert_eq!(second.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(first.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(bed.items().await, ["2,x,2"]);
}

#[tokio::test]
async fn a_server_whose_limit_is_reached_says_what_to_set() {
    let Some(programs) = postgres_or_skip() else { return };
    let settings = [("max_prepared_transactions", "2"), ("max_connections", "20")];
    let cluster = Cluster::start_with(&programs, &settings).expect("a cluster");
    let bed = Bed::new(&cluster, "limit").await;
    let text = bed.try_connect().await.expect_err("too few").to_string();
    assert!(text.contains("max_prepared_transactions is 2, and at least 16"), "{text}");
}
