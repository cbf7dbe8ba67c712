//! A store in a real folder: commits in every mode, reopens, verifies, prints what it did and what
//! CPU time it took for what.
//!
//! `cargo run -p seedbed-engines --example real_folder -- /tmp/some-folder`

use std::time::Duration;

use seedbed_engines::atomic_commit::{Batch, Durability, Error, Options, Store, merkle};
use seedbed_env::cpu::{CpuAccounts, CpuBudget, CpuOptions};
use seedbed_env::{Clock, OsEnv};

const COMMITS: u64 = 200;
/// What one poll of a task, or another operation, should not go over.
const CPU_LIMIT: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::args_os().nth(1) else {
        return Err("which folder? It is created if its parent exists.".into());
    };
    std::fs::create_dir_all(&folder)?;
    let budget = Some(CpuBudget::new(CPU_LIMIT)?);
    let accounts = CpuAccounts::new(CpuOptions { budget, flags_max: 5, ..CpuOptions::default() });
    let _metered = accounts.meter()?;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    accounts.install(builder.enable_all());
    let runtime = builder.build()?;
    println!("{:<32} {:>8} {:>10} {:>12}  root", "mode", "commits", "time", "recovered");
    for (name, mode) in modes() {
        let line = runtime.block_on(try_mode(OsEnv::new(&folder), name, mode))?;
        println!("{line}");
    }
    println!("\n{}", accounts.total());
    Ok(())
}

fn modes() -> [(&'static str, Durability); 6] {
    [
        ("immediate", Durability::Immediate),
        ("group", Durability::Group { max_batch: 64, max_delay: Duration::ZERO }),
        ("batch", Durability::Batch(10)),
        ("async_sync", Durability::AsyncSync),
        ("write_behind", Durability::WriteBehind { interval: Duration::from_millis(10) }),
        ("none", Durability::None),
    ]
}

/// Commits in one mode, in a folder of its name, and verifies what a reopened store has.
async fn try_mode(env: OsEnv, name: &str, mode: Durability) -> Result<String, Error> {
    let store = Store::open(env.clone(), name, Options::new(mode)).await?;
    let start = env.now();
    let mut tickets = Vec::new();
    for i in 0..COMMITS {
        let mut batch = Batch::new();
        batch.put(format!("key {}", i % 50), format!("value {i}")).delete(format!("key {}", i % 7));
        tickets.push(store.submit(batch)?);
    }
    for ticket in &mut tickets {
        ticket.acknowledged().await?;
    }
    let took = env.now() - start;
    let written = store.scan();
    store.close().await?;

    let store = Store::open(env, name, Options::new(mode)).await?;
    let found = store.scan();
    assert_eq!(found, written, "a closed store reopens as it was");
    assert_eq!(found.root, merkle::state_root(found.seq, &merkle::root_of(&found.entries)));
    let recovered = store.recovery().replayed;
    store.close().await?;
    let root: String = found.root[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{:<32} {COMMITS:>8} {took:>10.1?} {recovered:>12}  {root}", format!("{mode:?}")))
}
