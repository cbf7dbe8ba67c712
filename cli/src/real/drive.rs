//! One run: the sink works, is killed, and works on; at the end everything is looked at.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::child::{Process, Said, tail};
use super::peers::Peers;
use super::plan::{Stop, What, plan};
use super::process::{Role, SinkRole};
use super::verify::Verifier;
use super::{Ended, Setup, failure};
use crate::clock::Watch;

/// Between two looks at whether the user wants an end.
const TICK: Duration = Duration::from_millis(20);
/// The sink makes no progress for so long, with everybody there: it hangs.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Most transactions on their way.
const TRANSACTIONS_MAX: usize = 400;
/// Batches that may always be on their way.
const BATCHES_MIN: u64 = 2;
/// And this part of the rows between two stops: so that rows are left for all stops.
const STOP_PART: u64 = 4;

/// How far a run is, for who watches.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) rows: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) stop: AtomicBool,
    pub(super) doing: Mutex<&'static str>,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Kills of the sink.
    pub(super) sink_kills: u32,
    /// Kills of a participant or the server.
    pub(super) peer_kills: u32,
    /// Stops after which transactions were found prepared, and how many.
    pub(super) stops: u32,
    pub(super) found_prepared: u32,
    pub(super) prepared: u64,
    /// Starts of the sink that found decisions that not everybody may have heard, and how many.
    pub(super) found_decided: u32,
    pub(super) decided: u64,
    pub(super) checkpointed: u64,
    pub(super) damage: u64,
    pub(super) rows: u64,
    pub(super) checksum: u64,
    pub(super) left_prepared: u64,
    pub(super) working: Duration,
}

/// See the module.
pub(super) struct Drive<'a> {
    setup: &'a Setup,
    progress: &'a Progress,
    folder: PathBuf,
    peers: Peers,
    sink: Option<Process>,
    /// The sink has written everything and closed.
    closed: bool,
    quiet_since: Watch,
    /// While there is something to be killed: how far the source may be ahead of the checkpoint.
    ahead: Option<u64>,
    pub(super) tally: Tally,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        setup: &'a Setup,
        progress: &'a Progress,
        folder: &Path,
        peers: Peers,
    ) -> Self {
        Self {
            setup,
            progress,
            folder: folder.to_owned(),
            peers,
            sink: None,
            closed: false,
            quiet_since: Watch::start(),
            ahead: None,
            tally: Tally::default(),
        }
    }

    /// Runs to the end, or to what stops it before; nothing runs after it.
    pub(super) async fn run(&mut self) -> Result<(), Ended> {
        let ended = self.all().await;
        self.sink = None;
        *self.progress.doing.lock().unwrap_or_else(|held| held.into_inner()) = "cleaning up";
        self.peers.clean_up().await;
        ended
    }

    async fn all(&mut self) -> Result<(), Ended> {
        let began = Watch::start();
        let Setup { seed, rows, kills, .. } = *self.setup;
        let stops = plan(seed, rows, kills, self.peers.targets());
        let part = rows / (STOP_PART * stops.len().max(1) as u64);
        self.ahead = Some(part.max(BATCHES_MIN * self.setup.batch as u64));
        self.start_sink()?;
        for stop in stops {
            self.until(|this| this.tally.checkpointed >= stop.at.min(rows - 1))?;
            self.wait(stop.delay)?;
            self.stop(&stop).await?;
        }
        self.ahead = None;
        self.let_go();
        self.until(|this| this.closed)?;
        self.tally.working = began.elapsed();
        self.judge().await
    }

    /// Lets the sink take more rows.
    fn let_go(&mut self) {
        let last = self.setup.rows - 1;
        let upto = match self.ahead {
            // The last row waits until nothing is to be killed any more.
            Some(ahead) => self.tally.checkpointed.saturating_add(ahead).min(last),
            None => self.setup.rows,
        };
        if let Some(sink) = &mut self.sink {
            sink.order(format_args!("upto {upto}"));
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("sink.log")
    }

    /// Starts the sink, and waits until it is open.
    fn start_sink(&mut self) -> Result<(), Ended> {
        let setup = self.setup;
        let role = SinkRole {
            dir: self.folder.clone(),
            rows: setup.rows,
            seed: setup.seed,
            batch: setup.batch,
            checkpoint_ms: setup.checkpoint_ms,
            transactions: self.peers.places().clamp(1, TRANSACTIONS_MAX),
            plant: setup.plant.clone(),
            peers: self.peers.role(),
        };
        let started = Process::start(&Role::Sink(role), &self.log());
        self.sink = Some(started.map_err(|error| failure(&"starting the sink", error))?);
        self.quiet_since = Watch::start();
        let mut opened = false;
        while !opened {
            opened = self.hear(TICK)?.is_some_and(|line| line.starts_with("opened "));
        }
        Ok(())
    }

    /// Listens until something is so.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<(), Ended> {
        self.quiet_since = Watch::start();
        while !is_so(self) {
            self.hear(TICK)?;
        }
        Ok(())
    }

    fn wait(&mut self, duration: Duration) -> Result<(), Ended> {
        let began = Watch::start();
        while let Some(rest) = duration.checked_sub(began.elapsed()).filter(|rest| !rest.is_zero())
        {
            self.hear(rest.min(TICK))?;
        }
        Ok(())
    }

    /// Listens to the sink for a moment.
    fn hear(&mut self, for_at_most: Duration) -> Result<Option<String>, Ended> {
        if self.progress.stop.load(Ordering::Relaxed) {
            return Err(Ended::Interrupted);
        }
        let Some(sink) = &self.sink else {
            std::thread::sleep(for_at_most);
            return Ok(None);
        };
        match sink.listen(for_at_most) {
            Said::Line(line) => {
                self.quiet_since = Watch::start();
                self.take(&line)?;
                Ok(Some(line))
            }
            Said::Nothing => {
                self.peers.check()?;
                if self.quiet_since.elapsed() > STALL_MAX {
                    let at = self.tally.checkpointed;
                    let what = format!("no progress for {STALL_MAX:?} at offset {at}");
                    return Err(Ended::hangs(&what, &self.log()));
                }
                Ok(None)
            }
            Said::Ended if self.closed => {
                std::thread::sleep(for_at_most);
                Ok(None)
            }
            Said::Ended => {
                let what = format!("the sink has ended by itself{}", tail(&self.log()));
                Err(Ended::broken(&what, &self.log()))
            }
        }
    }

    fn take(&mut self, line: &str) -> Result<(), Ended> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<u64> = rest.split(' ').map_while(|text| text.parse().ok()).collect();
        match (word, numbers.as_slice()) {
            ("opened", [_, offset, decided]) => {
                if *offset < self.tally.checkpointed {
                    let before = self.tally.checkpointed;
                    let what = format!("checkpoint {before} was told, the next start has {offset}");
                    return Err(Ended::violation("a checkpoint that was told is durable", what));
                }
                self.tally.checkpointed = *offset;
                self.let_go();
                self.tally.found_decided += u32::from(*decided > 0);
                self.tally.decided += decided;
            }
            ("at", [offset, damage]) => {
                self.tally.checkpointed = *offset;
                self.tally.damage = *damage;
                self.progress.rows.store(*offset, Ordering::Relaxed);
                self.let_go();
            }
            ("closed", [offset, rejected, damage]) => {
                (self.tally.checkpointed, self.tally.damage) = (*offset, *damage);
                self.closed = true;
                if *rejected > 0 {
                    let what = format!("{rejected} rows were rejected");
                    return Err(Ended::violation("exactly once", what));
                }
            }
            ("failed", _) => return Err(Ended::sink_failed(rest, &self.log())),
            _ => return Err(Ended::broken(&format!("the sink said {line:?}"), &self.log())),
        }
        Ok(())
    }

    async fn stop(&mut self, stop: &Stop) -> Result<(), Ended> {
        let found = match stop.what {
            What::Sink => {
                self.kill_sink();
                self.peers.prepared().await?
            }
            What::Peer(nth) => {
                self.kill_peer(nth, stop.hard)?;
                self.wait(stop.down)?;
                self.peers.start_again(nth).await?
            }
            What::Both(nth) => {
                self.kill_peer(nth, stop.hard)?;
                self.wait(stop.down)?;
                self.kill_sink();
                if stop.sink_first {
                    self.start_sink()?;
                    self.wait(stop.down)?;
                }
                self.peers.start_again(nth).await?
            }
        };
        self.tally.stops += 1;
        self.tally.found_prepared += u32::from(found > 0);
        self.tally.prepared += found;
        if self.sink.is_none() {
            self.start_sink()?;
        }
        Ok(())
    }

    fn kill_sink(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.kill();
            self.tally.sink_kills += 1;
            self.progress.kills.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn kill_peer(&mut self, nth: usize, hard: bool) -> Result<(), Ended> {
        self.peers.kill(nth, hard)?;
        self.tally.peer_kills += 1;
        self.progress.kills.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at everything, when nothing runs any more.
    async fn judge(&mut self) -> Result<(), Ended> {
        self.sink = None;
        *self.progress.doing.lock().unwrap_or_else(|held| held.into_inner()) = "comparing rows";
        let Setup { seed, rows, .. } = *self.setup;
        let mut verifier = Verifier::new(seed, rows, self.peers.count());
        self.tally.left_prepared = self.peers.verify(&mut verifier).await?;
        let wrong = verifier.verdict();
        (self.tally.rows, self.tally.checksum) = (verifier.count, verifier.checksum);
        if let Some(wrong) = wrong {
            return Err(Ended::violation("exactly once", wrong));
        }
        if self.tally.left_prepared > 0 {
            let left = self.tally.left_prepared;
            let what = format!("{left} transactions are prepared although all is settled");
            return Err(Ended::violation("nothing is left prepared", what));
        }
        if self.tally.damage > 0 {
            let count = self.tally.damage;
            let what = format!("the sink reports damage at {count} places, and nobody did any");
            return Err(Ended::violation("no participant does otherwise than decided", what));
        }
        Ok(())
    }
}
