//! The grammar of the command line: every flag, its environment variable, and its help.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use seedbed::faults::{Profile, Seeds};

/// Random workloads of one run of `litmus`, at most.
const RANDOM_MAX: u64 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  seedbed                                      sweep all scenarios (half a minute on two idle cores)
  seedbed run SCENARIO --seeds 0..10000        sweep one scenario
  seedbed run SCENARIO --plant NAME            switch a planted bug on and see it caught
  seedbed replay seedbed-traces/FILE.trace     run a recorded violation again
  seedbed list                                 what there is

Exit codes:
  0   fine: everything was done, and all laws held
  1   violation: a law was broken, or a required probe never reached (diff: the traces differ;
      zoo: a plant escaped; litmus: an outcome is not a recorded one)
  2   usage: the command line, a setting, an input file or an output place is wrong
  3   inconclusive: interrupted, a run went on for too long, or litmus could not run
  4   nothing selected: no seeds, or a sync that is never called
  5   diverged: a replay is not the run that was recorded
  70  internal error: the tool or a testbed failed, not the engine under test
  130 killed: a second Ctrl-C ended it at once, without a result

Every setting is a flag, an environment variable, or a key of the [run] table of a plan file; the
first of these that is given counts.";

/// Deterministic simulation testing of storage engines: sweeps seeds, checks laws, keeps traces.
///
/// Without a command it sweeps every scenario under its own fault plan and ends with a table.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
pub(crate) struct Top {
    #[command(flatten)]
    pub sweep: SweepArgs,
    /// When to use colours; `auto` respects NO_COLOR, CLICOLOR_FORCE and pipes.
    #[arg(long, global = true, value_enum, default_value = "auto", env = "SEEDBED_COLOR")]
    #[arg(value_name = "WHEN", hide_env_values = true)]
    pub color: Color,
    /// Print the diagnostics of engines, from this level on, with simulated time.
    #[arg(long, global = true, value_enum, env = "SEEDBED_LOG", hide_env_values = true)]
    #[arg(value_name = "LEVEL")]
    pub log: Option<Level>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How grave a diagnostic must be to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Failures that stop an engine.
    Error,
    /// And what may lead to one.
    Warn,
    /// And what an operator wants to know.
    Info,
    /// And what a developer wants to know.
    Debug,
    /// And everything else.
    Trace,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On terminals that want them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sweeps the seeds of one scenario.
    Run(RunArgs),
    /// Lists scenarios, laws, plants, sync sites and fault plans.
    List(ListArgs),
    /// Runs a trace, or a seed, again.
    Replay(ReplayArgs),
    /// Makes the trace of a violation small.
    Shrink(ShrinkArgs),
    /// Shows a trace.
    Show(ShowArgs),
    /// Names the first difference of two traces.
    Diff(DiffArgs),
    /// Prints a script that makes a trace's crash on a real file system.
    Script(ScriptArgs),
    /// Measures how soon the laws catch each planted bug and each left-out sync.
    Zoo(ZooArgs),
    /// Looks at every legal crash image of short workloads.
    Explore(ExploreArgs),
    /// Says of each sync whether it is needed, and on which file systems.
    Audit(AuditArgs),
    /// Asks the kernel what ext4, xfs and btrfs leave after a power loss; takes root.
    #[cfg(target_os = "linux")]
    Litmus(LitmusArgs),
    /// Times an engine on this machine's disk, and checks what it did.
    Bench(crate::bench::args::BenchArgs),
    /// Measures this machine's disk, so that simulations take as long as it does.
    Calibrate(crate::bench::args::CalibrateArgs),
    /// A process of `bench`; not for people.
    #[command(name = crate::bench::COMMAND, hide = true)]
    BenchProcess,
    /// A process of `run --real`; not for people.
    #[cfg(unix)]
    #[command(name = crate::real::COMMAND, hide = true)]
    RealProcess,
}

/// How to sweep.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SweepArgs {
    /// Seeds of each scenario: N (the first N), A..B or A..=B.
    #[arg(short, long, env = "SEEDBED_SEEDS", hide_env_values = true)]
    pub seeds: Option<Seeds>,
    /// Threads [default: one per core].
    #[arg(short, long, env = "SEEDBED_JOBS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    pub jobs: Option<u16>,
    /// Fault plan: a name from `list`, or a TOML file [default: the scenario's own, which `list`
    /// shows].
    #[arg(short, long, env = "SEEDBED_FAULTS", hide_env_values = true, value_name = "PLAN")]
    pub faults: Option<String>,
    /// Stop after so many violations of a scenario; 0 = never [default: 1].
    #[arg(long, env = "SEEDBED_MAX_VIOLATIONS", hide_env_values = true, value_name = "N")]
    pub max_violations: Option<u32>,
    /// Run every seed that EVERY divides twice and compare; 0 = none [default: 64 without a
    /// command, else 0].
    #[arg(long, env = "SEEDBED_CHECK_DETERMINISM", hide_env_values = true, value_name = "EVERY")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub check_determinism: Option<u32>,
    /// Probes that the sweep never reached are an error, like a violation.
    #[arg(long, env = "SEEDBED_REQUIRE_PROBES", hide_env_values = true)]
    pub require_probes: bool,
    /// Folder for the traces of violations, made when needed [default: seedbed-traces].
    #[arg(long, env = "SEEDBED_TRACES", hide_env_values = true, value_name = "DIR")]
    pub traces: Option<PathBuf>,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long, env = "SEEDBED_JSON", hide_env_values = true)]
    pub json: bool,
    /// No progress and no table: violations and errors only.
    #[arg(short, long, env = "SEEDBED_QUIET", hide_env_values = true)]
    pub quiet: bool,
}

/// Most threads.
pub(crate) const JOBS_MAX: u16 = 1024;

/// What is different from the engine as it is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TargetArgs {
    /// Switch on a deviation of the engine; `list` names them.
    #[arg(short, long, env = "SEEDBED_PLANT", hide_env_values = true, value_name = "NAME")]
    pub plant: Option<String>,
    /// Leave out the sync at a source location, like log.rs:210; can be repeated.
    #[arg(long, env = "SEEDBED_OMIT_SYNC", hide_env_values = true, value_name = "FILE:LINE")]
    #[arg(value_delimiter = ',')]
    pub omit_sync: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed run atomic_commit --seeds 0..10000 --jobs 2
  seedbed run atomic_commit --faults crashes --omit-sync engine.rs:210 --max-violations 0
  seedbed run atomic_commit --faults my-plan.toml --json
  seedbed run sink --real --rows 1000000 --kills 200
  seedbed run sink --real --postgres auto --seed 7

The plan file may have a table [run] with the keys seeds, jobs, plant, omit_sync, max_violations,
check_determinism, require_probes and traces; flags and environment variables go first.

Probes are marks of what a sweep should come to: those of the scenario, and of the world if it has
several nodes. After a sweep that broke no law and was not interrupted, --require-probes ends with
exit code 1 if one was never reached: sweep more seeds, or under another plan.

JSON: {scenario, plan, plant, omit_sync, beyond: [how the plan goes beyond what must be survived],
seeds: {start, end, run}, digest (hex), stats: {ops, polls, crashes, power_losses, checks,
simulated_ns, one count per fault kind}, wall_ms, cpu_ms, probes: {name: count},
checkers: [{name, events, ns, share (of the CPU time)}], violations: [{seed, law, expected, got,
at_event, at_decision, trace, replay, shrink}], inconclusive: [{seed, reason}], internal: [{seed,
reason}], interrupted, exit_code}.
trace and shrink are null if there is no trace file. Without a command the object is
{scenarios: [as above], interrupted, exit_code}.

JSON with --real: {scenario, real, seed, rows, participants, postgres, plant, kills: {sink,
participant}, found: {stops, with_prepared, prepared, with_decisions, decisions}, checkpointed,
rows_found, checksum (hex), left_prepared, damage, working_ms, wall_ms, violations: [{law, got}],
interrupted, exit_code}.")]
pub(crate) struct RunArgs {
    /// The scenario; `list` names them.
    pub scenario: String,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub sweep: SweepArgs,
    #[cfg(unix)]
    #[command(flatten)]
    pub real: RealArgs,
}

/// How to run on this machine.
#[cfg(unix)]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "On this machine (sink only)")]
pub(crate) struct RealArgs {
    /// Run the engine in processes of their own that are killed, instead of simulating.
    #[arg(long)]
    pub real: bool,
    /// A new or empty folder for everything, which stays [default: a temporary one].
    #[arg(long, requires = "real", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Write to PostgreSQL: `auto` starts a server of our own, which is killed too; a connection
    /// string names one that is not [default: embedded participants].
    #[arg(long, requires = "real", value_name = "auto|URL")]
    pub postgres: Option<String>,
    /// Rows of the source.
    #[arg(long, requires = "real", default_value_t = 100_000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub rows: u64,
    /// Kills, of the sink and of participants.
    #[arg(long, requires = "real", default_value_t = 20, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub kills: u32,
    /// What the rows and the kills follow from.
    #[arg(long, requires = "real", default_value_t = 0, value_name = "S")]
    pub seed: u64,
    /// Participants [default: 3; with PostgreSQL 2].
    #[arg(long, requires = "real", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    pub participants: Option<u8>,
    /// Rows of a transaction, at most.
    #[arg(long, requires = "real", default_value_t = 250, value_name = "ROWS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: u32,
    /// A checkpoint is made when something has been prepared for so long.
    #[arg(long, requires = "real", default_value_t = 20, value_name = "MS")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub checkpoint_ms: u64,
}

/// How far an exploration goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct BoundArgs {
    /// Explore every sequence of up to so many engine operations.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=8))]
    pub length: Option<u32>,
    /// What file systems promise; can be repeated [default: ext4, xfs, btrfs,
    /// ext4_noauto_da_alloc, posix].
    #[arg(long, env = "SEEDBED_PROFILE", hide_env_values = true, value_name = "NAME")]
    #[arg(value_delimiter = ',')]
    pub profile: Vec<Profile>,
    /// Settings of the engine; can be repeated [default: all].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub setting: Vec<String>,
    /// Crashes in a row: 1 is none inside recovery.
    #[arg(long, default_value_t = 2, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4))]
    pub depth: u32,
    /// The longest sequences that are crashed inside recovery as well.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub deep_length: u32,
    /// The longest sequences that go on after a crash and are crashed again at work.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub work_length: u32,
    /// Crash points with more images than this are not exhausted.
    #[arg(long, default_value_t = 1 << 20, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub images: u64,
    /// Look at images also where they differ from others only in bytes that nobody reads.
    #[arg(long)]
    pub no_unread_pruning: bool,
    /// Threads [default: one per core].
    #[arg(short, long, env = "SEEDBED_JOBS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    pub jobs: Option<u16>,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long, env = "SEEDBED_JSON", hide_env_values = true)]
    pub json: bool,
    /// No progress and no table.
    #[arg(short, long, env = "SEEDBED_QUIET", hide_env_values = true)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed explore atomic_commit
  seedbed explore atomic_commit --length 3 --state explore.json
  seedbed explore atomic_commit --omit-sync checkpoint.rs:71 --profile xfs
  seedbed explore atomic_commit --length 0 --seeds 100 --profile posix
  seedbed explore atomic_commit --length 1 --failures 1

At every disk operation of every workload the node is crashed; every image that the file system's
profile allows is recovered and judged, and its recovery is crashed in turn. The last line says
whether that was exhaustive. A violation is minimal: of what it lists as lost nothing may be given
back. It is written as a trace, which replays and shrinks like any other.

JSON: {scenario, plant, omit_sync, weaken_sync, unmatched (sites at which nothing was changed),
profiles, cases, done, points, images, pruned, unread (of these: alike but for unread bytes),
checked, spoiled (images with junk), exhaustive,
unexhausted (crash points), failures (runs with a failing call), never_exercised, wall_ms,
violations: [{case, profile, setting, law, expected, got, ordering, missing,
failing (its rule), crashes: [{at_op, power, lost: [[what, torn]], kept, junk}], trace}],
inconclusive: [[case, reason]], broken_before: [[case, law]] (in a run that this one goes on from),
interrupted, exit_code}.")]
pub(crate) struct ExploreArgs {
    /// The scenario; `list` names them.
    pub scenario: String,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Make the sync_all at a source location a sync_data; can be repeated.
    #[arg(long, value_name = "FILE:LINE", value_delimiter = ',')]
    pub weaken_sync: Vec<String>,
    /// So many disk calls of a workload fail, at most 1: each in turn, in each way.
    #[arg(long, default_value_t = 0, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1))]
    pub failures: u32,
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Explore the longer workloads of these seeds as well: N, A..B or A..=B.
    #[arg(short, long, env = "SEEDBED_SEEDS", hide_env_values = true)]
    pub seeds: Option<Seeds>,
    /// Stop after so many violations; 0 = never.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub max_violations: usize,
    /// Keep the progress in this file, and go on from it.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Folder for the traces of violations, made when needed.
    #[arg(long, default_value = "seedbed-traces", env = "SEEDBED_TRACES", hide_env_values = true)]
    #[arg(value_name = "DIR")]
    pub traces: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed audit atomic_commit
  seedbed audit atomic_commit --length 2 --profile ext4,xfs --json

Each sync is left out, and each sync_all weakened to a sync_data, one at a time, and the workloads
are explored under each profile. A sync is needed where that breaks a law; `-` means that nothing
broke within the bound that the last line states.

JSON: {scenario, profiles, rows: [{site, op, change, called, cells: [{profile, needed, law,
ordering, nodes, images, exhaustive, called}], severity, verdict}], bound, wall_ms, interrupted,
exit_code}.")]
pub(crate) struct AuditArgs {
    /// The scenario; `list` names them.
    pub scenario: String,
    #[command(flatten)]
    pub bounds: BoundArgs,
    /// Switch on a deviation of the engine; `list` names them.
    #[arg(short, long, env = "SEEDBED_PLANT", hide_env_values = true, value_name = "NAME")]
    pub plant: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed list
  seedbed list --json")]
pub(crate) struct ListArgs {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed replay seedbed-traces/atomic_commit-rough-seed17.trace
  seedbed replay --scenario atomic_commit --seed 17 --faults rough
  seedbed replay --scenario atomic_commit --seed 17 --trace seed17.trace

The exit code is the verdict of the run: 0 if all laws hold, 1 if one is broken, 3 if there is none;
or 5 if the run is not the one that was recorded.")]
pub(crate) struct ReplayArgs {
    /// The trace file.
    #[arg(required_unless_present = "seed")]
    #[arg(conflicts_with_all = ["seed", "scenario"])]
    pub file: Option<PathBuf>,
    /// The seed to run instead.
    #[arg(long, requires = "scenario", value_name = "N")]
    pub seed: Option<u64>,
    /// The scenario of the seed.
    #[arg(long, requires = "seed", value_name = "NAME")]
    pub scenario: Option<String>,
    /// Fault plan of the seed: a name from `list`, or a TOML file [default: the scenario's own].
    #[arg(short, long, env = "SEEDBED_FAULTS", hide_env_values = true, value_name = "PLAN")]
    pub faults: Option<String>,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Write the new run's trace into this file.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed shrink seedbed-traces/atomic_commit-rough-seed17.trace
  seedbed shrink big.trace -o small.trace --runs 20000

Exit code 0 means that a small trace was written that breaks the same law; 4 that the trace breaks
no law; 5 that it did but does not any more; 3 that Ctrl-C ended it (the best so far is written).")]
pub(crate) struct ShrinkArgs {
    /// The trace file.
    pub file: PathBuf,
    /// Where the small trace goes [default: FILE with .shrunk.trace].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most runs to try.
    #[arg(long, default_value_t = 10_000, env = "SEEDBED_SHRINK_RUNS", hide_env_values = true)]
    #[arg(value_name = "N")]
    pub runs: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed script shrunk.trace > crash.py
  sudo python3 crash.py
  seedbed script shrunk.trace --fs xfs | sudo python3 -

The script is Python without packages. It makes a file system in a file, mounts it by a loop device,
makes the engine's calls with the engine's bytes, writes back what the simulated power loss had
kept, copies the device, mounts the copy, and compares: exit code 0 if the kernel left the same. A
profile that promises less than any file system (posix, raw, adversarial) is tried on ext4, which
may not be able to leave that.")]
pub(crate) struct ScriptArgs {
    /// The trace file; a shrunk one makes a short script.
    pub file: PathBuf,
    /// The file system, as a profile [default: that of the trace].
    #[arg(long, value_name = "NAME")]
    pub fs: Option<Profile>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed show seedbed-traces/atomic_commit-rough-seed17.trace
  seedbed show FILE.trace --events 100..140 --decisions
  seedbed show FILE.trace --json

Of a damaged file the good part is shown; then comes what is wrong with it, and exit code 2.")]
pub(crate) struct ShowArgs {
    /// The trace file.
    pub file: PathBuf,
    /// Only these events: A..B, A.. or ..B.
    #[arg(long, value_name = "A..B", value_parser = window)]
    pub events: Option<Range<u64>>,
    /// List all decisions that are not 0, however many.
    #[arg(long)]
    pub decisions: bool,
    /// Print one JSON object: {trace, error}.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed diff yesterday.trace today.trace

Exit code 0 means that both are the same run (builds may differ), 1 that they are not.")]
pub(crate) struct DiffArgs {
    /// The left trace file.
    pub left: PathBuf,
    /// The right trace file.
    pub right: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed zoo
  seedbed zoo atomic_commit --seeds 20000
  seedbed zoo atomic_commit --plant ack_before_sync --jobs 1

A bug is looked for under each profile, the most realistic first, by a sweep and by an exploration.
Columns: seeds (up to the first violation of the sweep) and cases (of the exploration) and the time
of the faster one; operations and decisions of the shrunk trace; persist nodes that have to be lost;
the profile it is declared for, and the first on which it shows.

Exit code 1 means that a plant was not caught, shows on another profile or breaks another law than
declared, a benign one was caught, or a trace does not replay. A left-out sync that is not caught is
no error, unless something else was declared: it may not be needed.")]
pub(crate) struct ZooArgs {
    /// Only this scenario.
    pub scenario: Option<String>,
    /// Only this plant.
    #[arg(long, value_name = "NAME", requires = "scenario")]
    pub plant: Option<String>,
    /// Most cases to explore per plant, per sync and per profile, shortest workloads first; 0 = do
    /// not explore.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub cases: u64,
    /// Most seeds per plant, per sync and per profile: N, A..B or A..=B.
    #[arg(short, long, default_value = "5000", env = "SEEDBED_SEEDS", hide_env_values = true)]
    pub seeds: Seeds,
    /// Most of these where nothing is expected to show: for benign plants, syncs that are not
    /// declared, and profiles before the declared one [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub silent_seeds: Option<u64>,
    /// Threads [default: one per core].
    #[arg(short, long, env = "SEEDBED_JOBS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    pub jobs: Option<u16>,
    /// Fault plan: a name from `list`, or a TOML file [default: the scenario's own]. A plant that
    /// declares a plan of its own is looked for under that.
    #[arg(short, long, env = "SEEDBED_FAULTS", hide_env_values = true, value_name = "PLAN")]
    pub faults: Option<String>,
    /// Most runs to shrink each violation; 0 = do not shrink.
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub shrink_runs: u64,
    /// Print the table in Markdown.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(short, long, env = "SEEDBED_QUIET", hide_env_values = true)]
    pub quiet: bool,
}

#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed litmus
  seedbed litmus --fs xfs,ext4-nodelalloc --row 34
  seedbed litmus --fs btrfs --random 2000 --seed 1 --json

File systems are made in memory and mounted from loop devices; no disk and no other mount is
touched, and nothing is left behind. A crash is a copy of the device at an instant.

Exit code 0 means that everything came out as recorded, 1 that something did not, 3 that something
could not be run: it takes root, loop devices, and the mkfs of each file system.

JSON: {kernel, recorded_kernel, rows: [{id, about, steps, setup, outcome, verdict}], error_rows:
[{id, about, setup, cells, verdict}], random: [{seed, steps, setup, results, crashes: [{after,
recovered}]}], skipped: [{setup, reason}], different, interrupted, exit_code}.")]
pub(crate) struct LitmusArgs {
    /// Only these: ext4, xfs, btrfs, or one of them with options [default: all].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub fs: Vec<String>,
    /// Only this row of the table: 01 and so on, E1 and so on.
    #[arg(long, value_name = "ID", conflicts_with = "random")]
    pub row: Option<String>,
    /// Run so many random workloads instead of the table, with a crash at every step, on each file
    /// system without options or on those of --fs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RANDOM_MAX))]
    pub random: Option<u64>,
    /// Seed of the first of them; the others follow.
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=u64::MAX - RANDOM_MAX))]
    pub seed: u64,
    /// Threads; most of a run is waiting [default: three per core].
    #[arg(short, long, env = "SEEDBED_JOBS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    pub jobs: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A window of event numbers; either end may be left out.
fn window(text: &str) -> Result<Range<u64>, String> {
    let bad = |why: &str| format!("{why}; expected a range of event numbers like 100..140");
    let (from, to) = text.split_once("..").ok_or_else(|| bad("there is no `..`"))?;
    let number = |text: &str, default: u64| match text {
        "" => Ok(default),
        text => text.parse().map_err(|_| bad("it is not made of numbers")),
    };
    let (from, to) = (number(from, 0)?, number(to, u64::MAX)?);
    if from > to { Err(bad("it is reversed")) } else { Ok(from..to) }
}
