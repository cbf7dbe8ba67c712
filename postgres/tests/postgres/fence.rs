//! Of several starts of a sink, only the latest writes.

use seedbed_engines::sink::{
    Connection, ConnectionState, Gid, Outcome, Participant, ParticipantError, Session, Vote,
    WriteMode,
};
use seedbed_postgres::cluster::shared_or_skip;

use crate::bed::{Bed, gid, query};

#[tokio::test]
async fn a_later_start_fences_earlier_ones_off() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "fenced").await;
    let mut earlier = bed.prepare(1, &bed.numbers([1])).await;
    assert_eq!(earlier.write(&bed.numbers([2])).await, Ok(None));
    assert_eq!(earlier.write(&bed.numbers([12])).await, Ok(None));
    let mut same = bed.connect_as(1, WriteMode::Insert).await;

    let mut later = bed.connect_as(3, WriteMode::Insert).await;
    assert_eq!(later.prepared().await, Ok(vec![gid(1)]));
    let answer = earlier.prepare(gid(2), Gid::default()).await;
    assert!(matches!(answer, Err(ParticipantError::Lost(_))), "{answer:?}");
    assert_eq!(earlier.state(), ConnectionState::Broken);
    assert!(same.ping().await.is_err());
    let answer = bed.participant.connect(&bed.session(2, WriteMode::Insert)).await;
    assert_eq!(answer.err(), Some(ParticipantError::Fenced { by: 3 }));

    assert_eq!(later.prepared().await, Ok(vec![gid(1)]), "nothing came after");
    assert_eq!(later.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
    assert_eq!(bed.items().await, ["1,x,1"]);
}

#[tokio::test]
async fn a_sink_that_only_has_the_same_name_is_refused() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "namesake").await;
    let mut first = bed.connect_as(2, WriteMode::Insert).await;
    for incarnation in [1, 2, 3] {
        let namesake =
            Session { identity: u64::MAX, ..bed.session(incarnation, WriteMode::Insert) };
        let refused = bed.participant.connect(&namesake).await.err();
        let Some(ParticipantError::Refused(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("belongs to a sink with another folder"), "{why}");
    }
    assert_eq!(first.ping().await, Ok(()), "it is let be");
    bed.connect_as(3, WriteMode::Insert).await;
}

#[tokio::test]
async fn a_prepare_behind_the_fence_is_refused_by_the_server() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "behind").await;
    let mut connection = bed.connect().await;
    assert_eq!(connection.write(&bed.numbers([1])).await, Ok(None));
    assert_eq!(connection.write(&bed.numbers([11])).await, Ok(None));
    query(&bed.url, "UPDATE seedbed_sink.writers SET incarnation = 9").await;
    let answer = connection.prepare(gid(1), Gid::default()).await;
    assert_eq!(answer, Err(ParticipantError::Fenced { by: 9 }));
    let ours = "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'seedbed/behind/%'";
    assert_eq!(query(&bed.url, ours).await, ["0"]);
    assert!(bed.items().await.is_empty());
}

#[tokio::test]
async fn other_writers_are_not_fenced() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "writer_a").await;
    let other = Bed::at(bed.url.clone(), "writer_b");
    let mut mine = bed.connect().await;
    let _later = other.connect_as(5, WriteMode::Insert).await;
    assert_eq!(mine.write(&bed.numbers([1])).await, Ok(None));
    assert_eq!(mine.prepare(gid(1), Gid::default()).await, Ok(Vote::Yes));
    assert_eq!(mine.abort(&[gid(1)]).await, Ok(vec![Outcome::Done]));
}

#[tokio::test]
async fn many_connections_may_come_first_at_once() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "at_once").await;
    let all = (0..8).map(|_| bed.try_connect());
    let all = futures_util::future::join_all(all).await;
    for connection in all {
        assert_eq!(connection.expect("a connection").ping().await, Ok(()));
    }
}
