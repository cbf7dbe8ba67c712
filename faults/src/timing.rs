//! How long a disk takes: measured rather than feared.
//!
//! A fault plan draws latencies from ranges that are to bring bugs out. A [`Timing`] is one disk as
//! it was measured, by size and with its tail, so that a simulation of a healthy engine takes as
//! much simulated time as the engine would take there.
//!
//! A file is TOML. Each kind of call has points by size; a point has the times, in nanoseconds,
//! that 0 %, ..., 100 % of the calls of that size take at most, at equal steps. Between sizes and
//! steps it goes on a straight line; beyond the last size too, with the slope of the last two.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Longest file of a timing, in bytes.
pub const TIMING_BYTES_MAX: u64 = 1 << 20;
/// Points of a kind, and steps of a point, at most.
const POINTS_MAX: usize = 256;
/// Longest time: one hour.
const NS_MAX: u64 = 3_600_000_000_000;
/// Steps of a draw between two steps of a point are this fine.
pub const DRAWS: u64 = 1 << 16;

/// What calls of one size take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingPoint {
    /// Bytes of the call; of a sync, those that it has to write back.
    pub bytes: u64,
    /// Nanoseconds at equal steps from 0 % to 100 %, rising.
    pub ns: Vec<u64>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// What it is called.
    pub name: String,
    /// What was measured, in one sentence.
    pub about: String,
    /// Reads.
    pub read: Vec<TimingPoint>,
    /// Writes into the page cache.
    pub write: Vec<TimingPoint>,
    /// Syncs of files.
    pub sync: Vec<TimingPoint>,
    /// Syncs of files in which nothing was written but over what was there: no length and no place
    /// on the disk has to become durable. Where this is empty they take as long as others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sync_in_place: Vec<TimingPoint>,
    /// Syncs of directories.
    pub sync_dir: Vec<TimingPoint>,
    /// Opens, renames, removals and what else changes names.
    pub metadata: Vec<TimingPoint>,
    /// How much longer a sync takes beside others, in per mille of one alone: beside 0, 1, 2, ...
    /// others. Beside more than are listed, as beside the last.
    pub beside: Vec<u64>,
}

/// A timing that ships with the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingPreset {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),*) => {
        [$(TimingPreset {
            name: $name,
            text: include_str!(concat!("../timings/", $name, ".toml")),
        }),*]
    };
}

static PRESETS: [TimingPreset; 4] = presets!("nvme", "cloud_ssd", "hdd", "fsync_300ms");

impl Timing {
    /// The timings that ship with the crate, the fastest first.
    pub fn presets() -> impl Iterator<Item = &'static TimingPreset> {
        PRESETS.iter()
    }

    /// The shipped timing of this name.
    pub fn preset(name: &str) -> Option<Self> {
        let preset = PRESETS.iter().find(|preset| preset.name == name)?;
        Some(Self::parse(preset.text).expect("shipped timings are tested"))
    }

    /// A timing from a file's text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() as u64 > TIMING_BYTES_MAX {
            return Err(format!("{} bytes; a timing has up to {TIMING_BYTES_MAX}", text.len()));
        }
        let timing: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        timing.check()?;
        Ok(timing)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a timing is plain data")
    }

    fn check(&self) -> Result<(), String> {
        let kinds = [
            ("read", &self.read),
            ("write", &self.write),
            ("sync", &self.sync),
            ("sync_dir", &self.sync_dir),
            ("metadata", &self.metadata),
        ];
        for (kind, points) in kinds {
            check_points(points).map_err(|why| format!("{kind}: {why}"))?;
        }
        if !self.sync_in_place.is_empty() {
            let checked = check_points(&self.sync_in_place);
            checked.map_err(|why| format!("sync_in_place: {why}"))?;
        }
        let fits = (1..=64).contains(&self.beside.len())
            && self.beside.iter().all(|part| (1..=1_000_000).contains(part));
        match fits {
            true => Ok(()),
            false => Err("beside: 1 to 64 numbers of 1 to 1000000 per mille".to_owned()),
        }
    }

    /// The times of syncs: of files that have grown, or not.
    pub fn syncs(&self, grows: bool) -> &[TimingPoint] {
        match grows || self.sync_in_place.is_empty() {
            true => &self.sync,
            false => &self.sync_in_place,
        }
    }

    /// What a sync beside `others` takes that alone takes `ns`.
    pub fn beside(&self, ns: u64, others: usize) -> u64 {
        let part = self.beside.get(others).or(self.beside.last()).copied().unwrap_or(1000);
        u64::try_from(u128::from(ns) * u128::from(part) / 1000).unwrap_or(u64::MAX)
    }
}

fn check_points(points: &[TimingPoint]) -> Result<(), String> {
    let count = |what: &str, count: usize, least: usize| match (least..=POINTS_MAX).contains(&count)
    {
        true => Ok(()),
        false => Err(format!("{count} {what}: {least} to {POINTS_MAX}")),
    };
    count("points", points.len(), 1)?;
    let at = |bytes: u64, what: &dyn Display| Err(format!("at {bytes} bytes: {what}"));
    for pair in points.windows(2) {
        if pair[0].bytes >= pair[1].bytes {
            return at(pair[1].bytes, &"sizes must rise");
        }
    }
    for TimingPoint { bytes, ns } in points {
        if let Err(why) = count("steps", ns.len(), 1) {
            return at(*bytes, &why);
        }
        if !ns.is_sorted() || ns.last().is_some_and(|ns| *ns > NS_MAX) {
            return at(*bytes, &format!("times must rise, up to {NS_MAX} ns"));
        }
    }
    Ok(())
}

/// What a call of so many bytes takes, in nanoseconds: `drawn` of [`DRAWS`] says which part of all
/// such calls take at most so long.
pub fn sample(points: &[TimingPoint], bytes: u64, drawn: u64) -> u64 {
    let Some(first) = points.first() else { return 0 };
    let after = points.iter().position(|point| point.bytes > bytes).unwrap_or(points.len());
    if after == 0 || points.len() == 1 {
        return quantile(&first.ns, drawn) as u64;
    }
    // Beyond the last one, on the line through the last two.
    let (low, high) = match after < points.len() {
        true => (&points[after - 1], &points[after]),
        false => (&points[after - 2], &points[after - 1]),
    };
    let (from, to) = (quantile(&low.ns, drawn), quantile(&high.ns, drawn));
    let part = (bytes - low.bytes) as f64 / (high.bytes - low.bytes) as f64;
    // A float to integer cast saturates, and what would be negative is 0.
    ((to - from).mul_add(part, from) as u64).min(NS_MAX)
}

fn quantile(ns: &[u64], drawn: u64) -> f64 {
    let steps = ns.len() - 1;
    let place = drawn.min(DRAWS - 1) as f64 / DRAWS as f64 * steps as f64;
    let (low, part) = (place as usize, place.fract());
    let high = (low + 1).min(steps);
    (ns[high] as f64 - ns[low] as f64).mul_add(part, ns[low] as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bytes: u64, ns: &[u64]) -> TimingPoint {
        TimingPoint { bytes, ns: ns.to_vec() }
    }

    #[test]
    fn between_points_and_steps_it_goes_on_a_straight_line() {
        let points = [point(1000, &[10, 20, 100]), point(2000, &[20, 40, 200])];
        assert_eq!(sample(&points, 1000, 0), 10);
        assert_eq!(sample(&points, 1000, DRAWS / 4), 15);
        assert_eq!(sample(&points, 1000, DRAWS / 2), 20);
        assert_eq!(sample(&points, 1500, DRAWS / 2), 30);
        assert_eq!(sample(&points, 3000, DRAWS / 2), 60, "as the last two go on");
        assert_eq!(sample(&points, 1, DRAWS / 2), 20, "no smaller than the smallest");
        assert!(sample(&points, 1000, DRAWS) <= 100 && sample(&points, 1000, DRAWS - 1) >= 99);
        assert_eq!(sample(&points, u64::MAX, DRAWS - 1), NS_MAX);
        let falling = [point(0, &[100]), point(10, &[50])];
        assert_eq!(sample(&falling, 100, 0), 0);
    }

    #[test]
    fn shipped_timings_can_be_read_and_written() {
        for preset in Timing::presets() {
            let timing = Timing::parse(preset.text).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(timing.name, preset.name);
            assert_eq!(Timing::parse(&timing.to_text()), Ok(timing.clone()));
        }
        assert_eq!(Timing::preset("floppy"), None);
    }

    #[test]
    fn nonsense_is_refused_with_the_place() {
        let good = Timing::preset("nvme").unwrap();
        let refused = |change: fn(&mut Timing)| {
            let mut timing = good.clone();
            change(&mut timing);
            Timing::parse(&timing.to_text()).unwrap_err()
        };
        let why = refused(|timing| timing.read.clear());
        assert!(why.contains("read: 0 points: 1 to 256"), "{why}");
        let why = refused(|timing| timing.sync[0].ns.reverse());
        assert!(why.contains("times must rise"), "{why}");
        let why = refused(|timing| timing.write[0].ns.clear());
        assert!(why.contains("at ") && why.contains("0 steps"), "{why}");
        let why = refused(|timing| timing.sync.push(point(0, &[1])));
        assert!(why.contains("sizes must rise"), "{why}");
        let why = refused(|timing| timing.sync_in_place = vec![point(9, &[1]), point(1, &[1])]);
        assert!(why.contains("sync_in_place: at 1 bytes: sizes must rise"), "{why}");
        let why = refused(|timing| timing.beside = vec![0]);
        assert!(why.contains("beside"), "{why}");
        let why = refused(|timing| timing.sync[0].ns = vec![u64::MAX >> 1]);
        assert!(why.contains("times must rise, up to"), "{why}");
        assert!(Timing::parse("name = 7").is_err());
        assert!(Timing::parse(&" ".repeat(2 << 20)).unwrap_err().contains("up to"));
    }

    #[test]
    fn syncs_in_place_take_as_long_as_others_unless_they_were_measured() {
        let mut timing = Timing::preset("nvme").unwrap();
        assert_eq!(timing.syncs(false), timing.sync);
        timing.sync_in_place = vec![point(0, &[7])];
        assert_eq!((timing.syncs(true), timing.syncs(false)[0].ns[0]), (&timing.sync[..], 7));
        assert_eq!(Timing::parse(&timing.to_text()), Ok(timing));
    }

    #[test]
    fn beside_others_a_sync_takes_longer() {
        let mut timing = Timing::preset("nvme").unwrap();
        timing.beside = vec![1000, 1500];
        let all = [0, 1, 2, 9].map(|others| timing.beside(100, others));
        assert_eq!(all, [100, 150, 150, 150]);
    }
}
