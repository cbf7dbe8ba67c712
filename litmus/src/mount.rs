//! Loop devices and mounts that go away by themselves.
//!
//! A mount is made with the mount API of Linux 5.2 and never put into a directory: it is an open
//! descriptor, and files in it are reached through `/proc/self/fd`. The loop device detaches itself
//! when nobody uses it any more.
//!
//! Invariant: closing the descriptors unmounts and detaches. That happens also when this process is
//! killed, so no signal handler is needed and no other mount or loop device is ever touched.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::sys;

/// Most attempts to get a loop device while others want one too.
const ATTACHES_MAX: u32 = 100;

/// A loop device that shows a file.
#[derive(Debug)]
struct Loop {
    /// Kept open until the file system is mounted and after it is unmounted: the device detaches
    /// when it is closed for the last time.
    _device: File,
    path: String,
}

impl Loop {
    /// Takes a free device.
    fn attach(backing: &File) -> io::Result<Self> {
        let control = open("/dev/loop-control")?;
        let mut last = None;
        for _ in 0..ATTACHES_MAX {
            let path = format!("/dev/loop{}", sys::free_loop(&control)?);
            let attached = open(&path).and_then(|device| {
                sys::attach(&device, backing)?;
                Ok(device)
            });
            match attached {
                Ok(device) => return Ok(Self { _device: device, path }),
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => last = Some(error),
                Err(error) => return Err(because(&format!("attaching {path}"), &error)),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no loop device")))
    }
}

fn open(path: &str) -> io::Result<File> {
    let opened = File::options().read(true).write(true).open(path);
    opened.map_err(|error| because(&format!("opening {path}"), &error))
}

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct Mount {
    // Dropped in this order.
    root: OwnedFd,
    _device: Loop,
}

impl Mount {
    /// Mounts what a file holds.
    pub(crate) fn device(fs: &str, backing: &File, options: &[&str]) -> io::Result<Self> {
        let device = Loop::attach(backing)?;
        let root = mount(fs, &device.path, options)?;
        Ok(Self { root, _device: device })
    }

    /// Where its files are, for this process.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.root.as_raw_fd()).into()
    }

    /// Where its files are, for programs that this process starts.
    pub(crate) fn outside_path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.root.as_raw_fd()).into()
    }

    /// Its root directory, opened: the descriptor of a mount only names it.
    pub(crate) fn open_root(&self) -> io::Result<File> {
        File::open(self.path())
    }
}

fn mount(fs: &str, source: &str, options: &[&str]) -> io::Result<OwnedFd> {
    let context = fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", source)?;
    for option in options {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value)?,
            None => fsconfig_set_flag(context.as_fd(), *option)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(fsmount(context.as_fd(), flags, MountAttrFlags::empty())?)
}

/// The same error, with what was being done.
pub(crate) fn because(doing: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing}: {error}"))
}
