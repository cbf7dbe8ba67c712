//! Reading a log from its start to the last valid record, and judging what comes after.
//!
//! Invariants: memory is bounded by one chunk or one record (at most [`PAYLOAD_MAX`], and never
//! more than the file has left); no valid record is passed over silently; the search behind a bad
//! record is linear in the file's length, with a budget for checksums.

use std::io;
use std::ops::Range;

use seedbed_env::File;

use super::format::{
    self, BadRecord, Decoded, FILE_HEADER_LEN, FileHeader, HeaderError, PAYLOAD_MAX,
    RECORD_HEADER_LEN, Record,
};
use crate::bytes::{u32_at, u64_at};

/// Bytes read at once.
const CHUNK: u64 = 256 << 10;

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanEnd {
    /// The last valid record ends where the file ends.
    Clean,
    /// Something that is not the next record follows the last valid one.
    Torn(Torn),
}

/// What follows the last valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it starts: the log's valid length in bytes.
    pub offset: u64,
    /// Why it is no record.
    pub reason: BadRecord,
    /// The sequence number that the record there would have had.
    pub seq: u64,
    /// A valid record further on, if there is one.
    pub later: Option<Later>,
    /// Whether all of the rest was searched; false if the budget was used up.
    pub searched: bool,
}

/// Valid records behind a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// Where the first of them starts, in bytes.
    pub offset: u64,
    /// The first one's sequence number.
    pub seq: u64,
    /// The highest watermark of all of them.
    pub confirmed: u64,
}

impl Torn {
    /// Whether this is corruption of something that was durable, and not the trace of a crash:
    /// a later record vouches for the bad one, or a whole record is out of sequence, or there is
    /// so much that looks like records that it could not all be checked.
    pub fn is_corruption(&self) -> bool {
        assert!(self.later.is_none_or(|later| later.offset > self.offset));
        let vouched = self.later.is_some_and(|later| later.confirmed >= self.seq);
        vouched || !self.searched || self.reason == BadRecord::Sequence
    }
}

/// What a scan can do wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Takes records whose checksum does not match.
    IgnoreChecksum,
    /// Takes records whose checksum matches but for their number.
    TrustNumber,
    /// Reads as far as a record's length says.
    TrustLength,
    /// Goes on behind a bad record.
    SkipBad,
    /// Goes on behind zeros.
    SkipZeros,
}

/// The planted deviation of a scan; without the feature `plants` there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanRules {
    /// What it does wrong.
    #[cfg(feature = "plants")]
    pub deviation: Option<Deviation>,
}

impl ScanRules {
    #[cfg(feature = "plants")]
    fn has(self, deviation: Deviation) -> bool {
        self.deviation == Some(deviation)
    }

    #[cfg(not(feature = "plants"))]
    const fn has(self, _deviation: Deviation) -> bool {
        false
    }

    /// Whether records may come out of sequence or with another content than was written.
    pub(crate) fn trusts(self) -> bool {
        use Deviation::{IgnoreChecksum, SkipBad, SkipZeros, TrustNumber};
        let trusting = [IgnoreChecksum, TrustNumber, SkipBad, SkipZeros];
        trusting.into_iter().any(|deviation| self.has(deviation))
    }
}

/// What stands at a position, without borrowing it.
enum Seen {
    Valid { size: usize, seq: u64, confirmed: u64 },
    End,
    Bad(BadRecord),
}

/// Reads a log record by record.
#[derive(Debug)]
pub struct Scanner<'f, F> {
    file: &'f F,
    header: FileHeader,
    rules: ScanRules,
    /// The file's length when the scan began.
    len: u64,
    /// Where the next record must start.
    position: u64,
    last_seq: u64,
    confirmed: u64,
    window: Vec<u8>,
    window_start: u64,
    end: Option<ScanEnd>,
}

impl<'f, F: File> Scanner<'f, F> {
    /// Reads the header; the scan starts at the first record.
    ///
    /// # Errors
    /// The outer one is the file's; the inner one says why it is no log.
    pub async fn open(file: &'f F, rules: ScanRules) -> io::Result<Result<Self, HeaderError>> {
        let len = file.len().await?;
        let mut bytes = vec![0; len.min(FILE_HEADER_LEN as u64) as usize];
        file.read_exact_at(&mut bytes, 0).await?;
        Ok(format::decode_header(&bytes).map(|header| {
            assert!(len >= FILE_HEADER_LEN as u64, "a decoded header was read whole");
            let position = FILE_HEADER_LEN as u64;
            Self::new(file, header, len, position, header.base_seq, rules)
        }))
    }

    /// A scan of a part of a log that starts and ends with records: `last_seq` is the sequence
    /// number before it.
    pub fn within(file: &'f F, header: FileHeader, part: Range<u64>, last_seq: u64) -> Self {
        Self::new(file, header, part.end, part.start, last_seq, ScanRules::default())
    }

    /// Another scan of the same file, from one record's start to another's.
    pub(crate) fn twin(&self, start: u64, end: u64, last_seq: u64) -> Self {
        assert!(end <= self.len, "a scan stays within the file");
        Self::new(self.file, self.header, end, start, last_seq, self.rules)
    }

    fn new(
        file: &'f F,
        header: FileHeader,
        len: u64,
        position: u64,
        last_seq: u64,
        rules: ScanRules,
    ) -> Self {
        assert!(position >= FILE_HEADER_LEN as u64 && position <= len);
        let (window, end, confirmed) = (Vec::new(), None, header.base_seq);
        let window_start = position;
        Self { file, header, rules, len, position, last_seq, confirmed, window, window_start, end }
    }

    /// The next record; `None` at the end, which [`Self::end`] then describes.
    ///
    /// # Errors
    /// The file's.
    pub async fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        while self.end.is_none() {
            let start = self.position;
            match self.examine(start).await? {
                Seen::End => self.end = Some(ScanEnd::Clean),
                Seen::Bad(reason) => self.stop_or_skip(reason).await?,
                Seen::Valid { seq, .. }
                    if seq.wrapping_sub(self.last_seq) > 1
                        && !self.rules.has(Deviation::TrustNumber) =>
                {
                    self.stop_or_skip(BadRecord::Sequence).await?;
                }
                Seen::Valid { size, seq, confirmed } => {
                    self.position += size as u64;
                    assert!(self.position <= self.len, "records are within the file");
                    self.last_seq = seq;
                    self.confirmed = self.confirmed.max(confirmed);
                    return Ok(Some(self.record(start)));
                }
            }
        }
        Ok(None)
    }

    /// How the scan ended; `None` while it has not.
    pub fn end(&self) -> Option<ScanEnd> {
        self.end
    }

    /// The file's header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Where the last record that was returned ends: the valid length so far, in bytes.
    pub fn valid_len(&self) -> u64 {
        self.position
    }

    /// The file's length in bytes when the scan began.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// The sequence number of the last record that was returned.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The highest watermark so far: everything up to it is known to have been durable.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The record at `start`, which was examined and found valid.
    fn record(&self, start: u64) -> Record<'_> {
        let bytes = self.windowed(start);
        match format::decode_unverified(bytes) {
            Decoded::Record { record, size } => {
                assert_eq!(start + size as u64, self.position);
                record
            }
            Decoded::End | Decoded::Bad { .. } => unreachable!("it was examined before"),
        }
    }

    async fn stop_or_skip(&mut self, reason: BadRecord) -> io::Result<()> {
        assert!(self.end.is_none());
        let skips = self.rules.has(Deviation::SkipBad) || self.skips_zeros().await?;
        let (later, searched) = self.search(self.position + 1).await?;
        if let (true, Some(later)) = (skips, later) {
            self.position = later.offset;
            self.last_seq = later.seq - 1;
            self.window.clear();
            self.window_start = self.position;
            return Ok(());
        }
        let (offset, seq) = (self.position, self.last_seq.saturating_add(1));
        self.end = Some(ScanEnd::Torn(Torn { offset, reason, seq, later, searched }));
        Ok(())
    }

    /// A planted bug: no record begins here, as where a page never reached the disk.
    async fn skips_zeros(&mut self) -> io::Result<bool> {
        if !self.rules.has(Deviation::SkipZeros) {
            return Ok(false);
        }
        let len = (self.len - self.position).min(RECORD_HEADER_LEN as u64);
        self.fill(self.position, len).await?;
        let bytes = self.windowed(self.position);
        Ok(bytes.iter().take(len as usize).all(|byte| *byte == 0))
    }

    /// Reads and checks what stands at `position`.
    async fn examine(&mut self, position: u64) -> io::Result<Seen> {
        assert!(position <= self.len && position >= self.window_start);
        let left = self.len - position;
        let header_len = RECORD_HEADER_LEN as u64;
        self.fill(position, left.min(header_len)).await?;
        if left == 0 {
            return Ok(Seen::End);
        }
        if left < header_len {
            return Ok(Seen::Bad(BadRecord::Cut));
        }
        let payload = u64::from(u32_at(self.windowed(position), 4));
        let too_long = payload > PAYLOAD_MAX as u64 || payload > left - header_len;
        if too_long && !self.rules.has(Deviation::TrustLength) {
            return Ok(Seen::Bad(BadRecord::Length));
        }
        self.fill(position, header_len + payload).await?;
        let bytes = self.windowed(position);
        let decoded = match format::decode_record(bytes, &self.header, position) {
            Decoded::Bad { .. } if self.rules.has(Deviation::IgnoreChecksum) => {
                format::decode_unverified(bytes)
            }
            Decoded::Bad { .. } if self.rules.has(Deviation::TrustNumber) => {
                self.decode_but_number(bytes, position)
            }
            decoded => decoded,
        };
        Ok(match decoded {
            Decoded::Record { record: Record { seq, confirmed, .. }, size } => {
                Seen::Valid { size, seq, confirmed }
            }
            Decoded::Bad { reason } => Seen::Bad(reason),
            Decoded::End => Seen::End,
        })
    }

    /// A planted bug: a record whose checksum would match with the number that must follow.
    fn decode_but_number<'a>(&self, bytes: &'a [u8], position: u64) -> Decoded<'a> {
        let mut numbered = bytes.to_vec();
        numbered[12..20].copy_from_slice(&(self.last_seq + 1).to_le_bytes());
        match format::decode_record(&numbered, &self.header, position) {
            Decoded::Record { .. } => format::decode_unverified(bytes),
            _ => format::decode_record(bytes, &self.header, position),
        }
    }

    /// Looks for valid records from `from` on, at every byte: the first one and the highest
    /// watermark, and whether the whole rest was searched.
    async fn search(&mut self, from: u64) -> io::Result<(Option<Later>, bool)> {
        let header_len = RECORD_HEADER_LEN as u64;
        let mut budget = self.len.saturating_sub(from).saturating_mul(8).max(CHUNK);
        let mut later: Option<Later> = None;
        let mut at = from;
        while at.saturating_add(header_len) <= self.len {
            self.fill(at, (self.len - at).min(CHUNK)).await?;
            let Some(candidate) = self.next_candidate(at) else {
                // All but the last bytes of the window are done: they may start a record.
                at = self.window_start + self.window.len() as u64 - header_len + 1;
                continue;
            };
            let cost = header_len + u64::from(u32_at(self.windowed(candidate), 4));
            if cost > budget {
                return Ok((later, false));
            }
            budget -= cost;
            at = candidate + 1;
            if let Seen::Valid { size, seq, confirmed } = self.examine(candidate).await? {
                let first = later.get_or_insert(Later { offset: candidate, seq, confirmed });
                first.confirmed = first.confirmed.max(confirmed);
                at = candidate + size as u64;
            }
        }
        Ok((later, true))
    }

    /// The first place in the window, from `at` on, whose fields could be a later record's.
    fn next_candidate(&self, at: u64) -> Option<u64> {
        let bytes = self.windowed(at);
        assert!(bytes.len() >= RECORD_HEADER_LEN, "the window holds at least a header");
        let left = self.len - at;
        // No more records than this can be between the last valid one and a later one.
        let records_max = (self.len - self.position) / RECORD_HEADER_LEN as u64 + 1;
        let seq_max = self.last_seq.saturating_add(records_max);
        let headers = bytes.windows(RECORD_HEADER_LEN).enumerate();
        // Kind and reserved bytes at one glance, since nearly every place fails here.
        let mut kinds = headers.filter(|(_, header)| (1..=0xff).contains(&u32_at(header, 8)));
        kinds.find_map(|(skip, header)| {
            let (seq, confirmed) = (u64_at(header, 12), u64_at(header, 20));
            let end = (skip + RECORD_HEADER_LEN) as u64 + u64::from(u32_at(header, 4));
            let plausible =
                seq > self.last_seq && seq <= seq_max && confirmed <= seq && end <= left;
            plausible.then_some(at + skip as u64)
        })
    }

    /// The bytes of the window from `position` on.
    fn windowed(&self, position: u64) -> &[u8] {
        assert!(position >= self.window_start, "the window only moves forward");
        &self.window[(position - self.window_start) as usize..]
    }

    /// Makes the window hold `want` bytes from `position` on, which the file must have.
    async fn fill(&mut self, position: u64, want: u64) -> io::Result<()> {
        assert!(position + want <= self.len, "lengths are checked before they are read");
        assert!(position >= self.window_start, "the window only moves forward");
        let have = self.window_start + self.window.len() as u64;
        if position + want <= have {
            return Ok(());
        }
        if position >= have {
            self.window.clear();
        } else {
            self.window.drain(..(position - self.window_start) as usize);
        }
        self.window_start = position;
        let old = self.window.len();
        let new = (self.len - position).min(want.max(CHUNK)) as usize;
        self.window.resize(new, 0);
        self.file.read_exact_at(&mut self.window[old..], position + old as u64).await
    }
}
