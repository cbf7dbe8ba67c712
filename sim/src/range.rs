//! Calls about a range of a file, and writes that are more than a change of the page cache: at the
//! end, past the cache, or until they are durable.
//!
//! Like a sync, such a write takes effect for readers when it is called, and is on the device (or
//! durable) only when its latency is over.

use std::io;
use std::panic::Location;

use seedbed_env::DIRECT_ALIGN;
use seedbed_faults::OpKind;

use crate::calls::{Call, Effect, How, Submitted};
use crate::disk::{Barrier, Disk, WriteBack, os_code};
use crate::env::{SimFile, bad_handle, barrier, checksum, or_never, settle, unless_omitted};
use crate::tape::What;
use crate::world::with;

type Site = &'static Location<'static>;

/// A write that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Through {
    pub written: usize,
    /// Where it went.
    at: u64,
    /// What reaches the device at its end.
    back: Option<WriteBack>,
    /// What is durable at its end.
    pub barrier: Option<Barrier>,
}

/// Offset and length of direct I/O.
fn check_aligned(offset: u64, len: usize) -> io::Result<()> {
    match (offset | len as u64) % DIRECT_ALIGN {
        0 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(os_code::EINVAL)),
    }
}

impl SimFile {
    /// Reads past the cache: the same bytes, of whole sectors.
    #[cold]
    pub(crate) fn read_direct(
        &self,
        disk: &Disk,
        effect: Effect,
        buf: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        check_aligned(offset, buf.len())?;
        if disk.is_unreadable(self.ino, offset, buf.len()) {
            return Err(io::Error::from_raw_os_error(os_code::EIO));
        }
        Ok(match effect {
            Effect::Bytes(len) => disk.read_at(self.ino, &mut buf[..whole_sectors(len)], offset),
            Effect::Stale => disk.read_stale(self.ino, buf, offset),
            Effect::Misdirected(unit) => disk.read_misdirected(self.ino, buf, offset, unit),
            _ => disk.read_at(self.ino, buf, offset),
        })
    }

    /// Begins a write of a handle with `append`, `direct` or `dsync`.
    pub(crate) fn submit_through(&self, buf: &[u8], offset: u64, site: Site) -> Submitted<Through> {
        let (direct, dsync) = (self.options.direct, self.options.dsync);
        with(|world| {
            let at = match self.options.append && self.env.is_alive(world) {
                true => world.nodes[self.env.node as usize].disk.len(self.ino),
                false => offset,
            };
            self.note_read(world, at, buf.len() as u64);
            let how = How { direct, dsync, keep_size: false };
            let mut call = Call { how, ..self.call(OpKind::Write, buf.len(), at, site) };
            world.digest.bytes(buf);
            if world.events.is_some() {
                call.sum = checksum(buf);
            }
            world.call(call, |disk, effect| {
                if !self.options.write {
                    return Err(bad_handle());
                }
                if direct {
                    check_aligned(at, buf.len())?;
                }
                let len = match effect {
                    Effect::Omitted => {
                        let written = buf.len();
                        return Ok(Through { written, at, back: None, barrier: None });
                    }
                    Effect::Bytes(len) if direct => whole_sectors(len),
                    Effect::Bytes(len) => len,
                    _ => buf.len(),
                };
                let written = disk.write_at(self.ino, &buf[..len], at)?;
                let back = direct.then(|| disk.begin_sync_range(self.ino, at, written as u64));
                let len = written as u64;
                let begun = match (dsync, direct) {
                    (false, _) => None,
                    (true, false) => Some(disk.begin_sync_written(self.ino, at, len)),
                    (true, true) => Some(disk.begin_sync_written_direct(self.ino, at, len)),
                };
                let barrier = begun.and_then(|begun| barrier(disk, begun, effect));
                Ok(Through { written, at, back, barrier })
            })
        })
    }

    /// The write's latency is over. Nothing if the node crashes at it.
    pub(crate) fn end_through(&self, through: Through) -> Option<io::Result<usize>> {
        let Through { written, at, back, barrier } = through;
        with(|world| {
            if !self.env.is_alive(world) {
                return Some(Ok(written));
            }
            if world.crashes_in_barrier(self.env) {
                return None;
            }
            let disk = &mut world.nodes[self.env.node as usize].disk;
            if let Some(tape) = &mut world.tape {
                let (path, len) = (disk.name_of(self.ino), written as u64);
                match barrier {
                    Some(_) => tape.push(self.env.node, What::SyncWritten(path, at, len)),
                    None if back.is_some() => {
                        tape.push(self.env.node, What::WriteBack(path, at, len));
                    }
                    None => {}
                }
            }
            if let Some(back) = back {
                disk.end_sync_range(back);
            }
            let ended = match barrier {
                Some(barrier) => self.update_seen(|seen| disk.end_sync(barrier, seen)),
                None => Ok(()),
            };
            Some(world.tell_late(self.env, self.ino, ended).map(|()| written))
        })
    }

    pub(crate) async fn write_through(
        &self,
        buf: &[u8],
        offset: u64,
        site: Site,
    ) -> io::Result<usize> {
        let through = settle(self.submit_through(buf, offset, site)).await?;
        or_never(self.end_through(through)).await
    }

    pub(crate) fn submit_sync_range(
        &self,
        offset: u64,
        len: u64,
        site: Site,
    ) -> Submitted<Option<WriteBack>> {
        let call = self.call(OpKind::SyncRange, len as usize, offset, site);
        with(|world| {
            world.call(call, |disk, effect| {
                check_range(offset, len)?;
                // To the end of the file.
                let len = if len == 0 { u64::MAX } else { len };
                let begun = disk.begin_sync_range(self.ino, offset, len);
                match effect {
                    Effect::Omitted => Ok(None),
                    Effect::Failed(code) => {
                        disk.fail_sync_range(begun, code);
                        // The error that this call reports is no news to its handle later.
                        let _ = self.update_seen(|seen| disk.check_errors(self.ino, seen));
                        Ok(None)
                    }
                    _ => Ok(Some(begun)),
                }
            })
        })
    }

    /// The latency of writing back is over. Nothing if the node crashes at it.
    pub(crate) fn end_sync_range(&self, begun: Option<WriteBack>) -> Option<io::Result<()>> {
        with(|world| match begun {
            Some(begun) if self.env.is_alive(world) => {
                if world.crashes_in_barrier(self.env) {
                    return None;
                }
                let disk = &mut world.nodes[self.env.node as usize].disk;
                if let Some(tape) = &mut world.tape {
                    let (start, end) = begun.range();
                    let (path, len) = (disk.name_of(self.ino), end.saturating_sub(start));
                    tape.push(self.env.node, What::WriteBack(path, start, len));
                }
                disk.end_sync_range(begun);
                let ended = self.update_seen(|seen| disk.check_errors(self.ino, seen));
                Some(world.tell_late(self.env, self.ino, ended))
            }
            _ => Some(Ok(())),
        })
    }

    pub(crate) fn submit_allocate(
        &self,
        offset: u64,
        len: u64,
        keep_size: bool,
        site: Site,
    ) -> Submitted<()> {
        let how = How { keep_size, ..How::default() };
        let call = Call { how, ..self.call(OpKind::Allocate, len as usize, offset, site) };
        with(|world| {
            self.note_read(world, offset, len);
            world.call(call, |disk, effect| {
                if !self.options.write {
                    return Err(bad_handle());
                }
                check_range(offset, len)?;
                unless_omitted(effect, || disk.allocate(self.ino, offset, len, keep_size))
            })
        })
    }
}

/// A part of direct I/O is whole sectors, and at least one.
fn whole_sectors(len: usize) -> usize {
    len.next_multiple_of(DIRECT_ALIGN as usize)
}

/// The kernel's offsets are signed.
fn check_range(offset: u64, len: u64) -> io::Result<()> {
    match [offset, len].iter().all(|number| i64::try_from(*number).is_ok()) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(os_code::EINVAL)),
    }
}
