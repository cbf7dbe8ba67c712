//! The meter of a thread: a thread-local ledger over the real clocks.
//!
//! Everything here is nothing on a thread without a meter: one look at a thread-local.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::accounts::Membership;
use super::budget::{CpuBudget, CpuError};
use super::class::Class;
use super::ledger::{Clocks, Ledger, Settings};
use super::report::CpuReport;
use crate::clock::duration_ns;
use crate::os::os_now;

pub(super) use super::ledger::Operation;

/// The quantum where no budget says otherwise.
const QUANTUM: Duration = Duration::from_millis(1);

/// CPU time that the calling thread has used since it began, in user and kernel mode. A system
/// call on most machines: about half a microsecond.
///
/// Exact to nanoseconds on Linux and to microseconds on macOS; on Windows it advances in ticks of
/// 15.6 ms.
pub fn thread_time() -> Duration {
    cpu_time::ThreadTime::now().as_duration()
}

/// How a meter measures.
#[derive(Clone, Copy, Debug)]
pub struct CpuOptions {
    /// What an operation may burn; by default anything.
    pub budget: Option<CpuBudget>,
    /// How old the last reading of the CPU clock is when it is read again, at the next boundary of
    /// slices. Smaller is more accurate, larger is cheaper; 0 reads at each boundary. By default a
    /// quarter of the budget's limit, and 1 ms without one.
    pub quantum: Option<Duration>,
    /// The most flags that are kept, of each thread and of all that ended together.
    pub flags_max: usize,
}

impl Default for CpuOptions {
    fn default() -> Self {
        Self { budget: None, quantum: None, flags_max: 64 }
    }
}

impl CpuOptions {
    fn settings(self) -> Settings {
        let quantum = match (self.quantum, self.budget) {
            (Some(quantum), _) => quantum,
            (None, Some(budget)) => budget.limit() / 4,
            (None, None) => QUANTUM,
        };
        Settings {
            quantum: duration_ns(quantum),
            limit: self.budget.map(|budget| duration_ns(budget.limit())),
            flags_max: self.flags_max,
        }
    }
}

/// The clocks of the operating system.
#[derive(Debug)]
struct OsClocks {
    origin: Instant,
}

impl Clocks for OsClocks {
    #[inline]
    fn monotonic(&self) -> u64 {
        duration_ns(os_now() - self.origin)
    }

    fn cpu(&self) -> u64 {
        duration_ns(thread_time())
    }

    fn cpu_error(&self) -> u64 {
        if cfg!(target_os = "linux") {
            1
        } else if cfg!(windows) {
            // What runs between two ticks may be charged to nobody: no bound.
            u64::MAX
        } else {
            1_000
        }
    }
}

/// A meter in its thread.
struct Running {
    /// Which one: slices that began under another one are not this one's.
    number: u64,
    thread: String,
    ledger: Ledger<OsClocks>,
    membership: Option<Membership>,
}

impl Running {
    /// Lets the accounts know, if there are any and it is time.
    fn publish_if_due(&mut self) {
        if self.membership.as_ref().is_some_and(|accounts| accounts.is_due(self.ledger.read_at())) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        if let Some(membership) = &mut self.membership {
            let report = self.ledger.report(&self.thread);
            membership.publish(report, self.ledger.read_at());
        }
    }
}

impl Drop for Running {
    /// Also when the thread ends.
    fn drop(&mut self) {
        self.publish();
    }
}

thread_local! {
    static METER: RefCell<Option<Box<Running>>> = const { RefCell::new(None) };
}

/// Does this with the thread's meter. Nothing while the thread ends, nor from within a meter (an
/// allocator that is metered itself).
#[inline]
fn with_meter<T>(look: impl FnOnce(&mut Option<Box<Running>>) -> T) -> Option<T> {
    METER.try_with(|meter| Some(look(&mut *meter.try_borrow_mut().ok()?))).ok().flatten()
}

/// Starts a meter on this thread.
pub(super) fn start(
    options: CpuOptions,
    origin: Instant,
    membership: impl FnOnce() -> Option<Membership>,
) -> Result<CpuMeter, CpuError> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let started = with_meter(|meter| {
        if meter.is_some() {
            return Err(CpuError::AlreadyMetered);
        }
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current().name().unwrap_or("unnamed thread").to_owned();
        let ledger = Ledger::new(OsClocks { origin }, options.settings());
        let running = Running { number, thread, ledger, membership: membership() };
        *meter = Some(Box::new(running));
        Ok(CpuMeter { number, thread: PhantomData })
    });
    started.unwrap_or(Err(CpuError::AlreadyMetered))
}

/// Ends the thread's meter, whoever started it.
pub(super) fn end_here() {
    drop(with_meter(Option::take));
}

/// Lets the accounts of this thread's meter know, if there are any.
pub(super) fn publish_here() {
    with_meter(|meter| meter.iter_mut().for_each(|meter| meter.publish()));
}

/// Meters the thread that started it until it is dropped: what belongs to which class, and what
/// goes over its budget.
///
/// ```
/// use seedbed_env::cpu::{self, Class, CpuMeter, CpuOptions};
/// static SUM: Class = Class::new("sum");
/// let meter = CpuMeter::start(CpuOptions::default())?;
/// let sum: u64 = cpu::run(&SUM, || (0..1000).sum());
/// let report = meter.report();
/// assert_eq!(report.class("sum").map(|usage| usage.operations), Some(1));
/// # assert_eq!(sum, 499_500);
/// # Ok::<_, cpu::CpuError>(())
/// ```
#[derive(Debug)]
#[must_use = "it meters until it is dropped"]
pub struct CpuMeter {
    number: u64,
    /// It stays in its thread.
    thread: PhantomData<Rc<()>>,
}

impl CpuMeter {
    /// Starts to meter the calling thread.
    ///
    /// # Errors
    /// [`CpuError::AlreadyMetered`]: a thread has one meter at a time.
    pub fn start(options: CpuOptions) -> Result<Self, CpuError> {
        start(options, os_now(), || None)
    }

    /// What was found since the start. Reads both clocks.
    pub fn report(&self) -> CpuReport {
        let report = with_meter(|meter| {
            let meter = meter.as_mut().filter(|meter| meter.number == self.number)?;
            Some(meter.ledger.report(&meter.thread))
        });
        report.flatten().unwrap_or_default()
    }
}

impl Drop for CpuMeter {
    fn drop(&mut self) {
        let number = self.number;
        let is_ours = |meter: &mut Box<Running>| meter.number == number;
        drop(with_meter(|meter| meter.take_if(is_ours)));
    }
}

/// A slice of an operation; it ends when this is dropped.
pub(super) struct Slice<'a> {
    number: u64,
    operation: &'a mut Operation,
}

/// Begins a slice, if the thread has a meter.
#[inline]
pub(super) fn enter<'a>(class: &'static Class, operation: &'a mut Operation) -> Option<Slice<'a>> {
    let number = with_meter(|meter| {
        let meter = meter.as_mut()?;
        meter.ledger.enter(class.number(), operation);
        Some(meter.number)
    });
    number.flatten().map(|number| Slice { number, operation })
}

impl Drop for Slice<'_> {
    #[inline]
    fn drop(&mut self) {
        with_meter(|meter| {
            let Some(meter) = meter.as_mut().filter(|meter| meter.number == self.number) else {
                return;
            };
            meter.ledger.exit(self.operation);
            meter.publish_if_due();
        });
    }
}
