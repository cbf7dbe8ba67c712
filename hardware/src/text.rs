//! Files that people name: they may be anything.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The text of a regular file of up to `most` bytes.
///
/// # Errors
/// What is wrong with it, without its name.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, String> {
    // Asked before it is opened: opening a pipe waits for its writer, and a device has no end.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(most + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    match text.len() as u64 > most {
        true => Err(format!("longer than {most} bytes")),
        false => Ok(text),
    }
}
