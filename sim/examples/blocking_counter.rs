//! A synchronous engine on the same simulated disk: a counter in two alternating slots.
//!
//! `cargo run --release --example blocking_counter` crashes it 20 000 times. The engine is plain
//! blocking code; only the type of its disk is the simulator's.

use std::io;

use seedbed::blocking::BlockingFs;
use seedbed::faults::Plan;
use seedbed::seam::OpenOptions;
use seedbed::{CrashKind, Sim, Stop};

/// A slot is a version, a count, and their sum: 24 bytes, each slot in a page of its own.
const SLOT: usize = 24;
const PAGE: u64 = 4096;

/// The slot with the highest version that verifies.
fn read(disk: &BlockingFs) -> io::Result<(u64, u64)> {
    let file = disk.open("counter", OpenOptions::read_write_create())?;
    let mut best = (0, 0);
    for slot in 0..2 {
        let mut bytes = [0; SLOT];
        if file.read_at(&mut bytes, slot * PAGE)? == SLOT {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8"));
            let (version, count, sum) = (word(0), word(8), word(16));
            if version.wrapping_add(count) == sum && version > best.0 {
                best = (version, count);
            }
        }
    }
    // Only what is durable may be shown: the last boot may have died before its sync.
    file.sync_data()?;
    disk.sync_dir("")?;
    Ok(best)
}

fn increment(disk: &BlockingFs, (version, count): (u64, u64)) -> io::Result<(u64, u64)> {
    let next = (version + 1, count + 1);
    let words = [next.0, next.1, next.0 + next.1];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let file = disk.open("counter", OpenOptions::read_write_create())?;
    file.write_all_at(&bytes, next.0 % 2 * PAGE)?;
    file.sync_data()?;
    Ok(next)
}

/// Crashes the counter at random operations; gives the number of crashes.
fn crash_it(seed: u64, boots: u64) -> u64 {
    let mut sim = Sim::new(seed);
    let plan = Plan::preset("crashes").expect("it ships with the crate");
    sim.apply_plan(&plan);
    let node = sim.add_node("counter");
    let mut acknowledged = 0;
    let mut crashes = 0;
    for _ in 0..boots {
        let env = sim.boot(node);
        let told = &mut acknowledged;
        let end = sim.run_blocking(env, |disk| -> io::Result<()> {
            let mut state = read(&disk)?;
            assert!(state.1 >= *told, "told {told}, recovered {}", state.1);
            for _ in 0..10 {
                state = increment(&disk, state)?;
                *told = state.1;
            }
            Ok(())
        });
        match end {
            Ok(result) => {
                result.expect("no I/O errors in this plan");
                sim.crash(node, CrashKind::PowerLoss);
            }
            Err(Stop::Crashed(..)) => {}
            Err(stop) => panic!("seed {seed}: {stop}"),
        }
        crashes += 1;
    }
    crashes
}

fn main() {
    let crashes: u64 = (0..1000).map(|seed| crash_it(seed, 20)).sum();
    println!("{crashes} crashes: no count that was told was lost");
}

#[test]
fn the_counter_survives_crashes() {
    assert_eq!((0..50).map(|seed| crash_it(seed, 20)).sum::<u64>(), 1000);
}
