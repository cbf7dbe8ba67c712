//! Sockets of a [`SimEnv`]: the seam's `Net` over the network of this thread's world.
//!
//! Handles are numbers, like those of files. What the network does is in the module `net`; here are
//! the futures that ask it, wait until the time it says, and ask again.

mod calls;
mod handles;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::task::{Context, Poll};

use seedbed_env::{Datagram, Listener, Net, Stream, StreamRead, StreamWrite};

use crate::env::{SimEnv, SleepUntil, or_never};
use crate::net::{self, Answer, Attempt, Packet, PacketKind, Step, StreamId, Verdict};
use crate::node::NodeId;
use crate::stats::FaultKind;
use crate::timers::TimerId;
use crate::world::{World, try_with, with};

pub(crate) use calls::{Polled, SocketCall, SocketOp, Subject};
pub use handles::{SimDatagram, SimListener, SimReadHalf, SimStream, SimWriteHalf};

/// The timer of a call that waits; gone with the call.
#[derive(Debug, Default)]
struct Alarm {
    timer: Option<(u64, TimerId)>,
}

impl Alarm {
    /// What a call comes to; if it waits, it is woken at the time that was said.
    #[inline]
    fn settle<T>(
        &mut self,
        world: &mut World,
        polled: Polled<T>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Polled::Ready(result) => Poll::Ready(result),
            Polled::Never => Poll::Pending,
            Polled::Wait(at) => {
                self.set(world, at, cx);
                Poll::Pending
            }
        }
    }

    #[inline]
    fn set(&mut self, world: &mut World, at: u64, cx: &Context<'_>) {
        assert!(at > world.now, "a call waits for what is still to come");
        let timers = &mut world.exec.timers;
        if let Some((set, timer)) = self.timer {
            if set == at && !timers.has_fired(timer, cx.waker()) {
                return;
            }
            timers.remove(timer);
        }
        self.timer = (at < u64::MAX).then(|| (at, timers.add(at, cx.waker())));
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer {
            let _ = try_with(|world| world.exec.timers.remove(timer));
        }
    }
}

/// What the rules of the driver say of a packet.
#[inline]
fn verdict_of(
    call: SocketCall,
    link: Option<(u16, u16)>,
    kind: PacketKind,
    bytes: &[u8],
) -> Verdict {
    let Some((from, to)) = link else { return Verdict::Pass };
    if from == to || with(|world| world.net_rules.is_empty()) {
        return Verdict::Pass;
    }
    let addr = match call.subject {
        Subject::Stream(id) => with(|world| world.net.path_of(id).2),
        Subject::Path(_, peer) => peer,
        Subject::Local(local) => local,
    };
    let verdict = net::judge(&Packet { from: NodeId(from), to: NodeId(to), addr, kind, bytes });
    let kind = match verdict {
        Verdict::Pass => return verdict,
        Verdict::Drop => FaultKind::NetDrop,
        Verdict::Duplicate => FaultKind::NetDuplicate,
        Verdict::Delay(_) => FaultKind::NetReorder,
    };
    with(|world| world.note_verdict(call, kind));
    verdict
}

/// Reads from one end of a stream.
#[inline]
fn read(
    env: SimEnv,
    id: StreamId,
    buf: &mut [u8],
    site: &'static Location<'static>,
) -> impl Future<Output = io::Result<usize>> + Send {
    let mut alarm = Alarm::default();
    poll_fn(move |cx| {
        with(|world| {
            let call = stream_call(env, id, SocketOp::Receive, site);
            let polled = world.socket(call, |net, at| net.read(at, id, buf, cx.waker()));
            let polled = match polled {
                Polled::Ready(result) => {
                    let len = *result.as_ref().unwrap_or(&0);
                    complete(world, call, result, len as u64, &buf[..len])
                }
                waits => waits,
            };
            alarm.settle(world, polled, cx)
        })
    })
}

/// Writes to one end of a stream.
#[inline]
fn write(
    env: SimEnv,
    id: StreamId,
    buf: &[u8],
    site: &'static Location<'static>,
) -> impl Future<Output = io::Result<usize>> + Send {
    let (mut alarm, mut verdict) = (Alarm::default(), None);
    poll_fn(move |cx| {
        let verdict = *verdict.get_or_insert_with(|| stream_verdict(env, id, buf, site));
        with(|world| {
            let call = stream_call(env, id, SocketOp::Send, site);
            let polled = world.socket(call, |net, at| net.write(at, id, buf, verdict, cx.waker()));
            let polled = match polled {
                Polled::Ready(result) => {
                    let len = *result.as_ref().unwrap_or(&0);
                    complete(world, call, result, len as u64, &buf[..len])
                }
                waits => waits,
            };
            alarm.settle(world, polled, cx)
        })
    })
}

#[inline]
fn stream_verdict(
    env: SimEnv,
    id: StreamId,
    buf: &[u8],
    site: &'static Location<'static>,
) -> Verdict {
    let link = with(|world| {
        let is_asked = !world.net_rules.is_empty() && env.is_alive(world);
        is_asked.then(|| world.net.path_of(id).0)
    });
    verdict_of(stream_call(env, id, SocketOp::Send, site), link, PacketKind::Stream, buf)
}

/// Ends the writing half of a stream.
async fn shutdown(env: SimEnv, id: StreamId, site: &'static Location<'static>) -> io::Result<()> {
    let polled = with(|world| {
        let call = stream_call(env, id, SocketOp::Shutdown, site);
        match world.socket(call, |net, at| net.shutdown(at, id)) {
            Polled::Ready(result) => complete(world, call, result, 0, &[]),
            waits => waits,
        }
    });
    ready_or_never(polled).await
}

fn stream_call(
    env: SimEnv,
    id: StreamId,
    op: SocketOp,
    site: &'static Location<'static>,
) -> SocketCall {
    SocketCall { env, op, subject: Subject::Stream(id), site }
}

/// A call is done, unless its boot was over or the node crashes at it.
#[inline]
fn complete<T>(
    world: &mut World,
    call: SocketCall,
    result: io::Result<T>,
    value: u64,
    bytes: &[u8],
) -> Polled<T> {
    if !call.env.is_alive(world) || world.completes(call, &result, value, bytes) {
        return Polled::Ready(result);
    }
    Polled::Never
}

/// The result of a call that does not wait.
async fn ready_or_never<T>(polled: Polled<T>) -> io::Result<T> {
    match polled {
        Polled::Ready(result) => result,
        Polled::Wait(_) => unreachable!("this call does not wait"),
        Polled::Never => or_never(None).await,
    }
}

impl SimEnv {
    async fn connect_from(
        self,
        addr: SocketAddr,
        site: &'static Location<'static>,
    ) -> io::Result<SimStream> {
        let local = SocketAddr::new(net::ip_of(self.node).into(), 0);
        let subject = Subject::Path(local, addr);
        let call = SocketCall { env: self, op: SocketOp::Connect, subject, site };
        let (link, mut attempt) = ready_or_never(self.begin_connect(call, addr)).await?;
        let connected = match attempt.fails {
            Some((at, code)) => {
                SleepUntil::new(at).await;
                Err(net::errno::error(code))
            }
            None => self.try_connect(call, link, addr, &mut attempt).await,
        };
        // By reference: a stream must not be dropped while the world is borrowed.
        let returns = with(|world| match self.is_alive(world) {
            true => world.stop.is_none() && world.completes(call, &connected, 0, &[]),
            false => true,
        });
        or_never(returns.then_some(connected)).await
    }

    fn begin_connect(
        self,
        call: SocketCall,
        addr: SocketAddr,
    ) -> Polled<(Option<(u16, u16)>, Attempt)> {
        with(|world| {
            world.socket(call, |net, moment| {
                let link = net.reaches(self.node, addr);
                let attempt = net.attempt(moment, link.unwrap_or((self.node, self.node)));
                Step::Ready(Ok((link, attempt)))
            })
        })
    }

    /// Asks until there is an answer, or until the attempt's time is over.
    async fn try_connect(
        self,
        call: SocketCall,
        link: Option<(u16, u16)>,
        addr: SocketAddr,
        attempt: &mut Attempt,
    ) -> io::Result<SimStream> {
        loop {
            let verdict = verdict_of(call, link, PacketKind::Connect, &[]);
            let (request, next) = with(|world| match link {
                Some(link) if self.is_alive(world) => {
                    world.change_network(|net, at| net.request(at, link, attempt, verdict))
                }
                _ => (None, attempt.deadline),
            });
            if let (Some(request), Some(link)) = (request, link)
                && self.arrives(request, next).await
            {
                let answer = with(|world| match world.is_in_force(self) {
                    true => world.change_network(|net, at| net.answer(at, link, addr)),
                    false => Answer::Silence,
                });
                match answer {
                    Answer::Taken(answer, id, local) => {
                        // The handle exists from here on, so that a cancelled connect closes it.
                        let stream = SimStream::new(self, id, local, addr);
                        if self.arrives(answer, u64::MAX).await {
                            return Ok(stream);
                        }
                    }
                    Answer::Refused(answer) => {
                        if self.arrives(answer, u64::MAX).await {
                            return Err(net::errno::error(net::errno::ECONNREFUSED));
                        }
                    }
                    Answer::Silence => {}
                }
            }
            SleepUntil::new(next).await;
            if with(|world| world.now) >= attempt.deadline {
                return Err(net::errno::error(net::errno::ETIMEDOUT));
            }
        }
    }
}

/// A request to connect or its answer, as long as somebody waits for it.
struct UnderWay {
    env: SimEnv,
    packet: u32,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let _ = try_with(|world| {
            // With the boot, its packets are gone.
            if world.is_in_force(self.env) {
                world.net.drop_connect_packet(self.packet);
            }
        });
    }
}

impl SimEnv {
    /// Waits for a request or an answer: whether it has arrived by then.
    async fn arrives(self, packet: u32, until: u64) -> bool {
        let under_way = UnderWay { env: self, packet };
        let mut alarm = Alarm::default();
        poll_fn(move |cx| {
            with(|world| {
                if !self.is_alive(world) {
                    return Poll::Ready(false);
                }
                let at = world.net.connect_packet(under_way.packet, cx.waker());
                if at <= world.now {
                    return Poll::Ready(true);
                }
                if at == u64::MAX || until <= world.now {
                    return Poll::Ready(false);
                }
                alarm.set(world, at.min(until), cx);
                Poll::Pending
            })
        })
        .await
    }
}

impl Net for SimEnv {
    type Stream = SimStream;
    type Listener = SimListener;
    type Datagram = SimDatagram;

    #[track_caller]
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<SimListener>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let subject = Subject::Local(addr);
            let call = SocketCall { env, op: SocketOp::Bind, subject, site };
            let polled = with(|world| {
                let polled = world.socket(call, |net, _| {
                    let bound = net.listen(env.node, addr);
                    Step::Ready(bound.map_err(net::errno::error))
                });
                bound(world, call, polled)
            });
            let (id, local) = ready_or_never(polled).await?;
            Ok(SimListener { env, id, local })
        }
    }

    #[track_caller]
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<SimStream>> + Send {
        self.connect_from(addr, Location::caller())
    }

    #[track_caller]
    fn bind_datagram(
        &self,
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<SimDatagram>> + Send {
        let (env, site) = (*self, Location::caller());
        async move {
            let subject = Subject::Local(addr);
            let call = SocketCall { env, op: SocketOp::Bind, subject, site };
            let polled = with(|world| {
                let polled = world.socket(call, |net, moment| {
                    let bound = net.bind_datagram(moment.now, env.node, addr);
                    Step::Ready(bound.map_err(net::errno::error))
                });
                bound(world, call, polled)
            });
            let (id, local) = ready_or_never(polled).await?;
            Ok(SimDatagram { env, id, local })
        }
    }
}

/// A socket was bound, or not: its event tells the address that it has.
fn bound(
    world: &mut World,
    call: SocketCall,
    polled: Polled<(u32, SocketAddr)>,
) -> Polled<(u32, SocketAddr)> {
    let Polled::Ready(result) = polled else { return polled };
    let subject = result.as_ref().map_or(call.subject, |(_, local)| Subject::Local(*local));
    complete(world, SocketCall { subject, ..call }, result, 0, &[])
}
