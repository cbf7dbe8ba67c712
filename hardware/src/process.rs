//! An engine under load in a process of its own: its memory, CPU time and allocations are its own,
//! and two builds of a program can take turns.
//!
//! The worker reads lines of JSON and answers each with one, until its input ends: a parent that is
//! gone takes its workers with it, and they their folders. "Stop" has no answer: the round that is
//! running ends early.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use seedbed_measure::Latencies;
use seedbed_measure::latency::Bucket;
use serde::{Deserialize, Serialize};

use crate::Failed;
use crate::bench::{Bench, Ended, Round};
use crate::simulate::exact;
use crate::workload::Workload;

/// The version of what parent and worker say; another build may speak another one.
const VERSION: u32 = 2;
/// Longest answer of a worker, in bytes: a program that is none may say anything.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// How often who waits for an answer looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// After so long a program that has not answered at first is none of ours, and one that was to stop
/// will not.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so long a worker without a parent gives up what it is doing.
const GRACE: Duration = Duration::from_secs(10);
/// Operations of the first round of a warm-up.
const FIRST: u64 = 64;
/// Most operations of a round that is to take so long; they are kept in memory until its end.
const MOST: u64 = 4_000_000;

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
    Stop,
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done,
    Round(Box<Round>, Vec<Bucket>),
    Ended(Ended),
    Exact(u64, BTreeMap<String, u64>),
    Wrong(String),
    Engine(String),
    // What the first version said in its place.
    #[serde(alias = "failed")]
    Machine(String),
}

impl From<Failed> for Answer {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Wrong(why) => Self::Wrong(why),
            Failed::Engine(why) => Self::Engine(why),
            Failed::Machine(why) => Self::Machine(why),
        }
    }
}

/// Is a worker: answers until the input ends. What a hidden command of the program calls; if the
/// engine hangs when the input has ended, the process ends all the same.
///
/// # Errors
/// The output is closed.
pub fn serve(input: impl BufRead + Send + 'static, mut output: impl Write) -> std::io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let folder = Arc::new(Folder::default());
    let (asks, asked) = channel();
    let (_alive, ended) = channel::<()>();
    let (told, left) = (Arc::clone(&stop), Arc::clone(&folder));
    thread::spawn(move || {
        listen(input, &told, asks);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(GRACE) {
            left.remove();
            std::process::exit(1);
        }
    });
    let mut worker = Serving { bench: None, folder, stop };
    for ask in asked {
        let answer = ask.map_err(Failed::Machine).and_then(|ask| worker.answer(ask));
        serde_json::to_writer(&mut output, &answer.unwrap_or_else(Answer::from))?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// Hands on what is asked until the input ends. Who has asked may be gone then.
fn listen(input: impl BufRead, stop: &AtomicBool, asks: Sender<Result<Ask, String>>) {
    for line in input.lines().map_while(Result::ok) {
        let ask = serde_json::from_str(&line)
            .map_err(|error| format!("this is for `seedbed bench` to start: {error}"));
        match ask {
            Ok(Ask::Stop) => stop.store(true, Ordering::Relaxed),
            ask => drop(asks.send(ask)),
        }
    }
    stop.store(true, Ordering::Relaxed);
}

/// The folder of a worker, which is its parent's to remove, but that may be gone.
#[derive(Debug, Default)]
struct Folder(Mutex<Option<PathBuf>>);

impl Folder {
    fn set(&self, folder: &Path) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
    }

    fn remove(&self) {
        if let Some(folder) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A worker, from its own side.
struct Serving {
    bench: Option<Bench>,
    folder: Arc<Folder>,
    stop: Arc<AtomicBool>,
}

impl Serving {
    fn answer(&mut self, ask: Ask) -> Result<Answer, Failed> {
        let first = || Failed::Machine("nothing is open".to_owned());
        match ask {
            Ask::Open { version, .. } if version != VERSION => Err(Failed::Machine(format!(
                "the other program speaks version {version}, this one {VERSION}"
            ))),
            Ask::Open { dir, workload, .. } => {
                self.folder.set(&dir);
                self.bench = Some(Bench::open(&dir, &workload, Arc::clone(&self.stop))?);
                Ok(Answer::Done)
            }
            Ask::Round { operations } => {
                let (round, latencies) =
                    self.bench.as_mut().ok_or_else(first)?.round(operations)?;
                Ok(Answer::Round(Box::new(round), latencies.buckets()))
            }
            Ask::StartMeasuring => {
                self.bench.as_mut().ok_or_else(first)?.start_measuring();
                Ok(Answer::Done)
            }
            Ask::Exact { workload } => {
                let (operations, counters) = exact(&workload)?;
                Ok(Answer::Exact(operations, counters))
            }
            Ask::End => Ok(Answer::Ended(self.bench.take().ok_or_else(first)?.end()?)),
            Ask::Stop => unreachable!("it is heard, not answered"),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.bench.take());
        self.folder.remove();
    }
}

/// How workers are started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its command that calls [`serve`].
    pub command: &'a str,
    /// The folder in which each has one of its own.
    pub dir: &'a Path,
    /// Once it is set rounds end early, with what there is.
    pub stop: &'a AtomicBool,
}

/// A worker, from its parent's side. Dropped, it is killed, and its folder is removed.
#[derive(Debug)]
pub struct Worker<'a> {
    child: Child,
    input: Option<ChildStdin>,
    /// Its answers, line by line.
    lines: Receiver<String>,
    /// All that was measured.
    latencies: Latencies,
    stop: &'a AtomicBool,
    /// Removed when this is dropped.
    folder: Option<tempfile::TempDir>,
}

impl<'a> Worker<'a> {
    /// Figures without noise of a program, see [`exact`], and over how many operations.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub fn exact_of(
        launch: Launch<'_>,
        workload: &Workload,
    ) -> Result<(u64, BTreeMap<String, u64>), Failed> {
        let mut worker = Worker::spawn(launch)?;
        match worker.ask(&Ask::Exact { workload: workload.clone() })? {
            Answer::Exact(operations, counters) => Ok((operations, counters)),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Starts a worker and opens an engine in a new folder.
    ///
    /// # Errors
    /// The program cannot be started, or is another one; what the machine or the engine says.
    pub fn start(launch: Launch<'a>, workload: &Workload) -> Result<Self, Failed> {
        let dir = launch.dir;
        let folder = tempfile::Builder::new().prefix("seedbed-bench-").tempdir_in(dir);
        let folder = folder
            .map_err(|error| Failed::Machine(format!("no folder in {}: {error}", dir.display())))?;
        let mut worker = Self::spawn(launch)?;
        let dir = folder.path().to_owned();
        worker.folder = Some(folder);
        let open = Ask::Open { version: VERSION, dir, workload: workload.clone() };
        worker.ask(&open).and_then(done)?;
        Ok(worker)
    }

    fn spawn(launch: Launch<'a>) -> Result<Self, Failed> {
        let Launch { program, command, stop, .. } = launch;
        let mut starting = Command::new(program);
        starting.arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is the parent's: it tells its workers.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut starting, 0);
        let started = starting.spawn();
        let mut child = started.map_err(|error| {
            Failed::Machine(format!("cannot start {}: {error}", program.display()))
        })?;
        let output = child.stdout.take().expect("it is piped");
        let input = child.stdin.take();
        let (said, lines) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(line) = next_line(&mut output) {
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, lines, latencies: Latencies::new(), stop, folder: None })
    }

    fn ask(&mut self, ask: &Ask) -> Result<Answer, Failed> {
        self.tell(ask)?;
        let line = self.next_line(ask)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Wrong(why)) => Err(Failed::Wrong(why)),
            Ok(Answer::Engine(why)) => Err(Failed::Engine(why)),
            Ok(Answer::Machine(why)) => Err(Failed::Machine(why)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                let said: String = line.chars().take(200).collect();
                Err(Failed::Machine(format!("the measuring process says {said:?}: {error}")))
            }
        }
    }

    /// Waits for the answer. A round that runs is told to end once that is wanted; the rest ends by
    /// itself, and what does not is given up.
    fn next_line(&mut self, ask: &Ask) -> Result<String, Failed> {
        let began = Instant::now();
        let mut told = None;
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if told.is_none() && self.stop.load(Ordering::Relaxed) {
                told = Some(Instant::now());
                if let Ask::Round { .. } = ask {
                    self.tell(&Ask::Stop)?;
                }
            }
            let since = if let Ask::Open { .. } = ask { Some(began) } else { told };
            if since.is_some_and(|since| since.elapsed() > PATIENCE) {
                let seconds = PATIENCE.as_secs();
                let what = format!("the measuring process has not answered for {seconds} s");
                return Err(Failed::Machine(what));
            }
        }
    }

    fn tell(&mut self, ask: &Ask) -> Result<(), Failed> {
        let mut line = serde_json::to_string(ask).expect("a question is data");
        line.push('\n');
        let told = self.input.as_mut().map(|input| input.write_all(line.as_bytes()));
        told.and_then(Result::ok).ok_or_else(|| self.gone())
    }

    /// The process has closed its output, or its input.
    fn gone(&mut self) -> Failed {
        let _ = self.child.kill();
        let how = self.child.wait().map_or_else(|error| error.to_string(), |how| how.to_string());
        Failed::Machine(format!("the measuring process has ended by itself: {how}"))
    }

    /// Runs a round of so many operations.
    ///
    /// # Errors
    /// As [`Bench::round`].
    pub fn round(&mut self, operations: u64) -> Result<Round, Failed> {
        match self.ask(&Ask::Round { operations })? {
            Answer::Round(round, buckets) => {
                self.latencies.add_buckets(&buckets);
                Ok(*round)
            }
            answer => Err(unexpected(&answer)),
        }
    }

    /// Runs rounds that grow until one takes about as long as it should; gives the operations of
    /// such a one.
    ///
    /// # Errors
    /// As [`Bench::round`].
    pub fn warm_up(&mut self, workload: &Workload, round_ns: u64) -> Result<u64, Failed> {
        let in_a_round = |operations: u64, elapsed_ns: u64| {
            let scaled =
                u128::from(operations) * u128::from(round_ns) / u128::from(elapsed_ns.max(1));
            u64::try_from(scaled).unwrap_or(MOST)
        };
        if workload.rate > 0 {
            // What arrives in that time, however long it takes.
            let operations = in_a_round(workload.rate, 1_000_000_000).clamp(1, MOST);
            self.round(operations)?;
            return Ok(operations);
        }
        let least = workload.outstanding().clamp(FIRST, MOST);
        let mut operations = least;
        loop {
            let Round { elapsed_ns, .. } = self.round(operations)?;
            let is_enough = elapsed_ns >= round_ns / 2 || operations >= MOST;
            if is_enough || self.stop.load(Ordering::Relaxed) {
                return Ok(in_a_round(operations, elapsed_ns).clamp(least, MOST));
            }
            operations = (operations * 4).min(MOST);
        }
    }

    /// From here on CPU time and latencies count.
    ///
    /// # Errors
    /// The process is gone.
    pub fn start_measuring(&mut self) -> Result<(), Failed> {
        self.latencies = Latencies::new();
        self.ask(&Ask::StartMeasuring).and_then(done)
    }

    /// Ends the engine and compares what it left with what was acknowledged. Gives the latencies of
    /// all measured rounds as well.
    ///
    /// # Errors
    /// [`Failed::Wrong`] if that is not the same.
    pub fn end(mut self) -> Result<(Ended, Latencies), Failed> {
        match self.ask(&Ask::End)? {
            Answer::Ended(ended) => Ok((ended, std::mem::take(&mut self.latencies))),
            answer => Err(unexpected(&answer)),
        }
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of a program that may be any; what is too long ends early.
fn next_line(output: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    output.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
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
