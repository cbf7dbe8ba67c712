//! Which workloads a run of `bench` has.

use seedbed_hardware::{Engine, Workload};

use super::args::BenchArgs;
use crate::exit::Failure;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) rounds: usize,
    /// How long a round should take, in nanoseconds.
    pub(super) round_ns: u64,
}

impl Size {
    pub(super) fn of(args: &BenchArgs) -> Self {
        let (rounds, round_ms) = match (args.quick, args.full) {
            (true, _) => (12, 100),
            (_, true) => (20, 1000),
            _ => (12, 300),
        };
        let rounds = args.rounds.map_or(rounds, usize::from);
        Self { rounds, round_ns: round_ms * 1_000_000 }
    }
}

/// The workloads, each once, in order.
pub(super) fn workloads(args: &BenchArgs, engine: Engine) -> Result<Vec<Workload>, Failure> {
    if let Some(path) = &args.workload {
        let workload = Workload::load(path).map_err(Failure::usage)?;
        if workload.engine != engine {
            let (other, engine) = (workload.engine.name(), engine.name());
            let what = format!("{}: a workload of {other}, not of {engine}", path.display());
            return Err(Failure::usage(what));
        }
        return Ok(vec![workload]);
    }
    refuse_what_means_nothing(args, engine)?;
    let mut all = match is_plain(args) {
        true => usual(args, engine),
        false => product(args, engine),
    };
    if let Some(rate) = args.rate {
        let window = base(engine).window;
        all.iter_mut().for_each(|workload| {
            // What arrives by itself waits for no window: workloads that differ in nothing else
            // are one.
            (workload.rate, workload.window) = (rate, window);
        });
    }
    let mut kept: Vec<Workload> = Vec::new();
    for workload in all {
        workload.check().map_err(Failure::usage)?;
        if !kept.contains(&workload) {
            kept.push(workload);
        }
    }
    Ok(kept)
}

/// Whether no dimension of the grid is given.
fn is_plain(args: &BenchArgs) -> bool {
    args.clients.is_empty()
        && args.window.is_empty()
        && args.durability.is_empty()
        && args.value_bytes.is_empty()
        && args.batch_rows.is_empty()
}

/// Refuses flags without a meaning for the engine: they would measure one thing several times.
fn refuse_what_means_nothing(args: &BenchArgs, engine: Engine) -> Result<(), Failure> {
    let given = match engine {
        Engine::AtomicCommit => {
            vec![("--batch-rows", !args.batch_rows.is_empty(), "the store has no rows")]
        }
        Engine::Sink => vec![
            ("--clients", !args.clients.is_empty(), "the sink has one source"),
            ("--durability", !args.durability.is_empty(), "the sink is always durable"),
        ],
    };
    match given.into_iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, why)) => {
            let engine = engine.name();
            Err(Failure::usage(format!("{flag} means nothing for {engine}: {why}; leave it out")))
        }
        None => Ok(()),
    }
}

/// Every combination of what is given, the rest as usual.
fn product(args: &BenchArgs, engine: Engine) -> Vec<Workload> {
    let base = base(engine);
    let or = |given: &[u32], usual: u32| match given {
        [] => vec![usual],
        given => given.to_vec(),
    };
    let modes = match args.durability.as_slice() {
        [] => vec![base.durability],
        given => given.to_vec(),
    };
    let mut all = Vec::new();
    for durability in modes {
        for clients in or(&args.clients, base.clients) {
            for window in or(&args.window, base.window) {
                for value_bytes in or(&args.value_bytes, base.value_bytes) {
                    for batch_rows in or(&args.batch_rows, base.batch_rows) {
                        let base = base.clone();
                        let more = Workload { durability, clients, window, ..base };
                        all.push(Workload { value_bytes, batch_rows, ..more });
                    }
                }
            }
        }
    }
    all
}

/// The workload of an engine from which a grid begins.
pub(super) fn base(engine: Engine) -> Workload {
    let base = Workload { engine, ..Workload::default() };
    match engine {
        Engine::AtomicCommit => base,
        // Rows until the buffer is full: what the source has to do while a checkpoint is made.
        Engine::Sink => Workload { window: 50_000, value_bytes: 64, ..base },
    }
}

/// The grid of the size that was asked for.
fn usual(args: &BenchArgs, engine: Engine) -> Vec<Workload> {
    match engine {
        Engine::AtomicCommit => store(args),
        Engine::Sink => sink(args),
    }
}

fn store(args: &BenchArgs) -> Vec<Workload> {
    let base = base(Engine::AtomicCommit);
    let mode = |text: &str| text.parse().expect("a mode that is known");
    let of = |durability: &str, clients, window| {
        let durability = mode(durability);
        Workload { durability, clients, window, ..base.clone() }
    };
    let mut all = vec![of("group", 1, 1), of("group", 8, 1), of("group", 1, 1024)];
    if args.quick {
        return all;
    }
    all.insert(2, of("group", 64, 1));
    all.extend([8, 64, 256, 4096].map(|window| of("group", 1, window)));
    let modes = ["immediate", "batch:10", "async_sync", "write_behind:10", "none"];
    all.extend(modes.map(|mode| of(mode, 1, 1)));
    all.push(Workload { rate: 2000, ..of("group", 8, 1) });
    if args.full {
        all.extend(modes.map(|mode| of(mode, 8, 1)));
        all.extend(modes.map(|mode| of(mode, 1, 256)));
        for value_bytes in [128, 16 << 10] {
            let sized =
                |(clients, window)| Workload { value_bytes, ..of("group", clients, window) };
            all.extend([(1, 1), (8, 1), (64, 1), (1, 256)].map(sized));
        }
        all.extend([500, 5000, 20_000].map(|rate| Workload { rate, ..of("group", 8, 1) }));
    }
    all
}

fn sink(args: &BenchArgs) -> Vec<Workload> {
    let base = base(Engine::Sink);
    let batches = |batch_rows| Workload { batch_rows, ..base.clone() };
    let paced = Workload { rate: 100_000, ..base.clone() };
    if args.quick {
        return vec![batches(1000)];
    }
    let mut all: Vec<_> = [100, 1000, 10_000].map(batches).to_vec();
    all.push(paced);
    if args.full {
        all.extend([256, 1024].map(|value_bytes| Workload { value_bytes, ..base.clone() }));
        all.extend([20_000, 50_000].map(|rate| Workload { rate, ..base.clone() }));
    }
    all
}
