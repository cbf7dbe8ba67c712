//! A participant for tests, on any other one: what is decided stays prepared there. Tests of other
//! crates take this file in by its path.

use seedbed_engines::sink::{
    Connection, ConnectionState, Gid, No, Outcome, Participant, ParticipantError, Rows, Session,
    Vote,
};

/// A participant that is never asked to commit: each time, the connection is lost instead.
pub(super) struct NeverCommits<P>(pub(super) P);

/// A connection to it.
pub(super) struct NoCommit<C> {
    connection: C,
    lost: bool,
}

impl<P: Participant> Participant for NeverCommits<P> {
    type Connection = NoCommit<P::Connection>;

    fn name(&self) -> &str {
        self.0.name()
    }

    async fn connect(&self, session: &Session) -> Result<Self::Connection, ParticipantError> {
        Ok(NoCommit { connection: self.0.connect(session).await?, lost: false })
    }
}

impl<C: Connection> Connection for NoCommit<C> {
    fn state(&self) -> ConnectionState {
        if self.lost { ConnectionState::Broken } else { self.connection.state() }
    }

    async fn write(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        self.connection.write(rows).await
    }

    async fn prepare(&mut self, gid: Gid, finished: Gid) -> Result<Vote, ParticipantError> {
        self.connection.prepare(gid, finished).await
    }

    async fn commit_open(&mut self) -> Result<Vote, ParticipantError> {
        unreachable!("it commits in two phases")
    }

    async fn commit(&mut self, _gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.lost = true;
        Err(ParticipantError::Lost("before it was asked to commit".to_owned()))
    }

    async fn abort(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.connection.abort(gids).await
    }

    async fn prepared(&mut self) -> Result<Vec<Gid>, ParticipantError> {
        self.connection.prepared().await
    }

    async fn ping(&mut self) -> Result<(), ParticipantError> {
        self.connection.ping().await
    }
}
