//! The bytes around payloads: prologue, frame heads, checksums, and the payloads' own shapes.
//!
//! Everything here is format version 1 and must not change: a new format gets a new version. The
//! prologue keeps its layout in all versions, so that an old reader can say "made by a newer
//! seedbed".

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{DecisionMode, Header, OpText, Outcome};

/// Version of the format that is written.
pub const FORMAT_VERSION: u16 = 1;
/// Longest payload of a frame, in bytes.
pub const FRAME_BYTES_MAX: u32 = 1 << 20;

/// First bytes of every trace. The line end shows a file that was changed by a text transfer.
pub(crate) const MAGIC: [u8; 8] = *b"SEEDBED\n";
/// Magic, version, flags, checksum.
pub(crate) const PROLOGUE_BYTES: usize = 16;
/// Kind, length, checksum.
pub(crate) const FRAME_HEAD_BYTES: usize = 9;
/// Most events or decisions in one frame.
pub(crate) const CHUNK_MAX: usize = 512;
/// A chunk is written out when it is about this long, in bytes; well below the frame limit.
pub(crate) const CHUNK_BYTES_MAX: usize = 256 << 10;

/// Most operations in one frame: each counts for at least 16 bytes of a chunk.
pub(crate) const OPS_CHUNK_MAX: usize = CHUNK_BYTES_MAX / 16;

/// What a frame's payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Header = 1,
    Strings = 2,
    Workload = 3,
    Decisions = 4,
    Events = 5,
    End = 6,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        let all =
            [Self::Header, Self::Strings, Self::Workload, Self::Decisions, Self::Events, Self::End];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The prologue of a trace of this format version.
pub(crate) fn prologue(version: u16, flags: u16) -> [u8; PROLOGUE_BYTES] {
    let mut bytes = [0; PROLOGUE_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    bytes[10..12].copy_from_slice(&flags.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The head of a frame; `index` counts the frames of a file from 0.
pub(crate) fn frame_head(kind: u8, index: u32, payload: &[u8]) -> [u8; FRAME_HEAD_BYTES] {
    assert!(payload.len() <= FRAME_BYTES_MAX as usize, "a frame is within its limit");
    let length = payload.len() as u32;
    let checksum = frame_checksum(kind, length, index, payload);
    let mut bytes = [0; FRAME_HEAD_BYTES];
    bytes[0] = kind;
    bytes[1..5].copy_from_slice(&length.to_le_bytes());
    bytes[5..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Checksum over a frame's kind, length, number and payload.
pub(crate) fn frame_checksum(kind: u8, length: u32, index: u32, payload: &[u8]) -> u32 {
    let mut head = [0; 9];
    head[0] = kind;
    head[1..5].copy_from_slice(&length.to_le_bytes());
    head[5..].copy_from_slice(&index.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// Payload of the header frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct HeaderPayload<'a> {
    scenario: Cow<'a, str>,
    seed: u64,
    build: Cow<'a, str>,
    config_digest: u64,
    plan: Cow<'a, str>,
    settings: Cow<'a, [(String, String)]>,
    shrunk: bool,
    pub(crate) mode: DecisionMode,
}

impl<'a> HeaderPayload<'a> {
    pub(crate) fn new(header: &'a Header, mode: DecisionMode) -> Self {
        Self {
            scenario: Cow::Borrowed(&header.scenario),
            seed: header.seed,
            build: Cow::Borrowed(&header.build),
            config_digest: header.config_digest,
            plan: Cow::Borrowed(&header.plan),
            settings: Cow::Borrowed(&header.settings),
            shrunk: header.shrunk,
            mode,
        }
    }

    pub(crate) fn into_header(self, format: u16) -> Header {
        Header {
            format,
            scenario: self.scenario.into_owned(),
            seed: self.seed,
            build: self.build.into_owned(),
            config_digest: self.config_digest,
            plan: self.plan.into_owned(),
            settings: self.settings.into_owned(),
            shrunk: self.shrunk,
        }
    }
}

/// Payload of a strings frame: the strings that later frames name by number.
#[derive(Serialize, Deserialize)]
pub(crate) struct StringsPayload<S> {
    /// Numbers start anew; what was named before is forgotten.
    pub(crate) restart: bool,
    pub(crate) strings: Vec<S>,
}

/// Payload of a workload frame.
pub(crate) type WorkloadPayload = Vec<OpText>;

/// Payload of a decisions frame.
pub(crate) type DecisionsPayload = Vec<DecisionRecord>;

/// A decision whose label is the number of a string.
#[derive(Serialize, Deserialize)]
pub(crate) struct DecisionRecord {
    pub(crate) label: u32,
    pub(crate) nth: u64,
    pub(crate) bound: u64,
    pub(crate) value: u64,
}

/// Payload of an events frame. Numbers and times are steps from the event before, the first from
/// these.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct EventsPayload {
    pub(crate) seq: u64,
    pub(crate) at_ns: u64,
    pub(crate) events: Vec<EventRecord>,
}

/// An event whose names are numbers of strings.
#[derive(Serialize, Deserialize)]
pub(crate) struct EventRecord {
    /// Wrapping, so that any order is kept.
    pub(crate) seq_step: u64,
    /// Wrapping, so that any order is kept.
    pub(crate) at_ns_step: u64,
    pub(crate) node: u16,
    pub(crate) boot: u32,
    pub(crate) task: u32,
    pub(crate) op: u32,
    pub(crate) subject: u32,
    pub(crate) detail: String,
    pub(crate) outcome: Outcome,
    /// 0 = none, otherwise the number plus 1.
    pub(crate) cause: u32,
    /// 0 = none, otherwise the number plus 1.
    pub(crate) site: u32,
}
