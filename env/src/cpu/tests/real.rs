//! Meters on real threads.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::super::{
    self as cpu, Class, CpuAccounts, CpuBudget, CpuError, CpuMeter, CpuOptions, CpuReport,
    thread_time,
};
use crate::{File, Fs, OpenOptions, OsEnv};

static WORK: Class = Class::new("real work");
static INNER: Class = Class::new("real inner");

const LIMIT: Duration = CpuBudget::LIMIT_MIN;

/// How wrong a difference of two readings of the CPU clock may be.
const CPU_ERROR: Duration = Duration::from_micros(1);

/// Runs until this thread has burned so much CPU time.
fn burn(time: Duration) {
    let end = thread_time() + time;
    while thread_time() < end {
        std::hint::spin_loop();
    }
}

fn with_budget() -> CpuOptions {
    let budget = CpuBudget::new(LIMIT).expect("the smallest limit");
    CpuOptions { budget: Some(budget), ..CpuOptions::default() }
}

fn cpu_of(report: &CpuReport, class: &Class) -> Duration {
    report.class(class.name()).map(|usage| usage.cpu).unwrap_or_default()
}

/// Gives way once.
async fn give_way() {
    let mut gave_way = false;
    std::future::poll_fn(|cx| match std::mem::replace(&mut gave_way, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Polls until it is ready, burning something of nobody's in between.
fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
        burn(Duration::from_millis(3));
    }
}

#[test]
fn classes_add_up_to_the_threads_cpu_time() {
    let before = thread_time();
    let meter = CpuMeter::start(CpuOptions::default()).expect("no other");
    let started = thread_time();
    cpu::run(&WORK, || {
        burn(Duration::from_millis(3));
        cpu::run(&INNER, || burn(Duration::from_millis(2)));
    });
    burn(Duration::from_millis(1));
    let used = thread_time() - started;
    let report = meter.report();
    let all = thread_time() - before;
    assert!(used <= report.cpu && report.cpu <= all, "{used:?} <= {:?} <= {all:?}", report.cpu);
    assert_eq!(report.cpu, report.classes.iter().map(|usage| usage.cpu).sum());
    // Each was entered at the end of a quantum: what it burned is in an interval of its own, but
    // for one quantum before it.
    let quantum = Duration::from_millis(1);
    assert!(cpu_of(&report, &INNER) >= Duration::from_millis(2) - quantum);
    assert!(cpu_of(&report, &WORK) >= Duration::from_millis(3) - quantum);
}

#[test]
fn a_future_of_several_polls_is_one_operation_unless_each_slice_is() {
    let work = || async {
        for _ in 0..4 {
            burn(Duration::from_micros(1));
            give_way().await;
        }
        7
    };
    let meter = CpuMeter::start(CpuOptions::default()).expect("no other");
    assert_eq!(drive(cpu::in_class(&WORK, work())), 7);
    assert_eq!(drive(cpu::in_class(&INNER, work()).each_slice()), 7);
    let report = meter.report();
    let count = |class: &Class| {
        let usage = report.class(class.name()).expect("it was entered");
        (usage.operations, usage.slices)
    };
    assert_eq!((count(&WORK), count(&INNER)), ((1, 5), (5, 5)));
    // What was burned between two polls is nobody's, but for a quantum each time.
    assert!(cpu_of(&report, &cpu::OTHER) >= Duration::from_millis(8 * (3 - 1)));
    assert_eq!(report.cpu, report.classes.iter().map(|usage| usage.cpu).sum());
}

#[test]
fn every_spike_is_caught_among_small_operations() {
    let options = CpuOptions { flags_max: 1000, ..with_budget() };
    let meter = CpuMeter::start(options).expect("no other");
    for _ in 0..100 {
        for _ in 0..20 {
            cpu::run(&INNER, || std::hint::black_box(1 + 1));
        }
        cpu::run(&WORK, || burn(LIMIT + Duration::from_micros(10)));
    }
    let report = meter.report();
    let caught = report.flags.iter().filter(|flag| flag.class == WORK.name()).count();
    assert_eq!(caught, 100, "{report}");
    assert!(report.flags.iter().all(|flag| flag.cpu >= LIMIT));
}

#[test]
fn an_operation_that_goes_over_in_several_polls_is_flagged_once() {
    let work = async {
        for _ in 0..10 {
            burn(LIMIT / 5);
            give_way().await;
        }
    };
    let meter = CpuMeter::start(with_budget()).expect("no other");
    drive(cpu::in_class(&WORK, work));
    assert_eq!(meter.report().flagged, 1);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that sleeps is what is looked at")]
fn sleeping_is_not_charged() {
    let started = thread_time();
    let meter = CpuMeter::start(with_budget()).expect("no other");
    cpu::run(&WORK, || std::thread::sleep(Duration::from_millis(50)));
    let report = meter.report();
    let (charged, used) = (cpu_of(&report, &WORK), thread_time() - started);
    assert!(charged <= used, "{charged:?} of {used:?}");
    assert!(report.flags.iter().all(|flag| flag.cpu <= used + CPU_ERROR), "{report}");
}

#[test]
fn a_limit_below_the_smallest_is_refused_and_says_which_is() {
    let limit = LIMIT - Duration::from_nanos(1);
    let error = CpuBudget::new(limit).expect_err("too small");
    assert_eq!(error, CpuError::LimitTooSmall { limit });
    assert!(error.to_string().contains("100µs"), "{error}");
    assert_eq!(CpuBudget::new(LIMIT).map(CpuBudget::limit), Ok(LIMIT));
}

#[test]
fn a_thread_has_one_meter_at_a_time_and_without_it_nothing_happens() {
    let first = CpuMeter::start(CpuOptions::default()).expect("no other");
    assert_eq!(CpuMeter::start(CpuOptions::default()).err(), Some(CpuError::AlreadyMetered));
    drop(first);
    assert_eq!(cpu::run(&WORK, || 7), 7);
    let second = CpuMeter::start(CpuOptions::default()).expect("the other one is gone");
    assert_eq!(second.report().class(WORK.name()), None);
}

#[test]
fn a_slice_knows_the_meter_that_it_began_under() {
    let first = CpuMeter::start(CpuOptions::default()).expect("no other");
    let second = cpu::run(&WORK, || {
        drop(first);
        CpuMeter::start(CpuOptions::default()).expect("the other one is gone")
    });
    // The end of that slice was none of the second meter's.
    cpu::run(&INNER, || cpu::run(&WORK, || ()));
    let report = second.report();
    let slices: Vec<_> = report.classes.iter().map(|usage| usage.slices).collect();
    assert_eq!(slices, [0, 1, 1]);
}

#[test]
fn a_panic_ends_its_slices() {
    let meter = CpuMeter::start(CpuOptions::default()).expect("no other");
    let panics = || cpu::run(&WORK, || cpu::run(&INNER, || panic!("on purpose")));
    std::panic::catch_unwind(panics).expect_err("it panics");
    let before = cpu_of(&meter.report(), &cpu::OTHER);
    burn(Duration::from_millis(2));
    let nobodys = cpu_of(&meter.report(), &cpu::OTHER) - before;
    assert!(nobodys >= Duration::from_millis(2), "{nobodys:?}");
}

#[test]
fn threads_of_a_runtime_are_added_up_by_name() {
    let accounts = CpuAccounts::new(with_budget());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    accounts.install(builder.worker_threads(2).thread_name("metered"));
    let runtime = builder.build().expect("a runtime");
    let work = || cpu::in_class(&WORK, async { burn(LIMIT * 2) });
    let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(work())).collect();
    let blocking = runtime.spawn_blocking(|| cpu::run(&INNER, || burn(LIMIT * 2)));
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("it ends");
        }
        blocking.await.expect("it ends");
    });
    drop(runtime);
    let threads = accounts.threads();
    assert!((2..=3).contains(&threads.len()), "{threads:?}");
    assert!(threads.iter().all(|report| report.thread == "metered"), "{threads:?}");
    let total = accounts.total();
    let count = |class: &Class| total.class(class.name()).map(|usage| usage.operations);
    assert_eq!((count(&WORK), count(&INNER), total.flagged), (Some(10), Some(1), 11));
    assert_eq!(total.cpu, threads.iter().map(|report| report.cpu).sum());
    assert!(total.cpu >= LIMIT * 22);
}

#[test]
fn threads_that_are_long_gone_are_kept_in_one_sum() {
    let accounts = CpuAccounts::new(CpuOptions::default());
    let ends = |_| {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                accounts.enroll();
                accounts.enroll();
                cpu::run(&WORK, || ());
            });
            // The scope alone does not wait for what a thread does at its end.
            thread.join().expect("it ends");
        });
    };
    (0..100).for_each(ends);
    let threads = accounts.threads();
    assert_eq!((threads.len(), threads[0].thread.as_str()), (65, "older threads"));
    let total = accounts.total();
    assert_eq!(total.class(WORK.name()).map(|usage| usage.slices), Some(100));
    assert_eq!(total.cpu, threads.iter().map(|report| report.cpu).sum());
}

/// Writes and syncs a file, and says how many operations of the class `disk` there were.
fn synced(env: impl Fn(std::path::PathBuf) -> OsEnv, accounts: &CpuAccounts) -> Option<u64> {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let env = env(dir.path().to_path_buf());
        let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
        let file = env.open("file", options).await.expect("opens");
        file.write_at(b"text", 0).await.expect("writes");
        file.sync_data().await.expect("syncs");
        env.sync_dir(".").await.expect("syncs");
    });
    drop(runtime);
    accounts.total().class("disk").map(|usage| usage.operations)
}

#[test]
fn calls_on_the_blocking_pool_are_the_class_disk_if_that_is_asked_for() {
    let accounts = CpuAccounts::new(CpuOptions::default());
    assert_eq!(synced(OsEnv::new, &accounts), None);
    assert_eq!(synced(|dir| OsEnv::with_accounts(dir, &accounts), &accounts), Some(2));
}
