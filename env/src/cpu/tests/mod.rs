//! Tests of the accounting: the arithmetic with clocks set by hand, and meters on real threads.
//!
//! On real clocks nothing is asserted that a busy machine could break: what must burn CPU time
//! spins until the thread's own clock says so, and sums are compared with readings around them.

mod arithmetic;
mod real;

use std::cell::Cell;
use std::rc::Rc;

use super::ledger::{Clocks, Ledger, Operation, Settings};

const US: u64 = 1_000;

/// A pair of clocks that stand still unless they are moved.
#[derive(Clone, Debug, Default)]
struct HandClocks {
    monotonic: Rc<Cell<u64>>,
    cpu: Rc<Cell<u64>>,
}

impl Clocks for HandClocks {
    fn monotonic(&self) -> u64 {
        self.monotonic.get()
    }

    fn cpu(&self) -> u64 {
        self.cpu.get()
    }

    fn cpu_error(&self) -> u64 {
        0
    }
}

impl HandClocks {
    /// The thread runs.
    fn burn(&self, ns: u64) {
        self.cpu.set(self.cpu.get() + ns);
        self.stop(ns);
    }

    /// Time passes, and the thread does not run.
    fn stop(&self, ns: u64) {
        self.monotonic.set(self.monotonic.get() + ns);
    }
}

/// A ledger by hand with a limit of 100 us and a quantum of 25.
fn ledger(clocks: &HandClocks) -> Ledger<HandClocks> {
    let settings = Settings { quantum: 25 * US, limit: Some(100 * US), flags_max: 1 << 20 };
    Ledger::new(clocks.clone(), settings)
}

/// One operation of one slice.
fn operate(ledger: &mut Ledger<HandClocks>, class: usize, what: impl FnOnce()) {
    let mut operation = Operation::default();
    ledger.enter(class, &mut operation);
    what();
    ledger.exit(&mut operation);
}
