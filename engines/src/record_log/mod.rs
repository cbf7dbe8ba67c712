//! An append log of checksummed records, shared by all engines.
//!
//! A log file is a header (generation, salt, base sequence number) and records back to back. The
//! checksum of a record covers its length, kind, sequence number, watermark, payload, its byte
//! position, and the file's generation and salt: a record of a recycled file, at another place or
//! behind a damaged length never verifies, and zeros are no record.
//!
//! **Torn tail or corruption?** After a power loss the last writes may be there in part, with
//! holes *before* valid records (ext4, xfs and btrfs all do it). So a bad record alone proves
//! nothing, and a valid record after it proves nothing either. What proves corruption is a later
//! valid record which says that the bad one had been synced: every record carries the watermark
//! `confirmed`, the highest sequence number known to be durable when it was written. Damage to
//! the very last synced records, which nothing later vouches for, looks like a torn tail: no log
//! can tell these two apart by itself.
//!
//! Contract for writers: sequence numbers start at `base_seq`, and grow by 0 or 1 from record to
//! record (0: a note that belongs to the record before).
//!
//! Invariants: nothing is allocated because of a length field before the length was checked
//! against [`PAYLOAD_MAX`] and the file's remaining bytes; a scan reads in bounded chunks and its
//! work is linear in the file's length.

mod format;
mod scan;
mod writer;

pub use format::{
    BadRecord, Decoded, FILE_HEADER_LEN, FileHeader, HeaderError, MAGIC, PAYLOAD_MAX,
    RECORD_HEADER_LEN, Record, VERSION, decode_header, decode_record, encode_header, encode_record,
};
pub use scan::{Deviation, Later, ScanEnd, ScanRules, Scanner, Torn};
pub use writer::{PayloadTooLong, Writer};
