//! Streaming a trace back, with bounded memory and without trust.
//!
//! A length is checked against the frame limit before anything is allocated, a checksum before
//! anything is decoded, a number before anything is looked up. Invariant: what was yielded before
//! an error is exactly what was written, and after an error or the end nothing more is yielded.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::codec;
use crate::errors::TraceError;
use crate::frame::{
    CHUNK_MAX, DecisionsPayload, EventsPayload, FORMAT_VERSION, FRAME_BYTES_MAX, FRAME_HEAD_BYTES,
    HeaderPayload, Kind, MAGIC, OPS_CHUNK_MAX, PROLOGUE_BYTES, StringsPayload, WorkloadPayload,
    frame_checksum, prologue,
};
use crate::model::{Decision, DecisionMode, End, Event, Header, OpText};
use crate::render::render_event;
use crate::strings::StringTable;
use crate::writer::Counts;

/// One part of a trace, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// An operation of the workload.
    Op(OpText),
    /// A decision.
    Decision(Decision),
    /// An event.
    Event(Event),
    /// The end; nothing follows.
    End(End),
}

/// Streams a trace from anything that gives bytes: an iterator of [`Item`]s, of which the last is
/// an [`Item::End`] or an error. Each frame costs a few small reads; give it a buffered source.
pub struct Reader<R: Read> {
    source: R,
    path: PathBuf,
    header: Header,
    mode: DecisionMode,
    /// Bytes read so far.
    offset: u64,
    /// Start of the frame that is being read.
    frame_offset: u64,
    frames: u32,
    payload: Vec<u8>,
    strings: StringTable,
    queue: VecDeque<Item>,
    last_event: Option<Event>,
    counts: Counts,
    over: bool,
}

impl Reader<BufReader<File>> {
    /// Opens a trace file and reads its header.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let io = |source| TraceError::Io { path: path.to_owned(), action: "read", source };
        let file = File::open(path).map_err(io)?;
        Self::at(path, BufReader::new(file))
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header of a trace.
    ///
    /// # Errors
    /// [`TraceError`] if it cannot be read, is no trace, is too new, or is damaged.
    pub fn new(source: R) -> Result<Self, TraceError> {
        Self::at(Path::new("(stream)"), source)
    }

    /// Reads the header of a trace, which errors call `path`.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn at(path: &Path, source: R) -> Result<Self, TraceError> {
        let mut reader = Self {
            source,
            path: path.to_owned(),
            header: Header::default(),
            mode: DecisionMode::Complete,
            offset: 0,
            frame_offset: 0,
            frames: 0,
            payload: Vec::new(),
            strings: StringTable::default(),
            queue: VecDeque::new(),
            last_event: None,
            counts: Counts::default(),
            over: false,
        };
        let format = reader.read_prologue()?;
        match reader.read_frame()? {
            Some(Kind::Header) => {}
            Some(_) => return Err(reader.corrupt("the first frame is not a header")),
            None => return Err(reader.no_end()),
        }
        let payload: HeaderPayload<'static> = reader.decode()?;
        reader.mode = payload.mode;
        reader.header = payload.into_header(format);
        Ok(reader)
    }

    /// What the run was.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Which decisions the trace holds.
    pub fn mode(&self) -> DecisionMode {
        self.mode
    }

    /// Checks the first bytes and gives the format version.
    fn read_prologue(&mut self) -> Result<u16, TraceError> {
        let mut bytes = [0; PROLOGUE_BYTES];
        let read = self.fill(&mut bytes)?;
        let path = self.path.clone();
        if read == 0 {
            return Err(TraceError::Empty { path });
        }
        let magic = &bytes[..read.min(MAGIC.len())];
        if *magic != MAGIC[..magic.len()] {
            return Err(TraceError::NotATrace { path, found: magic.escape_ascii().to_string() });
        }
        if read < PROLOGUE_BYTES {
            return Err(self.truncated());
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
        if bytes != prologue(version, flags) {
            return Err(self.corrupt("the checksum of the first 16 bytes does not match"));
        }
        if version > FORMAT_VERSION {
            let supported = FORMAT_VERSION;
            return Err(TraceError::FutureVersion { path, found: version, supported });
        }
        match (version, flags) {
            (0, _) => Err(self.corrupt("there is no format 0")),
            (_, 0) => Ok(version),
            (_, found) => Err(TraceError::UnknownFlags { path, found }),
        }
    }

    /// Reads the next frame into `payload` and checks it; none if the file ends here.
    fn read_frame(&mut self) -> Result<Option<Kind>, TraceError> {
        self.frame_offset = self.offset;
        let mut head = [0; FRAME_HEAD_BYTES];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            FRAME_HEAD_BYTES => {}
            _ => return Err(self.truncated()),
        }
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length > FRAME_BYTES_MAX {
            let reason = format!("a frame of {length} bytes is beyond {FRAME_BYTES_MAX}");
            return Err(self.corrupt(reason));
        }
        self.payload.resize(length as usize, 0);
        let mut payload = std::mem::take(&mut self.payload);
        let read = self.fill(&mut payload);
        self.payload = payload;
        if read? < length as usize {
            return Err(self.truncated());
        }
        let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
        if checksum != frame_checksum(kind, length, self.frames, &self.payload) {
            return Err(self.corrupt(format!("the checksum of frame {} is wrong", self.frames)));
        }
        let Some(next) = self.frames.checked_add(1) else {
            return Err(self.corrupt("there are more frames than can be counted"));
        };
        self.frames = next;
        match Kind::from_byte(kind) {
            Some(kind) => Ok(Some(kind)),
            None => Err(self.corrupt(format!("there is no frame kind {kind}"))),
        }
    }

    /// Reads the next frame and queues its items.
    fn read_items(&mut self) -> Result<(), TraceError> {
        match self.read_frame()? {
            None => return Err(self.no_end()),
            Some(Kind::Header) => return Err(self.corrupt("a second header")),
            Some(Kind::Strings) => {
                let StringsPayload::<String> { restart, strings } = self.decode()?;
                let known = self.strings.extend(restart, strings);
                known.map_err(|reason| self.corrupt(reason))?;
            }
            Some(Kind::Workload) => {
                let ops: WorkloadPayload = self.decode()?;
                if ops.len() > OPS_CHUNK_MAX {
                    let reason = format!("a frame holds more than {OPS_CHUNK_MAX} operations");
                    return Err(self.corrupt(reason));
                }
                self.counts.ops += ops.len() as u64;
                self.queue.extend(ops.into_iter().map(Item::Op));
            }
            Some(Kind::Decisions) => {
                let chunk: DecisionsPayload = self.decode()?;
                self.queue_decisions(chunk).map_err(|reason| self.corrupt(reason))?;
            }
            Some(Kind::Events) => {
                let chunk: EventsPayload = self.decode()?;
                self.queue_events(chunk).map_err(|reason| self.corrupt(reason))?;
            }
            Some(Kind::End) => self.queue_end()?,
        }
        match self.counts.over_limit() {
            None => Ok(()),
            Some((what, limit)) => {
                Err(TraceError::TooLarge { path: self.path.clone(), what, limit })
            }
        }
    }

    fn queue_decisions(&mut self, chunk: DecisionsPayload) -> Result<(), String> {
        if chunk.len() > CHUNK_MAX {
            return Err(format!("a frame holds more than {CHUNK_MAX} decisions"));
        }
        self.counts.decisions += chunk.len() as u64;
        let mut items = Vec::with_capacity(chunk.len());
        for record in chunk {
            let label = self.strings.get(record.label)?;
            let (nth, bound, value) = (record.nth, record.bound, record.value);
            items.push(Item::Decision(Decision { label, nth, bound, value }));
        }
        self.queue.extend(items);
        Ok(())
    }

    fn queue_events(&mut self, chunk: EventsPayload) -> Result<(), String> {
        if chunk.events.len() > CHUNK_MAX {
            return Err(format!("a frame holds more than {CHUNK_MAX} events"));
        }
        self.counts.events += chunk.events.len() as u64;
        let (mut seq, mut at_ns) = (chunk.seq, chunk.at_ns);
        let mut items = Vec::with_capacity(chunk.events.len());
        for record in chunk.events {
            seq = seq.wrapping_add(record.seq_step);
            at_ns = at_ns.wrapping_add(record.at_ns_step);
            items.push(Item::Event(Event {
                seq,
                at_ns,
                node: record.node,
                boot: record.boot,
                task: record.task,
                op: self.strings.get(record.op)?,
                subject: self.strings.get(record.subject)?,
                detail: record.detail,
                outcome: record.outcome,
                cause: self.strings.get_optional(record.cause)?,
                site: self.strings.get_optional(record.site)?,
            }));
        }
        if let Some(Item::Event(event)) = items.last() {
            self.last_event = Some(event.clone());
        }
        self.queue.extend(items);
        Ok(())
    }

    /// Queues the end, after checking that it counts right and that nothing follows.
    fn queue_end(&mut self) -> Result<(), TraceError> {
        let end: End = self.decode()?;
        if let Some((what, declared, held)) = self.counts.miscounted(&end, self.mode) {
            let reason = format!("the end counts {declared} {what}, but there are {held}");
            return Err(self.corrupt(reason));
        }
        self.frame_offset = self.offset;
        if self.fill(&mut [0])? != 0 {
            return Err(self.corrupt("there are bytes after the end"));
        }
        self.queue.push_back(Item::End(end));
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, TraceError> {
        codec::decode(&self.payload).map_err(|reason| self.corrupt(reason))
    }

    /// Reads until `bytes` are full or the source ends; gives how many were read.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, TraceError> {
        let mut read = 0;
        while read < bytes.len() {
            match self.source.read(&mut bytes[read..]) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.path.clone();
                    return Err(TraceError::Io { path, action: "read", source });
                }
            }
        }
        self.offset += read as u64;
        Ok(read)
    }

    fn last_event(&self) -> Option<String> {
        self.last_event.as_ref().map(render_event)
    }

    fn corrupt(&self, reason: impl Into<String>) -> TraceError {
        TraceError::Corrupt {
            path: self.path.clone(),
            offset: self.frame_offset,
            reason: reason.into(),
            last_event: self.last_event(),
        }
    }

    fn truncated(&self) -> TraceError {
        let (path, offset) = (self.path.clone(), self.offset);
        TraceError::Truncated { path, offset, last_event: self.last_event() }
    }

    fn no_end(&self) -> TraceError {
        let (path, offset) = (self.path.clone(), self.offset);
        TraceError::NoEnd { path, offset, last_event: self.last_event() }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Item, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                self.over |= matches!(item, Item::End(_));
                return Some(Ok(item));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.read_items() {
                self.over = true;
                self.queue.clear();
                return Some(Err(error));
            }
        }
    }
}
