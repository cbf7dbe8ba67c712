//! Trace files: what a run was, what it decided, what happened, and how it ended.
//!
//! * [`Writer`] records a run with bounded memory, [`Reader`] streams it back, [`Trace`] holds it
//!   whole and is written atomically.
//! * [`diff`] names the first difference of two traces, [`render`] shows one to people.
//!
//! The file is a 16-byte prologue (magic, format version, flags, checksum) and a chain of frames:
//! `kind u8, length u32, checksum u32, payload`. The checksum covers the frame's number as well, so
//! a lost, repeated or reordered frame is noticed. The order of frames is: header, then workload,
//! strings, decisions and events as they come, then the end.
//!
//! Invariants:
//! * A damaged file gives an error with the offset and the last good event, never a different
//!   trace, a panic, a hang, or an allocation that its size does not justify.
//! * Old traces stay readable: the format has a version, and each has a golden file.
//! * Only `codec` knows bincode.

mod codec;
mod diff;
mod errors;
mod file;
mod frame;
mod model;
mod reader;
mod render;
mod strings;
mod text;
mod writer;

#[cfg(test)]
mod tests;

pub use diff::{Diff, diff};
pub use errors::TraceError;
pub use frame::{FORMAT_VERSION, FRAME_BYTES_MAX};
pub use model::{
    Decision, DecisionMode, Digest, End, Event, Header, OpText, Outcome, Trace, Verdict, Workload,
};
pub use reader::{Item, Reader};
pub use render::{
    Line, escape, render, render_decision, render_end, render_event, render_header, render_time,
};
pub use text::Text;
pub use writer::Writer;

/// Most events in one trace.
pub const EVENTS_MAX: u64 = 64 << 20;
/// Most decisions in one trace.
pub const DECISIONS_MAX: u64 = 64 << 20;
/// Most operations in one workload.
pub const WORKLOAD_OPS_MAX: u64 = 1 << 20;
/// Longest name, label, detail or text of an operation, in bytes; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 4096;
