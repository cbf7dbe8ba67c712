//! The handles: streams and their halves, listeners, datagram sockets. Dropping one closes what it
//! stands for, unless its boot is over: then the crash has closed it.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::panic::Location;

use super::{
    Alarm, Datagram, Listener, PacketKind, Polled, SocketCall, SocketOp, Step, Stream, StreamId,
    StreamRead, StreamWrite, Subject, complete, read, ready_or_never, shutdown, stream_call,
    verdict_of, write,
};
use crate::env::SimEnv;
use crate::net::{self, Half};
use crate::world::{try_with, with};

/// A connection of a [`SimEnv`].
#[derive(Debug)]
pub struct SimStream {
    env: SimEnv,
    id: StreamId,
    local: SocketAddr,
    peer: SocketAddr,
}

/// The reading half of a [`SimStream`].
#[derive(Debug)]
pub struct SimReadHalf {
    env: SimEnv,
    id: StreamId,
}

/// The writing half of a [`SimStream`].
#[derive(Debug)]
pub struct SimWriteHalf {
    env: SimEnv,
    id: StreamId,
}

/// A listening socket of a [`SimEnv`].
#[derive(Debug)]
pub struct SimListener {
    pub(super) env: SimEnv,
    pub(super) id: u32,
    pub(super) local: SocketAddr,
}

/// A datagram socket of a [`SimEnv`].
#[derive(Debug)]
pub struct SimDatagram {
    pub(super) env: SimEnv,
    pub(super) id: u32,
    pub(super) local: SocketAddr,
}

impl SimStream {
    pub(super) fn new(env: SimEnv, id: StreamId, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { env, id, local, peer }
    }
}

/// Reading and writing, from the caller's line.
macro_rules! reads {
    ($type:ty) => {
        impl StreamRead for $type {
            #[track_caller]
            fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                read(self.env, self.id, buf, Location::caller())
            }

            #[track_caller]
            fn read_exact(
                &mut self,
                buf: &mut [u8],
            ) -> impl Future<Output = io::Result<()>> + Send {
                let (env, id, site) = (self.env, self.id, Location::caller());
                async move {
                    let mut done = 0;
                    while done < buf.len() {
                        match read(env, id, &mut buf[done..], site).await? {
                            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                            read => done += read,
                        }
                    }
                    Ok(())
                }
            }
        }
    };
}

macro_rules! writes {
    ($type:ty) => {
        impl StreamWrite for $type {
            #[track_caller]
            fn write(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                write(self.env, self.id, buf, Location::caller())
            }

            #[track_caller]
            fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
                shutdown(self.env, self.id, Location::caller())
            }

            #[track_caller]
            fn write_all(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
                let (env, id, site) = (self.env, self.id, Location::caller());
                async move {
                    let mut done = 0;
                    while done < buf.len() {
                        match write(env, id, &buf[done..], site).await? {
                            0 => return Err(io::ErrorKind::WriteZero.into()),
                            written => done += written,
                        }
                    }
                    Ok(())
                }
            }
        }
    };
}

reads!(SimStream);
reads!(SimReadHalf);
writes!(SimStream);
writes!(SimWriteHalf);

impl Stream for SimStream {
    type ReadHalf = SimReadHalf;
    type WriteHalf = SimWriteHalf;

    fn split(self) -> (SimReadHalf, SimWriteHalf) {
        // The halves take over what this handle held.
        let whole = ManuallyDrop::new(self);
        let (env, id) = (whole.env, whole.id);
        (SimReadHalf { env, id }, SimWriteHalf { env, id })
    }

    #[track_caller]
    fn reset(self) -> io::Result<()> {
        let site = Location::caller();
        with(|world| {
            let call = stream_call(self.env, self.id, SocketOp::Reset, site);
            let polled = world.socket(call, |net, moment| {
                net.abort(moment, self.id, net::errno::ECONNRESET);
                Step::Ready(Ok(()))
            });
            match polled {
                Polled::Ready(result) => {
                    // That the node crashes here shows in what comes next: this call cannot wait.
                    let _ = complete(world, call, Ok(()), 0, &[]);
                    result
                }
                _ => Ok(()),
            }
        })
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// Gives back what a handle held of a stream. What is closed by it has its own event.
fn release(env: SimEnv, id: StreamId, halves: &[Half]) {
    let site = Location::caller();
    let _ = try_with(|world| {
        if world.is_in_force(env) {
            let call = stream_call(env, id, SocketOp::Close, site);
            world.tell_socket(call, &Ok(()), halves.len() as u64, &[]);
            world.change_network(|net, moment| {
                halves.iter().for_each(|half| net.release(moment, id, *half));
            });
        }
    });
}

impl Drop for SimStream {
    fn drop(&mut self) {
        release(self.env, self.id, &[Half::Read, Half::Write]);
    }
}

impl Drop for SimReadHalf {
    fn drop(&mut self) {
        release(self.env, self.id, &[Half::Read]);
    }
}

impl Drop for SimWriteHalf {
    fn drop(&mut self) {
        release(self.env, self.id, &[Half::Write]);
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    #[track_caller]
    fn accept(&self) -> impl Future<Output = io::Result<(SimStream, SocketAddr)>> + Send {
        let (env, id, local, site) = (self.env, self.id, self.local, Location::caller());
        let mut alarm = Alarm::default();
        let subject = Subject::Local(local);
        let call = SocketCall { env, op: SocketOp::Accept, subject, site };
        poll_fn(move |cx| {
            let accepted = with(|world| {
                let polled = world.socket(call, |net, moment| net.accept(moment, id, cx.waker()));
                let polled = match polled {
                    Polled::Ready(result) => {
                        let subject = result
                            .as_ref()
                            .map_or(subject, |(_, local, peer)| Subject::Path(*local, *peer));
                        complete(world, SocketCall { subject, ..call }, result, 0, &[])
                    }
                    waits => waits,
                };
                alarm.settle(world, polled, cx)
            });
            accepted.map_ok(|(id, local, peer)| (SimStream::new(env, id, local, peer), peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let _ = try_with(|world| {
            if world.is_in_force(self.env) {
                world.change_network(|net, moment| net.unlisten(moment, self.id, false));
            }
        });
    }
}

impl Datagram for SimDatagram {
    #[track_caller]
    fn send_to(
        &self,
        buf: &[u8],
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let (env, id, site) = (self.env, self.id, Location::caller());
        let subject = Subject::Path(self.local, addr);
        let call = SocketCall { env, op: SocketOp::SendTo, subject, site };
        async move {
            let link = with(|world| world.net.reaches(env.node, addr));
            let verdict = verdict_of(call, link, PacketKind::Datagram, buf);
            let polled = with(|world| {
                let polled =
                    world.socket(call, |net, moment| net.send_to(moment, id, buf, addr, verdict));
                match polled {
                    Polled::Ready(result) => complete(world, call, result, buf.len() as u64, buf),
                    waits => waits,
                }
            });
            ready_or_never(polled).await
        }
    }

    #[track_caller]
    fn recv_from(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send {
        let (env, id, local, site) = (self.env, self.id, self.local, Location::caller());
        let mut alarm = Alarm::default();
        let subject = Subject::Local(local);
        let call = SocketCall { env, op: SocketOp::ReceiveFrom, subject, site };
        poll_fn(move |cx| {
            with(|world| {
                let polled =
                    world.socket(call, |net, moment| net.recv_from(moment, id, buf, cx.waker()));
                let polled = match polled {
                    Polled::Ready(result) => {
                        let (len, subject) = match &result {
                            Ok((len, from)) => (*len, Subject::Path(*from, local)),
                            Err(_) => (0, subject),
                        };
                        let call = SocketCall { subject, ..call };
                        complete(world, call, result, len as u64, &buf[..len])
                    }
                    waits => waits,
                };
                alarm.settle(world, polled, cx)
            })
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for SimDatagram {
    fn drop(&mut self) {
        let _ = try_with(|world| {
            if world.is_in_force(self.env) {
                let now = world.now;
                world.change_network(|net, _| net.unbind_datagram(now, self.id));
            }
        });
    }
}
