//! One disk operation from call to completion: fencing, crash points, injected faults, latency.
//!
//! An operation takes effect in the cache when it is called and returns after its latency; a sync
//! makes things durable only when its latency is over. An operation at which the node crashes
//! never returns; whether it took effect is a decision.

use std::io;
use std::panic::Location;

use seedbed_faults::{DurationRange, OpKind, Ratio, Then};
use seedbed_traces::Outcome;

use crate::disk::{Disk, Ino, PAGE, os_code};
use crate::env::SimEnv;
use crate::node::{CrashKind, NodeId};
use crate::stats::FaultKind;
use crate::world::{Note, Stop, World};

/// Who calls what from where.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub env: SimEnv,
    pub op: OpKind,
    pub path: &'a str,
    pub site: &'static Location<'static>,
    /// Bytes to read or write; for others 0.
    pub len: usize,
    /// Offset or new length; for others 0.
    pub at: u64,
    /// The open file, if the call is about one.
    pub ino: Option<Ino>,
    /// While events are recorded, a checksum of the bytes to write; else 0.
    pub sum: u32,
    pub how: How,
}

/// What else a call was told, by itself or by its handle.
#[derive(Clone, Copy, Default)]
pub(crate) struct How {
    /// A write that goes past the page cache.
    pub direct: bool,
    /// A write that returns when it is durable.
    pub dsync: bool,
    /// Space that leaves the length alone.
    pub keep_size: bool,
}

impl Call<'_> {
    /// Whether its end says that something is durable, so that a device can lie about it.
    fn promises(&self) -> bool {
        self.op.is_sync() || self.how.dsync
    }

    /// Whether it waits for pages to reach the device.
    pub(crate) fn writes_back(&self) -> bool {
        self.promises() || self.op == OpKind::SyncRange || self.how.direct
    }
}

/// A call that was made: when it returns and what.
pub(crate) struct Submitted<T> {
    pub at: u64,
    /// `None`: it never returns, since the node crashed at it, or since it hangs: then `at` is when
    /// the node is reset.
    pub result: Option<io::Result<T>>,
}

/// What becomes of a call, before it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Normal,
    /// Fails with this code, after having had its effect or not (for writes: on a prefix).
    Fail(i32, FaultKind),
    /// Moves fewer bytes.
    Short(FaultKind),
    /// Reports success and does nothing.
    Omit,
    /// A sync of everything covers data only.
    Weaken,
    /// A sync reports success and is in the device's cache only.
    Lie,
    /// A file system that has given up does nothing and says so with this code.
    Refused(i32),
    /// A read gets other bytes.
    Misread(FaultKind),
}

/// How much of a call takes effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// All of it.
    Full,
    /// Only this many bytes of a read or write.
    Bytes(usize),
    /// Nothing; what would have been its result is wanted still (an omitted sync).
    Omitted,
    /// A sync that fails, with this code.
    Failed(i32),
    /// A sync of data only, whatever was asked for.
    Weakened,
    /// A sync that is in the device's cache only.
    Lied,
    /// A read of what was there before the last sync.
    Stale,
    /// A read of another unit: this one, modulo how many there are.
    Misdirected(u64),
}

impl World {
    /// Makes a call. `apply` performs it on the disk; `T` is what the caller gets.
    #[inline]
    pub(crate) fn call<T: Copy + Into<Done>>(
        &mut self,
        call: Call<'_>,
        mut apply: impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) -> Submitted<T> {
        let index = call.env.node as usize;
        if self.nodes.get(index).is_none_or(|node| node.life != call.env.life) {
            return Submitted { at: self.now, result: Some(Err(self.stale(call))) };
        }
        if self.stop.is_some() {
            // The world stopped within this very poll: nothing after that instant takes place.
            return Submitted { at: self.now, result: None };
        }
        let node = &mut self.nodes[index];
        node.disk.set_site(Some(call.site));
        node.ops += 1;
        if node.film.is_some() {
            node.expose();
        }
        self.stats.ops += 1;
        self.stats.syncs += u64::from(call.op.is_sync());
        if call.op == OpKind::Write {
            self.stats.written_bytes += call.len as u64;
        }
        if self.crashes_here(index) {
            return self.crash_at(call, apply);
        }
        let node = &self.nodes[index];
        if node.disturb_at == Some(node.ops) {
            self.disturb(index);
        }
        if !self.quiet {
            return self.call_with_faults(call, apply);
        }
        let result = apply(&mut self.nodes[index].disk, Effect::Full);
        self.finish(call, result, None, 0)
    }

    #[inline(never)]
    fn call_with_faults<T: Copy + Into<Done>>(
        &mut self,
        call: Call<'_>,
        mut apply: impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) -> Submitted<T> {
        let index = call.env.node as usize;
        self.background(index);
        let (fate, extra_ns) = match self.rule_fate(call) {
            Some(Ruled::Crash(kind)) => {
                self.crashes_left += 1;
                self.stop = Some(Stop::Crashed(NodeId(call.env.node), kind));
                return self.crash_at(call, apply);
            }
            Some(Ruled::Stall(ns)) => (self.random_fate(call), ns),
            Some(Ruled::Fate(fate)) => (fate, 0),
            None => (self.random_fate(call), 0),
        };
        if call.op.is_sync() && matches!(fate, Fate::Normal) {
            self.damage_at_sync(call);
        }
        let disk = &mut self.nodes[index].disk;
        let (result, cause) = match fate {
            Fate::Normal => (apply(disk, Effect::Full), None),
            Fate::Omit => (apply(disk, Effect::Omitted), Some(FaultKind::Omitted)),
            Fate::Weaken => (apply(disk, Effect::Weakened), Some(FaultKind::Omitted)),
            Fate::Lie => (apply(disk, Effect::Lied), Some(FaultKind::LyingSync)),
            Fate::Refused(code) => {
                (Err(io::Error::from_raw_os_error(code)), Some(FaultKind::Shutdown))
            }
            Fate::Misread(kind) => (self.apply_misread(call, kind, &mut apply), Some(kind)),
            Fate::Short(kind) => {
                let bytes =
                    call.len - 1 - self.choices.choose("short", call.len as u64 - 1) as usize;
                (apply(&mut self.nodes[index].disk, Effect::Bytes(bytes)), Some(kind))
            }
            Fate::Fail(code, kind) => {
                self.apply_failing(call, code, &mut apply);
                (Err(io::Error::from_raw_os_error(code)), Some(kind))
            }
        };
        if let Some(kind) = cause {
            self.stats.count_fault(kind);
            self.note_fault(index, kind);
        }
        let mut submitted = self.finish(call, result, cause.map(FaultKind::name), extra_ns);
        submitted.at = self.queue(call, submitted.at);
        if let Some(until) = self.hangs(call) {
            if let (OpKind::Open, Some(Ok(opened))) = (call.op, submitted.result) {
                // Nobody will ever hold it.
                let ino = opened.into().value as Ino;
                self.nodes[index].disk.close(ino);
            }
            return Submitted { at: until, result: None };
        }
        submitted
    }

    fn apply_misread<T>(
        &mut self,
        call: Call<'_>,
        kind: FaultKind,
        apply: &mut impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) -> io::Result<T> {
        /// More units than any file of a test has.
        const PICKS: u64 = 64;
        self.nodes[call.env.node as usize].media_faults += 1;
        let effect = match kind {
            FaultKind::StaleRead => Effect::Stale,
            _ => Effect::Misdirected(self.choices.choose("misread.unit", PICKS)),
        };
        apply(&mut self.nodes[call.env.node as usize].disk, effect)
    }

    /// An operation that reports failure may have had its effect all the same, wholly or in part.
    fn apply_failing<T>(
        &mut self,
        call: Call<'_>,
        code: i32,
        apply: &mut impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) {
        let disk = &mut self.nodes[call.env.node as usize].disk;
        // What the operation itself would have said does not matter: it reports the injected error.
        let _ = match call.op {
            op if op.is_sync() || op == OpKind::SyncRange => {
                apply(disk, Effect::Failed(code)).map(drop)
            }
            OpKind::Open | OpKind::Read | OpKind::ReadDir => Ok(()),
            OpKind::Write => {
                match self.choices.choose("fail.bytes", call.len as u64 + 1) as usize {
                    0 => Ok(()),
                    bytes => apply(disk, Effect::Bytes(bytes)).map(drop),
                }
            }
            _ => match self.choices.choose("fail.done", 2) {
                0 => Ok(()),
                _ => apply(disk, Effect::Full).map(drop),
            },
        };
    }

    /// The node crashes at this operation, which has its effect or not, and never returns.
    #[inline(never)]
    fn crash_at<T: Copy + Into<Done>>(
        &mut self,
        call: Call<'_>,
        mut apply: impl FnMut(&mut Disk, Effect) -> io::Result<T>,
    ) -> Submitted<T> {
        let took_effect = self.choices.choose("crash.after_effect", 2) == 1;
        if took_effect {
            let effect = self.effect_at_crash(call);
            let result = apply(&mut self.nodes[call.env.node as usize].disk, effect);
            if let Ok(Done { barrier: Some(barrier), .. }) = result.map(Into::into) {
                self.nodes[call.env.node as usize].disk.complete(barrier);
            }
        }
        let id = NodeId(call.env.node);
        self.stop_by_crash(id);
        self.tape_call(call);
        self.digest.pair(call.op as u64, u64::from(took_effect));
        self.log(id, || Note {
            op: call.op.name(),
            subject: call.path.to_owned(),
            detail: describe(call, if took_effect { "done" } else { "not done" }),
            cause: Some("crash here"),
            site: Some(call.site),
            ..Note::default()
        });
        Submitted { at: self.now, result: None }
    }

    /// A crash point of its own: a sync's latency is over, those whom the engine told early know
    /// it, and nothing is durable by it yet. Returns whether the node crashes here.
    #[inline]
    pub(crate) fn crashes_in_barrier(&mut self, env: SimEnv) -> bool {
        if self.stop.is_some() {
            // The world stopped within this very poll.
            return true;
        }
        let node = &mut self.nodes[env.node as usize];
        node.ops += 1;
        if node.film.is_some() {
            node.expose();
        }
        if node.disturb_at == Some(node.ops) {
            self.disturb(env.node as usize);
        }
        self.crashes_here(env.node as usize) && self.crash_in_barrier(NodeId(env.node))
    }

    #[inline(never)]
    fn crash_in_barrier(&mut self, id: NodeId) -> bool {
        self.stop_by_crash(id);
        self.digest.word(u64::from(id.0));
        self.log(id, || Note {
            op: "sync_under_way",
            cause: Some("crash here"),
            ..Note::default()
        });
        true
    }

    /// The node crashes by itself, in either way.
    pub(crate) fn stop_by_crash(&mut self, id: NodeId) {
        let probability = self.faults.node.power_loss_probability;
        if self.stop.is_none() {
            let power = self.choices.chance("crash.power_loss", probability);
            let kind = if power { CrashKind::PowerLoss } else { CrashKind::Process };
            self.stop = Some(Stop::Crashed(id, kind));
        }
    }

    /// How much of an operation took effect when the node crashed in it: of a write, any of its
    /// first pages.
    fn effect_at_crash(&mut self, call: Call<'_>) -> Effect {
        match self.rule_fate(call) {
            Some(Ruled::Fate(Fate::Omit)) => return Effect::Omitted,
            Some(Ruled::Fate(Fate::Weaken)) => return Effect::Weakened,
            _ => {}
        }
        if self.nodes[call.env.node as usize].disk.refusal(true).is_some() {
            return Effect::Omitted;
        }
        if call.op != OpKind::Write {
            return Effect::Full;
        }
        // The kernel copies a write page by page, and dies between two of them.
        let first = PAGE as u64 - call.at % PAGE as u64;
        let pages = 1 + (call.len as u64).saturating_sub(first).div_ceil(PAGE as u64);
        match self.choices.choose("crash.missing_pages", pages) {
            0 => Effect::Full,
            missing => {
                let whole = (pages - missing - 1) * PAGE as u64;
                Effect::Bytes((first + whole) as usize)
            }
        }
    }

    /// Draws the latency and records the call.
    #[inline]
    fn finish<T: Copy + Into<Done>>(
        &mut self,
        call: Call<'_>,
        result: io::Result<T>,
        cause: Option<&'static str>,
        extra_ns: u64,
    ) -> Submitted<T> {
        self.tape_call(call);
        let latency = self.latency(call);
        let at = self.now.saturating_add(latency).saturating_add(extra_ns);
        if cause != Some(FaultKind::NoSpace.name()) && is_no_space(&result) {
            self.stats.count_fault(FaultKind::NoSpace);
            self.note_fault(call.env.node as usize, FaultKind::NoSpace);
        }
        let outcome = match &result {
            Ok(done) => (*done).into().value,
            Err(error) => u64::from(error.raw_os_error().unwrap_or(-1) as u32) | 1 << 63,
        };
        let what = (call.op as u64) << 56 | u64::from(call.env.node) << 32 | call.len as u64;
        self.digest.pair(what ^ call.at.rotate_left(40), outcome ^ self.now.rotate_left(32));
        self.log(NodeId(call.env.node), || Note {
            op: call.op.name(),
            subject: call.path.to_owned(),
            detail: describe(call, ""),
            outcome: match &result {
                Ok(done) => Outcome::Done((*done).into().value),
                Err(error) => Outcome::Failed { code: error.raw_os_error().unwrap_or(-1) },
            },
            cause,
            site: Some(call.site),
        });
        Submitted { at, result: Some(result) }
    }

    /// What a sync is told when its latency is over: that pages were refused before, perhaps in
    /// an earlier boot, or that the file system has given up meanwhile.
    #[inline]
    pub(crate) fn tell_late(
        &mut self,
        env: SimEnv,
        ino: Ino,
        ended: io::Result<()>,
    ) -> io::Result<()> {
        if let Err(error) = &ended {
            self.note_late(env, ino, error.raw_os_error().unwrap_or(-1));
        }
        ended
    }

    #[inline(never)]
    fn note_late(&mut self, env: SimEnv, ino: Ino, code: i32) {
        let disk = &self.nodes[env.node as usize].disk;
        let subject = disk.name_of(ino);
        let kind = match disk.is_shut_down() {
            true => FaultKind::Shutdown,
            false => FaultKind::WritebackError,
        };
        self.stats.count_fault(kind);
        self.log(NodeId(env.node), || Note {
            op: "sync_failed",
            subject,
            outcome: Outcome::Failed { code },
            cause: Some(kind.name()),
            ..Note::default()
        });
    }

    /// Keeps what a call did to the disk, if that is kept.
    #[inline]
    fn tape_call(&mut self, call: Call<'_>) {
        if let Some(tape) = &mut self.tape {
            let disk = &self.nodes[call.env.node as usize].disk;
            // A file may have been renamed since it was opened.
            let path = call.ino.map_or(call.path.to_owned(), |ino| disk.name_of(ino));
            tape.call(call.env.node, call.op, (&path, call.at, call.len), call.site, disk);
        }
    }

    /// Draws how long a call takes, in nanoseconds.
    #[inline]
    fn latency(&mut self, call: Call<'_>) -> u64 {
        if self.timed.is_some()
            && let Some(ns) = self.timed_ns(call)
        {
            return ns;
        }
        let range = self.latency_range(call);
        range.min_ns + self.choices.choose("latency", range.span())
    }

    fn latency_range(&self, call: Call<'_>) -> DurationRange {
        let disk = &self.faults.disk;
        match call.op {
            OpKind::Read => disk.read_latency,
            OpKind::Write if !call.how.dsync => disk.write_latency,
            op if op.is_sync() || call.writes_back() => disk.sync_latency,
            _ => disk.metadata_latency,
        }
    }

    /// The first rule that fires decides.
    fn rule_fate(&mut self, call: Call<'_>) -> Option<Ruled> {
        let boot = self.nodes[call.env.node as usize].boot;
        let site = (call.site.file(), call.site.line());
        let fired = self.rules.iter_mut().position(|(rule, state)| {
            rule.matches(call.op, call.path, site, call.env.node, boot) && state.fires(rule)
        })?;
        let rule = self.rules[fired].0.rule();
        Some(match rule.then {
            Then::Eio => Ruled::Fate(Fate::Fail(os_code::EIO, error_kind(call.op))),
            Then::NoSpace => Ruled::Fate(Fate::Fail(os_code::ENOSPC, FaultKind::NoSpace)),
            Then::Short if call.len > 1 => Ruled::Fate(Fate::Short(short_kind(call.op))),
            Then::Short => Ruled::Fate(Fate::Normal),
            Then::Omit => Ruled::Fate(Fate::Omit),
            Then::Weaken => Ruled::Fate(Fate::Weaken),
            Then::Crash => Ruled::Crash(CrashKind::Process),
            Then::PowerLoss => Ruled::Crash(CrashKind::PowerLoss),
            Then::Stall => {
                let range = rule.stall.unwrap_or(DurationRange::ZERO);
                self.stats.count_fault(FaultKind::Stall);
                Ruled::Stall(range.min_ns + self.choices.choose("stall", range.span()))
            }
        })
    }

    fn random_fate(&mut self, call: Call<'_>) -> Fate {
        let index = call.env.node as usize;
        let changes = !matches!(call.op, OpKind::Open | OpKind::Read | OpKind::ReadDir);
        if let Some(code) = self.nodes[index].disk.refusal(changes) {
            return Fate::Refused(code);
        }
        let may_fail = self.nodes[index].disk_faults.may;
        if may_fail && self.gives_up(call.op) {
            self.nodes[index].disk.shut_down();
            let code = self.nodes[index].disk.refusal(true).unwrap_or(os_code::EIO);
            return Fate::Refused(code);
        }
        let disk = &self.faults.disk;
        let (error, label): (Ratio, _) = match call.op {
            OpKind::Read => (disk.read_error_probability, "fault.read_error"),
            OpKind::Write => (disk.write_error_probability, "fault.write_error"),
            op if op.is_sync() || op == OpKind::SyncRange => {
                (disk.sync_error_probability, "fault.sync_error")
            }
            _ => (disk.metadata_error_probability, "fault.metadata_error"),
        };
        // At a sync it is late: space is found missing when the pages are written back.
        let takes_space = match call.op {
            OpKind::Write | OpKind::CreateDir | OpKind::Rename => true,
            OpKind::HardLink | OpKind::Allocate | OpKind::SyncRange => true,
            op => op.is_sync(),
        };
        let no_space = if takes_space { disk.no_space_probability } else { Ratio::NEVER };
        let short = match call.op {
            OpKind::Read if call.len > 1 => disk.short_read_probability,
            OpKind::Write if call.len > 1 => disk.short_write_probability,
            _ => Ratio::NEVER,
        };
        if may_fail && self.choices.chance(label, error) {
            let codes = error_codes(call.op);
            let code = codes[self.choices.choose("fault.code", codes.len() as u64) as usize];
            return Fate::Fail(code, error_kind(call.op));
        }
        if may_fail && self.choices.chance("fault.no_space", no_space) {
            return Fate::Fail(os_code::ENOSPC, FaultKind::NoSpace);
        }
        if self.choices.chance("fault.short", short) {
            return Fate::Short(short_kind(call.op));
        }
        let lie = self.faults.device.lying_sync_probability;
        let may_lie = call.promises() && self.nodes[index].damage.may;
        if may_lie && self.choices.chance("fault.lying_sync", lie) {
            return Fate::Lie;
        }
        self.misread(call).map_or(Fate::Normal, Fate::Misread)
    }

    /// A handle of a life that is over does nothing and says so.
    #[inline(never)]
    fn stale(&mut self, call: Call<'_>) -> io::Error {
        let id = NodeId(call.env.node);
        self.digest.word(u64::MAX);
        self.log(id, || Note {
            op: call.op.name(),
            subject: call.path.to_owned(),
            detail: "ignored: the handle's boot is over".to_owned(),
            cause: Some("stale handle"),
            site: Some(call.site),
            ..Note::default()
        });
        io::Error::other(format!(
            "stale handle: {} of {} was called by a boot of {id} that is over; nothing was done",
            call.op.name(),
            call.path
        ))
    }
}

/// The disk itself was full, without anything injected.
fn is_no_space<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.raw_os_error() == Some(os_code::ENOSPC))
}

enum Ruled {
    Fate(Fate),
    Crash(CrashKind),
    Stall(u64),
}

/// The errors that an operation may report when the disk fails, the plainest first.
fn error_codes(op: OpKind) -> &'static [i32] {
    use os_code::{EDQUOT, EIO, EMFILE, ENOSPC, EROFS};
    match op {
        OpKind::Read | OpKind::ReadDir | OpKind::RemoveFile | OpKind::RemoveDir => &[EIO],
        OpKind::Open => &[EIO, EMFILE, ENOSPC],
        OpKind::Write | OpKind::SetLen | OpKind::Allocate | OpKind::SyncRange => &[EIO, EDQUOT],
        OpKind::SyncData | OpKind::SyncAll | OpKind::SyncDir => &[EIO, EDQUOT, EROFS],
        OpKind::Rename | OpKind::CreateDir | OpKind::HardLink => &[EIO, EDQUOT],
    }
}

fn error_kind(op: OpKind) -> FaultKind {
    match op {
        OpKind::Read => FaultKind::ReadError,
        OpKind::Write => FaultKind::WriteError,
        op if op.is_sync() || op == OpKind::SyncRange => FaultKind::SyncError,
        _ => FaultKind::MetadataError,
    }
}

fn short_kind(op: OpKind) -> FaultKind {
    if op == OpKind::Read { FaultKind::ShortRead } else { FaultKind::ShortWrite }
}

fn describe(call: Call<'_>, more: &str) -> String {
    let what = match call.op {
        OpKind::Write => format!("{} B at {} #{:08x}", call.len, call.at, call.sum),
        OpKind::Read => format!("{} B at {}", call.len, call.at),
        OpKind::SetLen => format!("to {} B", call.at),
        OpKind::Allocate if call.how.keep_size => {
            format!("{} B at {}, length kept", call.len, call.at)
        }
        OpKind::Allocate | OpKind::SyncRange => format!("{} B at {}", call.len, call.at),
        _ => String::new(),
    };
    match (what.is_empty(), more.is_empty()) {
        (_, true) => what,
        (true, false) => more.to_owned(),
        (false, false) => format!("{what}, {more}"),
    }
}

/// What a call gives, as the digest and the trace see it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Done {
    pub value: u64,
    pub barrier: Option<crate::disk::Barrier>,
}

impl From<()> for Done {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<usize> for Done {
    fn from(count: usize) -> Self {
        Self { value: count as u64, barrier: None }
    }
}

impl From<crate::range::Through> for Done {
    fn from(through: crate::range::Through) -> Self {
        Self { value: through.written as u64, barrier: through.barrier }
    }
}

impl From<Option<crate::disk::WriteBack>> for Done {
    fn from(_: Option<crate::disk::WriteBack>) -> Self {
        Self::default()
    }
}

impl From<crate::env::Opened> for Done {
    fn from(opened: crate::env::Opened) -> Self {
        Self { value: u64::from(opened.ino), barrier: None }
    }
}

impl From<Option<crate::disk::Barrier>> for Done {
    fn from(barrier: Option<crate::disk::Barrier>) -> Self {
        Self { value: 0, barrier }
    }
}
