//! The network of a node: byte streams and datagrams, as TCP and UDP have them.
//!
//! Names and shapes are std's and tokio's. A stream is read through [`StreamRead`] and written
//! through [`StreamWrite`], which its halves implement as well, so that code can ask for exactly
//! the side it uses.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

/// The reading side of a connection.
pub trait StreamRead: Send + Sync + Sized + 'static {
    /// Reads at least one byte, or 0 at the end of the stream (or for an empty buffer).
    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Reads exactly `buf.len()` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends before the buffer is full.
    #[track_caller]
    fn read_exact(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut done = 0;
            while done < buf.len() {
                match self.read(&mut buf[done..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => done += read,
                }
            }
            Ok(())
        }
    }
}

/// The writing side of a connection. Dropping it ends it like [`StreamWrite::shutdown`].
pub trait StreamWrite: Send + Sync + Sized + 'static {
    /// Writes at least one byte of a non-empty buffer; may write fewer than given. Waits while the
    /// peer does not read what was written before. That it was written does not say that it
    /// arrived.
    #[track_caller]
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Ends the writing half: the peer reads 0 after what was written.
    #[track_caller]
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// `WriteZero` if a write makes no progress; after any error a prefix may be sent.
    #[track_caller]
    fn write_all(&mut self, mut buf: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                match self.write(buf).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => buf = &buf[written..],
                }
            }
            Ok(())
        }
    }
}

/// A connected, reliable, ordered byte stream.
pub trait Stream: StreamRead + StreamWrite {
    /// The reading half.
    type ReadHalf: StreamRead;
    /// The writing half.
    type WriteHalf: StreamWrite;

    /// Takes the stream apart, so that one task can read while another one writes. The connection
    /// is closed when both halves are dropped.
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf);

    /// Closes the connection abortively: what was written and has not arrived is lost, and the
    /// peer's next call fails with `ConnectionReset`.
    ///
    /// # Errors
    /// The operating system's.
    #[track_caller]
    fn reset(self) -> io::Result<()>;

    /// The other end's address.
    ///
    /// # Errors
    /// The operating system's, if the stream is no longer connected.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// This end's address.
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A socket that accepts connections.
pub trait Listener: Send + Sync + Sized + 'static {
    /// What it accepts.
    type Stream: Stream;

    /// Waits for the next connection.
    #[track_caller]
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// The address it is bound to (with the port that was picked, if 0 was asked for).
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A socket for datagrams: each arrives whole or not at all, perhaps twice, in any order.
pub trait Datagram: Send + Sync + Sized + 'static {
    /// Sends one datagram. That it was sent does not say that it arrives, or that anybody is there.
    ///
    /// # Errors
    /// The operating system's: EMSGSIZE if it is too long to be sent.
    #[track_caller]
    fn send_to(
        &self,
        buf: &[u8],
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Receives one datagram and says from whom it is. What does not fit into `buf` is cut off.
    #[track_caller]
    fn recv_from(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// The address it is bound to (with the port that was picked, if 0 was asked for).
    ///
    /// # Errors
    /// The operating system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A node's network.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connection.
    type Stream: Stream;
    /// A bound socket that accepts connections.
    type Listener: Listener<Stream = Self::Stream>;
    /// A bound socket for datagrams.
    type Datagram: Datagram;

    /// Binds a listening socket; port 0 picks a free one.
    #[track_caller]
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to a listening socket.
    #[track_caller]
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Binds a socket for datagrams; port 0 picks a free one.
    #[track_caller]
    fn bind_datagram(
        &self,
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Datagram>> + Send;
}
