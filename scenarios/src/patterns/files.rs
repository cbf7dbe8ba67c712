//! What the patterns' engines share and where none of the bugs is: checksums, whole files, and the
//! right way to create a file.

use std::io;

use seedbed::seam::{File, Fs, OpenOptions};

use super::State;

/// Bytes in a page.
pub(super) const PAGE: u64 = 4096;

/// The words with a checksum behind them.
pub(super) fn seal(words: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sum = u64::from(crc32c::crc32c(&bytes));
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// The words that begin these bytes, if the checksum behind them is theirs.
pub(super) fn unseal<const WORDS: usize>(bytes: &[u8]) -> Option<[u64; WORDS]> {
    let (words, rest) = bytes.split_at_checked(WORDS * 8)?;
    let (sum, _) = rest.split_first_chunk::<8>()?;
    let valid = u64::from_le_bytes(*sum) == u64::from(crc32c::crc32c(words));
    let mut parts = words.chunks_exact(8);
    let mut next = || Some(u64::from_le_bytes(parts.next()?.try_into().ok()?));
    let words = std::array::from_fn(|_| next().unwrap_or_default());
    valid.then_some(words)
}

/// The keys of a put as the bits of a word.
pub(super) fn key_bits(keys: &[u8]) -> u64 {
    keys.iter().fold(0, |bits, key| bits | 1 << (*key as usize % super::KEYS))
}

/// The state with the put applied whose keys these bits are.
pub(super) fn with_bits(state: State, bits: u64, number: u64) -> State {
    let keys: Vec<u8> = (0..super::KEYS as u8).filter(|key| bits >> key & 1 == 1).collect();
    super::with_put(state, &keys, number)
}

/// The error of an engine that finds what it cannot have written.
pub(super) fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A file's bytes; `None` if it does not exist.
pub(super) async fn read_whole<F: Fs>(fs: &F, path: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match fs.open(path, OpenOptions::reading()).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; file.len().await? as usize];
    file.read_exact_at(&mut bytes, 0).await?;
    Ok(Some(bytes))
}

/// A new file of that name. What a crash left there is not opened: it may be another name of a
/// file in use.
pub(super) async fn create<F: Fs>(fs: &F, path: &str) -> io::Result<F::File> {
    match fs.remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs.open(path, OpenOptions::new().read(true).write(true).create_new(true)).await,
    }
}

/// Opens a file that has to exist; if it does not, creates it with these bytes and zeros up to
/// `len`, whole or not at all.
pub(super) async fn open_or_create<F: Fs>(
    fs: &F,
    path: &str,
    first: &[u8],
    len: u64,
) -> io::Result<F::File> {
    let file = match fs.open(path, OpenOptions::reading().write(true)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let temporary = format!("{path}.new");
            let file = create(fs, &temporary).await?;
            file.write_all_at(first, 0).await?;
            file.set_len(len).await?;
            file.sync_all().await?;
            fs.rename(&temporary, path).await?;
            file
        }
        file => file?,
    };
    // Also if it was there: the process that named it may have died before it came to this.
    fs.sync_dir("").await?;
    Ok(file)
}
