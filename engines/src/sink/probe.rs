//! What a sweep of the sink should come to; see [`seedbed_env::probe`].

seedbed_env::probes! {
    /// What a sweep of the sink should come to.
    PoolWaits, "sink: a lease waits for a place in the pool";
    PoolFindsDead, "sink: a connection that was kept is dead";
    ConnectionClosedOpen, "sink: a connection is closed because a transaction is open on it";
    BackPressure, "sink: a row waits because the buffer is full";
    VoteNo, "sink: a participant votes no";
    VoteConflict, "sink: a participant votes no because rows are held";
    VoteRejected, "sink: a participant rejects a row";
    PlaceGivenUp, "sink: a batch gives up its place for an earlier one";
    VoteLost, "sink: a vote does not come";
    ConnectFails, "sink: a participant cannot be reached";
    AbortSent, "sink: participants are told to abort";
    AbortLost, "sink: nobody answers to an abort";
    CommitRetried, "sink: a commit is sent again";
    RecoveredDecisions, "sink: recovery finds decisions that not everybody has carried out";
    OrphanAborted, "sink: an abandoned transaction is found and aborted";
    OrphanOfEarlierStart, "sink: an abandoned transaction of an earlier start is found";
    KeyHeld, "sink: a batch waits because an earlier one has a row with the same key";
    CheckpointsOverlap, "sink: a checkpoint begins before the one before is carried out";
    Damage, "sink: damage is reported";
    Fenced, "sink: a request of an earlier start is refused";
}
