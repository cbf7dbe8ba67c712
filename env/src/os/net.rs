//! Real sockets: tokio's TCP and UDP.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::OsEnv;
use crate::{Datagram, Listener, Net, Stream, StreamRead, StreamWrite};

/// A TCP connection with Nagle's delay switched off.
#[derive(Debug)]
pub struct OsStream(TcpStream);

/// The reading half of an [`OsStream`].
#[derive(Debug)]
pub struct OsReadHalf(OwnedReadHalf);

/// The writing half of an [`OsStream`].
#[derive(Debug)]
pub struct OsWriteHalf(OwnedWriteHalf);

/// A listening TCP socket.
#[derive(Debug)]
pub struct OsListener(TcpListener);

/// A UDP socket.
#[derive(Debug)]
pub struct OsDatagram(UdpSocket);

impl OsStream {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

/// An empty buffer is full: tokio would wait for bytes first.
async fn read<R: AsyncRead + Unpin>(from: &mut R, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() { Ok(0) } else { from.read(buf).await }
}

impl StreamRead for OsStream {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(&mut self.0, buf).await
    }
}

impl StreamWrite for OsStream {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

impl StreamRead for OsReadHalf {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        read(&mut self.0, buf).await
    }
}

impl StreamWrite for OsWriteHalf {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

impl Stream for OsStream {
    type ReadHalf = OsReadHalf;
    type WriteHalf = OsWriteHalf;

    fn split(self) -> (OsReadHalf, OsWriteHalf) {
        let (read, write) = self.0.into_split();
        (OsReadHalf(read), OsWriteHalf(write))
    }

    fn reset(self) -> io::Result<()> {
        // Closing a socket that lingers for no time sends a reset; see socket(7), SO_LINGER.
        self.0.set_zero_linger()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Listener for OsListener {
    type Stream = OsStream;

    async fn accept(&self) -> io::Result<(OsStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((OsStream::new(stream)?, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Datagram for OsDatagram {
    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<usize> {
        self.0.send_to(buf, addr).await
    }

    async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buf).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Net for OsEnv {
    type Stream = OsStream;
    type Listener = OsListener;
    type Datagram = OsDatagram;

    async fn bind(&self, addr: SocketAddr) -> io::Result<OsListener> {
        Ok(OsListener(TcpListener::bind(addr).await?))
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<OsStream> {
        OsStream::new(TcpStream::connect(addr).await?)
    }

    async fn bind_datagram(&self, addr: SocketAddr) -> io::Result<OsDatagram> {
        Ok(OsDatagram(UdpSocket::bind(addr).await?))
    }
}
