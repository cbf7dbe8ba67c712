//! Real sockets: tokio's TCP.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::OsEnv;
use crate::{Listener, Net, Stream};

/// A TCP connection with Nagle's delay switched off.
#[derive(Debug)]
pub struct OsStream(TcpStream);

/// A listening TCP socket.
#[derive(Debug)]
pub struct OsListener(TcpListener);

impl OsStream {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl Stream for OsStream {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).await
    }

    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
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

impl Net for OsEnv {
    type Stream = OsStream;
    type Listener = OsListener;

    async fn bind(&self, addr: SocketAddr) -> io::Result<OsListener> {
        Ok(OsListener(TcpListener::bind(addr).await?))
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<OsStream> {
        OsStream::new(TcpStream::connect(addr).await?)
    }
}
