//! Datagrams: each by itself, lost, duplicated, held up, or there.
//!
//! What is under way belongs to a port of a node, not to a socket: a socket that is bound anew gets
//! what arrives from then on, also if it was sent to the one before (udp(7) knows no connections).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::Waker;

use super::{Moment, Network, Protocol, Step, Verdict, errno};
use crate::stats::FaultKind;

/// Longest datagram: what an IPv4 packet has room for.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Bytes that wait at a port, at most: what comes then is lost.
const INBOX_BYTES_MAX: usize = 212_992;

#[derive(Debug)]
struct Packet {
    arrives: u64,
    from: SocketAddr,
    bytes: Box<[u8]>,
}

/// What goes to one port of one node.
#[derive(Debug)]
pub(super) struct Inbox {
    pub node: u16,
    /// The address of the socket that is bound to it, if one is.
    bound: Option<SocketAddr>,
    /// By arrival.
    packets: VecDeque<Packet>,
    /// Their bytes.
    held: usize,
    receivers: Vec<Waker>,
}

impl Inbox {
    fn new(node: u16) -> Self {
        Self { node, bound: None, packets: VecDeque::new(), held: 0, receivers: Vec::new() }
    }

    /// What has arrived and nobody was there for.
    fn lose_what_arrived(&mut self, now: u64) {
        self.packets.retain(|packet| packet.arrives > now);
        self.held = self.packets.iter().map(|packet| packet.bytes.len()).sum();
    }

    fn put(&mut self, packet: Packet) {
        let at = self.packets.partition_point(|other| other.arrives <= packet.arrives);
        self.packets.insert(at, packet);
    }
}

impl Network {
    pub(crate) fn bind_datagram(
        &mut self,
        now: u64,
        node: u16,
        addr: SocketAddr,
    ) -> Result<(u32, SocketAddr), i32> {
        let addr = self.claim(node, addr, Protocol::Datagram)?;
        let id = self.inbox(node, addr.port());
        let inbox = &mut self.inboxes[id as usize];
        assert!(inbox.bound.is_none(), "a port that is in use was given out");
        inbox.lose_what_arrived(now);
        inbox.bound = Some(addr);
        Ok((id, addr))
    }

    fn inbox(&mut self, node: u16, port: u16) -> u32 {
        let inboxes = &mut self.inboxes;
        let new = || inboxes.insert(Inbox::new(node)) as u32;
        *self.ports.entry((node, Protocol::Datagram, port)).or_insert_with(new)
    }

    pub(super) fn is_datagram_bound(&self, inbox: u32) -> bool {
        self.inboxes[inbox as usize].bound.is_some()
    }

    /// Sends a datagram from a bound socket.
    pub(crate) fn send_to(
        &mut self,
        moment: &mut Moment<'_>,
        inbox: u32,
        bytes: &[u8],
        addr: SocketAddr,
        verdict: Verdict,
    ) -> Step<usize> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Step::Ready(Err(errno::error(errno::EMSGSIZE)));
        }
        let Inbox { node, bound, .. } = self.inboxes[inbox as usize];
        let bound = bound.expect("a socket that sends is bound");
        if let Some(to) = self.resolve(node, addr.ip()) {
            let from = match (bound.ip().is_unspecified(), addr.ip().is_loopback()) {
                (true, true) => SocketAddr::new(addr.ip(), bound.port()),
                (true, false) => SocketAddr::new(super::ip_of(node).into(), bound.port()),
                (false, _) => bound,
            };
            self.carry_datagram(moment, (node, to), (from, addr), bytes, verdict);
        }
        Step::Ready(Ok(bytes.len()))
    }

    fn carry_datagram(
        &mut self,
        moment: &mut Moment<'_>,
        link: (u16, u16),
        (from, to): (SocketAddr, SocketAddr),
        bytes: &[u8],
        verdict: Verdict,
    ) {
        let mut copies = if verdict == Verdict::Duplicate { 2 } else { 1 };
        let mut extra = verdict.delay_ns();
        if !self.quiet && link.0 != link.1 {
            self.strike(moment, link);
            if moment.choices.chance("fault.net_drop", self.faults.drop_probability) {
                self.happened(FaultKind::NetDrop, link, || format!("{} B", bytes.len()));
                copies = 0;
            }
            if moment.choices.chance("fault.net_duplicate", self.faults.duplicate_probability) {
                self.happened(FaultKind::NetDuplicate, link, || format!("{} B", bytes.len()));
                copies *= 2;
            }
            if moment.choices.chance("fault.net_reorder", self.faults.reorder_probability) {
                let ns = moment.draw("net.reorder", self.faults.reorder);
                self.happened(FaultKind::NetReorder, link, || format!("{ns} ns late"));
                extra = extra.saturating_add(ns);
            }
        }
        if verdict == Verdict::Drop {
            copies = 0;
        } else if copies > 0 && self.weather.departs(link.0, link.1, moment.now).lost {
            self.happened(FaultKind::NetDrop, link, || format!("{} B, no link", bytes.len()));
            copies = 0;
        }
        for _ in 0..copies {
            let (arrives, _) = self.transit(moment, link, false);
            let packet =
                Packet { arrives: arrives.saturating_add(extra), from, bytes: bytes.into() };
            self.deliver(moment.now, link, to.port(), packet);
        }
    }

    fn deliver(&mut self, now: u64, link: (u16, u16), port: u16, packet: Packet) {
        let id = self.inbox(link.1, port);
        let inbox = &mut self.inboxes[id as usize];
        if inbox.bound.is_none() {
            inbox.lose_what_arrived(now);
        }
        let len = packet.bytes.len();
        if inbox.held + len > INBOX_BYTES_MAX {
            return self.happened(FaultKind::NetDrop, link, || format!("{len} B, no room"));
        }
        let arrives = packet.arrives;
        inbox.held += len;
        inbox.put(packet);
        self.wake_receivers(arrives, id);
    }

    fn wake_receivers(&mut self, at: u64, inbox: u32) {
        let receivers = std::mem::take(&mut self.inboxes[inbox as usize].receivers);
        receivers.iter().for_each(|receiver| self.wake(at, receiver.clone()));
        self.inboxes[inbox as usize].receivers = receivers;
    }

    /// Takes the first datagram that has arrived; what does not fit is cut off.
    pub(crate) fn recv_from(
        &mut self,
        moment: &Moment<'_>,
        inbox: u32,
        buf: &mut [u8],
        waker: &Waker,
    ) -> Step<(usize, SocketAddr)> {
        let inbox = &mut self.inboxes[inbox as usize];
        let next = inbox.packets.front().map_or(u64::MAX, |packet| packet.arrives);
        if next > moment.now {
            if !inbox.receivers.iter().any(|receiver| receiver.will_wake(waker)) {
                inbox.receivers.push(waker.clone());
            }
            return Step::Wait(next);
        }
        inbox.receivers.retain(|receiver| !receiver.will_wake(waker));
        let packet = inbox.packets.pop_front().expect("one has arrived");
        inbox.held -= packet.bytes.len();
        let len = buf.len().min(packet.bytes.len());
        buf[..len].copy_from_slice(&packet.bytes[..len]);
        Step::Ready(Ok((len, packet.from)))
    }

    /// A socket is closed, by its process or by its kernel.
    pub(crate) fn unbind_datagram(&mut self, now: u64, inbox: u32) {
        let inbox = &mut self.inboxes[inbox as usize];
        assert!(inbox.bound.take().is_some(), "a socket is closed once");
        inbox.receivers.clear();
        inbox.lose_what_arrived(now);
    }

    /// What is under way over some links meets what blocks them now: it is lost, or it waits.
    pub(super) fn block_datagrams(
        &mut self,
        moment: &mut Moment<'_>,
        covers: impl Fn(u16, u16) -> bool,
    ) {
        let inboxes: Vec<usize> = self.inboxes.iter().map(|(id, _)| id).collect();
        for id in inboxes {
            let inbox = &mut self.inboxes[id];
            let to = inbox.node;
            let arrived = inbox.packets.partition_point(|packet| packet.arrives <= moment.now);
            for mut packet in inbox.packets.split_off(arrived) {
                let from = self.resolve(to, packet.from.ip()).expect("a node has sent it");
                if covers(from, to) {
                    let len = packet.bytes.len();
                    if self.weather.departs(from, to, moment.now).lost {
                        self.inboxes[id].held -= len;
                        let told = || format!("{len} B, no link any more");
                        self.happened(FaultKind::NetDrop, (from, to), told);
                        continue;
                    }
                    let (again, _) = self.transit(moment, (from, to), false);
                    packet.arrives = packet.arrives.max(again);
                }
                self.inboxes[id].put(packet);
            }
        }
    }

    /// What is held up comes now.
    pub(super) fn hurry_datagrams(&mut self, moment: &mut Moment<'_>) {
        let slow = moment.now.saturating_add(self.faults.latency.max_ns);
        let inboxes: Vec<usize> = self.inboxes.iter().map(|(id, _)| id).collect();
        for id in inboxes {
            let late = self.inboxes[id].packets.partition_point(|packet| packet.arrives <= slow);
            for mut packet in self.inboxes[id].packets.split_off(late) {
                let latency = moment.draw("net.latency", self.faults.latency);
                packet.arrives = moment.now.saturating_add(latency);
                self.inboxes[id].put(packet);
            }
            self.wake_receivers(moment.now, id as u32);
        }
    }
}
