//! The bytes of a log: encoding into a `Vec`, decoding from a slice, no I/O.
//!
//! File header, 48 bytes: `magic [u8; 8] | version u32 | crc32c of the 12 bytes before u32 |
//! generation u64 | salt u64 | base_seq u64 | zero u32 | crc32c of the 44 bytes before u32`.
//!
//! Record, 28 bytes and the payload: `crc32c u32 | len u32 | kind u8 | zero [u8; 3] | seq u64 |
//! confirmed u64 | payload [u8; len]`. The checksum is over `salt u64 | generation u64 | position
//! u64`, which are not stored, and then over everything after the checksum field.
//!
//! Invariants: kind 0 does not exist, so zeros never parse; `confirmed <= seq`.

use crate::bytes::{PrefixError, check_prefix, put_prefix, put_u32, put_u64, u32_at, u64_at};

/// The first eight bytes of a log file.
pub const MAGIC: [u8; 8] = *b"sbrlog\r\n";
/// The format version that this build writes, and the highest that it reads.
pub const VERSION: u32 = 1;
/// Length of the file header in bytes; the first record starts here.
pub const FILE_HEADER_LEN: usize = 48;
/// Length of a record without its payload, in bytes.
pub const RECORD_HEADER_LEN: usize = 28;
/// The longest payload, in bytes.
pub const PAYLOAD_MAX: usize = 64 << 20;

/// What identifies a log file; bound into every record's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Which log in a series of logs this is.
    pub generation: u64,
    /// A random number, new for every log file.
    pub salt: u64,
    /// The sequence number before the first record's.
    pub base_seq: u64,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The engine's own meaning; never 0.
    pub kind: u8,
    /// The engine's sequence number.
    pub seq: u64,
    /// The highest sequence number known to be durable when this record was written.
    pub confirmed: u64,
    /// The engine's bytes.
    pub payload: &'a [u8],
}

/// What stands at a place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A valid record.
    Record {
        /// The record.
        record: Record<'a>,
        /// Its length with header, in bytes.
        size: usize,
    },
    /// Nothing: the bytes end here.
    End,
    /// Bytes that are not a record.
    Bad {
        /// What is wrong.
        reason: BadRecord,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRecord {
    /// The bytes end within the record.
    #[error("the file ends within the record")]
    Cut,
    /// The length field is longer than any record or than the file.
    #[error("the length field is longer than a record or the file can be")]
    Length,
    /// Kind 0, or reserved bytes that are not zero.
    #[error("the kind or the reserved bytes are none that are written")]
    Kind,
    /// The checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// The watermark is above the record's own sequence number.
    #[error("the watermark is above the record's own sequence number")]
    Watermark,
    /// The record is whole, but not the one that must follow.
    #[error("the record is whole but out of sequence")]
    Sequence,
}

/// Why a file cannot be read as a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Another magic.
    #[error("it does not start as a record log does: not a file of ours")]
    NotOurs,
    /// Written by a later version of this software.
    #[error("format version {found}, this build reads up to {VERSION}: use a newer build")]
    FutureVersion {
        /// The file's version.
        found: u32,
    },
    /// Ours, but damaged or cut.
    #[error("the log's header is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
    },
}

impl From<PrefixError> for HeaderError {
    fn from(error: PrefixError) -> Self {
        match error {
            PrefixError::NotOurs => Self::NotOurs,
            PrefixError::Damaged(reason) => Self::Damaged { reason },
            PrefixError::FutureVersion(found) => Self::FutureVersion { found },
        }
    }
}

/// The bytes of a file header.
pub fn encode_header(header: &FileHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(FILE_HEADER_LEN);
    put_prefix(&mut out, &MAGIC, VERSION);
    put_u64(&mut out, header.generation);
    put_u64(&mut out, header.salt);
    put_u64(&mut out, header.base_seq);
    put_u32(&mut out, 0);
    let crc = crc32c::crc32c(&out);
    put_u32(&mut out, crc);
    assert_eq!(out.len(), FILE_HEADER_LEN);
    out
}

/// Reads a file header from the start of `bytes`.
///
/// # Errors
/// If they are not the header of a log that this build reads.
pub fn decode_header(bytes: &[u8]) -> Result<FileHeader, HeaderError> {
    check_prefix(bytes, &MAGIC, VERSION)?;
    if bytes.len() < FILE_HEADER_LEN {
        return Err(HeaderError::Damaged { reason: "shorter than its header" });
    }
    if crc32c::crc32c(&bytes[..44]) != u32_at(bytes, 44) || u32_at(bytes, 40) != 0 {
        return Err(HeaderError::Damaged { reason: "the header's checksum does not match" });
    }
    let header = FileHeader {
        generation: u64_at(bytes, 16),
        salt: u64_at(bytes, 24),
        base_seq: u64_at(bytes, 32),
    };
    assert_eq!(encode_header(&header), bytes[..FILE_HEADER_LEN], "what was read is what we write");
    Ok(header)
}

/// The checksum of a record from its bytes after the checksum field.
fn record_crc(header: &FileHeader, position: u64, parts: &[&[u8]]) -> u32 {
    assert!(position >= FILE_HEADER_LEN as u64, "records come after the header");
    let mut bound = [0; 24];
    bound[..8].copy_from_slice(&header.salt.to_le_bytes());
    bound[8..16].copy_from_slice(&header.generation.to_le_bytes());
    bound[16..].copy_from_slice(&position.to_le_bytes());
    parts.iter().fold(crc32c::crc32c(&bound), |crc, part| crc32c::crc32c_append(crc, part))
}

/// Appends a record that will stand at byte `position` of its file; its payload is the
/// concatenation of `parts` (`record.payload` must be empty). Returns its length.
pub fn encode_record(
    out: &mut Vec<u8>,
    header: &FileHeader,
    position: u64,
    record: &Record<'_>,
    parts: &[&[u8]],
) -> usize {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(len <= PAYLOAD_MAX, "the writer checks the length");
    assert!(record.kind != 0 && record.confirmed <= record.seq && record.payload.is_empty());
    let start = out.len();
    out.reserve(RECORD_HEADER_LEN + len);
    put_u32(out, 0);
    put_u32(out, u32::try_from(len).expect("a payload's length fits 32 bits"));
    out.extend_from_slice(&[record.kind, 0, 0, 0]);
    put_u64(out, record.seq);
    put_u64(out, record.confirmed);
    assert_eq!(out.len() - start, RECORD_HEADER_LEN);
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = record_crc(header, position, &[&out[start + 4..]]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    RECORD_HEADER_LEN + len
}

/// Reads the record at the start of `bytes`, which stand at byte `position` of their file.
pub fn decode_record<'a>(bytes: &'a [u8], header: &FileHeader, position: u64) -> Decoded<'a> {
    let decoded = decode_unverified(bytes);
    if let Decoded::Record { size, .. } = decoded {
        assert!(size >= RECORD_HEADER_LEN && size <= bytes.len());
        if record_crc(header, position, &[&bytes[4..size]]) != u32_at(bytes, 0) {
            return Decoded::Bad { reason: BadRecord::Checksum };
        }
    }
    decoded
}

/// [`decode_record`] without the checksum: everything else is checked.
pub(super) fn decode_unverified(bytes: &[u8]) -> Decoded<'_> {
    if bytes.is_empty() {
        return Decoded::End;
    }
    if bytes.len() < RECORD_HEADER_LEN {
        return Decoded::Bad { reason: BadRecord::Cut };
    }
    let len = u32_at(bytes, 4) as usize;
    if len > PAYLOAD_MAX {
        return Decoded::Bad { reason: BadRecord::Length };
    }
    if bytes[8] == 0 || bytes[9..12] != [0; 3] {
        return Decoded::Bad { reason: BadRecord::Kind };
    }
    let (seq, confirmed) = (u64_at(bytes, 12), u64_at(bytes, 20));
    if confirmed > seq {
        return Decoded::Bad { reason: BadRecord::Watermark };
    }
    let size = RECORD_HEADER_LEN + len;
    match bytes.get(RECORD_HEADER_LEN..size) {
        None => Decoded::Bad { reason: BadRecord::Cut },
        Some(payload) => {
            let record = Record { kind: bytes[8], seq, confirmed, payload };
            Decoded::Record { record, size }
        }
    }
}
