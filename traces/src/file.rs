//! Whole traces and files.
//!
//! Invariant: a trace file appears under its name complete and synced, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::errors::TraceError;
use crate::model::{End, Trace, Verdict};
use crate::reader::{Item, Reader};
use crate::writer::Writer;

impl Trace {
    /// Reads a whole trace file.
    ///
    /// # Errors
    /// [`TraceError`] if anything about it is wrong; [`Trace::salvage`] keeps what is good.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        complete(Self::salvage(path)?)
    }

    /// Reads a whole trace from bytes, which errors call `path`.
    ///
    /// # Errors
    /// As [`Trace::read`].
    pub fn read_from(path: &Path, source: impl Read) -> Result<Self, TraceError> {
        complete(collect(Reader::at(path, source)?))
    }

    /// Reads all that is good up to the first fault, and gives that fault. A trace without its end
    /// has the verdict [`Verdict::Unfinished`].
    ///
    /// # Errors
    /// [`TraceError`] if there is nothing to keep: not even the header can be read.
    pub fn salvage(path: &Path) -> Result<(Self, Option<TraceError>), TraceError> {
        Ok(collect(Reader::open(path)?))
    }

    /// Writes the trace into a file, complete or not at all; a file of that name is replaced.
    ///
    /// # Errors
    /// [`TraceError`] if the file cannot be written or the trace is beyond the limits.
    pub fn write(&self, path: &Path) -> Result<(), TraceError> {
        let io = |source| TraceError::Io { path: path.to_owned(), action: "write", source };
        let (file, pending) = Pending::create(path).map_err(io)?;
        let file = self.write_to(path, BufWriter::new(file))?;
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        pending.commit(&file).map_err(io)
    }

    /// Writes the trace as bytes, which errors call `path`, and gives the sink back.
    ///
    /// # Errors
    /// As [`Trace::write`].
    pub fn write_to<W: Write>(&self, path: &Path, sink: W) -> Result<W, TraceError> {
        let mut writer = Writer::at(path, sink, &self.header, self.mode)?;
        writer.workload(&self.workload)?;
        for decision in &self.decisions {
            writer.decision(decision)?;
        }
        for event in &self.events {
            writer.event(event)?;
        }
        writer.finish(&self.end)
    }
}

fn complete((trace, fault): (Trace, Option<TraceError>)) -> Result<Trace, TraceError> {
    match fault {
        None => Ok(trace),
        Some(fault) => Err(fault),
    }
}

/// Collects what a reader gives, up to its end or first fault.
fn collect<R: Read>(mut reader: Reader<R>) -> (Trace, Option<TraceError>) {
    let header = reader.header().clone();
    let mut trace = Trace { header, mode: reader.mode(), ..Trace::default() };
    let mut fault = None;
    for item in &mut reader {
        match item {
            Ok(Item::Op(op)) => trace.workload.ops.push(op),
            Ok(Item::Decision(decision)) => trace.decisions.push(decision),
            Ok(Item::Event(event)) => trace.events.push(event),
            Ok(Item::End(end)) => trace.end = end,
            Err(error) => fault = Some(error),
        }
    }
    if fault.is_some() {
        let (events, decisions) = (trace.events.len() as u64, trace.decisions.len() as u64);
        trace.end = End { events, decisions, verdict: Verdict::Unfinished, ..End::default() };
    }
    (trace, fault)
}

/// A file under a temporary name beside its final one; removed unless it is committed.
struct Pending {
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl Pending {
    /// Attempts to find a name that is not taken by another writer.
    const ATTEMPTS: u32 = 1000;

    fn create(path: &Path) -> io::Result<(File, Self)> {
        // Replacing a device or a pipe by a file is never what is wanted.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let message = "something that is not a regular file has this name: choose another";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        };
        for attempt in 0..Self::ATTEMPTS {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{attempt}.tmp", std::process::id()));
            let temporary = path.with_file_name(temporary);
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let path = path.to_owned();
                    return Ok((file, Self { temporary, path, committed: false }));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "all temporary names are taken"))
    }

    fn commit(mut self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        sync_folder(&self.path)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing to do about a failure here: the error that led here is the one to report.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes the name durable, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
