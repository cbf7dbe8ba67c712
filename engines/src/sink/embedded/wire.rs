//! The protocol between a sink and an embedded participant: frames on a byte stream.
//!
//! # Format
//! A frame is `len u32 | crc32c u32 | kind u8 | request u32 | payload`, little-endian. `len` counts
//! what follows the checksum, which covers the same. A request's number is repeated in its answer.
//! The first frame of a connection is a *hello*, whose payload begins with the magic `SEEDSINK` and
//! the version: these, and the frame around them, never change, so that another version and a
//! stranger are told apart from damage.
//!
//! Transactions are `incarnation u64 | number u64`; lists end with the frame.

use std::io;

use seedbed_env::StreamRead;

use crate::bytes::{put_u32, put_u64, u32_at, u64_at};

use super::super::participant::{Decision, Gid, No, Outcome, Vote, WriteMode};

/// The version of the protocol that this build speaks.
pub const VERSION: u32 = 1;
/// What a hello begins with.
pub(super) const MAGIC: &[u8; 8] = b"SEEDSINK";
/// The longest frame, in bytes: one row of the greatest length fits.
pub(super) const FRAME_LEN_MAX: usize = 2 << 20;
/// Bytes before what `len` counts.
const HEAD_LEN: usize = 8;
/// Kind and request number.
const BODY_LEN_MIN: usize = 5;
/// How many transactions one request may name.
pub(super) const GIDS_MAX: usize = 4096;
const GID_LEN: usize = 16;

/// What a sink says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Hello {
        version: u32,
        writer: String,
        identity: u64,
        incarnation: u64,
        schema: u64,
        mode: WriteMode,
    },
    /// Rows for the open transaction. Not answered.
    Write(Vec<u8>),
    Prepare {
        gid: Gid,
        finished: Gid,
    },
    CommitOpen,
    Decide {
        decision: Decision,
        gids: Vec<Gid>,
    },
    /// Damage at these was reported.
    Forget {
        gids: Vec<Gid>,
    },
    List,
    Ping,
}

/// What a participant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome,
    Vote(Vote),
    Outcomes(Vec<Outcome>),
    Gids(Vec<Gid>),
    Pong,
    /// A later incarnation has taken over.
    Fenced {
        by: u64,
    },
    /// The request, or the connection as a whole, is refused.
    Refused(String),
}

/// A frame that was checked: kind, number of the request, payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    kind: u8,
    pub(super) request: u32,
    payload: &'a [u8],
}

/// Why a frame is of no use.
fn bad(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Appends a frame whose payload `fill` writes.
fn put_frame(out: &mut Vec<u8>, kind: u8, request: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_u32(out, 0);
    put_u32(out, 0);
    out.push(kind);
    put_u32(out, request);
    fill(out);
    let body = &out[start + HEAD_LEN..];
    assert!(body.len() <= FRAME_LEN_MAX, "a frame of {} bytes", body.len());
    let (len, crc) = (body.len() as u32, crc32c::crc32c(body));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn put_gid(out: &mut Vec<u8>, gid: Gid) {
    put_u64(out, gid.incarnation);
    put_u64(out, gid.number);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Reasons are for people: what is longer than a screen is cut.
    let end = (0..=text.len().min(2000)).rev().find(|end| text.is_char_boundary(*end));
    out.extend_from_slice(&text.as_bytes()[..end.unwrap_or(0)]);
}

/// Appends rows without owning them, as [`Request::Write`].
pub(super) fn put_write(out: &mut Vec<u8>, request: u32, rows: &[u8]) {
    put_frame(out, 2, request, |out| out.extend_from_slice(rows));
}

impl Request {
    pub(super) fn put(&self, out: &mut Vec<u8>, request: u32) {
        match self {
            Self::Hello { version, writer, identity, incarnation, schema, mode } => {
                put_frame(out, 1, request, |out| {
                    out.extend_from_slice(MAGIC);
                    put_u32(out, *version);
                    put_u64(out, *identity);
                    put_u64(out, *incarnation);
                    put_u64(out, *schema);
                    out.push(mode_byte(*mode));
                    out.extend_from_slice(writer.as_bytes());
                });
            }
            Self::Write(rows) => put_write(out, request, rows),
            Self::Prepare { gid, finished } => put_frame(out, 3, request, |out| {
                put_gid(out, *gid);
                put_gid(out, *finished);
            }),
            Self::CommitOpen => put_frame(out, 4, request, |_| ()),
            Self::Decide { decision, gids } => {
                assert!(gids.len() <= GIDS_MAX, "{} transactions in a request", gids.len());
                let kind = if *decision == Decision::Commit { 5 } else { 6 };
                put_frame(out, kind, request, |out| gids.iter().for_each(|gid| put_gid(out, *gid)));
            }
            Self::Forget { gids } => {
                put_frame(out, 9, request, |out| gids.iter().for_each(|gid| put_gid(out, *gid)));
            }
            Self::List => put_frame(out, 7, request, |_| ()),
            Self::Ping => put_frame(out, 8, request, |_| ()),
        }
    }

    pub(super) fn parse(frame: Frame<'_>) -> io::Result<Self> {
        let bytes = frame.payload;
        let decide = |decision| Ok(Self::Decide { decision, gids: gids(bytes)? });
        match frame.kind {
            1 => Self::parse_hello(bytes),
            2 => Ok(Self::Write(bytes.to_vec())),
            3 if bytes.len() == 2 * GID_LEN => {
                Ok(Self::Prepare { gid: gid_at(bytes, 0), finished: gid_at(bytes, GID_LEN) })
            }
            4 if bytes.is_empty() => Ok(Self::CommitOpen),
            5 => decide(Decision::Commit),
            6 => decide(Decision::Abort),
            7 if bytes.is_empty() => Ok(Self::List),
            8 if bytes.is_empty() => Ok(Self::Ping),
            9 => Ok(Self::Forget { gids: gids(bytes)? }),
            kind => Err(bad(format!("a request of kind {kind} with {} bytes", bytes.len()))),
        }
    }

    fn parse_hello(bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() < 12 || &bytes[..8] != MAGIC {
            return Err(bad("not a sink's hello"));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            // What follows may be anything.
            let (writer, mode) = (String::new(), WriteMode::Insert);
            let (identity, incarnation, schema) = (0, 0, 0);
            return Ok(Self::Hello { version, writer, identity, incarnation, schema, mode });
        }
        if bytes.len() < 37 {
            return Err(bad("a hello that is cut off"));
        }
        let mode = mode_of(bytes[36]).ok_or_else(|| bad("an unknown write mode"))?;
        let writer = String::from_utf8(bytes[37..].to_vec());
        let writer = writer.map_err(|_| bad("a writer's name that is not text"))?;
        let identity = u64_at(bytes, 12);
        let (incarnation, schema) = (u64_at(bytes, 20), u64_at(bytes, 28));
        Ok(Self::Hello { version, writer, identity, incarnation, schema, mode })
    }
}

/// One byte for a mode, on the wire and on disk.
pub(super) fn mode_byte(mode: WriteMode) -> u8 {
    match mode {
        WriteMode::Insert => 1,
        WriteMode::Upsert => 2,
        WriteMode::Replace => 3,
    }
}

/// The mode of a byte.
pub(super) fn mode_of(byte: u8) -> Option<WriteMode> {
    [WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace]
        .into_iter()
        .find(|mode| mode_byte(*mode) == byte)
}

fn gid_at(bytes: &[u8], at: usize) -> Gid {
    Gid { incarnation: u64_at(bytes, at), number: u64_at(bytes, at + 8) }
}

fn gids(bytes: &[u8]) -> io::Result<Vec<Gid>> {
    if !bytes.len().is_multiple_of(GID_LEN) {
        return Err(bad(format!("{} bytes of transactions", bytes.len())));
    }
    Ok((0..bytes.len() / GID_LEN).map(|nth| gid_at(bytes, nth * GID_LEN)).collect())
}

fn outcome_byte(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::Heuristic(Decision::Commit) => 1,
        Outcome::Heuristic(Decision::Abort) => 2,
        Outcome::Missing => 3,
    }
}

fn outcome_of(byte: u8) -> io::Result<Outcome> {
    Ok(match byte {
        0 => Outcome::Done,
        1 => Outcome::Heuristic(Decision::Commit),
        2 => Outcome::Heuristic(Decision::Abort),
        3 => Outcome::Missing,
        other => return Err(bad(format!("an outcome of kind {other}"))),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Answer {
    pub(super) fn put(&self, out: &mut Vec<u8>, request: u32) {
        match self {
            Self::Welcome => put_frame(out, 65, request, |_| ()),
            Self::Vote(Vote::Yes) => put_frame(out, 66, request, |out| out.push(0)),
            Self::Vote(Vote::No(No::Conflict)) => put_frame(out, 66, request, |out| out.push(1)),
            Self::Vote(Vote::No(No::Rejected { row, reason })) => {
                put_frame(out, 66, request, |out| {
                    out.push(2);
                    put_u32(out, *row);
                    put_text(out, reason);
                });
            }
            Self::Vote(Vote::No(No::Unable { reason })) => put_frame(out, 66, request, |out| {
                out.push(3);
                put_text(out, reason);
            }),
            Self::Outcomes(outcomes) => put_frame(out, 67, request, |out| {
                out.extend(outcomes.iter().map(|outcome| outcome_byte(*outcome)));
            }),
            Self::Gids(gids) => {
                put_frame(out, 68, request, |out| gids.iter().for_each(|gid| put_gid(out, *gid)));
            }
            Self::Pong => put_frame(out, 69, request, |_| ()),
            Self::Fenced { by } => put_frame(out, 70, request, |out| put_u64(out, *by)),
            Self::Refused(why) => put_frame(out, 71, request, |out| put_text(out, why)),
        }
    }

    pub(super) fn parse(frame: Frame<'_>) -> io::Result<Self> {
        let bytes = frame.payload;
        match (frame.kind, bytes) {
            (65, []) => Ok(Self::Welcome),
            (66, [0]) => Ok(Self::Vote(Vote::Yes)),
            (66, [1]) => Ok(Self::Vote(Vote::No(No::Conflict))),
            (66, [2, rest @ ..]) if rest.len() >= 4 => {
                let (row, reason) = (u32_at(rest, 0), text(&rest[4..]));
                Ok(Self::Vote(Vote::No(No::Rejected { row, reason })))
            }
            (66, [3, rest @ ..]) => Ok(Self::Vote(Vote::No(No::Unable { reason: text(rest) }))),
            (67, outcomes) => {
                let outcomes: io::Result<_> =
                    outcomes.iter().map(|byte| outcome_of(*byte)).collect();
                Ok(Self::Outcomes(outcomes?))
            }
            (68, bytes) => Ok(Self::Gids(gids(bytes)?)),
            (69, []) => Ok(Self::Pong),
            (70, bytes) if bytes.len() == 8 => Ok(Self::Fenced { by: u64_at(bytes, 0) }),
            (71, bytes) => Ok(Self::Refused(text(bytes))),
            (kind, _) => Err(bad(format!("an answer of kind {kind} with {} bytes", bytes.len()))),
        }
    }
}

/// The least that is read at once.
const ROOM_MIN: usize = 64 << 10;

/// Takes frames from a stream, with few reads.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    buffer: Vec<u8>,
    /// Where what was not taken begins.
    taken: usize,
    /// Where what was read ends.
    filled: usize,
}

impl FrameReader {
    /// The next frame; `None` at the end of the stream, if that is between frames.
    ///
    /// # Errors
    /// The stream's, and `InvalidData` for what is not a frame.
    pub(super) async fn next<S: StreamRead>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<Option<Frame<'_>>> {
        if !self.fill(stream, HEAD_LEN).await? {
            return Ok(None);
        }
        let len = u32_at(&self.buffer, self.taken) as usize;
        if !(BODY_LEN_MIN..=FRAME_LEN_MAX).contains(&len) {
            return Err(bad(format!("a frame of {len} bytes: not this protocol")));
        }
        if !self.fill(stream, HEAD_LEN + len).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let crc = u32_at(&self.buffer, self.taken + 4);
        let body = &self.buffer[self.taken + HEAD_LEN..self.taken + HEAD_LEN + len];
        self.taken += HEAD_LEN + len;
        if crc32c::crc32c(body) != crc {
            return Err(bad("a frame whose checksum does not match"));
        }
        Ok(Some(Frame { kind: body[0], request: u32_at(body, 1), payload: &body[BODY_LEN_MIN..] }))
    }

    /// Reads until `want` bytes are there; `false` if the stream ends before the first one.
    async fn fill<S: StreamRead>(&mut self, stream: &mut S, want: usize) -> io::Result<bool> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        if self.taken + want > self.buffer.len() {
            self.buffer.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        while self.filled - self.taken < want {
            if self.filled == self.buffer.len() {
                // Room comes with bytes: what a frame claims to have is nothing yet.
                self.buffer.resize((self.filled * 2).max(ROOM_MIN), 0);
            }
            match stream.read(&mut self.buffer[self.filled..]).await? {
                0 if self.filled == self.taken => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.filled += read,
            }
        }
        Ok(true)
    }
}
