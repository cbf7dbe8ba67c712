//! What a fault plan holds, and how it is read from and written to TOML.
//!
//! Fields are public and named `<noun>_<qualifier>_<unit>`; `Default` means that nothing goes
//! wrong. Invariant of a plan that came through [`Plan::from_toml`]: every rule compiles, and every
//! number is small enough that a simulator can add it up without overflow.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, NODES_MAX};
use crate::device::DevicePlan;
use crate::errors::{PlanError, RuleError, nearest, shown};
use crate::net::NetPlan;
use crate::presets::presets;
use crate::profile::Profile;
use crate::range::{CountRange, DurationRange, RatioRange};
use crate::ratio::Ratio;
use crate::rule::Rule;
use crate::run::RunSettings;

#[cfg(test)]
mod tests;

/// Longest plan that is read, in bytes.
pub const PLAN_BYTES_MAX: u64 = 1 << 20;
/// Most rules that a plan may hold.
pub const RULES_MAX: usize = 1000;
/// Longest duration in a plan, in nanoseconds: ten years.
pub const DURATION_NS_MAX: u64 = 10 * 366 * 86_400 * 1_000_000_000;
/// Fastest drift of a clock in a plan, in parts per million: a tenth.
pub const DRIFT_PPM_MAX: u64 = 100_000;
/// Most operations that a device works on at a time, in a plan.
const QUEUE_DEPTH_MAX: u64 = 65_536;
/// Most crashes per seed in a plan.
const CRASH_COUNT_MAX: u64 = 1_000_000;
/// Largest window of a stream in a plan, in bytes.
const WINDOW_BYTES_MAX: u64 = 1 << 30;

/// What may go wrong, and how often: the content of a plan file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Short name, as on the command line.
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// Each seed switches every fault kind on or off, with even chances.
    pub swarm: bool,
    /// What the file systems do.
    pub disk: DiskPlan,
    /// What the devices below them do.
    pub device: DevicePlan,
    /// What happens to the nodes.
    pub node: NodePlan,
    /// What the clocks do.
    pub clock: ClockPlan,
    /// What the network does.
    #[serde(skip_serializing_if = "NetPlan::is_default")]
    pub net: NetPlan,
    /// How many nodes may be hit.
    #[serde(skip_serializing_if = "Budget::is_any")]
    pub budget: Budget,
    /// Surgical rules (`[[rule]]`); the first that fires decides.
    #[serde(rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// How a tool should run the plan (`[run]`). Not part of the world: it is read, never written.
    #[serde(skip_serializing)]
    pub run: Option<RunSettings>,
}

/// What the file systems do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskPlan {
    /// What the file systems promise: one of these per seed, the first being the plainest.
    pub profiles: Vec<Profile>,
    /// How long a read takes; drawn per operation.
    pub read_latency: DurationRange,
    /// How long a write takes; drawn per operation.
    pub write_latency: DurationRange,
    /// How long a sync takes; drawn per operation.
    pub sync_latency: DurationRange,
    /// How long an operation on names takes; drawn per operation.
    pub metadata_latency: DurationRange,
    /// Chance that a read fails with EIO.
    pub read_error_probability: RatioRange,
    /// Chance that a write fails with EIO.
    pub write_error_probability: RatioRange,
    /// Chance that a sync fails with EIO.
    pub sync_error_probability: RatioRange,
    /// Chance that an operation on names fails with EIO.
    pub metadata_error_probability: RatioRange,
    /// Chance that an operation that needs space fails with ENOSPC.
    pub no_space_probability: RatioRange,
    /// Chance that a read returns fewer bytes than asked for.
    pub short_read_probability: RatioRange,
    /// Chance that a write takes fewer bytes than given.
    pub short_write_probability: RatioRange,
    /// Chance that a page which a power loss catches unsynced is torn.
    pub torn_page_probability: RatioRange,
    /// Chance, at each operation, that the kernel does something by itself: writes back a page,
    /// commits, drops a page that was refused, or forgets a file with its errors.
    pub background_probability: RatioRange,
    /// Chance that such a writing back fails with EIO, which nobody is told until the next sync.
    pub writeback_error_probability: RatioRange,
    /// Chance that a sync or an operation on names makes the file system give up: changes fail
    /// until it is mounted again.
    pub shutdown_probability: RatioRange,
    /// How many bytes a disk holds; 0 = unlimited.
    pub capacity_bytes: CountRange,
    /// How many files and directories it holds; 0 = unlimited.
    pub capacity_files: CountRange,
}

/// What happens to the nodes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodePlan {
    /// Crashes per seed.
    pub crash_count: CountRange,
    /// Operations of a boot before it crashes; drawn per boot.
    pub crash_after_ops: CountRange,
    /// Share of crashes that are power losses.
    pub power_loss_probability: RatioRange,
    /// Chance that a boot is crashed early, during its recovery.
    pub recovery_crash_probability: RatioRange,
}

/// What the clocks do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockPlan {
    /// How far wall clocks are ahead.
    pub offset: DurationRange,
    /// How fast clocks run away, in parts per million.
    pub drift_ppm: CountRange,
    /// Chance of a step of the wall clock.
    pub step_probability: RatioRange,
    /// How far a step goes; drawn per step.
    pub step: DurationRange,
    /// Chance of a pause of a node.
    pub pause_probability: RatioRange,
    /// How long a pause lasts; drawn per pause.
    pub pause: DurationRange,
}

impl Default for DiskPlan {
    fn default() -> Self {
        Self {
            profiles: vec![Profile::POSIX],
            read_latency: DurationRange::new(10_000, 100_000),
            write_latency: DurationRange::new(10_000, 100_000),
            sync_latency: DurationRange::new(50_000, 2_000_000),
            metadata_latency: DurationRange::new(10_000, 100_000),
            read_error_probability: RatioRange::NEVER,
            write_error_probability: RatioRange::NEVER,
            sync_error_probability: RatioRange::NEVER,
            metadata_error_probability: RatioRange::NEVER,
            no_space_probability: RatioRange::NEVER,
            short_read_probability: RatioRange::NEVER,
            short_write_probability: RatioRange::NEVER,
            torn_page_probability: RatioRange::NEVER,
            background_probability: RatioRange::NEVER,
            writeback_error_probability: RatioRange::NEVER,
            shutdown_probability: RatioRange::NEVER,
            capacity_bytes: CountRange::ZERO,
            capacity_files: CountRange::ZERO,
        }
    }
}

impl Default for NodePlan {
    fn default() -> Self {
        Self {
            crash_count: CountRange::ZERO,
            crash_after_ops: CountRange::new(1, 120),
            power_loss_probability: RatioRange::just(Ratio::new(1, 2)),
            recovery_crash_probability: RatioRange::NEVER,
        }
    }
}

impl Plan {
    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        let preset = presets().find(|preset| preset.name == name)?;
        let plan = Self::from_toml(preset.text, preset.name);
        Some(plan.expect("presets are part of the crate and a test reads each"))
    }

    /// Reads a plan. `origin` names the text in errors: a path, or what it was made from.
    ///
    /// # Errors
    /// [`PlanError`] says the line, the key, and what is wrong, with the nearest known key.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, PlanError> {
        if text.len() as u64 > PLAN_BYTES_MAX {
            return Err(PlanError::TooLarge { origin: shown(origin), limit: PLAN_BYTES_MAX });
        }
        let plan: Self =
            toml::from_str(text).map_err(|error| invalid(text, origin, error.span(), &error))?;
        plan.check_limits(text, origin)?;
        for (index, rule) in plan.rules.iter().enumerate() {
            rule.compile().map_err(|source| rule_error(text, origin, index, source))?;
        }
        Ok(plan)
    }

    /// Reads the preset of that name, or the file if it ends in `.toml` or holds a `/`.
    ///
    /// # Errors
    /// [`PlanError`]: an unknown name, an unreadable file, or a text that is not a plan.
    pub fn load(name_or_path: &str) -> Result<Self, PlanError> {
        if name_or_path.ends_with(".toml") || name_or_path.contains(['/', '\\']) {
            let path = Path::new(name_or_path);
            let text = read_bounded(path)
                .map_err(|source| PlanError::Io { path: path.to_owned(), source })?;
            return Self::from_toml(&text, name_or_path);
        }
        Self::preset(name_or_path).ok_or_else(|| PlanError::UnknownPreset {
            name: shown(name_or_path),
            known: presets().map(|preset| preset.name).collect::<Vec<_>>().join(", "),
            nearest: nearest(name_or_path, presets().map(|preset| preset.name)),
        })
    }

    /// The plan as TOML that [`Plan::from_toml`] reads back equal, without `run`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan holds text, booleans, small integers and tables")
    }

    /// Refuses what a simulator could not add up.
    fn check_limits(&self, text: &str, origin: &str) -> Result<(), PlanError> {
        let Self { disk, device, node, clock, net, rules, budget, .. } = self;
        let limits = [
            ("rule", rules.len() as u64, RULES_MAX as u64, "rules"),
            ("disk.read_latency", disk.read_latency.max_ns, DURATION_NS_MAX, "ns"),
            ("disk.write_latency", disk.write_latency.max_ns, DURATION_NS_MAX, "ns"),
            ("disk.sync_latency", disk.sync_latency.max_ns, DURATION_NS_MAX, "ns"),
            ("disk.metadata_latency", disk.metadata_latency.max_ns, DURATION_NS_MAX, "ns"),
            ("device.stall", device.stall.max_ns, DURATION_NS_MAX, "ns"),
            ("device.hang", device.hang.max_ns, DURATION_NS_MAX, "ns"),
            ("device.queue_depth", device.queue_depth.max, QUEUE_DEPTH_MAX, "operations"),
            ("node.crash_count", node.crash_count.max, CRASH_COUNT_MAX, "crashes"),
            ("clock.offset", clock.offset.max_ns, DURATION_NS_MAX, "ns"),
            ("clock.step", clock.step.max_ns, DURATION_NS_MAX, "ns"),
            ("clock.pause", clock.pause.max_ns, DURATION_NS_MAX, "ns"),
            ("clock.drift_ppm", clock.drift_ppm.max, DRIFT_PPM_MAX, "ppm"),
            ("net.window_bytes", net.window_bytes, WINDOW_BYTES_MAX, "bytes"),
        ];
        let net_durations = net.durations();
        let of_net = |(key, range): (_, DurationRange)| (key, range.max_ns, DURATION_NS_MAX, "ns");
        let stalls = rules.iter().filter_map(|rule| rule.stall);
        let stalls = stalls.map(|stall| ("rule.stall", stall.max_ns, DURATION_NS_MAX, "ns"));
        let of_budget =
            |(key, _, limit): (_, _, Option<u64>)| (key, limit.unwrap_or(0), NODES_MAX, "nodes");
        let invalid = |key: &str, message| PlanError::Invalid {
            origin: shown(origin),
            line: line_of_key(text, key),
            key: key.to_owned(),
            message,
            nearest: None,
        };
        if let Some((key, found, limit, unit)) = limits
            .into_iter()
            .chain(stalls)
            .chain(net_durations.map(of_net))
            .chain(budget.limits().map(of_budget))
            .find(|(_, found, limit, _)| found > limit)
        {
            let message = format!("{found} {unit} is too much: at most {limit} {unit}");
            return Err(invalid(key, message));
        }
        if net.window_bytes == 0 {
            return Err(invalid("net.window_bytes", "a stream takes at least 1 byte".to_owned()));
        }
        match device.atomic_write_bytes {
            512 | 4096 => Ok(()),
            other => {
                let message = format!("a device writes 512 or 4096 bytes whole, not {other}");
                Err(invalid("device.atomic_write_bytes", message))
            }
        }
    }
}

/// Reads a file, refusing to hold much more than a plan may be long.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(PLAN_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// An error of the TOML reader with the place and, for an unknown word, the nearest known one.
fn invalid(
    text: &str,
    origin: &str,
    span: Option<Range<usize>>,
    error: &toml::de::Error,
) -> PlanError {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let nearest = match message.starts_with("unknown ") {
        true => quoted.next().and_then(|found| nearest(found, quoted)),
        false => None,
    };
    let start = span.map(|span| span.start.min(text.len()));
    PlanError::Invalid {
        origin: shown(origin),
        line: start.map(|start| line_at(text, start)),
        key: start.map(|start| key_at(text, start)).unwrap_or_default(),
        message: message.trim_end().to_owned(),
        nearest,
    }
}

fn rule_error(text: &str, origin: &str, index: usize, source: RuleError) -> PlanError {
    let starts = text.lines().enumerate().filter(|(_, line)| line.trim().starts_with("[[rule]]"));
    let line = starts.map(|(line, _)| line + 1).nth(index);
    PlanError::Rule { origin: shown(origin), line, index: index + 1, source }
}

/// The line of a byte offset, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

/// The key that a line sets, if it sets one.
fn key_of_line(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && !key.starts_with('#')).then_some(key)
}

/// The table that a line opens, if it opens one.
fn table_of_line(line: &str) -> Option<&str> {
    let line = line.trim().strip_prefix('[')?;
    let end = line.find(']')?;
    Some(line[..end].trim_start_matches('['))
}

/// The dotted key at a byte offset, as good as a look at the lines can tell.
fn key_at(text: &str, offset: usize) -> String {
    let line = line_at(text, offset);
    let mut table = "";
    for (number, text) in text.lines().take(line).enumerate() {
        if let Some(opened) = table_of_line(text) {
            table = opened;
        } else if number + 1 == line {
            return match (key_of_line(text), table) {
                (None, table) => shown(table),
                (Some(key), "") => shown(key),
                (Some(key), table) => shown(&format!("{table}.{key}")),
            };
        }
    }
    shown(table)
}

/// The line that sets a dotted key, counted from 1, if it is there in that form.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let (table, name) = key.split_once('.')?;
    let mut current = "";
    for (number, line) in text.lines().enumerate() {
        if let Some(opened) = table_of_line(line) {
            current = opened;
        } else if current == table && key_of_line(line) == Some(name) {
            return Some(number + 1);
        }
    }
    None
}
