//! A toy engine of one's own and its crash test: an append-only log of numbers.
//!
//! `cargo run --release --example toy_log` runs the test on 10 000 seeds; `cargo test` runs it too.
//! With `-- --forget-sync` the log acknowledges before it syncs, and the test says what happens.

use std::io;

use seedbed::seam::{File, Fs, OpenOptions};

/// Each record is a number and its complement: 16 bytes that a torn or absent write cannot fake.
const RECORD: usize = 16;

struct ToyLog<E: Fs> {
    file: E::File,
    end: u64,
    forget_sync: bool,
}

impl<E: Fs> ToyLog<E> {
    /// Opens the log and gives the numbers that are in it.
    async fn open(env: &E, path: &str, forget_sync: bool) -> io::Result<(Self, Vec<u64>)> {
        let file = env.open(path, OpenOptions::read_write_create()).await?;
        env.sync_dir("").await?;
        let mut bytes = vec![0; file.len().await? as usize];
        file.read_exact_at(&mut bytes, 0).await?;
        let numbers: Vec<u64> = bytes.chunks_exact(RECORD).map_while(decode).collect();
        let end = (numbers.len() * RECORD) as u64;
        // Cut a torn tail off, and do not serve what a power loss could still take.
        file.set_len(end).await?;
        file.sync_data().await?;
        Ok((Self { file, end, forget_sync }, numbers))
    }

    async fn append(&mut self, number: u64) -> io::Result<()> {
        let record = [number.to_le_bytes(), (!number).to_le_bytes()].concat();
        self.file.write_all_at(&record, self.end).await?;
        self.end += RECORD as u64;
        if self.forget_sync { Ok(()) } else { self.file.sync_data().await }
    }
}

fn decode(record: &[u8]) -> Option<u64> {
    let (number, check) = record.split_at(8);
    let number = u64::from_le_bytes(number.try_into().ok()?);
    (check == (!number).to_le_bytes()).then_some(number)
}

fn survives_crashes(forget_sync: bool, seeds: std::ops::Range<u64>) {
    seedbed::crash_test()
        .seeds(seeds)
        .workload(move |env, acks| async move {
            let (mut log, _) = ToyLog::open(&env, "log", forget_sync).await?;
            for number in 0..20 {
                log.append(number).await?;
                acks.acknowledge(number);
            }
            Ok(())
        })
        .recovery(|env, _acks| async move { Ok(ToyLog::open(&env, "log", false).await?.1) })
        .law("acknowledged numbers survive, in order", |acks, recovered| {
            recovered.starts_with(&acks.acknowledged())
        })
        .law("nothing is invented", |_acks, recovered| {
            recovered.iter().copied().eq(0..recovered.len() as u64)
        })
        .run();
}

fn main() {
    let forget_sync = std::env::args().any(|arg| arg == "--forget-sync");
    survives_crashes(forget_sync, 0..10_000);
    println!("10000 seeds: every acknowledged number survived");
}

#[test]
fn the_toy_log_survives_crashes() {
    survives_crashes(false, 0..200);
}

#[test]
fn a_forgotten_sync_is_caught() {
    let caught = std::panic::catch_unwind(|| survives_crashes(true, 0..200));
    let report = *caught.expect_err("must fail").downcast::<String>().expect("a report");
    for part in ["acknowledged numbers survive", "power_loss", "SEEDBED_SEED=", "recovered"] {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
}
