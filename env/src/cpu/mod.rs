//! CPU accounting: which class of operations a thread burns its CPU time for, and which single
//! operation burns more than it may.
//!
//! Code says what it is, once and for all: [`run`] and [`in_class`] enter a [`Class`] for a call or
//! for each poll of a future (a *scheduling slice*). Nested, the inner class has its time and the
//! outer one has not. That is all that engines know, and it is nothing unless somebody measures:
//! on a thread without a meter, as every simulated one, and without the feature `os`, no clock is
//! read.
//!
//! Who measures starts a [`CpuMeter`] on a thread or has [`CpuAccounts`] for many. A meter is
//! *lazy*. A thread's CPU clock is a system call, a monotonic clock is not: so each slice costs two
//! readings of the monotonic clock, and the CPU clock is read at the first boundary of slices at
//! which the last reading is a [quantum](CpuOptions::quantum) old. The CPU time since then is
//! divided among the classes by their monotonic time. Hence:
//! * the times of all classes and of [`OTHER`] add up to the thread's CPU time, to the nanosecond;
//! * time in which the thread did not run (it slept, was preempted, waited for a disk) is nobody's;
//! * a class may have a little of another one's time, only if the thread was stopped, and at most a
//!   quantum for each reading.
//!
//! With a [`CpuBudget`] every operation is judged when it ends, however short it was; see there.

#[cfg(feature = "os")]
mod accounts;
#[cfg(feature = "os")]
mod budget;
mod class;
#[cfg(feature = "os")]
mod ledger;
#[cfg(feature = "os")]
mod meter;
#[cfg(feature = "os")]
mod report;
#[cfg(all(test, feature = "os"))]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "os")]
pub use accounts::CpuAccounts;
#[cfg(feature = "os")]
pub use budget::{CpuBudget, CpuError, Flag};
pub use class::{Class, OTHER};
#[cfg(feature = "os")]
pub use meter::{CpuMeter, CpuOptions, thread_time};
#[cfg(feature = "os")]
pub use report::{ClassUsage, CpuReport};

#[cfg(feature = "os")]
use meter::{Operation, enter};

/// What is known of an operation between its slices: nothing, where nobody can measure.
#[cfg(not(feature = "os"))]
#[derive(Debug, Default)]
struct Operation;

/// Nobody measures.
#[cfg(not(feature = "os"))]
fn enter<'a>(_: &'static Class, operation: &'a mut Operation) -> &'a mut Operation {
    operation
}

/// Does `call` as one operation of `class`.
///
/// ```
/// use seedbed_env::cpu::{self, Class};
/// static PARSE: Class = Class::new("parse");
/// assert_eq!(cpu::run(&PARSE, || "7".parse()), Ok(7));
/// ```
#[inline]
pub fn run<T>(class: &'static Class, call: impl FnOnce() -> T) -> T {
    let mut operation = Operation::default();
    let _slice = enter(class, &mut operation);
    call()
}

/// A future that is one operation of `class`: all its polls together, on whatever threads.
///
/// For one that never ends, as a server's loop, see [`InClass::each_slice`].
pub fn in_class<F: Future>(class: &'static Class, future: F) -> InClass<F> {
    InClass { class, operation: Operation::default(), each_slice: false, future }
}

pin_project_lite::pin_project! {
    /// See [`in_class`].
    #[derive(Debug)]
    #[must_use = "a future that is never polled does nothing"]
    pub struct InClass<F> {
        class: &'static Class,
        operation: Operation,
        each_slice: bool,
        #[pin]
        future: F,
    }
}

impl<F> InClass<F> {
    /// Makes each poll an operation of its own: for tasks that go on for ever and do a bounded
    /// amount of work at a time. A budget would otherwise flag them sooner or later.
    pub fn each_slice(self) -> Self {
        Self { each_slice: true, ..self }
    }
}

impl<F: Future> Future for InClass<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if *this.each_slice {
            *this.operation = Operation::default();
        }
        let _slice = enter(this.class, this.operation);
        this.future.poll(cx)
    }
}
