//! Processes that we start and kill, and folders that do not outlive us.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

use super::process::Role;
use crate::exit::Failure;

/// The hidden command that makes a process one of ours.
pub(crate) const COMMAND: &str = "real-process";
/// How much of a process's log is shown.
const TAIL: usize = 2_000;

/// A process of the same program, killed when this is dropped. In a group of its own: a Ctrl-C at
/// the terminal does not reach it.
#[derive(Debug)]
pub(super) struct Process {
    child: std::process::Child,
    orders: Option<ChildStdin>,
    said: Receiver<String>,
}

/// What a process says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Line(String),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    Ended,
}

impl Process {
    /// Starts one; what it logs goes to the end of `log`.
    pub(super) fn start(role: &Role, log: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.process_group(0).spawn()?;
        let (say, said) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(Result::ok);
                // An end of the channel means that nobody listens any more.
                let _ = lines.map(|line| say.send(line)).find(Result::is_err);
            });
        }
        let mut orders = child.stdin.take();
        if let Some(orders) = &mut orders {
            writeln!(orders, "{}", serde_json::to_string(role)?)?;
        }
        Ok(Self { child, orders, said })
    }

    /// Gives an order. Whether it is still there to hear it shows when it is listened to.
    pub(super) fn order(&mut self, line: impl std::fmt::Display) {
        if let Some(orders) = &mut self.orders {
            let _ = writeln!(orders, "{line}").and_then(|()| orders.flush());
        }
    }

    /// The next line.
    pub(super) fn listen(&self, for_at_most: Duration) -> Said {
        match self.said.recv_timeout(for_at_most) {
            Ok(line) => Said::Line(line),
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
            Err(RecvTimeoutError::Disconnected) => Said::Ended,
        }
    }

    /// Kills it by SIGKILL, and waits until it is gone.
    pub(super) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until it ends by itself.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of a log, for messages.
pub(super) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(TAIL);
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    text.lines().skip(usize::from(from > 0)).map(|line| format!("\n    {line}")).collect()
}

/// Waits for a line of the pipe; without one we are gone, and the folder goes too. What was in it
/// ends by itself, but perhaps not at once.
const KEEPER: &str = r#"read -r line && exit
for n in 1 2 3 4 5; do rm -rf -- "$1"; sleep 0.3; [ -e "$1" ] || exit; done"#;

/// The folder of a run. A temporary one is removed, however we end.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keeper: Option<std::process::Child>,
    _temporary: Option<TempDir>,
}

impl Folder {
    /// A folder of the user's, which must be empty or missing, or a temporary one.
    pub(super) fn new(wanted: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = wanted {
            return Self::given(path);
        }
        let made = tempfile::Builder::new().prefix("seedbed-real-").tempdir();
        let parent = std::env::temp_dir();
        let cannot = |error| Failure::usage(format!("{}: {error}", parent.display()));
        let made = made.map_err(cannot)?;
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(made.path()).current_dir("/");
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = keeper.process_group(0).spawn().ok();
        Ok(Self { path: made.path().to_owned(), keeper, _temporary: Some(made) })
    }

    fn given(path: &Path) -> Result<Self, Failure> {
        let cannot = |error| Failure::usage(format!("--dir {}: {error}", path.display()));
        std::fs::create_dir_all(path).map_err(cannot)?;
        if std::fs::read_dir(path).map_err(cannot)?.next().is_some() {
            return Err(Failure::usage(format!(
                "--dir {}: it is not empty; give a new folder or an empty one",
                path.display()
            )));
        }
        let path = path.canonicalize().map_err(cannot)?;
        Ok(Self { path, keeper: None, _temporary: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        self._temporary.is_some()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            if let Some(mut pipe) = keeper.stdin.take() {
                let _ = pipe.write_all(b"done\n");
            }
            let _ = keeper.wait();
        }
    }
}
