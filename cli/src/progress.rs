//! Progress of sweeps: a bar on a terminal, a plain line now and then elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use seedbed::{Progress, Scenario, Sweep, Swept, sweep};

use crate::clock::Watch;
use crate::output::Output;

/// Between two looks at a sweep.
const TICK: Duration = Duration::from_millis(100);
/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Not at all.
    Nothing,
    /// As lines.
    Lines,
    /// As a bar that is drawn again and again.
    Bar,
}

/// Shows how far a number of sweeps is.
pub(crate) struct Meter {
    show: Show,
    bar: ProgressBar,
    watch: Watch,
    /// When the next plain line is due.
    next_line: Duration,
    /// What is swept now.
    label: String,
    seeds_total: u64,
    /// Of the sweeps that are over.
    before: Counts,
    /// Seeds that they would have run if they had not stopped early.
    planned: u64,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    seeds: u64,
    checks: u64,
    violations: u64,
}

impl Meter {
    /// A meter for sweeps of so many seeds in all.
    pub(crate) fn new(show: Show, seeds_total: u64) -> Self {
        let target = match show {
            Show::Bar => ProgressDrawTarget::stderr(),
            Show::Nothing | Show::Lines => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(seeds_total), target);
        bar.set_style(bar_style());
        Self {
            show,
            bar,
            watch: Watch::start(),
            next_line: PLAIN_EVERY,
            label: String::new(),
            seeds_total,
            before: Counts::default(),
            planned: 0,
        }
    }

    /// Runs a sweep and shows how far it is; `stop` ends it early.
    pub(crate) fn sweep(
        &mut self,
        label: &str,
        scenario: &dyn Scenario,
        what: &Sweep,
        stop: &AtomicBool,
        err: &mut Output<'_>,
    ) -> (Swept, Duration) {
        label.clone_into(&mut self.label);
        let (progress, watch) = (Progress::default(), Watch::start());
        let tick = || self.tick(&progress, err);
        let swept = ticking((stop, &progress.stop), tick, || sweep(scenario, what, &progress));
        let wall = watch.elapsed();
        self.planned += what.seeds.end - what.seeds.start;
        self.before.seeds += swept.seeds;
        self.before.checks += swept.stats.checks;
        self.before.violations += swept.found.len() as u64;
        (swept, wall)
    }

    fn tick(&mut self, progress: &Progress, err: &mut Output<'_>) {
        let counts = Counts {
            seeds: self.before.seeds + progress.seeds.load(Ordering::Relaxed),
            checks: self.before.checks + progress.checks.load(Ordering::Relaxed),
            violations: self.before.violations + progress.violations.load(Ordering::Relaxed),
        };
        match self.show {
            Show::Nothing => {}
            Show::Bar => {
                self.bar.set_position(self.position(counts));
                self.bar.set_message(self.describe(counts));
            }
            Show::Lines if self.watch.elapsed() >= self.next_line => {
                err.line(self.describe(counts));
                self.next_line = self.watch.elapsed() + PLAIN_EVERY;
            }
            Show::Lines => {}
        }
    }

    /// Seeds that need not be waited for any more.
    fn position(&self, counts: Counts) -> u64 {
        let now = counts.seeds - self.before.seeds;
        self.planned.saturating_add(now).min(self.seeds_total)
    }

    fn describe(&self, counts: Counts) -> String {
        let Counts { seeds, checks, violations } = counts;
        let (elapsed, position) = (self.watch.elapsed(), self.position(counts));
        let left = match position {
            0 => "?".to_owned(),
            position => {
                let rest = (self.seeds_total - position) as f64;
                format!("{:.0} s", elapsed.as_secs_f64() * rest / position as f64)
            }
        };
        let s = if violations == 1 { "" } else { "s" };
        format!(
            "{}: {position}/{} seeds, {} seeds/s, {} checks/s, {violations} violation{s}, \
             {left} left",
            self.label,
            self.seeds_total,
            per_second(seeds, elapsed),
            per_second(checks, elapsed),
        )
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Does some work on another thread and shows how far it is: `look` gives the position, the end
/// and a line. `stop` is passed on to `worker_stop`.
pub(crate) fn follow<T: Send>(
    show: Show,
    err: &mut Output<'_>,
    (stop, worker_stop): (&AtomicBool, &AtomicBool),
    look: impl Fn(Duration) -> (u64, u64, String),
    work: impl FnOnce() -> T + Send,
) -> (T, Duration) {
    let watch = Watch::start();
    let bar = match show {
        Show::Bar => ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()),
        Show::Nothing | Show::Lines => ProgressBar::hidden(),
    };
    bar.set_style(bar_style());
    let mut next_line = PLAIN_EVERY;
    let tick = || {
        let (position, end, line) = look(watch.elapsed());
        bar.set_length(end);
        bar.set_position(position);
        if show == Show::Lines && watch.elapsed() >= next_line {
            err.line(&line);
            next_line = watch.elapsed() + PLAIN_EVERY;
        }
        bar.set_message(line);
    };
    let result = ticking((stop, worker_stop), tick, work);
    bar.finish_and_clear();
    (result, watch.elapsed())
}

/// Does some work on another thread, with a `tick` now and then here; passes `stop` on.
fn ticking<T: Send>(
    (stop, worker_stop): (&AtomicBool, &AtomicBool),
    mut tick: impl FnMut(),
    work: impl FnOnce() -> T + Send,
) -> T {
    let (done, is_done) = channel();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let result = work();
            // The other end waits for this, or for the channel's end.
            let _ = done.send(());
            result
        });
        while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            worker_stop.fetch_or(stop.load(Ordering::Relaxed), Ordering::Relaxed);
            tick();
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn bar_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{wide_bar:.cyan/dim} {percent:>3}%\n{msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A rate for people.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-3)) as u64
}

/// A spinner with a message, for work whose length nobody knows.
pub(crate) fn spinner(show: Show, message: &str) -> ProgressBar {
    if show != Show::Bar {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}
