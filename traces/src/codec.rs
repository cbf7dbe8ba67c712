//! Payloads as bytes: the only module that knows bincode.
//!
//! Integers are variable-length and little-endian. Invariants: decoding takes all bytes of the
//! payload or fails, and never trusts a length in it for an allocation beyond the frame limit.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::FRAME_BYTES_MAX;

/// Appends the bytes of a value.
pub(crate) fn encode<T: Serialize>(value: &T, to: &mut Vec<u8>) {
    let config = bincode::config::standard();
    bincode::serde::encode_into_std_write(value, to, config)
        .expect("plain data is written into memory");
}

/// Reads a value from exactly these bytes; an error says what is wrong with them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let config = bincode::config::standard().with_limit::<{ FRAME_BYTES_MAX as usize }>();
    match bincode::serde::decode_from_slice(bytes, config) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(format!("the payload holds {} bytes too many", bytes.len() - read)),
        Err(error) => Err(format!("the payload does not decode: {error}")),
    }
}
