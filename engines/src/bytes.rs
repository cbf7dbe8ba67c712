//! Little-endian fields, and the 16 bytes that start every file of ours.
//!
//! Every file starts with `magic [u8; 8] | version u32 | crc32c of those 12 bytes u32`. This
//! prefix never changes between versions: a file of a later version is told from a damaged one.

/// Length of the prefix in bytes.
pub(crate) const PREFIX_LEN: usize = 16;

/// Why a prefix is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixError {
    /// Another magic: not a file of ours.
    NotOurs,
    /// Ours, but damaged or cut.
    Damaged(&'static str),
    /// Written by a later version.
    FutureVersion(u32),
}

/// Appends `value`.
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends `value`.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The four bytes at `at`; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    assert!(bytes.len() >= at + 4, "length is checked before fields are read");
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The eight bytes at `at`; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    assert!(bytes.len() >= at + 8, "length is checked before fields are read");
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The eight bytes at `at`, big-endian as in keys that sort; the caller has checked the length.
pub(crate) fn be_u64_at(bytes: &[u8], at: usize) -> u64 {
    assert!(bytes.len() >= at + 8, "length is checked before fields are read");
    u64_at(bytes, at).swap_bytes()
}

/// The 32 bytes at `at`; the caller has checked the length.
pub(crate) fn hash_at(bytes: &[u8], at: usize) -> [u8; 32] {
    assert!(bytes.len() >= at + 32, "length is checked before fields are read");
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[at..at + 32]);
    hash
}

/// Appends the prefix of a file.
pub(crate) fn put_prefix(out: &mut Vec<u8>, magic: &[u8; 8], version: u32) {
    assert!(out.is_empty(), "the prefix comes first");
    out.extend_from_slice(magic);
    put_u32(out, version);
    let crc = crc32c::crc32c(out);
    put_u32(out, crc);
    assert_eq!(out.len(), PREFIX_LEN);
}

/// Checks the prefix at the start of `bytes` against what this build reads.
pub(crate) fn check_prefix(
    bytes: &[u8],
    magic: &[u8; 8],
    supported: u32,
) -> Result<(), PrefixError> {
    assert!(supported > 0, "versions start at 1");
    if bytes.len() < PREFIX_LEN {
        return Err(PrefixError::Damaged("shorter than its header"));
    }
    if &bytes[..8] != magic {
        return Err(PrefixError::NotOurs);
    }
    if crc32c::crc32c(&bytes[..12]) != u32_at(bytes, 12) {
        return Err(PrefixError::Damaged("the version's checksum does not match"));
    }
    match u32_at(bytes, 8) {
        version if version > supported => Err(PrefixError::FutureVersion(version)),
        0 => Err(PrefixError::Damaged("version 0 never existed")),
        _ => Ok(()),
    }
}
