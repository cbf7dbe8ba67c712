//! A server process that cannot outlive us.
//!
//! Between us and the server stands a shell that reads a pipe of ours. A line in it says how to
//! stop the server. The end of the pipe without a line means that we are gone, however that came
//! about: the kernel closes the pipe of a killed process. Then the shell stops the server at once
//! and removes its folder. Shell and server are a process group of their own, so a Ctrl-C at the
//! terminal reaches us only; and a server whose folder is gone ends by itself within a minute,
//! should the shell be killed.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::find::Programs;

/// Arguments: the server, its data, the folder to remove when we are gone.
const WATCH: &str = r#"
"$1" -D "$2" </dev/null >&2 &
server=$!
echo "$server"
exec >&2
if read -r how; then
    kill -s "$how" "$server"
    wait "$server"
else
    kill -s QUIT "$server"
    wait "$server"
    rm -rf -- "$3"
fi
"#;

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Transactions are rolled back, a checkpoint is made.
    Fast,
    /// As if the power went, for the server: it has to recover.
    Immediate,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Guarded {
    shell: Child,
    pipe: Option<ChildStdin>,
    server: u32,
}

impl Guarded {
    /// Starts the server; it may not be ready yet.
    pub(super) fn spawn(programs: &Programs, folder: &Path, data: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
        let mut command = as_owner(programs, "/bin/sh");
        command.args(["-c", WATCH, "sh"]).arg(programs.bin.join("postgres")).arg(data).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut shell = command.current_dir(folder).process_group(0).spawn()?;
        let pipe = shell.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let server = line.trim().parse().map_err(|_| io::Error::other("no process id came"))?;
        Ok(Self { shell, pipe, server })
    }

    /// The postmaster's process id.
    pub(super) fn server(&self) -> u32 {
        self.server
    }

    /// Whether server and shell have ended.
    pub(super) fn has_ended(&self) -> bool {
        // A server that has ended stays a zombie until the shell is told to wait for it.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.server)).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        cfg!(target_os = "linux") && (state.is_empty() || state.starts_with('Z'))
    }

    /// Stops the server and waits until it has ended.
    pub(super) fn stop(mut self, how: Stop) -> io::Result<()> {
        let signal: &[u8] = match how {
            Stop::Fast => b"INT\n",
            Stop::Immediate => b"QUIT\n",
        };
        let mut pipe = self.pipe.take().ok_or_else(|| io::Error::other("no pipe"))?;
        pipe.write_all(signal)?;
        self.shell.wait().map(drop)
    }

    /// Kills the postmaster, which cannot tell its processes: they notice by themselves.
    pub(super) fn kill(self) -> io::Result<()> {
        let pid = i32::try_from(self.server).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("not a process id"))?;
        // The shell has not waited for it, so the number cannot be another process's.
        kill_process(pid, Signal::KILL)?;
        self.stop(Stop::Immediate)
    }
}

/// A command that runs as the user whom the server may run as.
pub(super) fn as_owner(programs: &Programs, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(owner) = programs.owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    // Nothing of a user's own settings may reach it.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
}
