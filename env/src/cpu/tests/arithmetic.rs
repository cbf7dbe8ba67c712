//! The ledger with clocks set by hand: to the nanosecond.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Class, OTHER};
use super::{HandClocks, Ledger, Operation, Settings, US, ledger, operate};

static CLASSES: [Class; 4] =
    [Class::new("one"), Class::new("two"), Class::new("three"), Class::new("four")];

fn cpu_us(ledger: &mut Ledger<HandClocks>, class: &Class) -> u64 {
    let report = ledger.report("a thread");
    report.class(class.name()).map_or(0, |usage| usage.cpu.as_nanos() as u64 / US)
}

#[test]
fn a_nested_class_has_its_time_and_the_outer_one_has_not() {
    let clocks = HandClocks::default();
    let mut ledger = ledger(&clocks);
    let [outer, inner, ..] = &CLASSES;
    let (mut operation, mut within) = (Operation::default(), Operation::default());
    ledger.enter(outer.number(), &mut operation);
    clocks.burn(10 * US);
    ledger.enter(inner.number(), &mut within);
    clocks.burn(300 * US);
    ledger.exit(&mut within);
    clocks.burn(5 * US);
    ledger.exit(&mut operation);
    clocks.burn(7 * US);
    assert_eq!(cpu_us(&mut ledger, outer), 15);
    assert_eq!(cpu_us(&mut ledger, inner), 300);
    assert_eq!(cpu_us(&mut ledger, &OTHER), 7);
    let flags = ledger.report("a thread").flags;
    assert_eq!(flags.iter().map(|flag| flag.class).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn the_cpu_clock_is_read_once_a_quantum_and_not_at_each_boundary() {
    let clocks = HandClocks::default();
    let mut ledger = ledger(&clocks);
    for _ in 0..1000 {
        operate(&mut ledger, CLASSES[0].number(), || clocks.burn(US));
    }
    // 1 ms in quanta of 25 us, the first reading and the report's.
    assert_eq!(ledger.report("a thread").cpu_readings, 1000 / 25 + 2);
}

#[test]
fn a_long_stop_is_charged_to_nobody_and_moves_nothing_to_others() {
    let clocks = HandClocks::default();
    let mut ledger = ledger(&clocks);
    let [short, sleeper, ..] = &CLASSES;
    operate(&mut ledger, short.number(), || clocks.burn(20 * US));
    operate(&mut ledger, sleeper.number(), || {
        clocks.burn(3 * US);
        clocks.stop(5_000 * US);
        clocks.burn(2 * US);
    });
    assert_eq!(cpu_us(&mut ledger, short), 20);
    assert_eq!(cpu_us(&mut ledger, sleeper), 5);
    assert_eq!(ledger.report("a thread").flagged, 0);
}

#[test]
fn slices_of_one_operation_are_added_up_and_it_is_flagged_once() {
    let clocks = HandClocks::default();
    let mut ledger = ledger(&clocks);
    let mut operation = Operation::default();
    for slice in 1..=40 {
        ledger.enter(CLASSES[0].number(), &mut operation);
        clocks.burn(10 * US);
        ledger.exit(&mut operation);
        clocks.stop(50 * US);
        // At 100 us nothing is over the limit but for the rate of the clocks.
        assert_eq!(ledger.report("a thread").flagged, u64::from(slice >= 10), "slice {slice}");
    }
    let report = ledger.report("a thread");
    assert_eq!(report.flags[0].cpu, Duration::from_micros(100));
    let usage = report.class("one").expect("it was entered");
    assert_eq!((usage.operations, usage.slices), (1, 40));
}

#[test]
fn of_many_flags_the_last_are_kept_and_all_are_counted() {
    let clocks = HandClocks::default();
    let settings = Settings { quantum: 25 * US, limit: Some(100 * US), flags_max: 3 };
    let mut ledger = Ledger::new(clocks.clone(), settings);
    for spike in 0..10 {
        let class = &CLASSES[usize::from(spike >= 8)];
        operate(&mut ledger, class.number(), || clocks.burn(200 * US));
    }
    let report = ledger.report("a thread");
    assert_eq!(report.flagged, 10);
    let classes: Vec<_> = report.flags.iter().map(|flag| flag.class).collect();
    assert_eq!(classes, ["one", "two", "two"]);
}

/// A watcher as profilers are: once an interval it looks which operation runs and since when.
struct Watcher {
    interval: u64,
    looks_at: u64,
    seen: u64,
}

impl Watcher {
    /// An operation ran from `start` to `end`.
    fn ran(&mut self, start: u64, end: u64, limit: u64) {
        while self.looks_at < start {
            self.looks_at += self.interval;
        }
        let mut looks = (self.looks_at..=end).step_by(self.interval as usize);
        self.seen += u64::from(looks.any(|look| look - start > limit));
    }
}

/// `rounds` intervals of 1 ms, in each of which small operations run, and one that burns `spike`.
/// How many the watcher has seen, and how many the budget has flagged.
fn spikes(rounds: u64, spike: u64) -> (u64, u64) {
    let clocks = HandClocks::default();
    let mut ledger = ledger(&clocks);
    let mut watcher = Watcher { interval: 1000 * US, looks_at: 1000 * US, seen: 0 };
    for _ in 0..rounds {
        let end = clocks.monotonic.get() + (1000 * US).max(spike + 100 * US);
        for burned in [5 * US, spike, 5 * US] {
            let start = clocks.monotonic.get();
            operate(&mut ledger, CLASSES[0].number(), || clocks.burn(burned));
            watcher.ran(start, clocks.monotonic.get(), 100 * US);
        }
        clocks.stop(end.saturating_sub(clocks.monotonic.get()));
    }
    (watcher.seen, ledger.report("a thread").flagged)
}

#[test]
fn a_spike_within_an_interval_is_flagged_and_a_watcher_that_samples_misses_it() {
    assert_eq!(spikes(1000, 101 * US), (0, 1000));
    // The watcher is not blind: what is longer than its interval it sees.
    assert_eq!(spikes(10, 1500 * US), (10, 10));
    // And neither sees what is not there.
    assert_eq!(spikes(1000, 60 * US), (0, 0));
}

/// What happens on a thread.
#[derive(Clone, Debug)]
enum Step {
    Enter(usize),
    Exit,
    Burn(u64),
    Stop(u64),
}

fn steps(stops: bool) -> impl Strategy<Value = Vec<Step>> {
    // Mostly short, sometimes beyond the limit.
    let time = prop_oneof![0..2 * US, 0..30 * US, 0..150 * US];
    let stop = if stops { time.clone().boxed() } else { Just(0).boxed() };
    let step = prop_oneof![
        3 => (0..CLASSES.len()).prop_map(Step::Enter),
        3 => Just(Step::Exit),
        4 => time.prop_map(Step::Burn),
        1 => stop.prop_map(Step::Stop),
    ];
    proptest::collection::vec(step, 0..200)
}

/// An operation that has begun, and what it has really burned.
#[derive(Default)]
struct Begun {
    operation: Operation,
    class: usize,
    burned: u64,
    /// Whether another one was within.
    nests: bool,
}

/// What really happened.
#[derive(Default)]
struct Truth {
    cpu: BTreeMap<&'static str, u64>,
    /// Operations that burned more than the limit.
    over: u64,
    /// Operations that may be flagged: within a quantum of the limit, and those with others within.
    doubtful: u64,
}

impl Truth {
    fn end(&mut self, ledger: &mut Ledger<HandClocks>, mut begun: Begun) {
        ledger.exit(&mut begun.operation);
        let is_over = begun.burned > 100 * US;
        self.over += u64::from(is_over);
        // A thousandth for the clocks' rates.
        let is_near = begun.burned + 25 * US > 99 * US;
        self.doubtful += u64::from(!is_over && (is_near || begun.nests));
    }
}

/// Does the steps, and ends what has begun.
fn play(ledger: &mut Ledger<HandClocks>, clocks: &HandClocks, steps: Vec<Step>) -> Truth {
    let mut truth = Truth::default();
    let mut stack: Vec<Begun> = Vec::new();
    for step in steps {
        match step {
            Step::Enter(class) => {
                stack.iter_mut().for_each(|outer| outer.nests = true);
                let mut begun = Begun { class, ..Begun::default() };
                ledger.enter(CLASSES[class].number(), &mut begun.operation);
                stack.push(begun);
            }
            Step::Exit => {
                stack.pop().into_iter().for_each(|begun| truth.end(ledger, begun));
            }
            Step::Burn(ns) => {
                let class = stack.last().map_or(&OTHER, |begun| &CLASSES[begun.class]);
                *truth.cpu.entry(class.name()).or_default() += ns;
                stack.iter_mut().last().into_iter().for_each(|begun| begun.burned += ns);
                clocks.burn(ns);
            }
            Step::Stop(ns) => clocks.stop(ns),
        }
    }
    while let Some(begun) = stack.pop() {
        truth.end(ledger, begun);
    }
    truth
}

proptest! {
    #[test]
    fn classes_add_up_and_no_operation_over_the_limit_is_missed(steps in steps(true)) {
        let clocks = HandClocks::default();
        let mut ledger = ledger(&clocks);
        let truth = play(&mut ledger, &clocks, steps);
        let report = ledger.report("a thread");
        let sum: Duration = report.classes.iter().map(|usage| usage.cpu).sum();
        prop_assert_eq!(sum, Duration::from_nanos(clocks.cpu.get()));
        prop_assert_eq!(sum, report.cpu);
        prop_assert!(report.flagged >= truth.over, "{} of {}", report.flagged, truth.over);
        prop_assert!(report.flagged <= truth.over + truth.doubtful, "{} are wrong", report.flagged);
    }

    #[test]
    fn a_flag_is_wrong_by_less_than_a_quantum_however_long_the_thread_was_stopped(
        times in proptest::collection::vec((0..30 * US, 0..110 * US, 0..500 * US), 0..100),
    ) {
        let clocks = HandClocks::default();
        let mut ledger = ledger(&clocks);
        let (mut over, mut near) = (0, 0);
        for (before, burned, stopped) in times {
            clocks.burn(before);
            operate(&mut ledger, CLASSES[0].number(), || {
                clocks.burn(burned);
                clocks.stop(stopped);
            });
            over += u64::from(burned > 100 * US);
            near += u64::from(burned <= 100 * US && burned + 25 * US > 99 * US);
        }
        let flagged = ledger.report("a thread").flagged;
        prop_assert!((over..=over + near).contains(&flagged), "{over} <= {flagged} <= +{near}");
    }

    #[test]
    fn a_thread_that_is_never_stopped_is_accounted_for_exactly(steps in steps(false)) {
        let clocks = HandClocks::default();
        let mut ledger = ledger(&clocks);
        let truth = play(&mut ledger, &clocks, steps);
        for usage in ledger.report("a thread").classes {
            let burned = truth.cpu.get(usage.class).copied().unwrap_or_default();
            prop_assert_eq!(usage.cpu, Duration::from_nanos(burned), "{}", usage.class);
        }
    }

    #[test]
    fn clocks_that_disagree_still_add_up(
        times in proptest::collection::vec((0..4_usize, 0..80 * US, 0..80 * US), 0..100),
    ) {
        let clocks = HandClocks::default();
        let mut ledger = ledger(&clocks);
        for (class, monotonic, cpu) in times {
            operate(&mut ledger, CLASSES[class].number(), || {
                clocks.cpu.set(clocks.cpu.get() + cpu);
                clocks.stop(monotonic);
            });
        }
        let sum: Duration = ledger.report("a thread").classes.iter().map(|row| row.cpu).sum();
        prop_assert_eq!(sum, Duration::from_nanos(clocks.cpu.get()));
    }
}
