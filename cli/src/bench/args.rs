//! The flags of `seedbed bench`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use seedbed_hardware::Mode;

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed bench atomic_commit --quick
  seedbed bench atomic_commit --clients 1,8,64 --durability group,immediate --dir /mnt/disk
  seedbed bench sink --rate 100000
  seedbed bench atomic_commit --html report.html
  seedbed bench atomic_commit --save-baseline main
  seedbed bench atomic_commit --baseline main --fail-on-regression
  seedbed bench atomic_commit --against ./seedbed-before --fail-on-regression
  seedbed bench --claims --dir /mnt/disk

Each line of the table is one workload, in a process of its own: the engine is opened in a new
folder in --dir, warmed up, and loaded in rounds; then it is closed, opened again, and what is on
the disk is compared with what was acknowledged. A difference is exit code 1, whatever the figures
are.

Figures are medians of the rounds. Latencies count from when an operation should have begun; in
closed loop they are corrected for what clients held back (coordinated omission). CPU is that of all
threads, per operation.

A saved baseline was measured at another time: whatever else has changed on the machine since
counts as a change of the program. --against runs another build in turn with this one, round by
round, which noise and drift do not fool; more rounds are taken while a metric is unclear. Figures
without noise are counted in simulation: any difference is a change of the program.

JSON: {engine, machine, workloads: [{name, workload, rounds: [{operations, elapsed_ns, latency,
seen, late_max_ns, disk, allocations, pools_busy}], latency, curve, ended: {checked, threads,
classes, peak_memory}, exact: {operations, counts}, comparison}], predictions, interrupted,
exit_code}; with --claims {machine, claims: [{of, claim, measured, verdict, conditions}],
interrupted, exit_code}.")]
pub(crate) struct BenchArgs {
    /// The engine: atomic_commit or sink.
    #[arg(required_unless_present = "claims")]
    pub engine: Option<String>,
    /// Instead, what reports have claimed of such engines, beside what is found here: the engine's,
    /// or everything.
    #[arg(long, conflicts_with_all = ["baseline", "save_baseline", "against", "simulate", "html"])]
    #[arg(conflicts_with_all = ["workload", "clients", "window", "durability", "value_bytes"])]
    #[arg(conflicts_with_all = ["batch_rows", "rate", "baselines"])]
    pub claims: bool,
    /// Where to measure: the disk that this folder is on.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Few workloads and short rounds: a few seconds.
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// All workloads, and more and longer rounds: many minutes.
    #[arg(long)]
    pub full: bool,
    /// Clients side by side; several make a grid.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub clients: Vec<u32>,
    /// Operations of a client that are under way at once; several make a grid.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub window: Vec<u32>,
    /// What an acknowledgement means: immediate, group, batch:N, async_sync, write_behind:MS, none;
    /// several make a grid.
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub durability: Vec<Mode>,
    /// Bytes of a value; several make a grid.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub value_bytes: Vec<u32>,
    /// Rows of a transaction of the sink; several make a grid.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub batch_rows: Vec<u32>,
    /// Operations a second that arrive whether or not earlier ones are done (open loop).
    #[arg(long, value_name = "N", conflicts_with = "window")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub rate: Option<u64>,
    /// A workload file (TOML) instead of a grid.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clients", "window", "durability"])]
    #[arg(conflicts_with_all = ["value_bytes", "batch_rows", "rate"])]
    pub workload: Option<PathBuf>,
    /// Rounds of each workload [default: 12; --full 20]; --against takes as many as it needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: Option<u16>,
    /// Keep what was measured under this name.
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Compare with what was kept under this name.
    #[arg(long, value_name = "NAME", group = "compares")]
    pub baseline: Option<String>,
    /// Compare with another build of this program, which runs in turn with this one.
    #[arg(long, value_name = "PROGRAM", group = "compares", conflicts_with = "rounds")]
    pub against: Option<PathBuf>,
    /// Predict as well: run the same workloads in simulation, on a disk that takes as long as this
    /// profile says: nvme, cloud_ssd, hdd, fsync_300ms, or a file of `seedbed calibrate`.
    #[arg(long, value_name = "PROFILE")]
    pub simulate: Option<String>,
    /// Only predict; nothing is measured, and --dir is not touched.
    #[arg(long, requires = "simulate", conflicts_with_all = ["compares", "save_baseline"])]
    pub only_simulate: bool,
    /// Where baselines are kept.
    #[arg(long, default_value = "seedbed-baselines", value_name = "DIR")]
    pub baselines: PathBuf,
    /// Exit code 1 if the comparison finds a regression, 3 if a workload could not be compared.
    #[arg(long, requires = "compares")]
    pub fail_on_regression: bool,
    /// So many percent less throughput are a regression.
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", requires = "compares")]
    #[arg(value_parser = |text: &str| percent(text, 0.1..=90.0))]
    pub throughput_drop: f64,
    /// So many percent more latency are a regression.
    #[arg(long, default_value_t = 15.0, value_name = "PERCENT", requires = "compares")]
    #[arg(value_parser = |text: &str| percent(text, 0.1..=10_000.0))]
    pub latency_growth: f64,
    /// Measure also where a sync keeps nothing (tmpfs).
    #[arg(long)]
    pub allow_memory: bool,
    /// Write a report to read and to pass on: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print one JSON object and nothing else on standard output.
    #[arg(long, env = "SEEDBED_JSON", hide_env_values = true)]
    pub json: bool,
    /// No progress.
    #[arg(short, long, env = "SEEDBED_QUIET", hide_env_values = true)]
    pub quiet: bool,
}

/// A number of percent within a range.
fn percent(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|percent| range.contains(percent));
    let (least, most) = range.into_inner();
    parsed.ok_or_else(|| format!("expected {least} to {most} (percent)"))
}

/// How to calibrate.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  seedbed calibrate --dir /mnt/disk --out disk.toml
  seedbed bench atomic_commit --dir /mnt/disk --simulate disk.toml
  seedbed bench atomic_commit --only-simulate --simulate fsync_300ms

Measures writes, reads, syncs of appends of several sizes, alone and beside others, changes of names
and syncs of folders; and what each engine's own code costs, by running it, and simulating it until
both take as long. Some seven minutes on two cores and a disk with syncs of 0.2 ms. The profile is a
text file (TOML).")]
pub(crate) struct CalibrateArgs {
    /// Where to measure: the disk that this folder is on.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// The profile's file [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The profile's name.
    #[arg(long, default_value = "measured", value_name = "NAME")]
    pub name: String,
    /// Measure also what is no disk (tmpfs).
    #[arg(long)]
    pub allow_memory: bool,
    /// No progress.
    #[arg(short, long, env = "SEEDBED_QUIET", hide_env_values = true)]
    pub quiet: bool,
}
