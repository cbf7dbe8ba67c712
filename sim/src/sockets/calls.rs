//! One operation on a socket in the world: fencing, crash points, what it leaves in digest and
//! trace, and whom it wakes.
//!
//! An operation counts when it completes: waiting for bytes is no operation. Where a boot was drawn
//! to crash at it, it has its effect or not (a decision) and never returns.

use std::io;
use std::net::SocketAddr;
use std::panic::Location;

use seedbed_traces::Outcome;

use crate::env::SimEnv;
use crate::net::{Moment, Network, Step, StreamId};
use crate::node::NodeId;
use crate::stats::FaultKind;
use crate::world::{Note, Stop, World};

/// What is done to a socket, as digest and traces call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketOp {
    Bind,
    Connect,
    Accept,
    Send,
    Receive,
    Shutdown,
    Reset,
    Close,
    SendTo,
    ReceiveFrom,
}

impl SocketOp {
    const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Shutdown => "shutdown",
            Self::Reset => "reset",
            Self::Close => "close",
            Self::SendTo => "send_to",
            Self::ReceiveFrom => "receive_from",
        }
    }
}

/// What an operation is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    /// An end of a stream.
    Stream(StreamId),
    /// From one address to another.
    Path(SocketAddr, SocketAddr),
    /// One's own address.
    Local(SocketAddr),
}

/// Who calls what from where.
#[derive(Clone, Copy)]
pub(crate) struct SocketCall {
    pub env: SimEnv,
    pub op: SocketOp,
    pub subject: Subject,
    pub site: &'static Location<'static>,
}

/// What a call comes to when it is polled.
pub(crate) enum Polled<T> {
    Ready(io::Result<T>),
    /// Look again at this time at the latest.
    Wait(u64),
    /// The node crashed at it, or the world has stopped.
    Never,
}

impl World {
    /// Polls an operation. When it is ready its caller says what it came to: `completes`.
    #[inline]
    pub(crate) fn socket<T>(
        &mut self,
        call: SocketCall,
        apply: impl FnOnce(&mut Network, &mut Moment<'_>) -> Step<T>,
    ) -> Polled<T> {
        if !call.env.is_alive(self) {
            return Polled::Ready(Err(self.stale_socket(call)));
        }
        if self.stop.is_some() || self.crashes_before(call) {
            return Polled::Never;
        }
        let mut moment = Moment { now: self.now, choices: &mut self.choices };
        let step = apply(&mut self.net, &mut moment);
        self.settle_network();
        match step {
            Step::Ready(result) => Polled::Ready(result),
            Step::Wait(at) => Polled::Wait(at),
        }
    }

    /// The next operation of this boot, and whether it is the one at which the node crashes.
    #[inline]
    fn is_crash_point(&self, node: u16) -> bool {
        let node = &self.nodes[node as usize];
        node.crash_at == Some(node.ops + 1)
    }

    #[inline]
    fn crashes_before(&mut self, call: SocketCall) -> bool {
        if !self.is_crash_point(call.env.node)
            || !self.may_go_down()
            || self.choices.choose("crash.after_effect", 2) == 1
        {
            return false;
        }
        self.nodes[call.env.node as usize].ops += 1;
        self.crash_in_socket(call, "not done");
        true
    }

    #[inline(never)]
    fn crash_in_socket(&mut self, call: SocketCall, detail: &str) {
        let (id, subject) = (NodeId(call.env.node), self.shown(call));
        self.stop_by_crash(id);
        self.digest.pair(call.op as u64, detail.len() as u64);
        self.log(id, || Note {
            op: call.op.name(),
            subject,
            detail: detail.to_owned(),
            cause: Some("crash here"),
            site: Some(call.site),
            ..Note::default()
        });
    }

    /// An operation is complete: into digest and trace with it. `bytes` are those that it moved.
    /// Returns false if it never returns, because the node crashes at it.
    #[inline]
    pub(crate) fn completes<T>(
        &mut self,
        call: SocketCall,
        result: &io::Result<T>,
        value: u64,
        bytes: &[u8],
    ) -> bool {
        let index = call.env.node as usize;
        self.stats.ops += 1;
        let node = &mut self.nodes[index];
        node.ops += 1;
        let disturbs = node.disturb_at == Some(node.ops);
        let crashes = self.crashes_here(index);
        if disturbs {
            self.disturb(index);
        }
        self.tell_socket(call, result, value, bytes);
        if crashes {
            self.crash_in_socket(call, "done");
        }
        !crashes
    }

    #[inline]
    pub(crate) fn tell_socket<T>(
        &mut self,
        call: SocketCall,
        result: &io::Result<T>,
        value: u64,
        bytes: &[u8],
    ) {
        let code = result.as_ref().err().map(|error| error.raw_os_error().unwrap_or(-1));
        let told = code.map_or(value, |code| u64::from(code as u32) | 1 << 63);
        let what = (call.op as u64) << 56 | 1 << 55 | u64::from(call.env.node) << 32;
        self.digest.pair(what, told ^ self.now.rotate_left(32));
        if code.is_none() && matches!(call.op, SocketOp::Send | SocketOp::SendTo) {
            self.digest.bytes(bytes);
        }
        match self.events.is_some() {
            true => self.log_socket(call, code, value, bytes),
            false => self.event_count += 1,
        }
    }

    #[inline(never)]
    fn log_socket(&mut self, call: SocketCall, code: Option<i32>, value: u64, bytes: &[u8]) {
        let subject = self.shown(call);
        self.log(NodeId(call.env.node), || Note {
            op: call.op.name(),
            subject,
            detail: match (code.is_none(), bytes.is_empty()) {
                (true, false) => {
                    format!("{} B #{:08x}", bytes.len(), crate::env::checksum(bytes))
                }
                _ => String::new(),
            },
            outcome: code.map_or(Outcome::Done(value), |code| Outcome::Failed { code }),
            site: Some(call.site),
            ..Note::default()
        });
    }

    /// Does what the network asks for: wakes whom it names, and tells what happened by itself.
    #[inline]
    pub(crate) fn settle_network(&mut self) {
        while let Some((at, waker)) = self.net.wakes.pop_front() {
            match at > self.now {
                true => drop(self.exec.timers.add(at, &waker)),
                false => waker.wake(),
            }
        }
        if !self.net.happenings.is_empty() || !self.net.counted.is_empty() {
            self.tell_happenings();
        }
    }

    #[inline(never)]
    fn tell_happenings(&mut self) {
        for kind in std::mem::take(&mut self.net.counted) {
            self.stats.count_fault(kind);
            self.digest.word(kind as u64);
        }
        for happening in std::mem::take(&mut self.net.happenings) {
            let (from, to) = happening.link;
            self.stats.count_fault(happening.kind);
            self.digest.pair(happening.kind as u64, u64::from(from) << 32 | u64::from(to));
            self.log(NodeId(from), || Note {
                op: happening.kind.name(),
                subject: format!("{} -> {}", NodeId(from), NodeId(to)),
                detail: happening.detail,
                cause: Some(happening.kind.name()),
                ..Note::default()
            });
        }
    }

    /// Changes the network from outside of any operation.
    pub(crate) fn change_network<T>(
        &mut self,
        change: impl FnOnce(&mut Network, &mut Moment<'_>) -> T,
    ) -> T {
        let mut moment = Moment { now: self.now, choices: &mut self.choices };
        let changed = change(&mut self.net, &mut moment);
        self.settle_network();
        changed
    }

    /// A handle of a life that is over does nothing and says so.
    #[inline(never)]
    pub(crate) fn stale_socket(&mut self, call: SocketCall) -> io::Error {
        let (id, subject) = (NodeId(call.env.node), self.shown(call));
        self.digest.word(u64::MAX);
        self.log(id, || Note {
            op: call.op.name(),
            subject,
            detail: "ignored: the handle's boot is over".to_owned(),
            cause: Some("stale handle"),
            site: Some(call.site),
            ..Note::default()
        });
        io::Error::other(format!(
            "stale handle: {} of a socket was called by a boot of {id} that is over; nothing was \
             done",
            call.op.name(),
        ))
    }

    /// Whether what a handle of a node does now is still part of the run.
    pub(crate) fn is_in_force(&self, env: SimEnv) -> bool {
        let crashes = matches!(&self.stop, Some(Stop::Crashed(node, _)) if node.0 == env.node);
        env.is_alive(self) && !crashes
    }

    /// A packet that a rule of the driver lost, held up or doubled.
    pub(crate) fn note_verdict(&mut self, call: SocketCall, kind: FaultKind) {
        self.stats.count_fault(kind);
        self.digest.word(kind as u64);
        let subject = self.shown(call);
        self.log(NodeId(call.env.node), || Note {
            op: kind.name(),
            subject,
            cause: Some("rule"),
            site: Some(call.site),
            ..Note::default()
        });
    }

    /// What a call is about, if anybody is to read it.
    #[inline]
    fn shown(&self, call: SocketCall) -> String {
        if self.events.is_none() {
            return String::new();
        }
        match call.subject {
            // The stream of a life that is over may be another one by now.
            Subject::Stream(_) if !call.env.is_alive(self) => String::new(),
            Subject::Stream(id) => {
                let (_, local, peer) = self.net.path_of(id);
                format!("{local} -> {peer}")
            }
            Subject::Path(local, peer) => format!("{local} -> {peer}"),
            Subject::Local(local) => local.to_string(),
        }
    }
}
