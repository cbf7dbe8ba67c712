//! What Linux has and std does not wrap: flags of open(2), and calls about a range of a file.
//!
//! The one module of the package with `unsafe`. Both calls take a descriptor that is borrowed for
//! their duration, and numbers.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::OpenOptions;

/// Adds the flags that std has no names for.
pub(super) fn set_flags(std: &mut fs::OpenOptions, options: OpenOptions) -> io::Result<()> {
    let flags = [(options.direct, libc::O_DIRECT), (options.dsync, libc::O_DSYNC)];
    let flags = flags.into_iter().filter(|(wanted, _)| *wanted);
    std.append(options.append).custom_flags(flags.fold(0, |all, (_, flag)| all | flag));
    Ok(())
}

pub(super) fn sync_range(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let (offset, len) = (signed(offset)?, signed(len)?);
    // SAFETY: the descriptor is open while `file` is borrowed; the call touches no memory of ours.
    result(unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, flags) })
}

pub(super) fn allocate(file: &File, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
    let mode = if keep_size { libc::FALLOC_FL_KEEP_SIZE } else { 0 };
    let (offset, len) = (signed(offset)?, signed(len)?);
    // SAFETY: the descriptor is open while `file` is borrowed; the call touches no memory of ours.
    result(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) })
}

/// The kernel's offsets are signed.
fn signed(number: u64) -> io::Result<libc::off_t> {
    number.try_into().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn result(returned: libc::c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
