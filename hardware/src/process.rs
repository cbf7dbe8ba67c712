//! An engine under load in a process of its own: its memory, CPU time and allocations are its own,
//! and two builds of a program can take turns.
//!
//! The worker reads a line of JSON and answers with one, until its input ends: a parent that is
//! gone takes its workers with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::bench::{Bench, Ended, Round};
use crate::simulate::exact;
use crate::workload::Workload;

/// The version of what parent and worker say; another build may speak another one.
const VERSION: u32 = 1;
/// Longest answer of a worker, in bytes: a program that is none may say anything.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What the parent wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Open {
        version: u32,
        dir: PathBuf,
        workload: Workload,
    },
    Round {
        operations: u64,
    },
    StartMeasuring,
    /// Figures without noise; nothing need be open.
    Exact {
        workload: Workload,
    },
    End,
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done,
    Round(Box<Round>),
    Ended(Ended),
    Exact(u64, BTreeMap<String, u64>),
    Wrong(String),
    Failed(String),
}

impl From<Failed> for Answer {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Wrong(why) => Self::Wrong(why),
            Failed::Engine(why) | Failed::Machine(why) => Self::Failed(why),
        }
    }
}

/// Is a worker: answers until the input ends. What a hidden command of the program calls.
///
/// # Errors
/// The output is closed.
pub fn serve(input: impl BufRead, mut output: impl Write) -> std::io::Result<()> {
    let mut bench = None;
    for line in input.lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(ask) => answer(&mut bench, ask).unwrap_or_else(Answer::from),
            Err(error) => Answer::Failed(format!("this is for `seedbed bench` to start: {error}")),
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(bench: &mut Option<Bench>, ask: Ask) -> Result<Answer, Failed> {
    let first = || Failed::Machine("nothing is open".to_owned());
    match ask {
        Ask::Open { version, .. } if version != VERSION => Err(Failed::Machine(format!(
            "the other program speaks version {version}, this one {VERSION}"
        ))),
        Ask::Open { dir, workload, .. } => {
            *bench = Some(Bench::open(&dir, &workload, Arc::new(AtomicBool::new(false)))?);
            Ok(Answer::Done)
        }
        Ask::Round { operations } => {
            let round = bench.as_mut().ok_or_else(first)?.round(operations)?;
            Ok(Answer::Round(Box::new(round)))
        }
        Ask::StartMeasuring => {
            bench.as_mut().ok_or_else(first)?.start_measuring();
            Ok(Answer::Done)
        }
        Ask::Exact { workload } => {
            let (operations, counters) = exact(&workload)?;
            Ok(Answer::Exact(operations, counters))
        }
        Ask::End => Ok(Answer::Ended(bench.take().ok_or_else(first)?.end()?)),
    }
}

/// A worker, from its parent's side. Dropped, it is killed, and its folder is removed.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Removed when this is dropped.
    folder: tempfile::TempDir,
}

impl Worker {
    /// Figures without noise of `program command`, see [`exact`], and over how many operations.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn exact_of(
        program: &Path,
        command: &str,
        dir: &Path,
        workload: &Workload,
    ) -> Result<(u64, BTreeMap<String, u64>), Failed> {
        let mut worker = Self::spawn(program, command, dir)?;
        match worker.ask(&Ask::Exact { workload: workload.clone() })? {
            Answer::Exact(operations, counters) => Ok((operations, counters)),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Starts `program command`, which is to call [`serve`], and opens an engine in a new folder
    /// in `dir`.
    ///
    /// # Errors
    /// The program cannot be started, or is another one; what the machine or the engine says.
    pub fn start(
        program: &Path,
        command: &str,
        dir: &Path,
        workload: &Workload,
    ) -> Result<Self, Failed> {
        let mut worker = Self::spawn(program, command, dir)?;
        let dir = worker.folder.path().to_owned();
        let open = Ask::Open { version: VERSION, dir, workload: workload.clone() };
        worker.ask(&open).and_then(done)?;
        Ok(worker)
    }

    fn spawn(program: &Path, command: &str, dir: &Path) -> Result<Self, Failed> {
        let folder = tempfile::Builder::new().prefix("seedbed-bench-").tempdir_in(dir);
        let folder = folder
            .map_err(|error| Failed::Machine(format!("no folder in {}: {error}", dir.display())))?;
        let mut starting = Command::new(program);
        starting.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is the parent's: it ends its workers when the round is over.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut starting, 0);
        let started = starting.spawn();
        let mut child = started.map_err(|error| {
            Failed::Machine(format!("cannot start {}: {error}", program.display()))
        })?;
        let output = child.stdout.take().expect("it is piped");
        let input = child.stdin.take();
        let output = BufReader::new(output);
        Ok(Self { child, input, output, folder })
    }

    fn ask(&mut self, ask: &Ask) -> Result<Answer, Failed> {
        let gone = || Failed::Machine("the measuring process has ended by itself".to_owned());
        let mut line = serde_json::to_string(ask).expect("a question is data");
        line.push('\n');
        let input = self.input.as_mut().ok_or_else(gone)?;
        input.write_all(line.as_bytes()).map_err(|_| gone())?;
        line.clear();
        let mut output = self.output.by_ref().take(ANSWER_BYTES_MAX);
        output.read_line(&mut line).map_err(|_| gone())?;
        if line.is_empty() {
            return Err(gone());
        }
        match serde_json::from_str(&line) {
            Ok(Answer::Wrong(why)) => Err(Failed::Wrong(why)),
            Ok(Answer::Failed(why)) => Err(Failed::Engine(why)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                let said: String = line.chars().take(200).collect();
                Err(Failed::Machine(format!("the measuring process says {said:?}: {error}")))
            }
        }
    }

    /// Runs a round of so many operations.
    ///
    /// # Errors
    /// As [`Bench::round`].
    pub fn round(&mut self, operations: u64) -> Result<Round, Failed> {
        match self.ask(&Ask::Round { operations })? {
            Answer::Round(round) => Ok(*round),
            answer => Err(unexpected(&answer)),
        }
    }

    /// From here on CPU time counts.
    ///
    /// # Errors
    /// The process is gone.
    pub fn start_measuring(&mut self) -> Result<(), Failed> {
        self.ask(&Ask::StartMeasuring).and_then(done)
    }

    /// Ends the engine and compares what it left with what was acknowledged.
    ///
    /// # Errors
    /// [`Failed::Wrong`] if that is not the same.
    pub fn end(mut self) -> Result<Ended, Failed> {
        match self.ask(&Ask::End)? {
            Answer::Ended(ended) => Ok(ended),
            answer => Err(unexpected(&answer)),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn done(answer: Answer) -> Result<(), Failed> {
    match answer {
        Answer::Done => Ok(()),
        answer => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> Failed {
    Failed::Machine(format!("an unexpected answer: {answer:?}"))
}
