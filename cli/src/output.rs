//! Where text goes, and its colours.
//!
//! Invariant: writing never fails and never panics. When the reader is gone (`seedbed list | head`)
//! the rest is dropped and the command ends as it would have; any other failure is kept, and the
//! command line reports it at the end.

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What was injected, and what to look at.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// Names and headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// What is there if one looks for it.
pub(crate) const DIM: Style = Style::new().dimmed();

/// Text in a style; the style is dropped at the edge if colours are off.
pub(crate) fn paint(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A sink for lines.
pub(crate) struct Output<'a> {
    sink: Box<dyn Write + 'a>,
    error: Option<io::Error>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(sink: impl Write + 'a) -> Self {
        Self { sink: Box::new(sink), error: None }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: impl fmt::Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Writes text as it is, in one piece.
    pub(crate) fn text(&mut self, text: impl fmt::Display) {
        if self.error.is_none() {
            let text = text.to_string();
            let written = self.sink.write_all(text.as_bytes()).and_then(|()| self.sink.flush());
            self.error = written.err();
        }
    }

    /// Writes one JSON value and a line's end.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.error = Some(io::Error::other(error)),
        }
    }

    /// What went wrong while writing, unless the reader just left.
    pub(crate) fn error(&self) -> Option<&io::Error> {
        self.error.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}
