//! The system calls that no well-kept library wraps safely: loop devices, commits of btrfs, extents
//! of files, and writeback of a range.
//!
//! This is the one module of the package with `unsafe`. Each call passes a file descriptor that is
//! borrowed for its duration, and a pointer to a structure of the layout that the kernel documents
//! for that request, alive and exclusively ours until the call returns.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use linux_raw_sys::ioctl as numbers;
use linux_raw_sys::loop_device as loops;

/// The number of a loop device that nobody uses, made if there is none.
pub(crate) fn free_loop(control: &File) -> io::Result<u32> {
    // SAFETY: this request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), loops::LOOP_CTL_GET_FREE.into()) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Makes a loop device show a file, until the device is closed and unmounted.
pub(crate) fn attach(device: &File, backing: &File) -> io::Result<()> {
    // SAFETY: the structure is made of integers, for which zeros are a value.
    let mut config: loops::loop_config = unsafe { mem::zeroed() };
    config.fd = u32::try_from(backing.as_raw_fd()).map_err(io::Error::other)?;
    config.info.lo_flags = loops::LO_FLAGS_AUTOCLEAR as u32;
    // SAFETY: the request reads a `loop_config`.
    let failed =
        unsafe { libc::ioctl(device.as_raw_fd(), loops::LOOP_CONFIGURE.into(), &raw const config) };
    result(failed)
}

/// Commits the running transaction of a btrfs, and waits for it.
pub(crate) fn commit_btrfs(root: impl AsFd) -> io::Result<()> {
    let fd = root.as_fd().as_raw_fd();
    let mut transaction = 0_u64;
    // SAFETY: the request writes a `u64`.
    result(unsafe { libc::ioctl(fd, numbers::BTRFS_IOC_START_SYNC.into(), &raw mut transaction) })?;
    // SAFETY: the request reads a `u64`.
    result(unsafe { libc::ioctl(fd, numbers::BTRFS_IOC_WAIT_SYNC.into(), &raw const transaction) })
}

/// Writes the pages of a range of a file and waits for them, and does nothing else.
pub(crate) fn sync_range(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let signed = |number: u64| i64::try_from(number).map_err(io::Error::other);
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let (offset, len) = (signed(offset)?, signed(len)?);
    // SAFETY: the call takes numbers only.
    result(unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, flags) })
}

fn result(returned: libc::c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
