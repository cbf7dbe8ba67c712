//! Byte streams between nodes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

/// A connected, reliable, ordered byte stream.
pub trait Stream: Send + Sync + Sized + 'static {
    /// Reads at least one byte, or 0 at the end of the stream (or for an empty buffer).
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes at least one byte of a non-empty buffer; may write fewer than given.
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Ends the writing half: the peer reads 0 after what was written.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// The other end's address.
    ///
    /// # Errors
    /// The operating system's, if the stream is no longer connected.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Writes all of `buf`.
    ///
    /// # Errors
    /// `WriteZero` if a write makes no progress; after any error a prefix may be sent.
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

    /// Reads exactly `buf.len()` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends before the buffer is full.
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

/// A socket that accepts connections.
pub trait Listener: Send + Sync + Sized + 'static {
    /// What it accepts.
    type Stream: Stream;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

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
    /// A bound socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Binds a listening socket; port 0 picks a free one.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to a listening socket.
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}
