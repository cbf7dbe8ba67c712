//! Codes of the errors that sockets give, as Linux numbers them.

use std::io;

pub(crate) const EPIPE: i32 = 32;
pub(crate) const EMSGSIZE: i32 = 90;
pub(crate) const EADDRINUSE: i32 = 98;
pub(crate) const EADDRNOTAVAIL: i32 = 99;
pub(crate) const ECONNRESET: i32 = 104;
pub(crate) const ENOTCONN: i32 = 107;
pub(crate) const ETIMEDOUT: i32 = 110;
pub(crate) const ECONNREFUSED: i32 = 111;
pub(crate) const EHOSTUNREACH: i32 = 113;

pub(crate) fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
