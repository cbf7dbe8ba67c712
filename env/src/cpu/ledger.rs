//! The arithmetic of a meter, over any pair of clocks: tests set theirs by hand.
//!
//! All times are nanoseconds. A *boundary* is where a slice begins or ends; it is one reading of
//! the monotonic clock, which ends the segment before it and begins the next. A *reading* is one
//! of the CPU clock, always at a boundary; what is between two readings is an *interval*.
//!
//! Invariants: after a reading the rows add up to the CPU time since the start; at the beginning of
//! a slice the last reading is younger than a quantum; for each frame on the stack
//! `settled + unsettled` is at least the CPU time of its slice, but for the clocks' rates.

use std::collections::VecDeque;
use std::time::Duration;

use super::budget::Flag;
use super::class;
use super::report::{ClassUsage, CpuReport};

/// The row of [`OTHER`](super::OTHER).
const OTHER: usize = 0;

/// A monotonic clock and the CPU clock of the thread. Neither goes back.
pub(super) trait Clocks {
    fn monotonic(&self) -> u64;
    fn cpu(&self) -> u64;
    /// By how much the difference of two readings of the CPU clock may be too small.
    fn cpu_error(&self) -> u64;
}

/// An operation between its slices.
#[derive(Debug, Default)]
pub(super) struct Operation {
    /// CPU time of the slices that are over, at most.
    used: u64,
    begun: bool,
    flagged: bool,
}

/// A slice that has begun, on the stack of those that it is within.
#[derive(Debug)]
struct Frame {
    class: usize,
    /// CPU time before the last reading, at most.
    settled: u64,
    /// Monotonic time since the last reading.
    unsettled: u64,
}

#[derive(Clone, Debug, Default)]
struct Row {
    operations: u64,
    slices: u64,
    cpu: u64,
    /// Monotonic time since the last reading.
    pending: u64,
}

/// What may be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) quantum: u64,
    pub(super) limit: Option<u64>,
    pub(super) flags_max: usize,
}

#[derive(Debug)]
pub(super) struct Ledger<C> {
    clocks: C,
    settings: Settings,
    /// The last boundary.
    boundary: u64,
    /// The boundary of the last reading.
    read_at: u64,
    /// The last reading.
    cpu: u64,
    readings: u64,
    /// By the number of the class.
    rows: Vec<Row>,
    /// Rows with pending time.
    pending: Vec<usize>,
    frames: Vec<Frame>,
    flags: VecDeque<Flag>,
    flagged: u64,
}

impl<C: Clocks> Ledger<C> {
    pub(super) fn new(clocks: C, settings: Settings) -> Self {
        let now = clocks.monotonic();
        let cpu = clocks.cpu();
        Self {
            clocks,
            settings,
            boundary: now,
            read_at: now,
            cpu,
            readings: 1,
            rows: vec![Row::default()],
            pending: Vec::new(),
            frames: Vec::new(),
            flags: VecDeque::new(),
            flagged: 0,
        }
    }

    /// The boundary of the last reading.
    pub(super) fn read_at(&self) -> u64 {
        self.read_at
    }

    /// Begins a slice of an operation of this class.
    #[inline]
    pub(super) fn enter(&mut self, class: usize, operation: &mut Operation) {
        self.boundary();
        if class >= self.rows.len() {
            self.rows.resize(class + 1, Row::default());
        }
        // Nothing is counted of what is in no class.
        if class != OTHER {
            self.rows[class].slices += 1;
            self.rows[class].operations += u64::from(!operation.begun);
        }
        operation.begun = true;
        self.frames.push(Frame { class, settled: 0, unsettled: 0 });
    }

    /// Ends the slice that began last, which is one of this operation, and judges it.
    #[inline]
    pub(super) fn exit(&mut self, operation: &mut Operation) {
        self.boundary();
        let Some(frame) = self.frames.last() else { return };
        if !operation.flagged && self.is_over(operation, frame) {
            self.judge(operation);
        }
        if let Some(frame) = self.frames.pop() {
            operation.used += frame.settled + frame.unsettled;
        }
    }

    /// What was found until now.
    pub(super) fn report(&mut self, thread: &str) -> CpuReport {
        self.boundary();
        self.read();
        let used = |(number, row): (usize, &Row)| ClassUsage {
            class: class::name(number),
            operations: row.operations,
            slices: row.slices,
            cpu: Duration::from_nanos(row.cpu),
        };
        let was_entered = |(number, row): &(usize, &Row)| *number == OTHER || row.slices > 0;
        let rows = self.rows.iter().enumerate().filter(was_entered);
        CpuReport {
            thread: thread.to_owned(),
            cpu: Duration::from_nanos(self.rows.iter().map(|row| row.cpu).sum()),
            classes: rows.map(used).collect(),
            cpu_readings: self.readings,
            flagged: self.flagged,
            flags: self.flags.iter().cloned().collect(),
        }
    }

    /// Ends the segment; reads the CPU clock if that is due.
    #[inline]
    fn boundary(&mut self) {
        let now = self.clocks.monotonic().max(self.boundary);
        let segment = now - self.boundary;
        self.boundary = now;
        let class = match self.frames.last_mut() {
            None => OTHER,
            Some(frame) => {
                frame.unsettled += segment;
                frame.class
            }
        };
        let row = &mut self.rows[class];
        if row.pending == 0 && segment > 0 {
            self.pending.push(class);
        }
        row.pending += segment;
        if now - self.read_at >= self.settings.quantum {
            self.read_after(segment);
        }
    }

    fn read(&mut self) {
        self.read_after(0);
    }

    /// Reads the CPU clock at the last boundary, which ended a segment of this length, and divides
    /// the time.
    fn read_after(&mut self, segment: u64) {
        let cpu = self.clocks.cpu().max(self.cpu);
        let burned = cpu - self.cpu;
        self.cpu = cpu;
        self.readings += 1;
        self.divide(burned, self.boundary - self.read_at, segment);
        self.read_at = self.boundary;
        let most = burned.saturating_add(self.clocks.cpu_error());
        for frame in &mut self.frames {
            frame.settled += frame.unsettled.min(most);
            frame.unsettled = 0;
        }
    }

    /// Divides `burned` among the rows by their pending time. `interval` is the sum of that, and
    /// its end is a `segment` of the class on top.
    fn divide(&mut self, burned: u64, interval: u64, segment: u64) {
        let top = self.frames.last().map_or(OTHER, |frame| frame.class);
        let mut rest = burned;
        // Where the thread was stopped for longer than all before the last segment took, that was
        // (if it was once) in the last segment: the others ran through.
        let (before, stopped) = (interval - segment, interval.saturating_sub(burned));
        let segment_ran = if stopped > before { burned.saturating_sub(before) } else { segment };
        let mut weights = before + segment_ran;
        for class in self.pending.drain(..) {
            let row = &mut self.rows[class];
            let weight = row.pending - if class == top { segment - segment_ran } else { 0 };
            row.pending = 0;
            // Of what is left, by what is left: so that it adds up.
            let share = portion(rest, weight, weights);
            row.cpu += share;
            rest -= share;
            weights -= weight;
        }
        // No time has passed on the monotonic clock.
        self.rows[top].cpu += rest;
    }

    fn is_over(&self, operation: &Operation, frame: &Frame) -> bool {
        let Some(limit) = self.settings.limit else { return false };
        let most = operation.used + frame.settled + frame.unsettled;
        // The monotonic clock may be slower.
        most + most / 1000 > limit
    }

    /// Flags the operation whose slice ends, unless a reading clears it.
    #[cold]
    fn judge(&mut self, operation: &mut Operation) {
        if self.read_at != self.boundary {
            self.read();
        }
        let Some(frame) = self.frames.last() else { return };
        if !self.is_over(operation, frame) {
            return;
        }
        operation.flagged = true;
        self.flagged += 1;
        let cpu = Duration::from_nanos(operation.used + frame.settled);
        let class = class::name(frame.class);
        if self.flags.len() >= self.settings.flags_max {
            self.flags.pop_front();
        }
        if self.settings.flags_max > 0 {
            self.flags.push_back(Flag { class, cpu, at: Duration::from_nanos(self.boundary) });
        }
    }
}

/// `amount * weight / weights`, rounded down; nothing of nothing.
fn portion(amount: u64, weight: u64, weights: u64) -> u64 {
    debug_assert!(weight <= weights);
    match weights {
        0 => 0,
        _ => (u128::from(amount) * u128::from(weight) / u128::from(weights)) as u64,
    }
}
