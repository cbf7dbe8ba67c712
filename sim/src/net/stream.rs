//! Connections: two ends, a pipe each way, and what the kernels at both ends do about them.
//!
//! An end is **open** while its process holds it, **closed** when its kernel only finishes what was
//! written, and **gone** when its kernel knows nothing of the connection: after a reset, after it
//! gave up, after a power loss. Whoever sends to an end that is closed or gone is answered by a
//! reset, as soon as the node can answer.

use std::net::SocketAddr;
use std::task::Waker;

use super::pipe::{Pipe, Segment};
use super::{Moment, Network, Step, Verdict, errno};
use crate::probes::Probe;
use crate::stats::FaultKind;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamId {
    pub conn: u32,
    pub side: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    Gone,
}

#[derive(Debug)]
pub(super) struct End {
    pub node: u16,
    pub addr: SocketAddr,
    pub state: State,
    /// Handles to it: two halves.
    pub halves: u8,
    /// Why it is gone, and whether its process was told.
    failed: Option<(i32, bool)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    pub(super) fn new(node: u16, addr: SocketAddr) -> Self {
        let state = State::Open;
        Self { node, addr, state, halves: 2, failed: None, reader: None, writer: None }
    }
}

#[derive(Debug)]
pub(super) struct Conn {
    pub ends: [End; 2],
    /// What each end has written.
    pub pipes: [Pipe; 2],
}

impl Conn {
    pub(super) fn link(&self, side: usize) -> (u16, u16) {
        (self.ends[side].node, self.ends[1 - side].node)
    }
}

/// Which half of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Read,
    Write,
}

impl Network {
    /// Reads what has arrived.
    #[inline]
    pub(crate) fn read(
        &mut self,
        moment: &mut Moment<'_>,
        id: StreamId,
        buf: &mut [u8],
        waker: &Waker,
    ) -> Step<usize> {
        let (side, peer) = sides(id);
        let conn = &mut self.conns[id.conn as usize];
        let pipe = &mut conn.pipes[peer];
        pipe.look(moment.now);
        if buf.is_empty() {
            return Step::Ready(Ok(0));
        }
        if pipe.available() > 0 {
            let mut len = buf.len().min(pipe.available());
            if !self.quiet {
                let short = self.faults.short_read_probability;
                len = shorten(moment, len, ("fault.net_short_read", "net.short_read"), short);
                if len < buf.len().min(pipe.available()) {
                    self.counted.push(FaultKind::NetShortRead);
                }
            }
            let len = pipe.take(&mut buf[..len]);
            self.make_room(moment, id, len);
            return Step::Ready(Ok(len));
        }
        if pipe.has_ended() {
            return Step::Ready(Ok(0));
        }
        if let Some(failed) = self.failure(moment.now, id) {
            // Once, and then it reads as ended, as socket errors do.
            return Step::Ready(failed.map_or(Ok(0), |code| Err(errno::error(code))));
        }
        let conn = &mut self.conns[id.conn as usize];
        conn.ends[side].reader = Some(waker.clone());
        let mut at = conn.pipes[peer].next_arrival();
        if conn.pipes[side].is_in_doubt() {
            at = at.min(conn.pipes[side].gives_up_at(moment.now));
        }
        Step::Wait(at)
    }

    /// The reader has read: its kernel says so to the writer's, if it can.
    #[inline]
    fn make_room(&mut self, moment: &Moment<'_>, id: StreamId, len: usize) {
        let (side, peer) = sides(id);
        let conn = &mut self.conns[id.conn as usize];
        let back = self.weather.departs(conn.ends[side].node, conn.ends[peer].node, moment.now);
        if back.at > moment.now {
            conn.pipes[peer].unheard += len;
        }
        if let Some(writer) = &conn.ends[peer].writer {
            let at = back.at.saturating_add(self.faults.latency.min_ns);
            let writer = writer.clone();
            self.wake(at, writer);
        }
    }

    /// Writes as much as there is room for.
    #[inline]
    pub(crate) fn write(
        &mut self,
        moment: &mut Moment<'_>,
        id: StreamId,
        buf: &[u8],
        verdict: Verdict,
        waker: &Waker,
    ) -> Step<usize> {
        let (side, _) = sides(id);
        if let Some(failed) = self.failure(moment.now, id) {
            return Step::Ready(Err(errno::error(failed.unwrap_or(errno::EPIPE))));
        }
        if self.conns[id.conn as usize].pipes[side].is_closed() {
            return Step::Ready(Err(errno::error(errno::EPIPE)));
        }
        if buf.is_empty() {
            return Step::Ready(Ok(0));
        }
        let room = self.room(moment.now, id);
        if room == 0 {
            let hears = self.hears_at(moment.now, id);
            let conn = &mut self.conns[id.conn as usize];
            conn.ends[side].writer = Some(waker.clone());
            return Step::Wait(hears.min(conn.pipes[side].gives_up_at(moment.now)));
        }
        let mut len = buf.len().min(room);
        if !self.quiet {
            if moment.choices.chance("fault.net_reset", self.faults.reset_probability) {
                let link = self.conns[id.conn as usize].link(side);
                self.happened(FaultKind::NetReset, link, || "in a write".to_owned());
                self.harm(link);
                self.abort(moment, id, errno::ECONNRESET);
                self.conns[id.conn as usize].ends[side].failed = Some((errno::ECONNRESET, true));
                return Step::Ready(Err(errno::error(errno::ECONNRESET)));
            }
            let short = self.faults.short_write_probability;
            let whole = len;
            len = shorten(moment, len, ("fault.net_short_write", "net.short_write"), short);
            if len < whole {
                self.counted.push(FaultKind::NetShortWrite);
            }
        }
        self.send(moment, id, &buf[..len], false, verdict);
        Step::Ready(Ok(len))
    }

    /// Room in the window.
    #[inline]
    fn room(&mut self, now: u64, id: StreamId) -> usize {
        let (side, _) = sides(id);
        if self.conns[id.conn as usize].pipes[side].unheard > 0 && self.hears_at(now, id) <= now {
            self.conns[id.conn as usize].pipes[side].unheard = 0;
        }
        let window = self.faults.window_bytes as usize;
        window.saturating_sub(self.conns[id.conn as usize].pipes[side].held())
    }

    /// When what the peer's kernel says would leave.
    fn hears_at(&self, now: u64, id: StreamId) -> u64 {
        let conn = &self.conns[id.conn as usize];
        let (from, to) = conn.link(1 - id.side as usize);
        let pipe = &conn.pipes[id.side as usize];
        match self.weather.departs(from, to, now).at {
            at if at > now || pipe.unheard > 0 => at,
            // Nothing is in the way; the reader will wake the writer.
            _ => u64::MAX,
        }
    }

    /// Puts bytes or the end of the stream under way.
    fn send(
        &mut self,
        moment: &mut Moment<'_>,
        id: StreamId,
        bytes: &[u8],
        is_end: bool,
        verdict: Verdict,
    ) {
        let (side, peer) = sides(id);
        let link = self.conns[id.conn as usize].link(side);
        let (mut arrives, again) = self.carry(moment, link, verdict);
        if !self.hosts[link.1 as usize].is_on {
            arrives = u64::MAX;
        }
        let back = self.weather.departs(link.1, link.0, moment.now);
        let segment = Segment { arrives, sent: moment.now, len: bytes.len(), is_end, again };
        let conn = &mut self.conns[id.conn as usize];
        let pipe = &mut conn.pipes[side];
        if back.lost {
            pipe.deaf.get_or_insert((moment.now, back.at));
        }
        let was_idle = pipe.is_idle();
        let arrives = pipe.send(bytes, segment);
        if let (true, Some(reader)) = (was_idle, &conn.ends[peer].reader) {
            let reader = reader.clone();
            self.wake(arrives, reader);
        }
        if arrives == u64::MAX || back.lost {
            // Who waits at this end has to look how long it tries.
            self.wake_end(moment.now, id);
        }
        self.answer_if_due(moment, id);
    }

    /// When a segment arrives, with what happens to it on its way.
    #[inline]
    pub(super) fn carry(
        &mut self,
        moment: &mut Moment<'_>,
        link: (u16, u16),
        verdict: Verdict,
    ) -> (u64, bool) {
        let mut lost = verdict == Verdict::Drop;
        if !self.quiet && link.0 != link.1 {
            self.strike(moment, link);
            if moment.choices.chance("fault.net_drop", self.faults.drop_probability) {
                self.happened(FaultKind::NetDrop, link, || "a segment".to_owned());
                lost = true;
            }
        }
        let (arrives, again) = self.transit(moment, link, lost);
        (arrives.saturating_add(verdict.delay_ns()), again)
    }

    /// A reset for what is under way to an end that takes nothing any more. The end of a stream is
    /// no news to one that is closed.
    fn answer_if_due(&mut self, moment: &mut Moment<'_>, id: StreamId) {
        let (side, peer) = sides(id);
        let conn = &mut self.conns[id.conn as usize];
        let state = conn.ends[peer].state;
        if state == State::Open {
            return;
        }
        // What has arrived before was taken, or answered.
        conn.pipes[side].look(moment.now.saturating_sub(1));
        if let Some(at) = conn.pipes[side].next_segment(state == State::Gone) {
            self.answer_by_reset(moment, id, at);
        }
    }

    /// What was sent arrives at `at` at an end that is closed or gone: its node says so.
    fn answer_by_reset(&mut self, moment: &mut Moment<'_>, id: StreamId, at: u64) {
        let (side, peer) = sides(id);
        let (to, from) = self.conns[id.conn as usize].link(side);
        if at == u64::MAX || !self.hosts[from as usize].is_on {
            return;
        }
        let latency = moment.draw("net.latency", self.faults.latency);
        let back = self.weather.departs(from, to, at);
        if !back.lost {
            let sender = StreamId { conn: id.conn, side: peer as u8 };
            self.deliver_reset(moment.now, sender, back.at.saturating_add(latency));
        }
    }

    /// A reset from this end arrives at the other one, behind what was sent before.
    fn deliver_reset(&mut self, now: u64, id: StreamId, at: u64) {
        let (side, peer) = sides(id);
        let pipe = &mut self.conns[id.conn as usize].pipes[side];
        pipe.look(now);
        let at = at.max(pipe.last_arrival());
        let first = pipe.reset.map_or(at, |reset| reset.min(at));
        pipe.reset = Some(first);
        let receiver = StreamId { conn: id.conn, side: peer as u8 };
        self.wake_end(first, receiver);
    }

    /// Why the connection of an end is over, if it is; the code is told once.
    #[inline]
    fn failure(&mut self, now: u64, id: StreamId) -> Option<Option<i32>> {
        if !self.is_over(now, id) {
            return None;
        }
        let (code, told) = self.conns[id.conn as usize].ends[id.side as usize].failed.as_mut()?;
        Some((!std::mem::replace(told, true)).then_some(*code))
    }

    /// Whether the connection is over for an end.
    #[inline]
    fn is_over(&mut self, now: u64, id: StreamId) -> bool {
        let (side, peer) = sides(id);
        let conn = &self.conns[id.conn as usize];
        if conn.ends[side].failed.is_some() {
            return true;
        }
        let in_doubt = conn.pipes[peer].reset.is_some() || conn.pipes[side].is_in_doubt();
        in_doubt && self.finds_out(now, id)
    }

    /// Whether a reset has arrived, or the end has given up.
    #[inline(never)]
    fn finds_out(&mut self, now: u64, id: StreamId) -> bool {
        let (side, peer) = sides(id);
        let conn = &mut self.conns[id.conn as usize];
        let given_up = conn.pipes[side].gives_up_at(now) <= now;
        let code = match conn.pipes[peer].reset {
            // After the peer's end a reset says that nobody reads any more.
            Some(at) if at <= now && conn.pipes[peer].has_ended() => errno::EPIPE,
            Some(at) if at <= now => errno::ECONNRESET,
            _ if given_up => errno::ETIMEDOUT,
            _ => return false,
        };
        conn.ends[side].failed = Some((code, false));
        conn.ends[side].state = State::Gone;
        conn.pipes[side].look(now);
        conn.pipes[side].lose_what_has_not_arrived();
        true
    }

    /// Ends the writing half.
    pub(crate) fn shutdown(&mut self, moment: &mut Moment<'_>, id: StreamId) -> Step<()> {
        if self.is_over(moment.now, id) {
            return Step::Ready(Err(errno::error(errno::ENOTCONN)));
        }
        if !self.conns[id.conn as usize].pipes[id.side as usize].is_closed() {
            self.send(moment, id, &[], true, Verdict::Pass);
        }
        Step::Ready(Ok(()))
    }

    /// A handle of an end was dropped. With the last one the kernel closes the connection: by a
    /// reset if something was not read, else by its end.
    pub(crate) fn release(&mut self, moment: &mut Moment<'_>, id: StreamId, half: Half) {
        let (side, peer) = sides(id);
        let end = &mut self.conns[id.conn as usize].ends[side];
        end.halves = end.halves.checked_sub(1).expect("a half is released once");
        let waker = if half == Half::Read { &mut end.reader } else { &mut end.writer };
        *waker = None;
        let is_last = end.halves == 0;
        if end.state == State::Open && (is_last || half == Half::Write) {
            self.close(moment, id, is_last);
        }
        if is_last && self.conns[id.conn as usize].ends[peer].halves == 0 {
            self.conns.remove(id.conn as usize);
        }
    }

    fn close(&mut self, moment: &mut Moment<'_>, id: StreamId, is_last: bool) {
        let (side, peer) = sides(id);
        if self.is_over(moment.now, id) {
            return;
        }
        let incoming = &mut self.conns[id.conn as usize].pipes[peer];
        incoming.look(moment.now);
        if is_last && incoming.available() > 0 {
            return self.abort(moment, id, errno::ECONNRESET);
        }
        if !self.conns[id.conn as usize].pipes[side].is_closed() {
            self.send(moment, id, &[], true, Verdict::Pass);
        }
        if is_last {
            self.conns[id.conn as usize].ends[side].state = State::Closed;
            self.answer_if_due(moment, StreamId { conn: id.conn, side: peer as u8 });
        }
    }

    /// Ends a connection by a reset, which is sent once and may be lost.
    pub(crate) fn abort(&mut self, moment: &mut Moment<'_>, id: StreamId, code: i32) {
        let (side, _) = sides(id);
        let link = self.conns[id.conn as usize].link(side);
        let (arrives, lost) = self.carry(moment, link, Verdict::Pass);
        let conn = &mut self.conns[id.conn as usize];
        let under_way = |pipe: &Pipe| pipe.has_bytes_under_way(moment.now);
        Probe::ResetUnderWay.sometimes(conn.pipes.iter().any(under_way));
        conn.ends[side].state = State::Gone;
        conn.ends[side].failed.get_or_insert((code, false));
        conn.pipes[side].look(moment.now);
        conn.pipes[side].lose_what_is_sent_again();
        if !lost {
            self.deliver_reset(moment.now, id, arrives);
        }
    }

    /// Wakes whoever waits at an end.
    pub(super) fn wake_end(&mut self, at: u64, id: StreamId) {
        let end = &self.conns[id.conn as usize].ends[id.side as usize];
        let waiting = [end.reader.clone(), end.writer.clone()];
        waiting.into_iter().flatten().for_each(|waker| self.wake(at, waker));
    }

    /// What is under way over some links is sent again now; `all` of it, or only what would take
    /// longer than over a link without blocks. Who waits at their ends looks again, and who waits
    /// to connect or to accept.
    pub(super) fn send_streams_again(
        &mut self,
        moment: &mut Moment<'_>,
        covers: impl Fn(u16, u16) -> bool,
        all: bool,
    ) {
        let conns: Vec<u32> = self.conns.iter().map(|(conn, _)| conn as u32).collect();
        for id in conns.into_iter().flat_map(|conn| [0, 1].map(|side| StreamId { conn, side })) {
            let (from, to) = self.conns[id.conn as usize].link(id.side as usize);
            if covers(from, to) {
                self.send_stream_again(moment, id, all);
            }
            if covers(to, from) {
                let back = self.weather.departs(to, from, moment.now);
                let pipe = &mut self.conns[id.conn as usize].pipes[id.side as usize];
                if let Some((_, until)) = &mut pipe.deaf {
                    *until = back.at;
                }
            }
            if covers(from, to) || covers(to, from) {
                self.wake_end(moment.now, id);
            }
        }
        self.send_handshakes_again(moment, covers, all);
    }

    fn send_stream_again(&mut self, moment: &mut Moment<'_>, id: StreamId, all: bool) {
        let (side, _) = sides(id);
        let link = self.conns[id.conn as usize].link(side);
        let is_on = self.hosts[link.1 as usize].is_on;
        let slow = moment.now.saturating_add(self.faults.latency.max_ns);
        let reset = self.conns[id.conn as usize].pipes[side].reset;
        if !all && reset.is_some_and(|at| at > slow) {
            // A reset is not sent again; one that is held up comes now.
            let latency = moment.draw("net.latency", self.faults.latency);
            self.conns[id.conn as usize].pipes[side].reset = Some(moment.now + latency);
        }
        if self.is_over(moment.now, id) {
            return;
        }
        let nothing = Pipe::new(0);
        let mut pipe = std::mem::replace(&mut self.conns[id.conn as usize].pipes[side], nothing);
        pipe.look(moment.now);
        pipe.send_again(|arrives| match is_on {
            true if all || arrives > slow => Some(self.transit(moment, link, arrives == u64::MAX)),
            true => None,
            false => Some((u64::MAX, true)),
        });
        self.conns[id.conn as usize].pipes[side] = pipe;
        self.answer_if_due(moment, id);
    }

    /// The process at an end is gone; its kernel closes, or is gone as well if the power is.
    pub(super) fn orphan(&mut self, moment: &mut Moment<'_>, id: StreamId, power_lost: bool) {
        let (side, peer) = sides(id);
        let end = &mut self.conns[id.conn as usize].ends[side];
        let held = std::mem::take(&mut end.halves);
        (end.reader, end.writer) = (None, None);
        match (power_lost, end.state) {
            (true, _) => {
                end.state = State::Gone;
                end.failed.get_or_insert((errno::ECONNRESET, true));
                let conn = &mut self.conns[id.conn as usize];
                conn.pipes.iter_mut().for_each(|pipe| pipe.look(moment.now));
                conn.pipes[side].lose_what_is_sent_again();
                conn.pipes[peer].lose_receiver();
                self.wake_end(moment.now, StreamId { conn: id.conn, side: peer as u8 });
            }
            (false, State::Open) if held > 0 => self.close(moment, id, true),
            (false, _) => {}
        }
        if self.conns[id.conn as usize].ends[peer].halves == 0 {
            self.conns.remove(id.conn as usize);
        }
    }
}

#[inline]
fn sides(id: StreamId) -> (usize, usize) {
    (id.side as usize, 1 - id.side as usize)
}

/// Fewer bytes, if the chance hits; at least one.
#[inline]
fn shorten(
    moment: &mut Moment<'_>,
    len: usize,
    (label, how): (&'static str, &'static str),
    probability: seedbed_faults::Ratio,
) -> usize {
    if len > 1 && moment.choices.chance(label, probability) {
        return len - 1 - moment.choices.choose(how, len as u64 - 1) as usize;
    }
    len
}
