//! The changes of one commit, kept in the very bytes that go to the log.

use super::error::Error;
use super::format;

/// The longest key, in bytes. The shortest has one.
pub const KEY_LEN_MAX: usize = 64 << 10;
/// The longest value, in bytes. It may be empty.
pub const VALUE_LEN_MAX: usize = 16 << 20;
/// The longest batch, in bytes as encoded: each change costs 9 and its key and value.
pub const BATCH_LEN_MAX: usize = 32 << 20;

/// Puts and deletes that are done together or not at all. Of several changes of one key in a
/// batch the last one counts; deleting a key that is not there is fine.
///
/// A change that breaks a limit is not kept: the batch as a whole is refused when submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<u8>,
    count: u32,
    invalid: Option<String>,
}

impl Batch {
    /// An empty batch; submitting it is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch that puts one key.
    pub fn putting(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let mut batch = Self::new();
        batch.put(key, value);
        batch
    }

    /// A batch that deletes one key.
    pub fn deleting(key: impl AsRef<[u8]>) -> Self {
        let mut batch = Self::new();
        batch.delete(key);
        batch
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        let (key, value) = (key.as_ref(), value.as_ref());
        if self.accepts(key, value.len()) {
            format::put_op(&mut self.ops, format::Op::Put { key, value });
            self.count += 1;
        }
        assert!(self.ops.len() <= BATCH_LEN_MAX, "what is too long is not kept");
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut Self {
        let key = key.as_ref();
        if self.accepts(key, 0) {
            format::put_op(&mut self.ops, format::Op::Delete { key });
            self.count += 1;
        }
        assert!(self.ops.len() <= BATCH_LEN_MAX, "what is too long is not kept");
        self
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        assert!(self.ops.len() >= self.count as usize * format::OP_HEADER_LEN);
        self.count as usize
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        assert_eq!(self.count == 0, self.ops.is_empty());
        self.count == 0
    }

    /// Its length as encoded, in bytes.
    pub fn encoded_len(&self) -> usize {
        self.ops.len()
    }

    /// The changes as they go to the log, and their number.
    pub(super) fn encoded(&self) -> (&[u8], u32) {
        assert!(self.invalid.is_none() && self.count > 0, "only valid batches are submitted");
        (&self.ops, self.count)
    }

    /// The changes, and a value where there is one: what tests of other engines carry out.
    #[cfg(test)]
    pub(crate) fn changes(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        assert_eq!(self.invalid, None, "only valid batches are submitted");
        let mut rest = self.ops.as_slice();
        std::iter::from_fn(|| match (!rest.is_empty()).then(|| format::take_op(&mut rest))? {
            Ok(format::Op::Put { key, value }) => Some((key.to_vec(), Some(value.to_vec()))),
            Ok(format::Op::Delete { key }) => Some((key.to_vec(), None)),
            Err(reason) => panic!("a batch of ours: {reason}"),
        })
        .collect()
    }

    /// Whether the batch can be committed.
    pub(super) fn validate(&self) -> Result<(), Error> {
        assert!(self.ops.len() <= BATCH_LEN_MAX, "what is too long is not kept");
        match &self.invalid {
            Some(reason) => Err(Error::Invalid { reason: reason.clone() }),
            None if self.is_empty() => Err(Error::Invalid { reason: "an empty batch".to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether one more change keeps the limits; remembers the first that does not.
    fn accepts(&mut self, key: &[u8], value_len: usize) -> bool {
        let len = self.ops.len() + format::OP_HEADER_LEN + key.len() + value_len;
        let reason = if key.is_empty() {
            "an empty key".to_owned()
        } else if key.len() > KEY_LEN_MAX {
            format!("a key of {} bytes, at most {KEY_LEN_MAX} are possible", key.len())
        } else if value_len > VALUE_LEN_MAX {
            format!("a value of {value_len} bytes, at most {VALUE_LEN_MAX} are possible")
        } else if len > BATCH_LEN_MAX {
            format!("a batch of {len} bytes, at most {BATCH_LEN_MAX} are possible")
        } else {
            return self.invalid.is_none();
        };
        self.invalid.get_or_insert(reason);
        false
    }
}
