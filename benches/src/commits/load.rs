//! What is committed, by whom, and whether it is there afterwards.
//!
//! All commits put one value of 1 KiB, which differs from every other, under one of 10 000 keys of
//! 16 bytes. Each writer has keys of its own and takes them in turn; in key order that is a random
//! walk. So what must be there after reopening is known without a lock.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::cell::Stop;
use super::stores::wal::Wal;
use super::stores::{Kept, Put, Store};

/// Keys of all writers together.
pub(crate) const KEYS: u64 = 10_000;
/// Length of a key in bytes.
pub(crate) const KEY_LEN: usize = 16;
/// Length of a value in bytes.
pub(crate) const VALUE_LEN: usize = 1024;

pub(crate) type Key = [u8; KEY_LEN];
pub(crate) type Value = [u8; VALUE_LEN];

/// Bytes that values are cut from.
const POOL: usize = 1 << 20;
/// The clock is read, or a latency taken, once in so many short operations.
const SHORT: u64 = 64;

/// A step of SplitMix64, which is a bijection: keys stay different.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key with this number.
pub(crate) fn key_of(index: u64) -> Key {
    let mut key = [0; KEY_LEN];
    key[..8].copy_from_slice(&mix(index).to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Values that no store can compress or skip, at the price of a copy.
#[derive(Debug)]
pub(crate) struct Values(Vec<u8>);

impl Values {
    pub(crate) fn new() -> Arc<Self> {
        let words = (0..POOL as u64 / 8).map(|nth| mix(nth ^ 0x5eed));
        Arc::new(Self(words.flat_map(u64::to_le_bytes).collect()))
    }

    /// The `nth` value of a key; the 0th is there before anything is measured.
    pub(crate) fn value(&self, key: &Key, nth: u64) -> Value {
        let at = (nth as usize).wrapping_mul(64) % (POOL - VALUE_LEN);
        let mut value = [0; VALUE_LEN];
        value.copy_from_slice(&self.0[at..at + VALUE_LEN]);
        value[..8].copy_from_slice(&nth.to_le_bytes());
        value[8..8 + KEY_LEN].copy_from_slice(key);
        value
    }

    /// All keys with their first values.
    pub(crate) fn first(&self) -> impl Iterator<Item = (Key, Value)> {
        (0..KEYS).map(|index| (key_of(index), self.value(&key_of(index), 0)))
    }
}

/// One source of commits, and what it has committed.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) id: usize,
    writers: u64,
    values: Arc<Values>,
    nth: u64,
    /// By key of its own: which value was the last, and the receipt for it.
    last: Vec<(u64, u64)>,
    pub(crate) latencies_ns: Vec<u32>,
}

/// A commit that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    nth: u64,
    slot: usize,
    pub(crate) index: u64,
    pub(crate) key: Key,
    pub(crate) value: Value,
}

impl Writer {
    /// So many writers, which share the keys out.
    pub(crate) fn all(writers: usize, values: &Arc<Values>) -> Vec<Self> {
        let own = KEYS as usize / writers;
        let writer = |id| Self {
            id,
            writers: writers as u64,
            values: Arc::clone(values),
            nth: 0,
            last: vec![(0, 0); own],
            latencies_ns: Vec::new(),
        };
        (0..writers).map(writer).collect()
    }

    fn index(&self, slot: usize) -> u64 {
        self.id as u64 + self.writers * slot as u64
    }

    pub(crate) fn next(&mut self) -> Next {
        let slot = self.nth as usize % self.last.len();
        self.nth += 1;
        let index = self.index(slot);
        let key = key_of(index);
        Next { nth: self.nth, slot, index, key, value: self.values.value(&key, self.nth) }
    }

    /// Notes that a commit was acknowledged.
    pub(crate) fn done(&mut self, next: &Next, receipt: u64) {
        self.last[next.slot] = (next.nth, receipt);
    }

    pub(crate) fn took(&mut self, latency: Duration) {
        self.latencies_ns.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
    }

    /// Compares the last value of each key with what a reopened store says; how many were there.
    ///
    /// # Errors
    /// A value that is missing or another one.
    pub(crate) fn check(&self, store: &dyn Store) -> Result<u64, String> {
        let mut compared = 0;
        for (slot, &(nth, receipt)) in self.last.iter().enumerate() {
            if nth == 0 {
                continue; // Never written.
            }
            let index = self.index(slot);
            let key = key_of(index);
            match store.find(self.id, index, &key, receipt)? {
                Kept::LetGo => {}
                Kept::Value(found) if found == self.values.value(&key, nth) => compared += 1,
                found => {
                    let found = match found {
                        Kept::Value(_) => "has another value",
                        _ => "is missing",
                    };
                    return Err(format!(
                        "WRONG: after reopening, key {index} {found}; commit {nth} of writer {} \
                         was acknowledged",
                        self.id
                    ));
                }
            }
        }
        Ok(compared)
    }
}

/// When a source ends: the clock is read once in `every` commits.
#[derive(Debug)]
pub(crate) struct Pace {
    stop: Stop,
    start: Instant,
    begun: u64,
    every: u64,
}

impl Pace {
    pub(crate) fn new(stop: Stop, short: bool) -> Self {
        Self { stop, start: Instant::now(), begun: 0, every: if short { SHORT } else { 1 } }
    }

    /// Whether one more commit is begun.
    pub(crate) fn goes_on(&mut self) -> bool {
        let over = match self.stop {
            Stop::Commits(count) => self.begun >= count,
            Stop::Seconds(seconds) => {
                self.is_sampled() && self.start.elapsed().as_secs_f64() >= seconds
            }
        };
        self.begun += u64::from(!over);
        !over
    }

    /// Whether the next commit is one that is looked at.
    pub(crate) fn is_sampled(&self) -> bool {
        self.begun.is_multiple_of(self.every)
    }

    /// Commits begun, and the time since the start.
    pub(crate) fn end(&self) -> Spent {
        Spent { commits: self.begun, start: self.start, end: Instant::now() }
    }
}

/// What a source did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    commits: u64,
    start: Instant,
    end: Instant,
}

/// What all sources did: commits, and seconds from the first start to the last end.
pub(crate) fn total(spent: &[Spent]) -> (u64, f64) {
    let start = spent.iter().map(|spent| spent.start).min();
    let end = spent.iter().map(|spent| spent.end).max();
    let seconds = start.zip(end).map_or(0.0, |(start, end)| (end - start).as_secs_f64());
    (spent.iter().map(|spent| spent.commits).sum(), seconds)
}

/// What one of so many callers has to do.
pub(crate) fn share(stop: Stop, callers: usize) -> Stop {
    match stop {
        Stop::Commits(count) => Stop::Commits(count / callers as u64),
        Stop::Seconds(seconds) => Stop::Seconds(seconds),
    }
}

/// Each writer is a thread that waits for its commits.
pub(crate) fn callers(
    store: &dyn Store,
    writers: &mut [Writer],
    stop: Stop,
    short: bool,
) -> Result<Vec<Spent>, String> {
    let together = Barrier::new(writers.len());
    let stop = share(stop, writers.len());
    thread::scope(|scope| {
        let together = &together;
        let spawn = |writer| scope.spawn(move || caller(store, writer, stop, short, together));
        let threads: Vec<_> = writers.iter_mut().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a panic".to_owned())?).collect()
    })
}

fn caller(
    store: &dyn Store,
    writer: &mut Writer,
    stop: Stop,
    short: bool,
    together: &Barrier,
) -> Result<Spent, String> {
    together.wait();
    let mut pace = Pace::new(stop, short);
    while pace.goes_on() {
        let next = writer.next();
        let begun = (!short).then(Instant::now);
        let put = Put { writer: writer.id, index: next.index, key: &next.key, value: &next.value };
        let receipt = store.put(put)?;
        if let Some(begun) = begun {
            writer.took(begun.elapsed());
        }
        writer.done(&next, receipt);
    }
    Ok(pace.end())
}

/// One submitter of the hand-written log with so many commits under way, and its log thread.
pub(crate) fn wal_window(
    wal: &Wal,
    writer: &mut Writer,
    window: u64,
    stop: Stop,
) -> Result<Vec<Spent>, String> {
    thread::scope(|scope| {
        scope.spawn(|| wal.serve());
        let spent = submit(wal, writer, window, stop);
        wal.end();
        spent.map(|spent| vec![spent])
    })
}

fn submit(wal: &Wal, writer: &mut Writer, window: u64, stop: Stop) -> Result<Spent, String> {
    let mut pace = Pace::new(stop, window >= SHORT);
    let mut sampled = std::collections::VecDeque::new();
    let (mut last, mut durable) = (0, 0);
    while pace.goes_on() {
        let next = writer.next();
        let begun = pace.is_sampled().then(Instant::now);
        last = wal.submit(&next.key, &next.value);
        sampled.extend(begun.map(|begun| (last, begun)));
        writer.done(&next, last);
        if last - durable >= window {
            durable = wal.wait(last + 1 - window)?;
            while let Some((seq, begun)) = sampled.front()
                && *seq <= durable
            {
                writer.took(begun.elapsed());
                sampled.pop_front();
            }
        }
    }
    wal.wait(last)?;
    Ok(pace.end())
}
