//! Recording a trace with bounded memory.
//!
//! Decisions and events are collected into chunks, one frame each. Invariant: the strings that a
//! frame names by number are in the file before it, so a file that is cut off anywhere is readable
//! up to there.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::errors::TraceError;
use crate::frame::{
    CHUNK_BYTES_MAX, CHUNK_MAX, DecisionRecord, DecisionsPayload, EventRecord, EventsPayload,
    FORMAT_VERSION, FRAME_BYTES_MAX, HeaderPayload, Kind, StringsPayload, frame_head, prologue,
};
use crate::model::{Decision, DecisionMode, End, Event, Header, OpText, Verdict, Workload};
use crate::strings::{StringNumbers, clipped};
use crate::text::Text;
use crate::{DECISIONS_MAX, EVENTS_MAX, TEXT_BYTES_MAX, WORKLOAD_OPS_MAX, codec};

/// Longest text of a verdict, in bytes; longer ones are cut.
const VERDICT_TEXT_BYTES_MAX: usize = 64 << 10;
/// Most strings that one event names.
const STRINGS_PER_EVENT: usize = 4;

/// Records a trace into anything that takes bytes. Each frame is one `write_all`.
pub struct Writer<W: Write> {
    sink: W,
    path: PathBuf,
    mode: DecisionMode,
    frames: u32,
    strings: StringNumbers,
    decisions: DecisionsPayload,
    events: EventsPayload,
    events_bytes: usize,
    /// `seq` and `at_ns` of the event before.
    last: (u64, u64),
    counts: Counts,
}

/// How much was recorded or read so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) ops: u64,
    pub(crate) decisions: u64,
    pub(crate) events: u64,
}

impl Counts {
    /// The first limit that is exceeded, with its name.
    pub(crate) fn over_limit(&self) -> Option<(&'static str, u64)> {
        let limits = [
            ("the number of operations", self.ops, WORKLOAD_OPS_MAX),
            ("the number of decisions", self.decisions, DECISIONS_MAX),
            ("the number of events", self.events, EVENTS_MAX),
        ];
        limits.into_iter().find(|(_, n, limit)| n > limit).map(|(what, _, limit)| (what, limit))
    }

    /// What an end counts wrongly: its name, the number declared, the number held.
    pub(crate) fn miscounted(
        &self,
        end: &End,
        mode: DecisionMode,
    ) -> Option<(&'static str, u64, u64)> {
        let decisions_are_wrong = match mode {
            DecisionMode::Complete => self.decisions != end.decisions,
            DecisionMode::Sparse => self.decisions > end.decisions,
        };
        if decisions_are_wrong {
            return Some(("decisions", end.decisions, self.decisions));
        }
        (self.events > end.events).then_some(("events", end.events, self.events))
    }
}

impl<W: Write> Writer<W> {
    /// Starts a trace in `sink`.
    ///
    /// # Errors
    /// [`TraceError::Io`], or [`TraceError::TooLarge`] if the header does not fit into a frame.
    pub fn new(sink: W, header: &Header, mode: DecisionMode) -> Result<Self, TraceError> {
        Self::at(Path::new("(stream)"), sink, header, mode)
    }

    /// Starts a trace in `sink`, which errors call `path`.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn at(
        path: &Path,
        sink: W,
        header: &Header,
        mode: DecisionMode,
    ) -> Result<Self, TraceError> {
        let mut writer = Self {
            sink,
            path: path.to_owned(),
            mode,
            frames: 0,
            strings: StringNumbers::default(),
            decisions: Vec::new(),
            events: EventsPayload::default(),
            events_bytes: 0,
            last: (0, 0),
            counts: Counts::default(),
        };
        writer.bytes(&prologue(FORMAT_VERSION, 0))?;
        writer.frame(Kind::Header, &HeaderPayload::new(header, mode), "the header")?;
        Ok(writer)
    }

    /// Records the operations of a workload; more calls add more operations.
    ///
    /// # Errors
    /// [`TraceError::Io`], or [`TraceError::TooLarge`] if an operation does not fit into a frame.
    pub fn workload(&mut self, workload: &Workload) -> Result<(), TraceError> {
        self.count(|counts| counts.ops += workload.ops.len() as u64)?;
        let (mut chunk, mut chunk_bytes) = (Vec::new(), 0);
        for op in &workload.ops {
            let text = clipped(&op.text, TEXT_BYTES_MAX).into_owned();
            let bytes = op.bytes.len() + text.len() + 16;
            if chunk_bytes + bytes > CHUNK_BYTES_MAX && !chunk.is_empty() {
                self.frame(Kind::Workload, &chunk, "an operation of the workload")?;
                (chunk, chunk_bytes) = (Vec::new(), 0);
            }
            chunk.push(OpText { bytes: op.bytes.clone(), text });
            chunk_bytes += bytes;
        }
        match chunk.is_empty() {
            true => Ok(()),
            false => self.frame(Kind::Workload, &chunk, "an operation of the workload"),
        }
    }

    /// Records a decision; a sparse trace leaves out those whose value is 0.
    ///
    /// # Errors
    /// [`TraceError::Io`], or [`TraceError::TooLarge`] if there are too many.
    pub fn decision(&mut self, decision: &Decision) -> Result<(), TraceError> {
        if self.mode == DecisionMode::Sparse && decision.value == 0 {
            return Ok(());
        }
        self.count(|counts| counts.decisions += 1)?;
        self.make_room(1)?;
        let Decision { label, nth, bound, value } = decision;
        let label = self.strings.number(label);
        self.decisions.push(DecisionRecord { label, nth: *nth, bound: *bound, value: *value });
        self.flush_full_chunks()
    }

    /// Records an event.
    ///
    /// # Errors
    /// [`TraceError::Io`], or [`TraceError::TooLarge`] if there are too many.
    pub fn event(&mut self, event: &Event) -> Result<(), TraceError> {
        self.count(|counts| counts.events += 1)?;
        self.make_room(STRINGS_PER_EVENT)?;
        if self.events.events.is_empty() {
            self.last = (event.seq, event.at_ns);
            (self.events.seq, self.events.at_ns) = self.last;
        }
        let strings = &mut self.strings;
        let mut optional =
            |text: &Option<Text>| text.as_ref().map_or(0, |text| strings.number(text) + 1);
        let (cause, site) = (optional(&event.cause), optional(&event.site));
        let record = EventRecord {
            seq_step: event.seq.wrapping_sub(self.last.0),
            at_ns_step: event.at_ns.wrapping_sub(self.last.1),
            node: event.node,
            boot: event.boot,
            task: event.task,
            op: self.strings.number(&event.op),
            subject: self.strings.number(&event.subject),
            detail: clipped(&event.detail, TEXT_BYTES_MAX).into_owned(),
            outcome: event.outcome,
            cause,
            site,
        };
        self.last = (event.seq, event.at_ns);
        self.events_bytes += record.detail.len() + 64; // more than all integers of a record
        self.events.events.push(record);
        self.flush_full_chunks()
    }

    /// Writes what is pending and the end, and gives the sink back. Nothing is synced.
    ///
    /// # Errors
    /// [`TraceError::Io`], or [`TraceError::Miscounted`] if `end` contradicts what was recorded.
    pub fn finish(mut self, end: &End) -> Result<W, TraceError> {
        if let Some((what, declared, held)) = self.counts.miscounted(end, self.mode) {
            return Err(TraceError::Miscounted { path: self.path, what, declared, held });
        }
        self.flush_chunks()?;
        self.frame(Kind::End, &clipped_end(end), "the end")?;
        self.sink.flush().map_err(|source| self.io(source))?;
        Ok(self.sink)
    }

    fn count(&mut self, add: impl FnOnce(&mut Counts)) -> Result<(), TraceError> {
        add(&mut self.counts);
        match self.counts.over_limit() {
            None => Ok(()),
            Some((what, limit)) => {
                Err(TraceError::TooLarge { path: self.path.clone(), what, limit })
            }
        }
    }

    /// Starts a new table of strings if the next record might not fit into this one.
    fn make_room(&mut self, strings: usize) -> Result<(), TraceError> {
        if !self.strings.has_room_for(strings) {
            self.flush_chunks()?;
            self.strings.start_anew();
        }
        Ok(())
    }

    fn flush_full_chunks(&mut self) -> Result<(), TraceError> {
        let full = self.decisions.len() >= CHUNK_MAX
            || self.events.events.len() >= CHUNK_MAX
            || self.events_bytes >= CHUNK_BYTES_MAX
            || self.strings.fresh_bytes >= CHUNK_BYTES_MAX;
        if full { self.flush_chunks() } else { Ok(()) }
    }

    /// Writes all that is pending, strings first.
    fn flush_chunks(&mut self) -> Result<(), TraceError> {
        if !self.strings.fresh.is_empty() {
            let strings = std::mem::take(&mut self.strings.fresh);
            let restart = std::mem::take(&mut self.strings.restart);
            self.strings.fresh_bytes = 0;
            self.frame(Kind::Strings, &StringsPayload { restart, strings }, "a name")?;
        }
        if !self.decisions.is_empty() {
            let chunk = std::mem::take(&mut self.decisions);
            self.frame(Kind::Decisions, &chunk, "a decision")?;
        }
        if !self.events.events.is_empty() {
            let chunk = std::mem::take(&mut self.events);
            self.events_bytes = 0;
            self.frame(Kind::Events, &chunk, "an event")?;
        }
        Ok(())
    }

    fn frame(
        &mut self,
        kind: Kind,
        payload: &impl Serialize,
        what: &'static str,
    ) -> Result<(), TraceError> {
        let mut bytes = vec![0; crate::frame::FRAME_HEAD_BYTES];
        codec::encode(payload, &mut bytes);
        let payload = &bytes[crate::frame::FRAME_HEAD_BYTES..];
        if payload.len() > FRAME_BYTES_MAX as usize {
            let limit = u64::from(FRAME_BYTES_MAX);
            return Err(TraceError::TooLarge { path: self.path.clone(), what, limit });
        }
        let head = frame_head(kind as u8, self.frames, payload);
        bytes[..head.len()].copy_from_slice(&head);
        self.frames += 1; // the limits on contents keep this far below 2^32
        self.bytes(&bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.sink.write_all(bytes).map_err(|source| self.io(source))
    }

    fn io(&self, source: std::io::Error) -> TraceError {
        TraceError::Io { path: self.path.clone(), action: "write", source }
    }
}

/// The end with texts that fit into a frame.
fn clipped_end(end: &End) -> End {
    let mut end = end.clone();
    let clip = |text: &mut String| *text = clipped(text, VERDICT_TEXT_BYTES_MAX).into_owned();
    match &mut end.verdict {
        Verdict::Violation { law, expected, got, .. } => {
            [law, expected, got].into_iter().for_each(clip);
        }
        Verdict::Inconclusive { reason } => clip(reason),
        Verdict::Unfinished | Verdict::Passed => {}
    }
    end
}
