//! The simulated network: a plain synchronous data structure. Time and decisions are passed in,
//! and nothing happens by itself.
//!
//! It is pulled: what is under way carries the time of its arrival, and whoever reads, writes or
//! accepts says what time it is and sees what has arrived by then. If it has to wait it is told
//! until when, and its waker is kept for what may change that: a segment sent into an empty pipe,
//! room in a window, a link that is cut or healed. Waking too often is harmless, since who wakes
//! looks again; invariant: whatever makes a state come earlier than was said wakes who waits.
//!
//! Where the rules come from:
//! * RFC 9293 (TCP): bytes in order, half-close, resets, windows; RFC 6298: requests to connect
//!   are repeated after 1, 2, 4 ... seconds;
//! * tcp(7), socket(7): closing with something unread resets, an error is told once and then reads
//!   end and writes get EPIPE, ETIMEDOUT after about 127 s of connecting and 924 s of sending,
//!   a zero linger time resets;
//! * udp(7): datagrams are cut off at the buffer, lost when there is no room, and nobody is told;
//! * FoundationDB's simulation: links that are clogged per direction, and swizzled.
//!
//! Streams never lose, reorder or invent bytes on a live connection: loss and blocks are delays
//! there, and errors when they last too long. A process that dies has its connections closed by its
//! kernel; a kernel without power says nothing, and after its boot answers by resets.

mod control;
mod datagram;
pub(crate) mod errno;
mod listen;
mod pipe;
mod rules;
mod stream;
#[cfg(test)]
mod tests;
mod weather;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use seedbed_env::map::FxHashMap;
use seedbed_faults::NetFaults;
use slab::Slab;

use crate::choices::Choices;
use crate::stats::FaultKind;

use datagram::Inbox;
use listen::{ConnectPacket, Listening};
use stream::Conn;
use weather::Weather;

pub(crate) use listen::{Answer, Attempt};
pub use rules::{NetRule, Packet, PacketKind, Verdict};
pub(crate) use rules::{Rules, judge};
pub(crate) use stream::{Half, StreamId};
pub(crate) use weather::{Block, Blocked, Side};

/// Ports that are given out by themselves, as Linux does.
const EPHEMERAL: std::ops::Range<u16> = 32_768..60_999;

/// What time it is, and who decides.
pub(crate) struct Moment<'a> {
    pub now: u64,
    pub choices: &'a mut Choices,
}

/// What an operation comes to now.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Ready(io::Result<T>),
    /// Look again at this time at the latest; [`u64::MAX`]: when woken.
    Wait(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Stream,
    Datagram,
}

/// A node as the network knows it.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// It has power and a kernel.
    is_on: bool,
    /// Its kernel answers nobody before.
    paused_until: u64,
    /// A partition or a swizzle is about it until then.
    cut_off_until: u64,
    /// Where the search for a free port begins.
    next_port: u16,
}

/// Something that went wrong by itself, for counts and traces.
#[derive(Debug)]
pub(crate) struct Happening {
    pub kind: FaultKind,
    pub link: (u16, u16),
    pub detail: String,
}

pub(crate) struct Network {
    faults: NetFaults,
    /// Nothing goes wrong by itself: nothing to ask.
    quiet: bool,
    hosts: Vec<Host>,
    weather: Weather,
    /// How many nodes may be cut off at once, and the most that were.
    cut_off_max: Option<u64>,
    cut_off_most: u64,
    conns: Slab<Conn>,
    listeners: Slab<Listening>,
    /// Requests and answers of attempts to connect.
    connecting: Slab<ConnectPacket>,
    inboxes: Slab<Inbox>,
    /// Who has a port: a listener or an inbox.
    ports: FxHashMap<(u16, Protocol, u16), u32>,
    /// How often something on a link was lost, held up or reset.
    harmed: FxHashMap<(u16, u16), u64>,
    /// Whom to wake when, for the world to do.
    pub wakes: VecDeque<(u64, Waker)>,
    /// What happened by itself, for the world to tell.
    pub happenings: Vec<Happening>,
    /// What happened to calls that their own events tell of.
    pub counted: Vec<FaultKind>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            faults: NetFaults::default(),
            quiet: true,
            hosts: Vec::new(),
            weather: Weather::default(),
            cut_off_max: None,
            cut_off_most: 0,
            conns: Slab::new(),
            listeners: Slab::new(),
            connecting: Slab::new(),
            inboxes: Slab::new(),
            ports: FxHashMap::default(),
            harmed: FxHashMap::default(),
            wakes: VecDeque::new(),
            happenings: Vec::new(),
            counted: Vec::new(),
        }
    }
}

/// A node's address: 10.0.0.0/8 by its number, from 10.0.0.1 on.
pub(crate) fn ip_of(node: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + u32::from(node))
}

impl Network {
    /// Forgets everything but allocations.
    pub(crate) fn reset(&mut self) {
        self.hosts.clear();
        self.conns.clear();
        self.listeners.clear();
        self.connecting.clear();
        self.inboxes.clear();
        self.ports.clear();
        self.harmed.clear();
        self.weather.clear();
        self.wakes.clear();
        self.happenings.clear();
        self.counted.clear();
        self.cut_off_most = 0;
        self.set_faults(NetFaults::default(), None);
    }

    pub(crate) fn set_faults(&mut self, faults: NetFaults, cut_off_max: Option<u64>) {
        self.cut_off_max = cut_off_max;
        assert!(faults.window_bytes > 0, "a stream takes at least one byte");
        self.quiet = faults.is_quiet();
        self.faults = faults;
    }

    pub(crate) fn add_host(&mut self) {
        let next_port = EPHEMERAL.start;
        self.hosts.push(Host { is_on: false, paused_until: 0, cut_off_until: 0, next_port });
    }

    #[inline]
    fn wake(&mut self, at: u64, waker: Waker) {
        if at < u64::MAX {
            self.wakes.push_back((at, waker));
        }
    }

    #[cold]
    fn happened(&mut self, kind: FaultKind, link: (u16, u16), detail: impl FnOnce() -> String) {
        self.happenings.push(Happening { kind, link, detail: detail() });
    }

    #[cold]
    fn harm(&mut self, link: (u16, u16)) {
        *self.harmed.entry(link).or_default() += 1;
    }

    /// How often something between two nodes was lost, held up or reset.
    pub(crate) fn harm_between(&self, one: u16, other: u16) -> u64 {
        [(one, other), (other, one)].iter().filter_map(|link| self.harmed.get(link)).sum()
    }

    /// A node's kernel begins: it answers what is sent to connections that it does not know.
    pub(crate) fn power_on(&mut self, moment: &mut Moment<'_>, node: u16) {
        if !std::mem::replace(&mut self.hosts[node as usize].is_on, true) {
            self.send_streams_again(moment, |_, to| to == node, false);
        }
    }

    /// A node's process is gone, or the power with all of its kernel.
    pub(crate) fn crash(&mut self, moment: &mut Moment<'_>, node: u16, power_lost: bool) {
        let host = &mut self.hosts[node as usize];
        host.is_on &= !power_lost;
        self.drop_connect_packets_of(node);
        let listeners: Vec<u32> = self
            .listeners
            .iter()
            .filter(|(_, listening)| listening.node == node)
            .map(|(id, _)| id as u32)
            .collect();
        listeners.into_iter().for_each(|id| self.unlisten(moment, id, power_lost));
        let conns: Vec<u32> = self.conns.iter().map(|(conn, _)| conn as u32).collect();
        for id in conns.into_iter().flat_map(|conn| [0, 1].map(|side| StreamId { conn, side })) {
            let conn = self.conns.get(id.conn as usize);
            if conn.is_some_and(|conn| conn.ends[id.side as usize].node == node) {
                self.orphan(moment, id, power_lost);
            }
        }
        let bound: Vec<u32> = self
            .inboxes
            .iter()
            .map(|(id, inbox)| (id as u32, inbox.node))
            .filter(|(id, of)| *of == node && self.is_datagram_bound(*id))
            .map(|(id, _)| id)
            .collect();
        bound.into_iter().for_each(|id| self.unbind_datagram(moment.now, id));
    }

    /// A node stands still: it answers nobody, and what is sent to it waits.
    pub(crate) fn pause(&mut self, moment: &mut Moment<'_>, node: u16, until: u64) {
        if until > moment.now {
            self.hosts[node as usize].paused_until = until;
            let (from, to, how) = (Side::Any, Side::one(node), Blocked::Clogged);
            self.block(moment, Block { from, to, how, begins: moment.now, ends: until });
        }
    }

    fn is_paused(&self, node: u16, now: u64) -> bool {
        self.hosts[node as usize].paused_until > now
    }

    /// All links are whole again, and what waited for that is sent.
    pub(crate) fn heal(&mut self, moment: &mut Moment<'_>) {
        self.weather.clear();
        for host in &mut self.hosts {
            (host.paused_until, host.cut_off_until) = (0, 0);
        }
        self.send_streams_again(moment, |_, _| true, false);
        self.hurry_datagrams(moment);
    }

    /// The node that an address means to another one, if it is any node's.
    pub(crate) fn resolve(&self, from: u16, ip: IpAddr) -> Option<u16> {
        match ip {
            IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => Some(from),
            IpAddr::V4(ip) => {
                let number = ip.to_bits().checked_sub(ip_of(0).to_bits())?;
                u16::try_from(number).ok().filter(|node| usize::from(*node) < self.hosts.len())
            }
            IpAddr::V6(_) => None,
        }
    }

    /// The address that a socket of a node gets when it asks for one.
    fn claim(&mut self, node: u16, addr: SocketAddr, of: Protocol) -> Result<SocketAddr, i32> {
        let is_own = self.resolve(node, addr.ip()) == Some(node);
        if !is_own {
            return Err(errno::EADDRNOTAVAIL);
        }
        let port = match addr.port() {
            0 => self.free_port(node, of)?,
            port if self.is_taken(node, of, port) => return Err(errno::EADDRINUSE),
            port => port,
        };
        Ok(SocketAddr::new(addr.ip(), port))
    }

    fn is_taken(&self, node: u16, of: Protocol, port: u16) -> bool {
        let id = self.ports.get(&(node, of, port));
        id.is_some_and(|id| of == Protocol::Stream || self.is_datagram_bound(*id))
    }

    fn free_port(&mut self, node: u16, of: Protocol) -> Result<u16, i32> {
        for _ in EPHEMERAL {
            let host = &mut self.hosts[node as usize];
            let port = host.next_port;
            host.next_port = if port + 1 == EPHEMERAL.end { EPHEMERAL.start } else { port + 1 };
            if !self.is_taken(node, of, port) {
                return Ok(port);
            }
        }
        Err(errno::EADDRINUSE)
    }

    /// The link of an end and the address at its other end.
    pub(crate) fn path_of(&self, id: StreamId) -> ((u16, u16), SocketAddr, SocketAddr) {
        let (conn, side) = (&self.conns[id.conn as usize], id.side as usize);
        (conn.link(side), conn.ends[side].addr, conn.ends[1 - side].addr)
    }

    /// The node that a datagram socket belongs to.
    pub(crate) fn reaches(&self, node: u16, addr: SocketAddr) -> Option<(u16, u16)> {
        self.resolve(node, addr.ip()).map(|to| (node, to))
    }
}
