//! Hand-written loops that do the same work and nothing else: no tasks, no faults, no digest.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;

use crate::work::{LATENCY, RECORD, REGION, TASKS, Work, idle_of, record_of, sleep_of};

pub(crate) fn run(work: Work, n: u64) -> Option<u64> {
    match work {
        Work::Timers => timers(n),
        Work::PingPong { pairs } => ping_pong(pairs, n),
        Work::Unbounded => ping_pong(1, n),
        Work::Notify => notify(n),
        Work::NetPingPong => return None,
        Work::AppendAwaited { records } => (0..n).for_each(|_| append_in_time(records)),
        Work::AppendBlocking { records } | Work::DiskAlone { records } => {
            (0..n).for_each(|_| append(records))
        }
        Work::FreshWorld => (0..n).for_each(fresh_world),
        Work::CrashReopen => crash_reopen(n),
        Work::Idle { nodes } => idle(nodes, n),
        Work::Memory => memory(n),
    }
    Some(work.units(n))
}

/// A heap of times and task numbers.
#[derive(Default)]
struct Timers(BinaryHeap<Reverse<(u64, u64)>>);

impl Timers {
    fn set(&mut self, at: u64, task: u64) {
        self.0.push(Reverse((at, task)));
    }

    fn next(&mut self) -> Option<(u64, u64)> {
        self.0.pop().map(|Reverse(next)| next)
    }
}

fn timers(n: u64) {
    let mut timers = Timers::default();
    let mut slept = vec![0_u64; TASKS as usize];
    (0..TASKS).for_each(|task| timers.set(sleep_of(task, 0).as_nanos() as u64, task));
    while let Some((now, task)) = timers.next() {
        let nth = &mut slept[task as usize];
        *nth += 1;
        if *nth < n {
            timers.set(now + sleep_of(task, *nth).as_nanos() as u64, task);
        }
    }
}

/// Two inboxes a pair and a ready line of (pair, side).
fn ping_pong(pairs: u64, n: u64) {
    let mut inboxes: Vec<[VecDeque<u64>; 2]> = vec![Default::default(); pairs as usize];
    let mut ready: VecDeque<(usize, usize)> = (0..pairs as usize).map(|pair| (pair, 0)).collect();
    inboxes.iter_mut().for_each(|[inbox, _]| inbox.push_back(0));
    while let Some((pair, side)) = ready.pop_front() {
        let value = inboxes[pair][side].pop_front().expect("who is ready has a message");
        if value < 2 * n {
            inboxes[pair][1 - side].push_back(black_box(value + 1));
            ready.push_back((pair, 1 - side));
        }
    }
}

fn notify(n: u64) {
    let mut ready = VecDeque::from([0_u32]);
    let mut wakes = 0;
    while let Some(task) = ready.pop_front() {
        wakes += 1;
        if wakes < 2 * n {
            ready.push_back(black_box(1 - task));
        }
    }
}

/// A file with a durable length.
#[derive(Default)]
struct Log {
    bytes: Vec<u8>,
    durable: usize,
}

impl Log {
    fn append(&mut self, nth: u64) {
        self.bytes.extend_from_slice(&record_of(nth));
    }

    fn sync(&mut self) {
        self.durable = black_box(self.bytes.len());
    }
}

fn append_in_time(records: u64) {
    let (mut timers, mut log, mut now) = (Timers::default(), Log::default(), 0);
    let mut pass = |timers: &mut Timers| {
        timers.set(now + LATENCY.as_nanos() as u64, 0);
        now = timers.next().map_or(now, |(at, _)| at);
    };
    for nth in 0..records {
        log.append(nth);
        pass(&mut timers);
        log.sync();
        pass(&mut timers);
    }
    black_box(log.durable);
}

fn append(records: u64) {
    let mut log = Log::default();
    for nth in 0..records {
        log.append(nth);
        log.sync();
    }
    black_box(log.durable);
}

fn fresh_world(seed: u64) {
    let mut nodes = Vec::with_capacity(3);
    for name in ["a", "b", "c"] {
        nodes.push((name.to_owned(), Log::default()));
    }
    let mut timers = Timers::default();
    timers.set(seed, 0);
    let task: Box<dyn FnOnce() -> u64> = Box::new(move || seed);
    black_box((task(), timers.next(), nodes));
}

fn crash_reopen(n: u64) {
    let mut log = Log::default();
    for nth in 0..n {
        log.bytes.truncate(log.durable);
        if nth > 0 {
            assert_eq!(log.bytes, record_of(nth - 1));
        }
        log.bytes.clear();
        log.append(nth);
        log.sync();
    }
}

fn idle(nodes: u64, seconds: u64) {
    let mut timers = Timers::default();
    let mut slept = vec![0_u64; nodes as usize];
    (0..nodes).for_each(|node| timers.set(idle_of(0).as_nanos() as u64, node));
    while let Some((now, node)) = timers.next() {
        let nth = &mut slept[node as usize];
        *nth += 1;
        if *nth < seconds {
            timers.set(now + idle_of(*nth).as_nanos() as u64, node);
        }
    }
}

fn memory(n: u64) {
    let mut bytes = vec![0; REGION as usize];
    for nth in 0..n {
        let at = (nth * RECORD as u64 % REGION) as usize;
        bytes[at..at + RECORD].copy_from_slice(&record_of(nth));
    }
    black_box(bytes);
}
