//! Engines under load: how an operation begins, and what must be there in the end.

pub(crate) mod sink;
pub(crate) mod store;

/// Bytes in front of each value by which the check knows it: the client, and which of its
/// operations.
pub(crate) const STAMP_LEN: usize = 16;

/// The value that an operation writes: its stamp, and bytes that differ from operation to
/// operation, since some disks and stores are quick with those that they know.
pub(crate) fn fill(value: &mut Vec<u8>, len: usize, client: u32, nth: u64) {
    value.clear();
    value.extend_from_slice(&u64::from(client).to_le_bytes());
    value.extend_from_slice(&nth.to_le_bytes());
    let mut state = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(client);
    while value.len() < len {
        // Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
        let room = len - value.len();
        value.extend_from_slice(&bytes[..room.min(8)]);
    }
}
