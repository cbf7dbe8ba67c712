//! The server dies in each phase, by an immediate shutdown and by SIGKILL, and comes back.

use seedbed_engines::sink::{Connection, ConnectionState, Gid, Outcome, ParticipantError, Vote};
use seedbed_postgres::cluster::{Cluster, postgres_or_skip};

use crate::bed::{Bed, gid};

fn crash(cluster: &mut Cluster, kill: bool) {
    if kill { cluster.kill() } else { cluster.crash() }.expect("crashed");
    cluster.start_again().expect("recovered");
}

#[tokio::test]
async fn prepared_transactions_survive_a_crash_of_the_server_in_each_phase() {
    let Some(programs) = postgres_or_skip() else { return };
    let mut cluster = Cluster::start(&programs).expect("a cluster");
    for (kill, name) in [(false, "crashed"), (true, "killed")] {
        let bed = Bed::new(&cluster, name).await;
        // After a write: nothing is left.
        let mut connection = bed.connect().await;
        assert_eq!(connection.write(&bed.numbers([1])).await, Ok(None));
        crash(&mut cluster, kill);
        let answer = connection.prepare(gid(1), Gid::default()).await;
        assert!(matches!(answer, Err(ParticipantError::Lost(_))), "{answer:?}");
        assert_eq!(connection.state(), ConnectionState::Broken);

        // After prepare: it is there, and holds its key.
        let mut connection = bed.prepare(2, &bed.numbers([2])).await;
        crash(&mut cluster, kill);
        assert!(connection.commit(&[gid(2)]).await.is_err());
        let mut connection = bed.connect().await;
        assert_eq!(connection.prepared().await, Ok(vec![gid(2)]));
        assert_eq!(connection.write(&bed.numbers([2])).await, Ok(None));
        let vote = connection.prepare(gid(3), Gid::default()).await.expect("a vote");
        assert_eq!(vote, Vote::No(seedbed_engines::sink::No::Conflict));
        assert_eq!(connection.commit(&[gid(2)]).await, Ok(vec![Outcome::Done]));

        // After commit: it is known that it was.
        crash(&mut cluster, kill);
        let mut connection = bed.connect().await;
        assert_eq!(connection.prepared().await, Ok(vec![]));
        assert_eq!(connection.commit(&[gid(2)]).await, Ok(vec![Outcome::Done]));
        assert_eq!(connection.abort(&[gid(1), gid(3)]).await, Ok(vec![Outcome::Done; 2]));
        assert_eq!(bed.items().await, ["2,x,2"]);

        // After abort: nothing came back.
        crash(&mut cluster, kill);
        let mut connection = bed.connect().await;
        assert_eq!(connection.prepared().await, Ok(vec![]));
        assert_eq!(connection.commit(&[gid(4)]).await, Ok(vec![Outcome::Missing]));
    }
}

#[tokio::test]
async fn a_stopped_server_is_lost_and_found_again() {
    let Some(programs) = postgres_or_skip() else { return };
    let mut cluster = Cluster::start(&programs).expect("a cluster");
    let bed = Bed::new(&cluster, "stopped").await;
    drop(bed.prepare(1, &bed.numbers([1])).await);
    cluster.stop().expect("stopped");
    assert!(!cluster.is_running());
    let answer = bed.try_connect().await;
    assert!(matches!(answer, Err(ParticipantError::Lost(_))), "{answer:?}");
    cluster.start_again().expect("started");
    let mut connection = bed.connect().await;
    assert_eq!(connection.prepared().await, Ok(vec![gid(1)]));
    assert_eq!(connection.commit(&[gid(1)]).await, Ok(vec![Outcome::Done]));
}
