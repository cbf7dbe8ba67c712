//! Listening sockets and how a connection comes to be.
//!
//! A request arrives at the other node, which takes it, refuses it, or says nothing: because it is
//! off or paused, because nobody has that address, because too many connections wait to be
//! accepted, or because request or answer are lost: when they are sent, or when a link is cut while
//! they are under way. Who hears nothing asks again, after a second and then after twice the time
//! before (RFC 6298), until its patience is over. An end that was to be accepted and whose answer
//! is lost is forgotten: the next request makes another one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;

use super::pipe::Pipe;
use super::stream::{Conn, End, State};
use super::{Moment, Network, Protocol, Step, StreamId, Verdict, errno};
use crate::stats::FaultKind;

/// Connections that wait to be accepted, at most.
const BACKLOG_MAX: usize = 128;
/// How long the first request waits for an answer.
const FIRST_TRY_NS: u64 = 1_000_000_000;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub node: u16,
    pub addr: SocketAddr,
    backlog: VecDeque<Waiting>,
    acceptors: Vec<Waker>,
}

/// A connection that was not accepted.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: StreamId,
    /// When who asked for it knows of it, and says so by the last segment of the handshake.
    answered: u64,
    /// When that segment arrives: from then on it can be accepted. [`u64::MAX`]: it cannot arrive
    /// as things are.
    ready: u64,
}

/// A request to connect, or the answer to one, under way.
#[derive(Debug)]
pub(super) struct ConnectPacket {
    /// Who asks.
    caller: u16,
    link: (u16, u16),
    /// [`u64::MAX`]: it is lost.
    arrives: u64,
    /// What it tells of, at the end that asked.
    conn: Option<u32>,
    waker: Option<Waker>,
}

/// What becomes of an attempt to connect, when its request arrives.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The connection is there; this end knows when this packet arrives.
    Taken(u32, StreamId, SocketAddr),
    /// It is refused, which is known when this packet arrives.
    Refused(u32),
    /// Nothing comes back.
    Silence,
}

/// An attempt to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// When it is given up.
    pub deadline: u64,
    /// It fails with this code, at this time.
    pub fails: Option<(u64, i32)>,
    /// Requests so far.
    tries: u32,
    hangs: bool,
}

impl Network {
    /// Binds a listening socket.
    pub(crate) fn listen(&mut self, node: u16, addr: SocketAddr) -> Result<(u32, SocketAddr), i32> {
        let addr = self.claim(node, addr, Protocol::Stream)?;
        let listening = Listening { node, addr, backlog: VecDeque::new(), acceptors: Vec::new() };
        let id = self.listeners.insert(listening) as u32;
        self.ports.insert((node, Protocol::Stream, addr.port()), id);
        Ok((id, addr))
    }

    /// Takes the first connection that is complete.
    pub(crate) fn accept(
        &mut self,
        moment: &Moment<'_>,
        listener: u32,
        waker: &Waker,
    ) -> Step<(StreamId, SocketAddr, SocketAddr)> {
        let listening = &mut self.listeners[listener as usize];
        let next = listening.backlog.iter().map(|waiting| waiting.ready).min().unwrap_or(u64::MAX);
        if next > moment.now {
            if !listening.acceptors.iter().any(|acceptor| acceptor.will_wake(waker)) {
                listening.acceptors.push(waker.clone());
            }
            return Step::Wait(next);
        }
        listening.acceptors.retain(|acceptor| !acceptor.will_wake(waker));
        let first = listening.backlog.iter().position(|waiting| waiting.ready == next);
        let taken = first.and_then(|first| listening.backlog.remove(first));
        let Waiting { id, .. } = taken.expect("one of them is the first");
        let ends = &self.conns[id.conn as usize].ends;
        let (local, peer) = (ends[id.side as usize].addr, ends[1 - id.side as usize].addr);
        Step::Ready(Ok((id, local, peer)))
    }

    /// Closes a listening socket; what was not accepted is reset.
    pub(crate) fn unlisten(&mut self, moment: &mut Moment<'_>, listener: u32, power_lost: bool) {
        let listening = self.listeners.remove(listener as usize);
        self.ports.remove(&(listening.node, Protocol::Stream, listening.addr.port()));
        for Waiting { id, .. } in listening.backlog {
            if !power_lost {
                self.abort(moment, id, errno::ECONNRESET);
            }
            self.orphan(moment, id, power_lost);
        }
    }

    /// Begins to connect.
    pub(crate) fn attempt(&mut self, moment: &mut Moment<'_>, link: (u16, u16)) -> Attempt {
        let patience = moment.draw("net.connect_timeout", self.faults.connect_timeout);
        let deadline = moment.now.saturating_add(patience.max(1));
        let mut attempt = Attempt { deadline, fails: None, tries: 0, hangs: false };
        if self.quiet || link.0 == link.1 {
            return attempt;
        }
        let (fails, hangs) =
            (self.faults.connect_failure_probability, self.faults.connect_hang_probability);
        if moment.choices.chance("fault.connect_failure", fails) {
            let codes = [errno::ECONNREFUSED, errno::EHOSTUNREACH, errno::ECONNRESET];
            let code = codes[moment.choices.choose("net.connect_code", 3) as usize];
            let latency = moment.draw("net.latency", self.faults.latency);
            attempt.fails = Some((moment.now.saturating_add(latency), code));
            self.happened(FaultKind::ConnectFailure, link, || format!("code {code}"));
        } else if moment.choices.chance("fault.connect_hang", hangs) {
            attempt.hangs = true;
            self.happened(FaultKind::ConnectHang, link, || format!("for {patience} ns"));
        }
        attempt
    }

    /// Sends the next request: its packet, if it arrives, and when the one after it is due.
    pub(crate) fn request(
        &mut self,
        moment: &mut Moment<'_>,
        link: (u16, u16),
        attempt: &mut Attempt,
        verdict: Verdict,
    ) -> (Option<u32>, u64) {
        let wait = FIRST_TRY_NS.saturating_mul(1 << attempt.tries.min(32));
        attempt.tries += 1;
        let next = moment.now.saturating_add(wait).min(attempt.deadline);
        if attempt.hangs {
            return (None, next);
        }
        let (arrives, lost) = self.carry(moment, link, verdict);
        if lost || arrives == u64::MAX {
            return (None, next);
        }
        (Some(self.send_connect_packet(link.0, link, arrives, None)), next)
    }

    fn send_connect_packet(
        &mut self,
        caller: u16,
        link: (u16, u16),
        arrives: u64,
        conn: Option<u32>,
    ) -> u32 {
        let packet = ConnectPacket { caller, link, arrives, conn, waker: None };
        self.connecting.insert(packet) as u32
    }

    /// When a packet arrives; [`u64::MAX`]: it is lost. Who asks is woken when that changes.
    pub(crate) fn connect_packet(&mut self, packet: u32, waker: &Waker) -> u64 {
        let packet = &mut self.connecting[packet as usize];
        packet.waker = Some(waker.clone());
        packet.arrives
    }

    /// Nobody waits for a packet any more.
    pub(crate) fn drop_connect_packet(&mut self, packet: u32) {
        self.connecting.remove(packet as usize);
    }

    /// Nobody at a node waits for packets any more.
    pub(super) fn drop_connect_packets_of(&mut self, node: u16) {
        self.connecting.retain(|_, packet| packet.caller != node);
    }

    /// A request has arrived at its address.
    pub(crate) fn answer(
        &mut self,
        moment: &mut Moment<'_>,
        (from, to): (u16, u16),
        addr: SocketAddr,
    ) -> Answer {
        if !self.hosts[to as usize].is_on || self.is_paused(to, moment.now) {
            return Answer::Silence;
        }
        let (back, lost) = self.carry(moment, (to, from), Verdict::Pass);
        if lost || back == u64::MAX {
            return Answer::Silence;
        }
        let listener = self.listener(to, addr);
        let Some(listener) = listener else {
            return Answer::Refused(self.send_connect_packet(from, (to, from), back, None));
        };
        if self.listeners[listener as usize].backlog.len() >= BACKLOG_MAX {
            return Answer::Silence;
        }
        let Ok(port) = self.free_port(from, Protocol::Stream) else { return Answer::Silence };
        let here = match addr.ip().is_loopback() {
            true => SocketAddr::new(addr.ip(), port),
            false => SocketAddr::new(super::ip_of(from).into(), port),
        };
        let pipe = |moment: &mut Moment<'_>, faults: &seedbed_faults::NetFaults| {
            Pipe::new(moment.draw("net.send_timeout", faults.send_timeout))
        };
        let pipes = [pipe(moment, &self.faults), pipe(moment, &self.faults)];
        let conn = Conn { ends: [End::new(from, here), End::new(to, addr)], pipes };
        let conn = self.conns.insert(conn) as u32;
        // The third segment of the handshake makes it complete for the other side.
        let (ready, _) = self.transit(moment, (from, to), false);
        let ready = ready.max(back);
        let waiting = Waiting { id: StreamId { conn, side: 1 }, answered: back, ready };
        self.listeners[listener as usize].backlog.push_back(waiting);
        self.wake_acceptors(ready, listener);
        let answer = self.send_connect_packet(from, (to, from), back, Some(conn));
        Answer::Taken(answer, StreamId { conn, side: 0 }, here)
    }

    fn wake_acceptors(&mut self, at: u64, listener: u32) {
        for acceptor in self.listeners[listener as usize].acceptors.clone() {
            self.wake(at, acceptor);
        }
    }

    /// What belongs to handshakes and is under way over some links meets what blocks them now, as
    /// bytes do in [`Network::send_streams_again`]. Who waits to connect or to accept looks again.
    pub(super) fn send_handshakes_again(
        &mut self,
        moment: &mut Moment<'_>,
        covers: impl Fn(u16, u16) -> bool,
        all: bool,
    ) {
        let slow = moment.now.saturating_add(self.faults.latency.max_ns);
        let after = if all { moment.now } else { slow };
        let packets: Vec<u32> = self.connecting.iter().map(|(id, _)| id as u32).collect();
        for id in packets {
            let ConnectPacket { link, arrives, .. } = self.connecting[id as usize];
            if arrives > after && arrives < u64::MAX && covers(link.0, link.1) {
                self.send_connect_packet_again(moment, id);
            }
        }
        let listeners: Vec<u32> = self.listeners.iter().map(|(id, _)| id as u32).collect();
        for listener in listeners {
            let backlog = std::mem::take(&mut self.listeners[listener as usize].backlog);
            for mut waiting in backlog {
                let (from, to) = self.conns[waiting.id.conn as usize].link(0);
                if waiting.ready > after && covers(from, to) {
                    if self.conns[waiting.id.conn as usize].ends[0].state == State::Gone {
                        // Nobody is left who would send the last segment.
                        self.forget(waiting.id);
                        continue;
                    }
                    let lost = waiting.ready == u64::MAX;
                    let (arrives, _) = self.transit(moment, (from, to), lost);
                    waiting.ready = arrives.max(waiting.answered);
                    self.wake_acceptors(waiting.ready, listener);
                }
                self.listeners[listener as usize].backlog.push_back(waiting);
            }
        }
    }

    /// A request or an answer that a cut loses is not sent again by itself: the next request is.
    fn send_connect_packet_again(&mut self, moment: &mut Moment<'_>, packet: u32) {
        let ConnectPacket { link, conn, .. } = self.connecting[packet as usize];
        let (arrives, lost) = self.transit(moment, link, false);
        let arrives = if lost { u64::MAX } else { arrives };
        let packet = &mut self.connecting[packet as usize];
        packet.arrives = arrives;
        if let Some(waker) = packet.waker.clone() {
            self.wake(moment.now, waker);
        }
        let Some(conn) = conn else { return };
        for (_, listening) in &mut self.listeners {
            let found = listening.backlog.iter().position(|waiting| waiting.id.conn == conn);
            let Some(found) = found else { continue };
            let waiting = &mut listening.backlog[found];
            (waiting.answered, waiting.ready) = (arrives, waiting.ready.max(arrives));
            if arrives == u64::MAX {
                listening.backlog.remove(found);
            }
        }
        if arrives == u64::MAX {
            self.conns[conn as usize].ends[0].state = State::Gone;
            self.forget(StreamId { conn, side: 1 });
        }
    }

    /// The end that was to be accepted is no more, and nobody is told.
    fn forget(&mut self, id: StreamId) {
        let ends = &mut self.conns[id.conn as usize].ends;
        let end = &mut ends[id.side as usize];
        (end.halves, end.state) = (0, State::Gone);
        if ends[1 - id.side as usize].halves == 0 {
            self.conns.remove(id.conn as usize);
        }
    }

    /// Who listens at an address of a node.
    fn listener(&self, node: u16, addr: SocketAddr) -> Option<u32> {
        let id = *self.ports.get(&(node, Protocol::Stream, addr.port()))?;
        let bound = self.listeners[id as usize].addr.ip();
        (bound.is_unspecified() || bound == addr.ip()).then_some(id)
    }
}
