//! Appending to a log: stage any number of records, write them at once, sync.
//!
//! Invariants: staged bytes are encoded for the position where they will stand; after a failed
//! write the position is unknown and the writer refuses to go on.

use std::future::Future;
use std::io;
use std::sync::Arc;

use seedbed_env::File;

use super::format::{self, FILE_HEADER_LEN, FileHeader, PAYLOAD_MAX, Record};

/// A buffer that grew beyond this many bytes for one group is given back.
const STAGED_KEEP_MAX: usize = 4 << 20;

/// Zeros are written only if so many writes like the last one will go over them. Where writes are
/// large a sync of theirs has enough else to do.
const AHEAD_WRITES_MIN: u64 = 32;

/// A payload is longer than [`PAYLOAD_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload of {len} bytes, at most {PAYLOAD_MAX} are possible")]
pub struct PayloadTooLong {
    /// Its length in bytes.
    pub len: usize,
}

/// The one appender of a log file.
#[derive(Debug)]
pub struct Writer<F> {
    file: Arc<F>,
    header: FileHeader,
    /// Where the next write goes: the file's valid length.
    position: u64,
    staged: Vec<u8>,
    last_seq: u64,
    failed: bool,
    ahead: Ahead,
}

/// Zeros that are written before records take their place: a sync after writing over them has no
/// new length and no new blocks to make durable, which takes a file system a second write. (Where
/// it writes every version of a block somewhere else, as btrfs does, there is nothing to win.)
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    /// How many bytes at a time; 0 for none.
    step: u64,
    /// Up to here the file has been written.
    end: u64,
}

impl<F: File> Writer<F> {
    /// Starts a log in an empty file by writing its header. Not synced.
    ///
    /// # Errors
    /// The file's.
    pub async fn create(file: F, header: FileHeader) -> io::Result<Self> {
        let bytes = format::encode_header(&header);
        assert_eq!(format::decode_header(&bytes), Ok(header), "what is written can be read");
        file.write_all_at(&bytes, 0).await?;
        Ok(Self::resume(file, header, FILE_HEADER_LEN as u64, header.base_seq))
    }

    /// Goes on with a log that was scanned up to `position` and sequence number `last_seq`.
    pub fn resume(file: F, header: FileHeader, position: u64, last_seq: u64) -> Self {
        Self::resume_shared(Arc::new(file), header, position, last_seq)
    }

    /// [`Self::resume`] on a file that others read meanwhile.
    pub fn resume_shared(file: Arc<F>, header: FileHeader, position: u64, last_seq: u64) -> Self {
        assert!(position >= FILE_HEADER_LEN as u64, "records come after the header");
        let (staged, failed, ahead) = (Vec::new(), false, Ahead::default());
        Self { file, header, position, staged, last_seq, failed, ahead }
    }

    /// Has zeros written behind the records, `step` bytes at a time, where writes are small.
    pub fn write_ahead(mut self, step: u64) -> Self {
        self.ahead = Ahead { step, end: self.position };
        self
    }

    /// Encodes a record behind those already staged. The payload is the concatenation of `parts`.
    ///
    /// # Errors
    /// If the payload is too long; nothing is staged then.
    pub fn stage(
        &mut self,
        kind: u8,
        seq: u64,
        confirmed: u64,
        parts: &[&[u8]],
    ) -> Result<(), PayloadTooLong> {
        let len = parts.iter().map(|part| part.len()).sum();
        if len > PAYLOAD_MAX {
            return Err(PayloadTooLong { len });
        }
        assert!(seq == self.last_seq || seq == self.last_seq + 1, "records are in sequence");
        let position = self.len();
        let record = Record { kind, seq, confirmed, payload: &[] };
        format::encode_record(&mut self.staged, &self.header, position, &record, parts);
        self.last_seq = seq;
        Ok(())
    }

    /// Writes what is staged, and zeros behind it where [`Self::write_ahead`] says so. Not synced.
    ///
    /// # Errors
    /// The file's. Then a part may be in the file, and this writer cannot be used any more.
    pub async fn write(&mut self) -> io::Result<()> {
        self.check_usable()?;
        // Stays set if this future is dropped halfway: the file's content is unknown then.
        self.failed = true;
        self.file.write_all_at(&self.staged, self.position).await?;
        self.write_zeros_ahead().await?;
        self.written();
        Ok(())
    }

    /// Writes zeros behind what is staged if that ends behind the earlier ones. A disk that has no
    /// room for them may have room for records.
    async fn write_zeros_ahead(&mut self) -> io::Result<()> {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let (end, Ahead { step, end: ahead }) = (self.len(), self.ahead);
        if end <= ahead || self.staged.len() as u64 > step / AHEAD_WRITES_MIN {
            return Ok(());
        }
        let zeros = vec![0; step as usize];
        match self.file.write_all_at(&zeros, end).await {
            Ok(()) => self.ahead.end = end + step,
            Err(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) => {
                self.ahead.step = 0;
                // Those that were written take the room of records.
                self.file.set_len(end).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// [`Self::write`] with the bug of taking a short write for a whole one.
    ///
    /// # Errors
    /// As [`Self::write`].
    #[cfg(feature = "plants")]
    pub(crate) async fn write_without_continuing(&mut self) -> io::Result<()> {
        self.check_usable()?;
        self.failed = true;
        self.file.write_at(&self.staged, self.position).await?;
        self.written();
        Ok(())
    }

    /// [`Self::write`] in two writes, as a benign plant does.
    ///
    /// # Errors
    /// As [`Self::write`].
    #[cfg(feature = "plants")]
    pub(crate) async fn write_in_parts(&mut self) -> io::Result<()> {
        self.check_usable()?;
        self.failed = true;
        let (first, second) = self.staged.split_at(self.staged.len() / 2);
        self.file.write_all_at(first, self.position).await?;
        self.file.write_all_at(second, self.position + first.len() as u64).await?;
        self.written();
        Ok(())
    }

    /// Lets sequence numbers start again, as a planted bug does.
    pub(crate) fn forget_sequence(&mut self) {
        self.last_seq = 0;
    }

    /// Makes what was written durable. The sync is reported at the caller's line.
    ///
    /// # Errors
    /// The file's. After one, nothing written since the last success can be made durable here.
    #[track_caller]
    pub fn sync(&self) -> impl Future<Output = io::Result<()>> + Send + '_ {
        assert!(self.staged.is_empty(), "write before sync");
        self.file.sync_data()
    }

    /// The file, for a sync that runs beside the writer.
    pub fn file(&self) -> &Arc<F> {
        &self.file
    }

    /// What identifies the log.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The log's length in bytes, with what is staged.
    pub fn len(&self) -> u64 {
        self.position + self.staged.len() as u64
    }

    /// Whether the log has no record.
    pub fn is_empty(&self) -> bool {
        assert!(self.len() >= FILE_HEADER_LEN as u64, "there is a header at least");
        self.len() == FILE_HEADER_LEN as u64
    }

    fn check_usable(&self) -> io::Result<()> {
        match self.failed {
            true => Err(io::Error::other("an earlier write to this log failed: reopen it")),
            false => Ok(()),
        }
    }

    fn written(&mut self) {
        assert!(self.failed, "only a write in progress can succeed");
        self.position += self.staged.len() as u64;
        self.staged.clear();
        self.staged.shrink_to(STAGED_KEEP_MAX);
        self.failed = false;
    }
}
