//! `SimEnv`: the seam's simulated side. Handles are numbers: a node and one of its lives.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seedbed_env::{
    Clock, DirEntry, Entropy, File, Fs, Instant, JoinHandle, OpenOptions, Spawn, WallTime,
    join_pair,
};
use seedbed_faults::OpKind;

use crate::calls::{Call, Done, Effect, How, Submitted};
use crate::disk::{Barrier, Disk, ErrSeq, Ino, SyncKind};
use crate::node::NodeId;
use crate::stats::Stats;
use crate::tape::What;
use crate::timers::TimerId;
use crate::world::{Note, World, try_with, with};

/// The simulated world as one life of one node sees it. `Copy`; when that life is over, everything
/// it is asked to do is refused with an error that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimEnv {
    pub(crate) node: u16,
    pub(crate) life: u32,
}

/// An open file of a [`SimEnv`].
#[derive(Debug)]
pub struct SimFile {
    pub(crate) env: SimEnv,
    pub(crate) ino: Ino,
    pub(crate) options: OpenOptions,
    /// It has one of the options that make writing another matter; see `range.rs`.
    writes_otherwise: bool,
    path: Arc<str>,
    /// The errors of writing back that this handle has seen: an [`ErrSeq`]'s bits.
    seen: AtomicU32,
}

/// What opening gives: the file, and what its errors are so far.
#[derive(Clone, Copy)]
pub(crate) struct Opened {
    pub ino: Ino,
    seen: ErrSeq,
}

impl SimEnv {
    /// The node.
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    /// Puts an event of the caller's own into the trace and the digest: `op` and `value` go into
    /// both, `detail` is made only when a trace is recorded.
    pub fn note(&self, op: &'static str, value: u64, detail: impl FnOnce() -> String) {
        with(|world| {
            world.digest.bytes(op.as_bytes());
            world.digest.word(value);
            world.log(self.node(), || Note { op, detail: detail(), ..Note::default() });
        });
    }

    /// Counts one recovery whose result was checked.
    pub fn count_check(&self) {
        with(|world| world.stats.checks += 1);
    }

    /// What has happened so far, for checkers: no node can see it.
    pub fn stats(&self) -> Stats {
        with(|world| world.stats)
    }

    /// How often something between this node and another one was lost, held up or reset, for
    /// checkers: no node can see it.
    pub fn harm_to(&self, other: SimEnv) -> u64 {
        with(|world| world.net.harm_between(self.node, other.node))
    }

    /// World time in nanoseconds, for checkers: no node can read it.
    pub fn world_ns(&self) -> u64 {
        with(|world| world.now)
    }

    /// A decision of the caller's own, one of `0..bound`: it is in the trace and is replayed and
    /// shrunk like all others. 0 must be the most benign.
    pub fn choose(&self, label: &'static str, bound: u64) -> u64 {
        with(|world| world.choices.choose(label, bound))
    }

    pub(crate) fn is_alive(self, world: &World) -> bool {
        world.nodes.get(self.node as usize).is_some_and(|node| node.life == self.life)
    }
}

/// Waits for a submitted call.
#[inline]
pub(crate) fn settle<T>(submitted: Submitted<T>) -> Settling<T> {
    let Submitted { at, result } = submitted;
    Settling { sleep: SleepUntil { at, timer: None }, result }
}

/// A submitted call on its way; without a result it never comes back. A future by hand, since
/// every operation goes through it.
pub(crate) struct Settling<T> {
    sleep: SleepUntil,
    result: Option<io::Result<T>>,
}

/// Nothing in it is pinned.
impl<T> Unpin for Settling<T> {}

impl<T> Future for Settling<T> {
    type Output = io::Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(Pin::new(&mut self.sleep).poll(cx));
            if let Some(result) = self.result.take() {
                return Poll::Ready(result);
            }
            let at = self.sleep.at;
            match with(|world| world.reset_hung(at)) {
                Some(later) => self.sleep = SleepUntil { at: later, timer: None },
                None => return Poll::Pending,
            }
        }
    }
}

pub(crate) fn utf8(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the simulated disk takes UTF-8 paths only")
    })
}

/// Omitted metadata operations do nothing and report success.
pub(crate) fn unless_omitted(
    effect: Effect,
    apply: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if effect == Effect::Omitted { Ok(()) } else { apply() }
}

impl SimFile {
    pub(crate) fn call(
        &self,
        op: OpKind,
        len: usize,
        at: u64,
        site: &'static Location<'static>,
    ) -> Call<'_> {
        let (ino, how) = (Some(self.ino), How::default());
        Call { env: self.env, op, path: &self.path, site, len, at, ino, sum: 0, how }
    }

    /// Whether its writes go by `submit_through`.
    pub(crate) fn writes_otherwise(&self) -> bool {
        self.writes_otherwise
    }

    /// What follows from this call may depend on these bytes.
    #[inline]
    pub(crate) fn note_read(&self, world: &mut World, at: u64, len: u64) {
        // A handle of another world may be of a node that this one never had.
        let Some(node) = world.nodes.get_mut(self.env.node as usize) else { return };
        if let Some(reads) = &mut node.reads
            && self.env.life == node.life
        {
            reads.note(&node.disk, self.ino, at, len);
        }
    }

    pub(crate) fn submit_read(
        &self,
        buf: &mut [u8],
        offset: u64,
        site: &'static Location<'static>,
    ) -> Submitted<usize> {
        let call = self.call(OpKind::Read, buf.len(), offset, site);
        with(|world| {
            self.note_read(world, offset, buf.len() as u64);
            world.call(call, |disk, effect| match effect {
                _ if !self.options.read => Err(bad_handle()),
                _ if self.options.direct => self.read_direct(disk, effect, buf, offset),
                _ if disk.is_unreadable(self.ino, offset, buf.len()) => {
                    Err(io::Error::from_raw_os_error(crate::disk::os_code::EIO))
                }
                Effect::Bytes(len) => Ok(disk.read_at(self.ino, &mut buf[..len], offset)),
                Effect::Stale => Ok(disk.read_stale(self.ino, buf, offset)),
                Effect::Misdirected(unit) => Ok(disk.read_misdirected(self.ino, buf, offset, unit)),
                _ => Ok(disk.read_at(self.ino, buf, offset)),
            })
        })
    }

    pub(crate) fn submit_write(
        &self,
        buf: &[u8],
        offset: u64,
        site: &'static Location<'static>,
    ) -> Submitted<usize> {
        let mut call = self.call(OpKind::Write, buf.len(), offset, site);
        with(|world| {
            self.note_read(world, offset, buf.len() as u64);
            world.digest.bytes(buf);
            if world.events.is_some() {
                call.sum = checksum(buf);
            }
            world.call(call, |disk, effect| match effect {
                _ if !self.options.write => Err(bad_handle()),
                Effect::Omitted => Ok(buf.len()),
                Effect::Bytes(len) => disk.write_at(self.ino, &buf[..len], offset),
                _ => disk.write_at(self.ino, buf, offset),
            })
        })
    }

    pub(crate) fn submit_sync(
        &self,
        op: OpKind,
        site: &'static Location<'static>,
    ) -> Submitted<Option<Barrier>> {
        let call = self.call(op, 0, 0, site);
        let all = op == OpKind::SyncAll;
        with(|world| {
            world.call(call, |disk, effect| {
                let weak = !all || effect == Effect::Weakened;
                let kind = if weak { SyncKind::Data } else { SyncKind::All };
                let begun = barrier(disk, disk.begin_sync(self.ino, kind), effect);
                if matches!(effect, Effect::Failed(_)) {
                    // The error that this call reports is no news to its handle later.
                    let _ = self.update_seen(|seen| disk.check_errors(self.ino, seen));
                }
                Ok(begun)
            })
        })
    }

    /// A sync's latency is over: only now is anything durable. Nothing if the node crashes at it.
    pub(crate) fn end_sync(&self, barrier: Option<Barrier>) -> Option<io::Result<()>> {
        with(|world| match barrier {
            Some(barrier) if self.env.is_alive(world) => {
                if world.crashes_in_barrier(self.env) {
                    return None;
                }
                let disk = &mut world.nodes[self.env.node as usize].disk;
                if let Some(tape) = &mut world.tape {
                    let sync = What::Sync(disk.name_of(self.ino), barrier.kind());
                    tape.push(self.env.node, sync);
                }
                let ended = self.update_seen(|seen| disk.end_sync(barrier, seen));
                Some(world.tell_late(self.env, self.ino, ended))
            }
            _ => Some(Ok(())),
        })
    }

    pub(crate) fn update_seen<T>(&self, update: impl FnOnce(&mut ErrSeq) -> T) -> T {
        let mut seen = ErrSeq::from_bits(self.seen.load(Relaxed));
        let result = update(&mut seen);
        self.seen.store(seen.bits(), Relaxed);
        result
    }

    pub(crate) fn submit_set_len(
        &self,
        len: u64,
        site: &'static Location<'static>,
    ) -> Submitted<()> {
        let call = self.call(OpKind::SetLen, 0, len, site);
        with(|world| {
            self.note_read(world, len, u64::MAX);
            world.call(call, |disk, effect| {
                if !self.options.write {
                    return Err(io::Error::from_raw_os_error(crate::disk::os_code::EINVAL));
                }
                unless_omitted(effect, || disk.set_len(self.ino, len))
            })
        })
    }

    /// Free of latency and faults: the kernel has it in memory.
    pub(crate) fn len_now(&self) -> io::Result<u64> {
        with(|world| match self.env.is_alive(world) {
            true => Ok(world.nodes[self.env.node as usize].disk.len(self.ino)),
            false => Err(io::Error::other("stale handle: its boot is over")),
        })
    }

    async fn read_from(
        &self,
        buf: &mut [u8],
        offset: u64,
        site: &'static Location<'static>,
    ) -> io::Result<usize> {
        settle(self.submit_read(buf, offset, site)).await
    }

    async fn write_from(
        &self,
        buf: &[u8],
        offset: u64,
        site: &'static Location<'static>,
    ) -> io::Result<usize> {
        if self.writes_otherwise {
            // Apart, so that other writes do not carry its state around.
            return Box::pin(self.write_through(buf, offset, site)).await;
        }
        settle(self.submit_write(buf, offset, site)).await
    }

    async fn sync(&self, op: OpKind, site: &'static Location<'static>) -> io::Result<()> {
        let barrier = settle(self.submit_sync(op, site)).await?;
        or_never(self.end_sync(barrier)).await
    }
}

/// What a call comes to, if it returns.
pub(crate) async fn or_never<T>(result: Option<T>) -> T {
    match result {
        Some(result) => result,
        None => std::future::pending().await,
    }
}

/// What a sync that has begun comes to, by the effect it is to have.
pub(crate) fn barrier(disk: &mut Disk, barrier: Barrier, effect: Effect) -> Option<Barrier> {
    match effect {
        Effect::Omitted => None,
        Effect::Failed(code) => {
            disk.fail(barrier, code);
            None
        }
        Effect::Lied => {
            disk.lie(barrier);
            None
        }
        _ => Some(barrier),
    }
}

/// Tells recorded writes of different bytes apart.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut digest = crate::digest::Digest::new();
    digest.bytes(bytes);
    digest.value() as u32
}

pub(crate) fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(crate::disk::os_code::EBADF)
}

impl SimEnv {
    /// The latency of a directory's sync is over. Nothing if the node crashes at it.
    pub(crate) fn end_sync_dir(self, barrier: Option<Barrier>) -> Option<io::Result<()>> {
        with(|world| match barrier {
            Some(barrier) if self.is_alive(world) => {
                if world.crashes_in_barrier(self) {
                    return None;
                }
                // A directory has no pages of its own: there is no error of writing them back.
                let disk = &mut world.nodes[self.node as usize].disk;
                if let Some(tape) = &mut world.tape {
                    tape.push(self.node, What::SyncDir(disk.name_of(barrier.ino())));
                }
                let ended = disk.end_sync(barrier, &mut ErrSeq::default());
                Some(world.tell_late(self, barrier.ino(), ended))
            }
            _ => Some(Ok(())),
        })
    }

    fn submit<T: Copy + Into<Done>>(
        self,
        op: OpKind,
        path: &str,
        site: &'static Location<'static>,
        apply: impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) -> Submitted<T> {
        let how = How::default();
        let call = Call { env: self, op, path, site, len: 0, at: 0, ino: None, sum: 0, how };
        with(|world| {
            world.digest.bytes(path.as_bytes());
            world.call(call, apply)
        })
    }
}

/// The calls on names, which the async and the blocking face share.
impl SimEnv {
    pub(crate) fn submit_open(
        self,
        path: &str,
        options: OpenOptions,
        site: &'static Location<'static>,
    ) -> Submitted<SimFile> {
        let Submitted { at, result } = self.submit(OpKind::Open, path, site, |disk, _| {
            let ino = disk.open(path, options)?;
            Ok(Opened { ino, seen: disk.errors_seen(ino) })
        });
        // The handle exists from here on, so that a cancelled open closes it.
        let file = |opened: Opened| SimFile {
            env: self,
            ino: opened.ino,
            options,
            writes_otherwise: options.append || options.direct || options.dsync,
            path: path.into(),
            seen: AtomicU32::new(opened.seen.bits()),
        };
        Submitted { at, result: result.map(|result| result.map(file)) }
    }

    pub(crate) fn submit_rename(
        self,
        from: &str,
        to: &str,
        site: &'static Location<'static>,
    ) -> Submitted<()> {
        let path = format!("{from} -> {to}");
        self.submit(OpKind::Rename, &path, site, |disk, effect| {
            unless_omitted(effect, || disk.rename(from, to))
        })
    }

    pub(crate) fn submit_hard_link(
        self,
        from: &str,
        to: &str,
        site: &'static Location<'static>,
    ) -> Submitted<()> {
        let path = format!("{from} -> {to}");
        self.submit(OpKind::HardLink, &path, site, |disk, effect| {
            unless_omitted(effect, || disk.hard_link(from, to))
        })
    }

    /// Removes a file or directory, or creates a directory.
    pub(crate) fn submit_name(
        self,
        op: OpKind,
        path: &str,
        site: &'static Location<'static>,
    ) -> Submitted<()> {
        self.submit(op, path, site, |disk, effect| {
            unless_omitted(effect, || match op {
                OpKind::RemoveFile => disk.remove_file(path),
                OpKind::RemoveDir => disk.remove_dir(path),
                OpKind::CreateDir => disk.create_dir(path),
                op => unreachable!("{} is not about one name", op.name()),
            })
        })
    }

    pub(crate) fn submit_read_dir(
        self,
        path: &str,
        site: &'static Location<'static>,
    ) -> (Submitted<usize>, Vec<DirEntry>) {
        let mut entries = Vec::new();
        let submitted = self.submit(OpKind::ReadDir, path, site, |disk, _| {
            entries = disk.read_dir(path)?;
            Ok(entries.len())
        });
        (submitted, entries)
    }

    pub(crate) fn submit_sync_dir(
        self,
        path: &str,
        site: &'static Location<'static>,
    ) -> Submitted<Option<Barrier>> {
        let shown = if path.is_empty() { "." } else { path };
        self.submit(OpKind::SyncDir, shown, site, |disk, effect| {
            let begun = disk.begin_sync_dir(path)?;
            Ok(barrier(disk, begun, effect))
        })
    }
}

impl File for SimFile {
    #[track_caller]
    fn read_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        self.read_from(buf, offset, Location::caller())
    }

    #[track_caller]
    fn write_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<usize>> + Send {
        self.write_from(buf, offset, Location::caller())
    }

    #[track_caller]
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.sync(OpKind::SyncData, Location::caller())
    }

    #[track_caller]
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.sync(OpKind::SyncAll, Location::caller())
    }

    #[track_caller]
    fn sync_range(&self, offset: u64, len: u64) -> impl Future<Output = io::Result<()>> + Send {
        let site = Location::caller();
        async move {
            let begun = settle(self.submit_sync_range(offset, len, site)).await?;
            or_never(self.end_sync_range(begun)).await
        }
    }

    #[track_caller]
    fn allocate(
        &self,
        offset: u64,
        len: u64,
        keep_size: bool,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let site = Location::caller();
        async move { settle(self.submit_allocate(offset, len, keep_size, site)).await }
    }

    #[track_caller]
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send {
        let site = Location::caller();
        async move { settle(self.submit_set_len(len, site)).await }
    }

    async fn len(&self) -> io::Result<u64> {
        self.len_now()
    }

    #[track_caller]
    fn read_exact_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let site = Location::caller();
        async move {
            let mut done = 0;
            while done < buf.len() {
                match self.read_from(&mut buf[done..], offset + done as u64, site).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => done += read,
                }
            }
            Ok(())
        }
    }

    #[track_caller]
    fn write_all_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<()>> + Send {
        let site = Location::caller();
        async move {
            let mut done = 0;
            while done < buf.len() {
                match self.write_from(&buf[done..], offset + done as u64, site).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => done += written,
                }
            }
            Ok(())
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        // Nothing to close when the world or the life is gone: the crash closed everything.
        let _ = try_with(|world| {
            if self.env.is_alive(world) {
                world.nodes[self.env.node as usize].disk.close(self.ino);
            }
        });
    }
}

impl Fs for SimEnv {
    type File = SimFile;

    #[track_caller]
    fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<SimFile>> + Send {
        let (env, site) = (*self, Location::caller());
        async move { settle(env.submit_open(utf8(path.as_ref())?, options, site)).await }
    }

    #[track_caller]
    fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let (from, to) = (utf8(from.as_ref())?, utf8(to.as_ref())?);
            settle(env.submit_rename(from, to, site)).await
        }
    }

    #[track_caller]
    fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let (from, to) = (utf8(from.as_ref())?, utf8(to.as_ref())?);
            settle(env.submit_hard_link(from, to, site)).await
        }
    }

    #[track_caller]
    fn remove_file<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move { settle(env.submit_name(OpKind::RemoveFile, utf8(path.as_ref())?, site)).await }
    }

    #[track_caller]
    fn create_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move { settle(env.submit_name(OpKind::CreateDir, utf8(path.as_ref())?, site)).await }
    }

    #[track_caller]
    fn remove_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move { settle(env.submit_name(OpKind::RemoveDir, utf8(path.as_ref())?, site)).await }
    }

    #[track_caller]
    fn read_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<Vec<DirEntry>>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let (submitted, entries) = env.submit_read_dir(utf8(path.as_ref())?, site);
            settle(submitted).await?;
            Ok(entries)
        }
    }

    #[track_caller]
    fn sync_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let barrier = settle(env.submit_sync_dir(utf8(path.as_ref())?, site)).await?;
            or_never(env.end_sync_dir(barrier)).await
        }
    }
}

impl Clock for SimEnv {
    /// A reading after the life is over is the time of the reading: there is no error to give.
    fn now(&self) -> Instant {
        with(|world| {
            let now = world.now;
            Instant::from_ns(world.nodes[self.node as usize].clock.now(now))
        })
    }

    fn wall(&self) -> WallTime {
        with(|world| {
            let node = &world.nodes[self.node as usize];
            WallTime::from_unix_ns(node.clock.wall_unix_ns(world.now))
        })
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Sleep { env: *self, ns, until: None }
    }
}

impl Entropy for SimEnv {
    fn random_u64(&self) -> u64 {
        with(|world| world.choices.choose("entropy", u64::MAX))
    }
}

impl Spawn for SimEnv {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, handle) = join_pair(future);
        // A task of a life that is over is dropped: its handle says that it ended without result.
        let mut task: Option<crate::executor::TaskFuture> = Some(Box::pin(task));
        with(|world| {
            if self.is_alive(world)
                && let Some(task) = task.take()
            {
                world.exec.spawn(self.node, task);
            }
        });
        drop(task);
        handle
    }
}

/// Sleeps for a duration on a node's clock, from its first poll on.
struct Sleep {
    env: SimEnv,
    ns: u64,
    until: Option<SleepUntil>,
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.until.is_none() {
            let Self { env, ns, .. } = *self;
            let at = with(|world| world.nodes[env.node as usize].clock.deadline(world.now, ns));
            self.until = Some(SleepUntil { at, timer: None });
        }
        match &mut self.until {
            Some(until) => Pin::new(until).poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// Sleeps until a world time.
pub(crate) struct SleepUntil {
    at: u64,
    timer: Option<TimerId>,
}

impl SleepUntil {
    pub(crate) fn new(at: u64) -> Self {
        Self { at, timer: None }
    }
}

impl Future for SleepUntil {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        with(|world| match this.timer {
            Some(timer) if !world.exec.timers.has_fired(timer, cx.waker()) => Poll::Pending,
            Some(_) => {
                this.timer = None;
                Poll::Ready(())
            }
            None if world.now >= this.at => Poll::Ready(()),
            None => {
                this.timer = Some(world.exec.timers.add(this.at, cx.waker()));
                Poll::Pending
            }
        })
    }
}

impl Drop for SleepUntil {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let _ = try_with(|world| world.exec.timers.remove(timer));
        }
    }
}
