//! A sink's way to an embedded participant.
//!
//! Invariants: a connection whose answer was not waited for is not idle; an answer has the number
//! of its request, or the connection is broken.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use seedbed_env::{Env, Net, StreamWrite};

use super::super::participant::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, Participant, ParticipantError,
    Session, Vote,
};
use super::super::row::Rows;
use super::wire::{Answer, FRAME_LEN_MAX, FrameReader, GIDS_MAX, Request, VERSION, put_write};

/// Rows go out when so many bytes of them wait.
const SEND_BYTES: usize = 256 << 10;

/// An embedded participant at an address.
#[derive(Clone)]
pub struct Remote<E> {
    env: E,
    name: String,
    addr: SocketAddr,
}

impl<E> fmt::Debug for Remote<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({} at {})", self.name, self.addr)
    }
}

impl<E: Env + Net> Remote<E> {
    /// The participant whose server listens at `addr`; `name` is for messages.
    pub fn new(env: E, name: impl Into<String>, addr: SocketAddr) -> Self {
        Self { env, name: name.into(), addr }
    }
}

/// A connection to an embedded participant.
#[derive(Debug)]
pub struct RemoteConnection<E: Net> {
    stream: E::Stream,
    frames: FrameReader,
    /// What goes out with the next request.
    out: Vec<u8>,
    state: ConnectionState,
    /// The number of the last request.
    number: u32,
    /// A transaction is open: rows were written.
    open: bool,
}

fn lost(error: io::Error) -> ParticipantError {
    ParticipantError::Lost(error.to_string())
}

fn unexpected(answer: &Answer) -> ParticipantError {
    ParticipantError::Lost(format!("an unexpected answer: {answer:?}"))
}

impl<E: Env + Net> Participant for Remote<E> {
    type Connection = RemoteConnection<E>;

    fn name(&self) -> &str {
        &self.name
    }

    async fn connect(&self, session: &Session) -> Result<RemoteConnection<E>, ParticipantError> {
        let stream = self.env.connect(self.addr).await.map_err(lost)?;
        let mut connection = RemoteConnection {
            stream,
            frames: FrameReader::default(),
            out: Vec::new(),
            state: ConnectionState::Idle,
            number: 0,
            open: false,
        };
        let hello = Request::Hello {
            version: VERSION,
            writer: session.writer.to_string(),
            identity: session.identity,
            incarnation: session.incarnation,
            schema: session.schema.fingerprint(),
            mode: session.mode,
        };
        match connection.ask(&hello).await? {
            Answer::Welcome => Ok(connection),
            answer => Err(unexpected(&answer)),
        }
    }
}

impl<E: Env + Net> RemoteConnection<E> {
    fn put(&mut self, request: &Request) -> u32 {
        self.number = self.number.wrapping_add(1);
        request.put(&mut self.out, self.number);
        self.number
    }

    async fn send(&mut self) -> Result<(), ParticipantError> {
        self.state = ConnectionState::Open;
        let sent = self.stream.write_all(&self.out).await;
        self.out.clear();
        self.broken_by(sent.map_err(lost))
    }

    /// Sends a request and waits for its answer.
    async fn ask(&mut self, request: &Request) -> Result<Answer, ParticipantError> {
        let number = self.put(request);
        self.send().await?;
        let answer = self.receive(number).await;
        let answer = self.broken_by(answer)?;
        match answer {
            Answer::Fenced { by } => self.broken_by(Err(ParticipantError::Fenced { by })),
            Answer::Refused(why) => self.broken_by(Err(ParticipantError::Refused(why))),
            answer => {
                // Both of these end the transaction that is open.
                self.open &= !matches!(request, Request::Prepare { .. } | Request::CommitOpen);
                self.state = match self.open {
                    true => ConnectionState::Open,
                    false => ConnectionState::Idle,
                };
                Ok(answer)
            }
        }
    }

    async fn receive(&mut self, number: u32) -> Result<Answer, ParticipantError> {
        let closed = || ParticipantError::Lost("closed by the participant".to_owned());
        let frame = self.frames.next(&mut self.stream).await.map_err(lost)?.ok_or_else(closed)?;
        let answer = Answer::parse(frame).map_err(lost)?;
        let hangs_up = matches!(answer, Answer::Refused(_));
        if frame.request != number && !hangs_up {
            return Err(unexpected(&answer));
        }
        Ok(answer)
    }

    fn broken_by<T>(&mut self, result: Result<T, ParticipantError>) -> Result<T, ParticipantError> {
        if result.is_err() {
            self.state = ConnectionState::Broken;
        }
        result
    }

    async fn decide(
        &mut self,
        decision: Decision,
        gids: &[Gid],
    ) -> Result<Vec<Outcome>, ParticipantError> {
        let mut outcomes = Vec::with_capacity(gids.len());
        for some in gids.chunks(GIDS_MAX) {
            match self.ask(&Request::Decide { decision, gids: some.to_vec() }).await? {
                Answer::Outcomes(more) if more.len() == some.len() => outcomes.extend(more),
                answer => return self.broken_by(Err(unexpected(&answer))),
            }
        }
        Ok(outcomes)
    }
}

impl<E: Env + Net> Connection for RemoteConnection<E> {
    fn state(&self) -> ConnectionState {
        self.state
    }

    async fn write(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        self.state = ConnectionState::Open;
        self.open = true;
        // A frame holds whole rows. That they break no rule shows when they are prepared.
        let chunk_max = FRAME_LEN_MAX - 64;
        for chunk in rows.chunks(chunk_max) {
            self.number = self.number.wrapping_add(1);
            put_write(&mut self.out, self.number, chunk);
            if self.out.len() >= SEND_BYTES {
                self.send().await?;
            }
        }
        Ok(None)
    }

    async fn prepare(&mut self, gid: Gid, finished: Gid) -> Result<Vote, ParticipantError> {
        match self.ask(&Request::Prepare { gid, finished }).await? {
            Answer::Vote(vote) => Ok(vote),
            answer => self.broken_by(Err(unexpected(&answer))),
        }
    }

    async fn commit_open(&mut self) -> Result<Vote, ParticipantError> {
        match self.ask(&Request::CommitOpen).await? {
            Answer::Vote(vote) => Ok(vote),
            answer => self.broken_by(Err(unexpected(&answer))),
        }
    }

    async fn commit(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.decide(Decision::Commit, gids).await
    }

    async fn abort(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.decide(Decision::Abort, gids).await
    }

    async fn prepared(&mut self) -> Result<Vec<Gid>, ParticipantError> {
        match self.ask(&Request::List).await? {
            Answer::Gids(gids) => Ok(gids),
            answer => self.broken_by(Err(unexpected(&answer))),
        }
    }

    async fn forget(&mut self, gids: &[Gid]) -> Result<(), ParticipantError> {
        for some in gids.chunks(GIDS_MAX) {
            match self.ask(&Request::Forget { gids: some.to_vec() }).await? {
                Answer::Pong => (),
                answer => return self.broken_by(Err(unexpected(&answer))),
            }
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), ParticipantError> {
        match self.ask(&Request::Ping).await? {
            Answer::Pong => Ok(()),
            answer => self.broken_by(Err(unexpected(&answer))),
        }
    }
}
